import Foundation
import StrictInput

/// Two looks at a cluster, and what has happened between them.
struct TopSight: Sendable {
    struct Replica: Encodable, Sendable {
        var shard: Int
        var host: Int
        /// `primary`, `backup`; `changing` while it waits for a new view.
        var role: String
        var view: UInt64
        var executed: UInt64
        /// Batches behind the furthest replica of its shard.
        var lag: UInt64
        var batches_per_second: Double
        var waiting: Int
        var undecided: Int
        /// `votes`, or what keeps it from that.
        var standing: String
    }
    struct Gateway: Encodable, Sendable {
        var gateway: Int
        var answers: Bool
        var completed_per_second: Double
        var rejected_per_second: Double
        var queued: UInt64
        var in_flight: UInt64
        var completed: UInt64
    }
    struct Drop: Encodable, Sendable {
        var from: String
        var reason: String
        var per_second: Double
    }
    struct Document: Encodable, Sendable {
        var schema = 1
        var cluster: String
        var seconds: Double
        var verdicts: [ClusterStatus.Verdict]
        var replicas: [Replica]
        var gateways: [Gateway]
        var drops: [Drop]
    }

    let status: ClusterStatus
    let seconds: Double
    let replicas: [Replica]
    let gateways: [Gateway]
    /// The most first.
    let drops: [Drop]

    init(_ status: ClusterStatus, earlier: ClusterStatus, seconds: Double) {
        self.status = status
        self.seconds = max(0.001, seconds)
        let span = self.seconds
        // A process that started again in between counts from zero.
        func rate(_ now: UInt64, _ before: UInt64?) -> Double {
            guard let before else { return 0 }
            return Double(now >= before ? now - before : now) / span
        }
        let furthest = Dictionary(status.hosts.flatMap(\.replicas).map { ($0.shard, $0.executed) }) { max($0, $1) }
        replicas = zip(status.hosts, earlier.hosts).flatMap { host, before in
            host.replicas.map { replica in
                Replica(
                    shard: replica.shard, host: host.host,
                    role: replica.changing_view ? "changing" : replica.primary ? "primary" : "backup",
                    view: replica.view, executed: replica.executed,
                    lag: furthest[replica.shard, default: 0] - replica.executed,
                    batches_per_second: rate(
                        replica.executed, before.replicas.first { $0.shard == replica.shard }?.executed),
                    waiting: replica.waiting, undecided: replica.undecided,
                    standing: !replica.halted.isEmpty
                        ? "halted: \(replica.halted)" : replica.standing.isEmpty ? "votes" : replica.standing)
            }
        }
        gateways = status.gateways.map { gateway in
            let before = earlier.gateways.first { $0.gateway == gateway.gateway && $0.answers }
            return Gateway(
                gateway: gateway.gateway, answers: gateway.answers,
                completed_per_second: rate(gateway.completed, before?.completed),
                rejected_per_second: rate(gateway.rejected, before?.rejected), queued: gateway.queued,
                in_flight: gateway.in_flight, completed: gateway.completed)
        }
        var drops: [Drop] = []
        func note(_ name: String, _ metrics: [StatusMetric], _ before: [StatusMetric]?) {
            for metric in metrics where metric.name == "quorate_dropped_total" {
                let old = before?.first { $0.name == metric.name && $0.labels == metric.labels }?.value
                let rise = rate(metric.value, before == nil ? nil : old ?? 0)
                if rise > 0 { drops.append(Drop(from: name, reason: metric.labels["reason"] ?? "", per_second: rise)) }
            }
        }
        for (host, before) in zip(status.hosts, earlier.hosts) {
            note("host \(host.host)", host.metrics, before.answers ? before.metrics : nil)
        }
        for gateway in status.gateways {
            note(
                "gateway \(gateway.gateway)", gateway.metrics,
                earlier.gateways.first { $0.gateway == gateway.gateway && $0.answers }?.metrics)
        }
        self.drops = drops.sorted { ($0.per_second, $1.from) > ($1.per_second, $0.from) }
    }

