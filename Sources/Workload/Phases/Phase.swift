import Messages

/// The parts of a request's time, one after the other. On a shard the way through the primary counts until it has
/// proposed, and from then on the moment at which f + 1 replicas were so far: as many make a certificate.
public enum Phase: String, CaseIterable, Sendable, Codable {
    /// The client encodes and signs.
    case sign
    /// Through the client's connection and the network.
    case toGateway = "to_gateway"
    /// Waits for a verifier of the gateway, and is verified.
    case gatewayVerify = "gateway_verify"
    /// Waits for admission and for a place in flight.
    case gatewayQueue = "gateway_queue"
    /// To the primary.
    case toHost = "to_host"
    /// Waits for a verifier of the primary, and is verified.
    case hostVerify = "host_verify"
    /// Waits for the protocol's thread.
    case hostQueue = "host_queue"
    /// Waits to be proposed.
    case pool
    /// The PRE-PREPARE is made durable at the primary, while it is on its way to the backups.
    case prePrepareSync = "pre_prepare_sync"
    /// What is left of this: PRE-PREPARE to the backups, verified and made durable there, and PREPAREs of a quorum back.
    case prepare
    /// That it prepared is made durable.
    case preparedSync = "prepared_sync"
    /// COMMITs of a quorum, and its turn.
    case commit
    /// The batch is executed and attested.
    case execute
    /// Attestations to the gateway, verified, of the slowest shard; certificates made.
    case certify
    /// Through the network and the client's connection.
    case toClient = "to_client"
    /// The client verifies the certificates.
    case clientVerify = "client_verify"
    /// All of these.
    case total
    /// After them, across shards: until f + 1 replicas of the slowest shard have executed the decide.
    case decide

    /// Those that follow each other from the first to the last.
    public static let path: [Phase] = allCases.filter { $0 != .total && $0 != .decide }
}

/// How long each phase of one request took. Nanoseconds; nil where a moment is missing, or two are in the wrong order.
public struct PhaseTimes: Sendable, Equatable {
    private let times: [Phase: UInt64]
    /// It concerns several shards.
    public let isCross: Bool

    /// - Parameter quorum: how many replicas of a shard make a certificate.
    public init(_ trace: RequestTrace, quorum: Int) {
        let shards = trace.shards
        isCross = shards.count > 1
        func executed(_ shard: ShardID) -> UInt64? {
            trace.reached(quorum, .executed, shard: shard, number: trace.batch(of: shard))
        }
        // The slowest; one that is not known to have executed it says nothing.
        let slowest = shards.max { (executed($0) ?? 0) < (executed($1) ?? 0) }
        var times: [Phase: UInt64] = [:]
        func put(_ phase: Phase, _ from: UInt64?, _ to: UInt64?) {
            if let from, let to, to >= from { times[phase] = to - from }
        }
        let issued = trace.first(.issued, at: .client) ?? trace.first(.issued)
        let (received, certified) = (trace.first(.gatewayReceived), trace.first(.certified))
        let answered = trace.first(.answered)
        put(.sign, issued, trace.first(.signed))
        put(.toGateway, trace.first(.signed) ?? issued, received)
        put(.gatewayVerify, received, trace.first(.gatewayVerified))
        if let slowest {
            let on = ShardMoments(trace, slowest, quorum: quorum)
            let forwarded = trace.first(.forwarded, shard: slowest)
            put(.gatewayQueue, trace.first(.gatewayVerified), forwarded)
            put(.toHost, forwarded, on.received)
            put(.hostVerify, on.received, on.verified)
            put(.hostQueue, on.verified, on.admitted)
            put(.pool, on.admitted, on.proposed)
            put(.prePrepareSync, on.proposed, on.proposedDurable)
            put(.prepare, on.proposedDurable, on.prepared)
            put(.preparedSync, on.prepared, on.preparedDurable)
            put(.commit, on.preparedDurable, on.committed)
            put(.execute, on.committed, on.executed)
            put(.certify, on.executed, certified)
        }
        put(.toClient, certified, answered)
        put(.clientVerify, answered, trace.first(.receiptVerified))
        put(.total, issued, trace.first(.receiptVerified) ?? answered ?? certified)
        if isCross {
            let decided = shards.map { trace.reached(quorum, .decided, shard: $0) }
            if !decided.contains(nil) { put(.decide, certified, decided.compactMap { $0 }.max()) }
        }
        self.times = times
    }

    /// Nanoseconds.
    public subscript(_ phase: Phase) -> UInt64? { times[phase] }
}

/// The moments of a request on one shard.
private struct ShardMoments {
    // At the primary.
    let received, verified, admitted, proposed, proposedDurable: UInt64?
    // At f + 1 replicas.
    let prepared, preparedDurable, committed, executed: UInt64?

    init(_ trace: RequestTrace, _ shard: ShardID, quorum: Int) {
        let (primary, batch) = (trace.primary(of: shard), trace.batch(of: shard))
        func there(_ kind: StampKind, _ number: UInt64? = nil) -> UInt64? {
            primary.flatMap { trace.first(kind, shard: shard, at: $0, number: number) }
        }
        func reached(_ kind: StampKind) -> UInt64? {
            batch.flatMap { trace.reached(quorum, kind, shard: shard, number: $0) }
        }
        (received, verified, admitted) = (there(.received), there(.verified), there(.admitted))
        (prepared, preparedDurable) = (reached(.prepared), reached(.preparedDurable))
        // A quorum may be done without the primary's vote.
        let (durable, end) = (there(.prePrepareDurable, batch), prepared)
        (proposed, proposedDurable) = (there(.prePrepared, batch), durable.map { min($0, end ?? $0) })
        (committed, executed) = (reached(.committed), reached(.executed))
    }
}
