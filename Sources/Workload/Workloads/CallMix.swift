import ExampleProcedures
import Messages
import Randomness

/// Synchronous calls of a depth under load: a procedure that calls one that calls one …, each on another shard, and
/// each adding to a counter.
public struct CallMix: TransactionMix {
    /// Where it comes from.
    public static let source = "the chain that --latencies measures one at a time, under load"
    /// Enough that chains seldom meet.
    public static let usualCounters = 10_000

    private struct Books: Sendable {
        var added: UInt64 = 0
        /// May have been added beside.
        var uncertain: UInt64 = 0
    }

    /// Every chain is of one kind.
    public let kinds: [String]
    private let depth: Int
    /// Keys of each shard.
    private let byShard: [[String]]
    private let choices: [SkewedChoice]
    private var books: [String: Books] = [:]
    private var open = OpenTransactions<String>()

    /// - Parameters:
    ///   - depth: calls below the first procedure, 1 to 8; there must be one shard more.
    ///   - counters: over all shards.
    /// - Returns: nil if some shard has no counter.
    public init?(depth: Int, counters: Int = usualCounters, skew: Skew = .uniform, map: ShardMap) {
        precondition((1...CallPath.maxDepth).contains(depth) && map.shardCount > depth)
        (self.depth, kinds) = (depth, ["chain"])
        var byShard = [[String]](repeating: [], count: map.shardCount)
        for key in (0..<counters).map({ "counter-\($0)" }) {
            byShard[Int(map.shard(ofKey: Array(key.utf8)).number)].append(key)
        }
        guard byShard.allSatisfy({ !$0.isEmpty }) else { return nil }
        self.byShard = byShard
        choices = byShard.map { SkewedChoice(skew, count: $0.count) }
    }

    /// A counter on each of as many shards as there are visits, which are drawn too.
    public mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<[String]> {
        var shards: [Int] = []
        while shards.count <= depth {
            let shard = random.below(byShard.count)
            if !shards.contains(shard) { shards.append(shard) }
        }
        let keys = shards.map { byShard[$0][choices[$0].sample(&random)] }
        let invocation = Invocation(
            target: .key(keys[0]), procedure: Chain.name, version: Chain.version,
            arguments: Chain.Arguments(keys: keys).encoded())
        return DrawnTransaction(kind: 0, operations: [.call(invocation)], isCross: true, plan: keys)
    }

    /// Each visit adds its place in the chain, counted from 1.
    public mutating func ended(_ plan: [String], _ ending: TransactionEnding) {
        if ending == .unknown {
            open.add(Dictionary(uniqueKeysWithValues: plan.enumerated().map { ($1, Int128($0) + 1) }))
        }
        for (place, key) in plan.enumerated() {
            switch ending {
            case .committed: books[key, default: Books()].added += UInt64(place) + 1
            case .aborted: if books[key] == nil { books[key] = Books() }
            case .unknown: books[key, default: Books()].uncertain += UInt64(place) + 1
            }
        }
    }

    /// All counters that a chain has named.
    public var subjects: CheckSubjects { CheckSubjects(keys: books.keys.sorted()) }

    /// Each counter is what committed chains have added, and of a chain without an outcome all or nothing.
    public func verdict(_ state: FinalValues) -> CheckVerdict {
        var verdict = CheckVerdict("\(books.count) counters are what committed calls have added")
        var differences: [String: Int128] = [:]
        for key in books.keys.sorted() {
            guard let own = books[key], let held = state.value(of: key, or: UInt64(0), &verdict) else { continue }
            differences[key] = Int128(held) - Int128(own.added)
            if !(own.added...own.added + own.uncertain ~= held) {
                verdict.add("\(key) is \(held); committed calls have added \(own.added)")
            }
        }
        verdict.add(open.explain(differences), "calls") { $0 }
        return verdict
    }
}
