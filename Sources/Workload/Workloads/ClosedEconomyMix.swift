import ExampleProcedures
import Messages
import Randomness

/// The closed economy of YCSB+T as a workload: reads and updates of one record, and one unit from a record to another.
public struct ClosedEconomyMix: TransactionMix {
    /// Where it comes from.
    public static let source = """
        Dey, Fekete, Nambiar, Röhm: YCSB+T: Benchmarking Web-scale Transactional Databases, ICDEW 2014, and its \
        ClosedEconomyWorkload (ycsb-with-transactions/ycsb-0.17.0), without inserts and scans
        """
    /// In the order of weights.
    public static let allKinds = ["read", "update", "rmw"]
    /// Half reads, so that writes meet; YCSB+T's own default is 95, 5, 0.
    public static let usualWeights = [50, 25, 25]
    /// YCSB's exponent, and as many records as keep a check short.
    public static let (usualRecords, usualSkew) = (100_000, Skew.zipf(0.99))

    /// What is kept of a transaction.
    public enum Plan: Sendable {
        /// Of this record.
        case read(UInt64)
        /// Of this record, to this mark; drawn at this moment.
        case update(UInt64, mark: UInt64, at: UInt64)
        /// From the first to the second.
        case move(UInt64, UInt64)
    }

    private struct Books: Sendable {
        var money: Int64 = 0
        /// Those that may be there last, with the moment at which the update's answer came; `.max` if nobody knows
        /// whether, and when, it happened.
        var marks: [UInt64: UInt64] = [:]
        /// When the last of those updates was drawn that took effect; nil if none did.
        var lastDrawn: UInt64?

        /// An update whose answer came before this one was drawn is no longer the last.
        mutating func commit(_ mark: UInt64, drawnAt: UInt64, answeredAt: UInt64) {
            marks[mark] = answeredAt
            lastDrawn = max(lastDrawn ?? 0, drawnAt)
            if let lastDrawn { marks = marks.filter { $0.value >= lastDrawn } }
        }
        /// How many units may have come or gone beside.
        var (least, most): (Int64, Int64) = (0, 0)
    }

    private let pairs: PairChoice
    private let kindChoice: WeightedChoice
    private let map: ShardMap
    private let records: Int
    private var books: [UInt64: Books] = [:]
    private var marks: UInt64 = 0
    /// Counts what was drawn and what ended: a transaction begins after it is drawn, and had its answer when it ends.
    private var moment: UInt64 = 0
    private var unreadable = 0

    /// As in `allKinds`.
    public var kinds: [String] { Self.allKinds }

    /// - Parameters:
    ///   - weights: in the order of `allKinds`.
    ///   - crossPercent: of moves, how many are over two shards; nil: as it comes.
    /// - Precondition: two records or more, and some weight is above zero.
    public init(
        records: Int = usualRecords, skew: Skew = usualSkew, weights: [Int] = usualWeights, crossPercent: Int? = nil,
        map: ShardMap
    ) {
        guard records >= 2, let kindChoice = WeightedChoice(weights) else {
            preconditionFailure("the options were checked")
        }
        pairs = PairChoice(
            choice: SkewedChoice(skew, count: records), crossPercent: map.shardCount > 1 ? crossPercent : nil)
        (self.records, self.kindChoice, self.map) = (records, kindChoice, map)
    }

    private func shard(of record: UInt64) -> ShardID { map.shard(of: .key(ClosedEconomy.key(record))) }

    private func other(than first: UInt64, _ random: inout SplitMix64) -> UInt64 {
        UInt64(pairs.other(than: Int(first), &random) { shard(of: UInt64($0)) })
    }

    /// Marks are numbered, so that each update writes something of its own.
    public mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<Plan> {
        moment += 1
        let kind = kindChoice.sample(&random)
        let record = UInt64(pairs.choice.sample(&random))
        let home = CallTarget.key(ClosedEconomy.key(record))
        func call(_ target: CallTarget, _ name: String, _ arguments: some CanonicalEncodable) -> [Operation] {
            [.call(Invocation(target: target, procedure: name, version: 1, arguments: arguments.encoded()))]
        }
        switch kind {
        case 0:
            return DrawnTransaction(
                kind: kind, operations: call(home, ReadRecord.name, record), isCross: false, plan: .read(record))
        case 1:
            marks += 1
            let step = ClosedEconomy.Step(record: record, value: marks)
            return DrawnTransaction(
                kind: kind, operations: call(home, UpdateRecord.name, step), isCross: false,
                plan: .update(record, mark: marks, at: moment))
        default:
            let other = other(than: record, &random)
            let step = ClosedEconomy.Step(record: record, value: other)
            return DrawnTransaction(
                kind: kind, operations: call(.key(ClosedEconomy.key(other)), MoveUnit.name, step),
                isCross: shard(of: record) != shard(of: other), plan: .move(record, other))
        }
    }

    /// Adds up what the results certify.
    public mutating func ended(_ plan: Plan, _ ending: TransactionEnding) {
        moment += 1
        switch (plan, ending) {
        case (.read(let record), _), (.update(let record, _, _), .aborted): touch(record)
        case (.update(let record, let mark, let drawn), .committed):
            books[record, default: Books()].commit(mark, drawnAt: drawn, answeredAt: moment)
        case (.update(let record, let mark, _), .unknown): books[record, default: Books()].marks[mark] = .max
        case (.move(let from, let to), .aborted):
            touch(from)
            touch(to)
        case (.move(let from, let to), .committed(let result)):
            guard let moved = try? UInt64(decoding: result), moved <= 1 else {
                unreadable += 1
                return
            }
            books[from, default: Books()].money -= Int64(moved)
            books[to, default: Books()].money += Int64(moved)
        case (.move(let from, let to), .unknown):
            books[from, default: Books()].least -= 1
            books[to, default: Books()].most += 1
        }
    }

    /// What did nothing must not have done anything, so it is looked at too.
    private mutating func touch(_ record: UInt64) {
        if books[record] == nil { books[record] = Books() }
    }

    /// All records that a transaction has named.
    public var subjects: CheckSubjects { CheckSubjects(keys: books.keys.sorted().map(ClosedEconomy.key)) }

    /// The sum is what it was, each record has what was certified, and its mark is of an update that may have been the last.
    public func verdict(_ state: FinalValues) -> CheckVerdict {
        let opening = ClosedEconomy.openingMoney
        var verdict = CheckVerdict(
            "\(records) records hold \(records) times \(opening); those \(books.count) that were touched hold what is certified"
        )
        if unreadable > 0 { verdict.add("\(unreadable) moves committed with a result that cannot be read") }
        var found: Int64 = 0
        for record in books.keys.sorted() {
            guard let own = books[record],
                let held = state.value(of: ClosedEconomy.key(record), or: ClosedEconomy.Record(), &verdict)
            else { continue }
            found &+= held.money &- opening
            let wanted = opening + own.money
            if !(wanted + own.least...wanted + own.most ~= held.money) {
                verdict.add("record \(record) holds \(held.money); \(wanted) are certified")
            }
            if held.mark == 0 ? own.lastDrawn != nil : own.marks[held.mark] == nil {
                verdict.add("record \(record) has mark \(held.mark), which no update can have left there last")
            }
        }
        // Moves without an outcome happened whole or not at all: they do not change the sum.
        if verdict.isConsistent == true, found != 0 {
            verdict.add("all records together hold \(found) more than at the start")
        }
        return verdict
    }
}
