import Gateway
import Messages
import TwoPhaseCommit

/// A gateway's core as somebody sees it who watches a cluster.
public struct GatewayLook: Sendable {
    /// What waits for one shard.
    public struct Shard: Sendable {
        /// Which.
        public let shard: ShardID
        /// Requests that still need a place in flight on it.
        public let queued: Int
        /// Requests that hold one.
        public let inFlight: Int
        /// Whether its breaker lets everything pass.
        public let isOpenToAll: Bool
    }

    /// A request over several shards that has no decision yet.
    public struct Doubt: Sendable {
        /// The digest of the signed request.
        public let request: Digest
        /// All participants, ascending.
        public let shards: [ShardID]
        /// Of these, those that have certified nothing yet, ascending: their votes are waited for.
        public let missing: [ShardID]
        /// When it was signed, by its client's clock.
        public let issuedAt: Timestamp
    }

    /// By shard.
    public var shards: [Shard] = []
    /// Of all shards together.
    public var status = GatewayStatus()
    /// Requests that were refused or not heard of, and wait before they are sent again.
    public var backingOff = 0
    /// Requests that are answered, and not yet certified decided on all shards.
    public var settling = 0
    /// Requests over several shards without a decision.
    public var undecided = 0
    /// The oldest of these, oldest first.
    public var oldest: [Doubt] = []

    /// Nothing waits, of no shard.
    public init() {}
}

extension GatewayCore {
    /// Walks over all requests that the core holds: for who watches, not for each request.
    /// - Parameter limit: how many undecided requests it names.
    public func look(limit: Int) -> GatewayLook {
        var look = GatewayLook()
        look.status = status
        look.shards = breakers.indices.map { number in
            let shard = ShardID(UInt16(number))
            return GatewayLook.Shard(
                shard: shard, queued: admission.queued(on: shard), inFlight: admission.inFlight(on: shard),
                isOpenToAll: breakers[number].isClosed)
        }
        var found: [(issuedAt: Timestamp, request: Digest)] = []
        for (digest, entry) in entries {
            switch entry.stage {
            case .queued: continue
            case .settling:
                look.settling += 1
                continue
            case .backingOff: look.backingOff += 1
            case .inFlight: break
            }
            guard entry.shards.count > 1 else { continue }
            look.undecided += 1
            let place = (entry.request.request.issuedAt, digest)
            // The order in which they are kept does not depend on the dictionary's.
            if found.count >= limit, let last = found.last, (last.issuedAt, last.request) <= place { continue }
            let index = found.firstIndex { ($0.issuedAt, $0.request) > place } ?? found.count
            found.insert(place, at: index)
            if found.count > limit { found.removeLast() }
        }
        look.oldest = found.compactMap { issuedAt, request in
            guard let entry = entries[request] else { return nil }
            return GatewayLook.Doubt(
                request: request, shards: entry.shards, missing: entry.coordinator.missing, issuedAt: issuedAt)
        }
        return look
    }
}