    var document: Document {
        Document(
            cluster: status.cluster, seconds: seconds, verdicts: status.verdicts, replicas: replicas,
            gateways: gateways, drops: drops)
    }
}

/// What `quorate top` shows.
struct TopPage {
    private let sight: TopSight
    private let order: TopOrder
    private static let shownDrops = 5

    init(_ sight: TopSight, order: TopOrder) { (self.sight, self.order) = (sight, order) }

    var lines: [String] { heading + table(replicas) + tail }

    /// Cut to a terminal: replicas give way to what stands below them.
    func fitting(columns: Int, rows: Int) -> [String] {
        let (top, bottom) = (heading, tail)
        let room = max(2, rows - 1 - top.count - bottom.count)
        var middle = table(replicas)
        if middle.count > room {
            let hidden = middle.count - room + 1
            middle = Array(middle.prefix(room - 1)) + ["… \(hidden) more replicas"]
        }
        let keys = "q ends   s sorts, now by \(order.rawValue)"
        let all = top + middle + bottom
        return (all.prefix(max(1, rows - 1)) + [keys]).map { String(Printable.line($0).prefix(columns)) }
    }

    private var heading: [String] {
        let rate = sight.gateways.reduce(0) { $0 + $1.completed_per_second }
        let first =
            "cluster \(sight.status.cluster.prefix(8))   \(Self.number(rate)) transactions/s   \(sight.status.hosts.count { $0.answers }) of \(sight.status.hosts.count) hosts answer"
        let stuck = sight.status.verdicts.filter { !$0.can_commit || !$0.why.isEmpty }.map(\.text)
        return [first] + stuck + [""]
    }

    private var replicas: [TopSight.Replica] {
        switch order {
        case .shard: sight.replicas.sorted { ($0.shard, $0.host) < ($1.shard, $1.host) }
        case .host: sight.replicas.sorted { ($0.host, $0.shard) < ($1.host, $1.shard) }
        case .lag: sight.replicas.sorted { ($1.lag, $0.shard, $0.host) < ($0.lag, $1.shard, $1.host) }
        }
    }

    private func table(_ replicas: [TopSight.Replica]) -> [String] {
        let head = ["shard", "host", "role", "view", "executed", "batch/s", "lag", "waiting", "undecided", "standing"]
        let rows = replicas.map { replica in
            [
                "\(replica.shard)", "\(replica.host)", replica.role, "\(replica.view)", "\(replica.executed)",
                Self.number(replica.batches_per_second), "\(replica.lag)", "\(replica.waiting)",
                "\(replica.undecided)", Printable.line(replica.standing),
            ]
        }
        return Self.align([head] + rows, texts: [2, 9])
    }

    private var tail: [String] {
        let head = ["gateway", "done/s", "rejected/s", "queued", "in flight", "done", ""]
        let rows = sight.gateways.map { gateway in
            [
                "\(gateway.gateway)", Self.number(gateway.completed_per_second),
                Self.number(gateway.rejected_per_second), "\(gateway.queued)", "\(gateway.in_flight)",
                "\(gateway.completed)", gateway.answers ? "" : "DOES NOT ANSWER",
            ]
        }
        var lines = [""] + (rows.isEmpty ? ["no gateway runs"] : Self.align([head] + rows, texts: [6]))
        lines += sight.status.clocks.problems.map { "WRONG TIME: \($0)" }
        guard !sight.drops.isEmpty else { return lines }
        let drops = sight.drops.prefix(Self.shownDrops).map {
            "\($0.from) \(Printable.line($0.reason)) \(Self.number($0.per_second))/s"
        }
        return lines + ["", "dropped: " + drops.joined(separator: ", ")]
    }

    /// Columns as wide as the widest of them; numbers to the right.
    private static func align(_ rows: [[String]], texts: Set<Int>) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let room = String(repeating: " ", count: widths[column] - cell.count)
                return texts.contains(column) ? cell + room : room + cell
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    /// One decimal below ten.
    private static func number(_ value: Double) -> String {
        value < 10 ? "\((value * 10).rounded() / 10)" : "\(Int(min(value, 1e15)))"
    }
}
