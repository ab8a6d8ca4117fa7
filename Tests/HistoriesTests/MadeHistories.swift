import Histories

/// Repeats itself: the generator of the standard library cannot be seeded.
struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64 = 7) { state = seed }
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

private enum Stage<Value> {
    case asked
    case done(HistoryOutcome, Value)
}

/// What clients see of something that does one thing after the other, each at a moment while it is under way.
struct MadeHistory<Value: HistoryValue> {
    var transactions: [History<Value>.Transaction] = []

    /// - Parameters:
    ///   - ask: what a client asks for.
    ///   - perform: its answer; nil where it certainly failed.
    ///   - last: asked for at the end, one after the other.
    init(
        seed: UInt64, count: Int, clients: Int = 6, last: [Value], ask: (inout Numbers) -> Value,
        perform: (Value) -> Value?
    ) {
        var numbers = Numbers(seed: seed)
        var free = Array(0..<clients)
        var running: [(process: Int, since: UInt64, asked: Value, stage: Stage<Value>)] = []
        var (now, left, processes) = (UInt64(0), count, clients)
        while left > 0 || !running.isEmpty {
            now += UInt64.random(in: 1...8, using: &numbers)
            if left > 0, !free.isEmpty, Int.random(in: 0..<10, using: &numbers) < 4 {
                left -= 1
                let process = free.remove(at: Int.random(in: 0..<free.count, using: &numbers))
                running.append((process, now, ask(&numbers), .asked))
                continue
            }
            guard !running.isEmpty else { continue }
            let place = Int.random(in: 0..<running.count, using: &numbers)
            switch running[place].stage {
            case .asked:
                let answer = perform(running[place].asked)
                running[place].stage = .done(answer == nil ? .failed : .ok, answer ?? running[place].asked)
            case .done(let outcome, let answer):
                let one = running.remove(at: place)
                // Of some, nobody hears.
                let isHeard = Int.random(in: 0..<50, using: &numbers) > 0
                transactions.append(
                    .init(
                        process: one.process, invokedAt: one.since, returnedAt: now,
                        outcome: isHeard ? outcome : .unknown,
                        value: isHeard ? answer : one.asked))
                free.append(isHeard ? one.process : processes)
                if !isHeard { processes += 1 }
            }
        }
        for asked in last {
            let answer = perform(asked)
            transactions.append(
                .init(
                    process: processes, invokedAt: now + 1, returnedAt: now + 2, outcome: answer == nil ? .failed : .ok,
                    value: answer ?? asked))
            now += 2
        }
    }

    var history: History<Value> {
        var history = History<Value>()
        for transaction in transactions { history.add(transaction) }
        return history
    }

    /// The places of those that happened and began after another had returned.
    func later(than place: Int) -> [Int] {
        transactions.indices.filter {
            transactions[$0].outcome == .ok && transactions[$0].invokedAt > transactions[place].returnedAt
        }
    }

    mutating func set(_ place: Int, _ value: Value) {
        let old = transactions[place]
        transactions[place] = .init(
            process: old.process, invokedAt: old.invokedAt, returnedAt: old.returnedAt, outcome: old.outcome,
            value: value)
    }
}

extension MadeHistory where Value == [ListAction] {
    static func lists(seed: UInt64) -> MadeHistory {
        var traffic = ListTraffic(.init(lists: 4)) { "l\($0)-\($1)" }
        var state: [String: [UInt64]] = [:]
        return MadeHistory(
            seed: seed, count: 300, last: (0..<4).map { [.read(key: "l\($0)-0", nil)] },
            ask: { ListTraffic.operations(traffic.next(using: &$0)) },
            perform: { operations in
                operations.map { operation in
                    switch operation {
                    case .append(let key, let value):
                        state[key, default: []].append(value)
                        return operation
                    case .read(let key, _): return .read(key: key, state[key] ?? [])
                    }
                }
            })
    }
}

extension MadeHistory where Value == BankAction {
    static let initial: [UInt64] = BankTraffic(.init(accounts: 4)).initial

    static func bank(seed: UInt64) -> MadeHistory {
        let traffic = BankTraffic(.init(accounts: 4))
        var state = initial
        return MadeHistory(
            seed: seed, count: 300, last: [.read(nil)], ask: { traffic.next(using: &$0) },
            perform: { action in
                switch action {
                case .read: return .read(state)
                case .transfer(let from, let to, let amount, _):
                    let found = BankAction.Pair(from: state[from], to: state[to])
                    guard found.from >= amount else { return nil }
                    state[from] -= amount
                    state[to] += amount
                    return .transfer(from: from, to: to, amount: amount, found: found)
                }
            })
    }
}

extension MadeHistory where Value == KeyValueAction {
    static func keyValue(seed: UInt64) -> MadeHistory {
        var traffic = KeyValueTraffic(.init(keys: 3)) { "k\($0)" }
        var state: [String: String] = [:]
        return MadeHistory(
            seed: seed, count: 300, last: (0..<3).map { .get(key: "k\($0)", nil) },
            ask: { traffic.next(using: &$0) },
            perform: { action in
                switch action {
                case .get(let key, _): return .get(key: key, state[key] ?? "")
                case .put(let key, let text): state[key] = text
                case .append(let key, let text): state[key, default: ""] += text
                }
                return action
            })
    }
}
