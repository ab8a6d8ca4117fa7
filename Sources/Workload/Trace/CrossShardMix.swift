import Randomness
import Messages

/// Rewrites a trace so that a wanted share of its transfers crosses shards. Senders, amounts and order stay; where a
/// row does not fit, the receiver becomes the account with the same popularity rank in a shard that does, so that
/// the skew stays too.
public enum CrossShardMix {
    /// - Parameters:
    ///   - percent: 0 to 100.
    ///   - shardOf: the shard of each account of the trace, by index.
    public static func rewrite(_ trace: Trace, percent: Int, shardOf: [ShardID], shardCount: Int, seed: UInt64) -> Trace
    {
        precondition((0...100).contains(percent) && shardOf.count == trace.accounts.count)
        var random = SplitMix64(seed: seed, stream: "cross-shard mix")
        let ranking = Ranking(trace, shardOf: shardOf, shardCount: shardCount)
        var result = trace
        var crossing = 0
        for i in trace.rows.indices {
            let row = trace.rows[i]
            let (home, away) = (shardOf[Int(row.from)], shardOf[Int(row.to)])
            // Exact over the whole trace, and not a pattern: the draw follows what is still owed.
            let left = trace.rows.count - i
            let owed = trace.rows.count * percent / 100 - crossing
            let wantsCross = shardCount > 1 && random.below(left) < owed
            if wantsCross { crossing += 1 }
            if (home != away) == wantsCross { continue }
            let target: Int
            if wantsCross {
                let step = 1 + random.below(shardCount - 1)
                target = (Int(home.number) + step) % shardCount
            } else {
                target = Int(home.number)
            }
            if let account = ranking.account(inShard: target, rank: ranking.rank[Int(row.to)], not: Int(row.from)) {
                result.rows[i].to = Int32(account)
            }
        }
        return result
    }

    /// The share of rows whose accounts are on two shards, 0 to 1.
    public static func crossShare(of trace: Trace, shardOf: [ShardID]) -> Double {
        guard !trace.rows.isEmpty else { return 0 }
        let crossing = trace.rows.count { shardOf[Int($0.from)] != shardOf[Int($0.to)] }
        return Double(crossing) / Double(trace.rows.count)
    }

    /// The accounts of each shard, busiest first.
    private struct Ranking {
        /// By account: its place among the accounts of its own shard.
        var rank: [Int]
        private var byShard: [[Int]]

        init(_ trace: Trace, shardOf: [ShardID], shardCount: Int) {
            var touches = [Int](repeating: 0, count: trace.accounts.count)
            for row in trace.rows {
                touches[Int(row.from)] += 1
                touches[Int(row.to)] += 1
            }
            rank = touches
            byShard = Array(repeating: [], count: shardCount)
            // Equal touches keep the order of first appearance.
            for account in touches.indices.sorted(by: { (touches[$1], $0) < (touches[$0], $1) }) {
                let shard = Int(shardOf[account].number)
                rank[account] = byShard[shard].count
                byShard[shard].append(account)
            }
        }

        func account(inShard shard: Int, rank: Int, not excluded: Int) -> Int? {
            let accounts = byShard[shard]
            guard !accounts.isEmpty else { return nil }
            let position = min(rank, accounts.count - 1)
            if accounts[position] != excluded { return accounts[position] }
            guard accounts.count > 1 else { return nil }
            return accounts[position + 1 < accounts.count ? position + 1 : position - 1]
        }
    }
}
