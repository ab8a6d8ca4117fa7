import Foundation

/// What one process says at /metrics, read as strictly as Prometheus does.
struct Scrape {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    struct Series: Hashable {
        let name: String
        let labels: [String: String]
    }

    /// By the names of metrics.
    private(set) var kinds: [String: String] = [:]
    private(set) var values: [Series: Double] = [:]

    init(port: Int) throws {
        let answer = try HTTPAnswer("/metrics", port: port)
        guard answer.status == 200, answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8" else {
            throw Problem(description: "\(answer.status), \(answer.headers)")
        }
        try self.init(answer.body)
    }

    /// - Throws: `Problem` if a sample has no meaning and kind before it, something is said twice, or a histogram is
    ///   none.
    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Problem(description: "the last line has no end") }
        var meanings: Set<String> = []
        var current = ""
        for line in text.split(separator: "\n").map(String.init) {
            if line.hasPrefix("# ") {
                let words = line.split(separator: " ", maxSplits: 3).map(String.init)
                guard words.count == 4 else { throw Problem(description: line) }
                switch words[1] {
                case "HELP":
                    guard meanings.insert(words[2]).inserted else { throw Problem(description: "twice: \(line)") }
                case "TYPE":
                    guard meanings.contains(words[2]), kinds[words[2]] == nil,
                        ["counter", "gauge", "histogram"].contains(words[3])
                    else { throw Problem(description: line) }
                    kinds[words[2]] = words[3]
                    current = words[2]
                default: throw Problem(description: line)
                }
                continue
            }
            let (series, value) = try Self.sample(line)
            let names = kinds[current] == "histogram" ? ["_bucket", "_sum", "_count"].map { current + $0 } : [current]
            guard names.contains(series.name) else { throw Problem(description: "not of \(current): \(line)") }
            guard values.updateValue(value, forKey: series) == nil else { throw Problem(description: "twice: \(line)") }
        }
        try checkHistograms()
    }

    /// `name{label="value",…} number`
    private static func sample(_ line: String) throws -> (Series, Double) {
        guard let match = line.wholeMatch(of: /([a-z_][a-z0-9_]*)(?:\{(.*)\})? ([^ ]+)/),
            let value = match.3 == "+Inf" ? .infinity : Double(match.3)
        else { throw Problem(description: line) }
        var labels: [String: String] = [:]
        var rest = Substring(match.2 ?? "")
        while !rest.isEmpty {
            guard let pair = rest.prefixMatch(of: /([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/),
                labels.updateValue(String(pair.2), forKey: String(pair.1)) == nil
            else { throw Problem(description: line) }
            rest = rest[pair.range.upperBound...]
        }
        return (Series(name: String(match.1), labels: labels), value)
    }

    private func checkHistograms() throws {
        for (name, kind) in kinds where kind == "histogram" {
            let counts = values.filter { $0.key.name == name + "_count" }
            guard !counts.isEmpty else { throw Problem(description: "\(name) has no count") }
            for (series, count) in counts {
                let buckets = values.filter { bucket, _ in
                    bucket.name == name + "_bucket" && bucket.labels.filter { $0.key != "le" } == series.labels
                }
                let bounds = try buckets.map { bucket, value in
                    guard let text = bucket.labels["le"], let bound = text == "+Inf" ? .infinity : Double(text) else {
                        throw Problem(description: "a bucket of \(name) has no bound")
                    }
                    return (bound, value)
                }.sorted { $0.0 < $1.0 }
                guard let last = bounds.last, last.0 == .infinity, last.1 == count,
                    zip(bounds, bounds.dropFirst()).allSatisfy({ $0.0 < $1.0 && $0.1 <= $1.1 }),
                    values[Series(name: name + "_sum", labels: series.labels)] != nil
                else { throw Problem(description: "\(series) is no histogram: \(bounds)") }
            }
        }
    }

    /// The sum of all series of this name that have these labels, and maybe more; nil if there is none.
    func total(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let found = values.filter { series, _ in
            series.name == name && labels.allSatisfy { series.labels[$0.key] == $0.value }
        }
        return found.isEmpty ? nil : found.values.reduce(0, +)
    }

    /// What counts up and is less than it was.
    func shrunk(since before: Scrape) -> [Series] {
        before.values.filter { series, value in
            let isCounted =
                kinds[series.name] == "counter"
                || kinds.contains { name, kind in
                    kind == "histogram" && ["_bucket", "_sum", "_count"].contains { series.name == name + $0 }
                }
            return isCounted && (values[series] ?? -1) < value
        }.map(\.key)
    }
}
