import Foundation

/// What one request at a time takes, by kind. The keys of its JSON are a promise: some may be added, none renamed.
public struct LatencyReport: Codable, Sendable, Equatable {
    /// Microseconds from the client's request until it has verified the receipt.
    public struct Row: Codable, Sendable, Equatable {
        /// `transfer` or `call`.
        public var kind: String
        /// Of a transfer.
        public var participants: Int?
        /// Of a call.
        public var depth: Int?
        /// Shards that take part.
        public var shards: Int
        /// Message delays that must follow each other, by `LatencyKind`.
        public var delays: Int
        /// Syncs of journals that must follow each other.
        public var syncs: Int
        /// How `delays` comes about.
        public var formula: String
        /// Requests that were measured.
        public var count: Int
        /// The median, by nearest rank as all percentiles here; 0 if nothing was measured.
        public var p50_us: UInt64
        /// Of fewer than 100 requests it is the slowest.
        public var p99_us: UInt64
        /// The quickest; 0 if nothing was measured.
        public var min_us: UInt64
        /// The slowest; 0 if nothing was measured.
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

    /// The version of the JSON's keys.
    public var schema = 1
    /// Shards of the cluster, not of a request.
    public var shards: Int
    /// Of each shard, which is the number of hosts.
    public var replicas: Int
    /// Gateways of the cluster.
    public var gateways: Int
    /// Always `strict`: all that is promised is synced before.
    public var durability = "strict"
    /// Milliseconds between two requests.
    public var pause_ms: Int
    /// One a kind, in the order in which they were measured.
    public var rows: [Row]
    /// Of all replicas, after the last request.
    public var invariants: RunResult.Invariants

    /// - Parameter pauseMilliseconds: between two requests.
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
