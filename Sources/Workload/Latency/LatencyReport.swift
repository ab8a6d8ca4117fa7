import Foundation

/// What one request at a time takes, by kind. The keys of its JSON are a promise: some may be added, none renamed.
public struct LatencyReport: Codable, Sendable, Equatable {
    /// Microseconds from the client's request until it has verified the receipt.
    public struct Row: Codable, Sendable, Equatable {
        public var kind: String
        /// Of a transfer.
        public var participants: Int?
        /// Of a call.
        public var depth: Int?
        public var shards: Int
        public var delays: Int
        public var syncs: Int
        public var formula: String
        public var count: Int
        public var p50_us: UInt64
        public var p99_us: UInt64
        public var min_us: UInt64
        public var max_us: UInt64
        /// Requests that the client or the gateway sent more than once.
        public var resent: Int
        var name: String

        /// - Parameter microseconds: in any order.
        public init(_ kind: LatencyKind, microseconds: [UInt64], resent: Int) {
            switch kind {
            case .transfer(let participants): (self.kind, self.participants) = ("transfer", participants)
            case .call(let depth): (self.kind, self.depth) = ("call", depth)
            }
            (shards, delays, syncs, formula) = (kind.shards, kind.delays, kind.syncs, kind.formula)
            (name, self.resent) = (kind.description, resent)
            let sorted = microseconds.sorted()
            // The nearest rank: the smallest value that so many are not above.
            func percentile(_ percent: Int) -> UInt64 {
                sorted.isEmpty ? 0 : sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]
            }
            (count, p50_us, p99_us) = (sorted.count, percentile(50), percentile(99))
            (min_us, max_us) = (sorted.first ?? 0, sorted.last ?? 0)
        }
    }

    public var schema = 1
    public var shards: Int
    public var replicas: Int
    public var gateways: Int
    public var durability = "strict"
    public var pause_ms: Int
    public var rows: [Row]
    public var invariants: RunResult.Invariants

    public init(
        shards: Int, replicas: Int, gateways: Int, pauseMilliseconds: Int, rows: [Row], invariants: RunResult.Invariants
    ) {
        (self.shards, self.replicas, self.gateways, pause_ms) = (shards, replicas, gateways, pauseMilliseconds)
        (self.rows, self.invariants) = (rows, invariants)
    }

    /// One object on one line.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// The table that a terminal shows.
    public func table() -> String {
        func ms(_ us: UInt64) -> String { decimal(Double(us) / 1000, 2) }
        var lines = [["kind", "shards", "delays", "formula", "syncs", "count", "p50 ms", "p99 ms", "p50 ms a delay"]]
        for row in rows {
            lines.append([
                row.name, "\(row.shards)", "\(row.delays)", row.formula, "\(row.syncs)", "\(row.count)", ms(row.p50_us),
                ms(row.p99_us),
                decimal(Double(row.p50_us) / 1000 / Double(row.delays), 2),
            ])
        }
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        let table = lines.map { line in
            line.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - line[column].count)
                return column == 0 || column == 3 ? line[column] + space : space + line[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n")
        return table + "\n" + """

            delays   messages that must follow each other: 2 between client and gateway, and 5 an order: to the replicas, PRE-PREPARE,
                     PREPARE, COMMIT, attestation. All shards of a transfer order it side by side; a call n deep is ordered 2n + 1 times
                     in a row: at home, on each shard on the way down, and on each but the deepest again for its answer.
            syncs    of journals, one after the other: three an order.
            \(shards) shards, \(replicas) hosts, one request at a time, \(pause_ms) ms between two; from the request to the verified receipt.
            """
    }
}
