import ExampleProcedures
import Histories
import Messages
import Randomness

/// A load of which every call and every answer is noted, and judged at the end: what its clients ask for, as a
/// procedure takes it and as a history says it.
protocol HistoryWorkload: Sendable {
    /// What one transaction asks for.
    associatedtype Step: Sendable
    associatedtype Operation: KeyedOperation
    associatedtype Value: HistoryValue

    static var kind: BenchKind { get }
    /// What the operations are done to, in the plural.
    static var things: String { get }
    /// Of these: how many there were so far.
    var count: Int { get }

    mutating func next(using random: inout SplitMix64) -> Step
    /// The same once more, after it had no effect.
    mutating func again(_ step: Step) -> Step
    func operations(of step: Step) -> [Operation]
    /// What a history says of it.
    /// - Parameter found: what each operation found; nil where that is not known.
    func value(of step: Step, found: [Operation.Held]?) -> Value
    /// Reads everything once more, a few at a time. What was acknowledged and is lost would otherwise only show if
    /// somebody had looked.
    var lastReads: [Step] { get }
    func check(_ history: History<Value>) throws(HistoryViolation)
}

extension ShardMap {
    /// A key for the thing in a place: neighbours are on neighbouring shards, so that few things are on several shards
    /// too.
    func key(_ name: String, place: Int, shards: Int) -> String {
        let wanted = ShardID(UInt16(place % shards))
        var salt = 0
        while true {
            let key = name + (salt == 0 ? "" : "-\(salt)")
            if shard(ofKey: Array(key.utf8)) == wanted { return key }
            salt += 1
        }
    }
}

/// Appends to lists and reads of them.
struct ListWorkload: HistoryWorkload {
    static let kind = BenchKind.listAppend
    static let things = "lists"
    private var traffic: ListTraffic

    init(_ shape: ListTraffic.Shape, _ manifest: Manifest) {
        let (map, shards) = (manifest.shardMap, manifest.shardCount)
        traffic = ListTraffic(shape) { map.key("list-\($0)-\($1)", place: $0, shards: shards) }
    }

    /// Four lists for each client, one operation in ten on one of the hot ones: some transactions meet, and most do
    /// not.
    init(clients: Int, lists: Int?, _ manifest: Manifest) {
        self.init(.init(lists: lists ?? max(16, 4 * clients), hotLists: 4, hotPercent: 10), manifest)
    }

    var count: Int { traffic.keys.count }
    mutating func next(using random: inout SplitMix64) -> [ListTraffic.Step] { traffic.next(using: &random) }
    mutating func again(_ steps: [ListTraffic.Step]) -> [ListTraffic.Step] { traffic.again(steps) }
    func operations(of steps: [ListTraffic.Step]) -> [ListOperation] {
        steps.map { ListOperation(key: $0.key, value: $0.value) }
    }
    func value(of steps: [ListTraffic.Step], found: [[UInt64]]?) -> [ListAction] {
        ListTraffic.operations(steps, read: found)
    }
    var lastReads: [[ListTraffic.Step]] {
        stride(from: 0, to: traffic.keys.count, by: 4).map { start in
            traffic.keys[start...].prefix(4).map { .init(key: $0, value: nil) }
        }
    }
    func check(_ history: ListHistory) throws(HistoryViolation) { try SerializabilityChecker.check(history) }
}

/// Transfers between a few accounts, and reads of them all.
struct BankWorkload: HistoryWorkload {
    static let kind = BenchKind.bank
    static let things = "accounts"
    private let traffic: BankTraffic
    private let keys: [String]

    init(_ manifest: Manifest) {
        traffic = BankTraffic(.init(balance: BankOperation.nothing))
        keys = traffic.initial.indices.map {
            manifest.shardMap.key("bank-\($0)", place: $0, shards: manifest.shardCount)
        }
    }

    var count: Int { keys.count }
    func next(using random: inout SplitMix64) -> BankAction { traffic.next(using: &random) }
    func again(_ action: BankAction) -> BankAction { action }
    func operations(of action: BankAction) -> [BankOperation] {
        switch action {
        case .read: keys.map { BankOperation(key: $0, change: 0) }
        case .transfer(let from, let to, let amount, _):
            [
                BankOperation(key: keys[from], change: -Int64(clamping: amount)),
                BankOperation(key: keys[to], change: Int64(clamping: amount)),
            ]
        }
    }
    func value(of action: BankAction, found: [UInt64]?) -> BankAction {
        switch action {
        case .read: .read(found)
        case .transfer(let from, let to, let amount, _):
            .transfer(
                from: from, to: to, amount: amount,
                found: found.flatMap { $0.count == 2 ? .init(from: $0[0], to: $0[1]) : nil })
        }
    }
    var lastReads: [BankAction] { [.read(nil)] }
    func check(_ history: BankHistory) throws(HistoryViolation) {
        try BankChecker(initial: traffic.initial).check(history)
    }
}

/// Texts under keys, one key at a time.
struct KeyValueWorkload: HistoryWorkload {
    static let kind = BenchKind.keyValue
    static let things = "keys"
    private var traffic: KeyValueTraffic

    /// As many keys as `ListWorkload` has lists, and as hot.
    init(clients: Int, _ manifest: Manifest) {
        traffic = KeyValueTraffic(.init(keys: max(16, 4 * clients), hotKeys: 4, hotPercent: 10)) {
            manifest.shardMap.key("kv-\($0)", place: $0, shards: manifest.shardCount)
        }
    }

    var count: Int { traffic.keys.count }
    mutating func next(using random: inout SplitMix64) -> KeyValueAction { traffic.next(using: &random) }
    mutating func again(_ action: KeyValueAction) -> KeyValueAction { traffic.again(action) }
    func operations(of action: KeyValueAction) -> [TextOperation] {
        switch action {
        case .get(let key, _): [TextOperation(key: key, .get)]
        case .put(let key, let text): [TextOperation(key: key, .put(text))]
        case .append(let key, let text): [TextOperation(key: key, .append(text))]
        }
    }
    func value(of action: KeyValueAction, found: [String]?) -> KeyValueAction {
        guard case .get(let key, _) = action else { return action }
        return .get(key: key, found?.first)
    }
    var lastReads: [KeyValueAction] { traffic.keys.map { .get(key: $0, nil) } }
    func check(_ history: KeyValueHistory) throws(HistoryViolation) { try KeyValueChecker().check(history) }
}
