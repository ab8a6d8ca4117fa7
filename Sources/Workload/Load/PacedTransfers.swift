import Messages
import Randomness

/// So many transfers a second between accounts drawn at random, a share of them over two shards, until somebody stops
/// it: a load to look at, and not to measure a peak with.
public struct PacedTransfers: WorkSource {
    private let keys: AccountKeys
    private let map: ShardMap
    /// The accounts of each shard.
    private let byShard: [[Int]]
    private let crossPercent: Int
    /// Nanoseconds from one to the next.
    private let interval: UInt64
    private let figures: LiveFigures
    private var random: SplitMix64
    private var nextAt: UInt64?
    private var works = 0

    /// What was late, because every client had something in flight, is not caught up with beyond this: nanoseconds.
    private static let memory: UInt64 = 50_000_000
    /// Minor units of one transfer, at most.
    private static let amounts = 100

    /// - Parameters:
    ///   - map: of the cluster.
    ///   - rate: transfers a second, above 0.
    ///   - crossPercent: the share of transfers over two shards, 0 to 100; with one shard there are none.
    ///   - figures: is told of every outcome, and says when to stop.
    /// - Precondition: there are two accounts.
    public init(
        keys: AccountKeys, map: ShardMap, rate: Double, crossPercent: Int, seed: UInt64, figures: LiveFigures
    ) {
        precondition(keys.ids.count >= 2 && rate > 0 && (0...100).contains(crossPercent))
        (self.keys, self.map, self.crossPercent, self.figures) = (keys, map, crossPercent, figures)
        interval = UInt64(max(1, 1e9 / rate))
        random = SplitMix64(seed: seed, stream: "paced transfers")
        var byShard = [[Int]](repeating: [], count: map.shardCount)
        for (account, shard) in keys.shards(in: map).enumerated() { byShard[Int(shard.number)].append(account) }
        self.byShard = byShard
    }

    /// There is no total.
    public var progress: WorkProgress { WorkProgress(done: figures.total.committed, total: nil) }

    /// When it was told to stop. What is in flight then still ends.
    public func isExhausted(now: Instant) -> Bool { figures.isStopped }

    /// The next transfer, if it is due.
    public mutating func next(now: Instant) -> Work? {
        guard !figures.isStopped else { return nil }
        let due = nextAt ?? now.uptime
        guard now.uptime >= due else { return nil }
        nextAt = max(due, now.uptime - min(now.uptime, Self.memory)) + interval
        let from = random.below(keys.ids.count)
        let transfer = Transfer(
            from: keys.ids[from], to: keys.ids[receiver(of: from)], asset: AccountKeys.asset,
            amount: Amount(UInt128(1 + random.below(Self.amounts))))
        defer { works += 1 }
        figures.begin()
        return Work(id: works, principal: keys.owner(of: from), operations: [.transfer(transfer)])
    }

    /// On another shard, or on the same one, as the draw says and the accounts allow.
    private mutating func receiver(of from: Int) -> Int {
        let home = Int(map.shard(of: keys.ids[from]).number)
        let isCross = byShard.count > 1 && random.below(100) < crossPercent
        let shard = isCross ? (home + 1 + random.below(byShard.count - 1)) % byShard.count : home
        let candidates = byShard[shard]
        if shard == home, candidates.count > 1 {
            let drawn = candidates[random.below(candidates.count - 1)]
            // The last stands in for the payer, who is not drawn.
            return drawn == from ? candidates[candidates.count - 1] : drawn
        }
        if shard != home, !candidates.isEmpty { return candidates[random.below(candidates.count)] }
        // A shard without accounts to choose from.
        let drawn = random.below(keys.ids.count - 1)
        return drawn < from ? drawn : drawn + 1
    }

    /// Counted under its kind: whether it went over two shards.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        figures.record(outcome, isCross: isCross(work.operations[leg]), microseconds: microseconds)
    }

    /// The work is no longer in flight.
    public mutating func finished(_ work: Work, now: Instant) { figures.finish() }

    private func isCross(_ operation: Operation) -> Bool {
        guard case .transfer(let transfer) = operation else { return false }
        return map.shard(of: transfer.from) != map.shard(of: transfer.to)
    }
}
