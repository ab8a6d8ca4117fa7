import Messages
import StrictInput

/// One number that a host or gateway counts, as `cluster status --json` has it.
struct StatusMetric: Encodable, Sendable {
    var name: String
    var labels: [String: String]
    var value: UInt64

    init(_ sample: MetricSample) {
        (name, value) = (sample.name, sample.value)
        labels = Dictionary(sample.labels.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// What a person should look at if it has happened, with the word for it. All else happens in a cluster that is
    /// well.
    private static let remarkable = [
        "quorate_view_changes_total": "view changes", "quorate_state_fetches_total": "states fetched",
        "quorate_sessions_paused_total": "sessions paused", "quorate_breakers_opened_total": "breakers opened",
    ]
    private static let remarkableDrops: Set<String> = [
        "outbound_full", "inbound_full", "undecodable", "unverified", "unfinished", "conflicting_pre_prepare",
        "conflicting_vote", "malformed_view_change", "malformed_new_view", "wrong_selection", "wrong_state",
        "improper_push", "pool_full",
    ]

    /// What a process says of itself may be anything: a sum that is too large for the type is the largest.
    private static func add(_ value: UInt64, to sum: inout UInt64) {
        let (total, isTooLarge) = sum.addingReportingOverflow(value)
        sum = isTooLarge ? .max : total
    }

    /// A line, or none if there is nothing to look at.
    static func lines(of metrics: [StatusMetric]) -> [String] {
        var counts: [String: UInt64] = [:]
        for metric in metrics where metric.value > 0 {
            if let word = remarkable[metric.name] { add(metric.value, to: &counts[word, default: 0]) }
            if metric.name == "quorate_dropped_total", let reason = metric.labels["reason"],
                remarkableDrops.contains(reason)
            {
                add(metric.value, to: &counts["dropped (\(reason))", default: 0])
            }
        }
        let words = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return words.isEmpty ? [] : ["  since its start: \(words.joined(separator: ", "))"]
    }
}
