import Cores
import Messages

/// How long batches take from PRE-PREPARE to execution, as the journal's records tell it from outside: the core knows
/// no clock. A look at the clock and at a dictionary a batch. Lives on the protocol's thread.
struct OrderingTimes {
    private struct Place: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }

    /// Uptimes.
    private var began: [Place: UInt64] = [:]

    /// Batches that were left behind, by a state from peers, say, are forgotten with all others when there are so many.
    private static let maxBatches = 4096

    /// - Parameter records: new ones, and not those of a compaction.
    mutating func note(_ records: [HostRecord], _ counters: HostCounters) {
        var seen: UInt64?
        func now() -> UInt64 {
            if let seen { return seen }
            let time = Clock.uptime()
            seen = time
            return time
        }
        for record in records {
            switch record.record {
            // What a later view proposes again has waited since the first time.
            case .prePrepared(_, let sequence, _):
                let place = Place(shard: record.shard, sequence: sequence)
                guard began[place] == nil else { continue }
                if began.count >= Self.maxBatches { began.removeAll(keepingCapacity: true) }
                began[place] = now()
            case .committed(let sequence, _, _):
                let place = Place(shard: record.shard, sequence: sequence)
                guard let start = began.removeValue(forKey: place) else { continue }
                counters.noteOrdered(in: record.shard, nanoseconds: now() - start)
            case .prepared, .prePreparedAgain, .committedBody, .viewChange, .newView, .stable, .quarantine,
                .peerIncarnation:
                break
            }
        }
    }
}
