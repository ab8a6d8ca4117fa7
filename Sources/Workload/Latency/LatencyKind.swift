/// A kind of request whose latency without load is measured, and what it must wait for, counted from the code.
///
/// Client and gateway are one delay apart: 2 in all. One order costs 5: gateway to replicas (`GatewayMessage`),
/// PRE-PREPARE, PREPARE, COMMIT (PBFT §4.2), attestation to the gateway; f + 1 equal ones are a certificate, and no
/// sync comes before an attestation. PREPARE and COMMIT wait for a sync of their sender's journal (R3).
public enum LatencyKind: Hashable, Sendable {
    /// Over so many shards, which vote side by side; the votes are the decision (R8), and what tells the shards comes
    /// later.
    case transfer(participants: Int)
    /// A call that calls a shard, that calls a shard, … so deep below home. Home is ordered, every shard on the way
    /// down, and every one but the deepest again for its answer (R13, R14): one order after the other.
    case call(depth: Int)

    /// What `quorate bench --latencies` measures, in the order of its table.
    public static let measured: [LatencyKind] = [
        .transfer(participants: 1), .transfer(participants: 2), .transfer(participants: 4), .transfer(participants: 8),
        .call(depth: 1), .call(depth: 2), .call(depth: 4),
    ]
    /// Message delays between client and gateway, there and back.
    public static let delaysOfClient = 2
    /// Message delays from the gateway until it holds what the replicas certified.
    public static let delaysOfOrder = 5
    /// Syncs of one order, one after the other: for PREPARE and COMMIT.
    public static let syncsOfOrder = 2

    /// How many shards take part.
    public var shards: Int {
        switch self {
        case .transfer(let participants): participants
        case .call(let depth): depth + 1
        }
    }

    /// Orders that must follow each other.
    public var orders: Int {
        switch self {
        case .transfer: 1
        case .call(let depth): 2 * depth + 1
        }
    }

    /// Message delays from the client's request to its receipt.
    public var delays: Int { Self.delaysOfClient + Self.delaysOfOrder * orders }
    /// Syncs that must follow each other.
    public var syncs: Int { Self.syncsOfOrder * orders }

    /// How `delays` comes about, for a table.
    public var formula: String {
        switch self {
        case .transfer: "2 + 5"
        case .call(let depth): "2 + 5 (2·\(depth) + 1)"
        }
    }

    /// As a row of the table begins.
    public var description: String {
        switch self {
        case .transfer(1): "transfer, one shard"
        case .transfer(let participants): "transfer, \(participants) shards"
        case .call(let depth): "call, \(depth) deep"
        }
    }
}
