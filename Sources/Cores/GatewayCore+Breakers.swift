import Gateway
import Messages

/// Shards that certify nothing: what would go to them is refused, and the others are not to suffer.
extension GatewayCore {
    /// By shard, whether requests are kept from it.
    public var openBreakers: [Bool] { breakers.map { !$0.isClosed } }

    /// Nanoseconds until all these shards' breakers let something pass; 0 if they do now.
    func delay(to shards: [ShardID], now: Instant) -> UInt64 {
        shards.reduce(0) { max($0, breakers[Int($1.number)].delay(now: now)) }
    }

    mutating func pass(_ shards: [ShardID], now: Instant) {
        for shard in shards { breakers[Int(shard.number)].pass(now: now) }
    }

    mutating func noteSent(to shards: [ShardID], now: Instant) {
        for shard in shards { breakers[Int(shard.number)].noteSent(now: now) }
    }

    mutating func noteHeard(from shard: ShardID) { breakers[Int(shard.number)].noteHeard() }

    mutating func probeShards(of host: HostID, now: Instant) {
        for shard in breakers.indices where manifest.replica(of: ShardID(UInt16(shard)), on: host) != nil {
            breakers[shard].noteReconnected(now: now)
        }
    }

    mutating func openBreakers(now: Instant, into ready: inout GatewayReady) {
        for shard in breakers.indices where breakers[shard].tick(now: now) {
            ready.counts.append(.breakerOpened)
            shed(ShardID(UInt16(shard)), now: now, into: &ready)
        }
    }

    /// Requests over several shards hold places in the lanes of healthy ones. Those that were not sent are refused;
    /// those that were keep waiting for their outcome, without their places. Each time that the breaker opens they are
    /// a window at most, and none waits longer than `patience`.
    private mutating func shed(_ shard: ShardID, now: Instant, into ready: inout GatewayReady) {
        // In an order that does not depend on the dictionary's.
        for digest in entries.filter({ $0.value.shards.contains(shard) }).keys.sorted() {
            guard let entry = entries[digest] else { continue }
            switch entry.stage {
            case .queued:
                fail(
                    digest, .shardUnavailable, retryAfter: breakers[Int(shard.number)].delay(now: now) / 1000, now: now,
                    into: &ready)
            // Only if it is this shard that keeps it: otherwise another lane's window would be exceeded.
            case .inFlight, .backingOff: if entry.coordinator.isMissing(shard) { admission.cancel(digest, now: now) }
            // Answered: it has no place.
            case .settling: break
            }
        }
    }
}
