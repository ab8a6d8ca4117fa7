/// What an object is that many use, if only one did at a time.
public protocol SequentialModel: Sendable {
    associatedtype Value: HistoryValue
    associatedtype State: Hashable
    associatedtype Object: Hashable
    /// Of every object.
    var initial: State { get }
    /// Objects are judged by themselves: whatever a value does, it does with one of them.
    func object(of value: Value) -> Object
    /// The state after it; nil if it cannot be done there, or not with that answer.
    func step(_ state: State, _ value: Value) -> State?
}

/// Whether an object's operations can be put into an order that explains all answers, each at some moment between its
/// beginning and its end (linearizability; Herlihy and Wing 1990).
///
/// All orders are followed beside each other, from return to return, and of each only what is needed: before an
/// operation returns it must have been done, and before it others that were under way (just-in-time linearization; Lowe
/// 2017). First only the fewest others are tried, which nearly always finds an order. Only if that finds none is
/// everything tried.
public enum LinearizabilityChecker {
    /// Ways in which things can have happened that are looked at, at one return.
    public static let usualLimit = 200_000

    /// - Throws: the first answer that no order explains; or, if there is none, that there are too many orders to tell.
    public static func check<Model: SequentialModel>(
        _ history: History<Model.Value>, _ model: Model, limit: Int = usualLimit
    ) throws(HistoryViolation) {
        var places: [Model.Object: [Int]] = [:]
        var objects: [Model.Object] = []
        for (i, transaction) in history.transactions.enumerated() where transaction.outcome != .failed {
            let object = model.object(of: transaction.value)
            if places[object] == nil { objects.append(object) }
            places[object, default: []].append(i)
        }
        var undecided: HistoryViolation?
        for object in objects {
            let all = places[object] ?? []
            func search(isThorough: Bool) throws(HistoryViolation) {
                var search = LinearizabilitySearch(
                    history.transactions, all, model, isThorough: isThorough, limit: limit)
                try search.run()
            }
            do { try search(isThorough: false) } catch {
                do { try search(isThorough: true) } catch {
                    guard error.isUndecided else { throw error }
                    undecided = undecided ?? error
                }
            }
        }
        if let undecided { throw undecided }
    }
}

/// One object.
private struct LinearizabilitySearch<Model: SequentialModel> {
    /// A way in which things can have happened so far.
    private struct Way: Hashable {
        var state: Model.State
        /// Which of those under way are done, ascending.
        var done: [Int]
    }

    private struct Event {
        let time: UInt64
        let isReturn: Bool
        let place: Int
    }

    private let transactions: [History<Model.Value>.Transaction]
    private let model: Model
    private let isThorough: Bool
    private let limit: Int
    private var events: [Event] = []
    private var underWay: [Int] = []
    private var ways: Set<Way>

    /// - Parameter places: of the object's transactions.
    init(
        _ transactions: [History<Model.Value>.Transaction], _ places: [Int], _ model: Model, isThorough: Bool,
        limit: Int
    ) {
        (self.transactions, self.model, self.isThorough) = (transactions, model, isThorough)
        self.limit = limit
        ways = [Way(state: model.initial, done: [])]
        for place in places {
            events.append(Event(time: transactions[place].invokedAt, isReturn: false, place: place))
            guard transactions[place].outcome == .ok else { continue }
            events.append(Event(time: transactions[place].returnedAt, isReturn: true, place: place))
        }
        // At one moment, what begins comes first: nothing then says that the other had returned.
        events.sort { ($0.time, $0.isReturn ? 1 : 0, $0.place) < ($1.time, $1.isReturn ? 1 : 0, $1.place) }
    }

    mutating func run() throws(HistoryViolation) {
        for event in events {
            guard event.isReturn else {
                underWay.append(event.place)
                continue
            }
            let before = ways
            ways = try after(event.place)
            underWay.removeAll { $0 == event.place }
            if ways.isEmpty { throw violation(event.place, before) }
        }
    }

    /// With all done that is under way and changes nothing: whatever can happen afterwards can happen without it too,
    /// and then it would still have to be done.
    private func settled(_ way: Way) -> Way {
        var way = way
        for other in underWay where !way.done.contains(other) && transactions[other].outcome == .ok {
            if model.step(way.state, transactions[other].value) == way.state { way.done.append(other) }
        }
        way.done.sort()
        return way
    }

    /// The ways in which `place` is done, from those so far.
    private func after(_ place: Int) throws(HistoryViolation) -> Set<Way> {
        var found: Set<Way> = []
        var seen: Set<Way> = []
        var level = Array(ways)
        while !level.isEmpty, isThorough || found.isEmpty {
            var next: [Way] = []
            for var way in level.map(settled) where seen.insert(way).inserted {
                if let index = way.done.firstIndex(of: place) {
                    way.done.remove(at: index)
                    found.insert(way)
                    continue
                }
                if let state = model.step(way.state, transactions[place].value) {
                    found.insert(Way(state: state, done: way.done))
                }
                for other in underWay where other != place && !way.done.contains(other) {
                    // What changes nothing is settled, or need not have happened.
                    guard let state = model.step(way.state, transactions[other].value), state != way.state else {
                        continue
                    }
                    next.append(Way(state: state, done: (way.done + [other]).sorted()))
                }
            }
            guard seen.count + next.count <= limit else {
                throw HistoryViolation(
                    description:
                        "too much was under way at once to tell:\n  \(transactions[place].described(at: place))",
                    isUndecided: true)
            }
            level = next
        }
        return found
    }

    private func violation(_ place: Int, _ before: Set<Way>) -> HistoryViolation {
        var lines = ["no order explains:\n  \(transactions[place].described(at: place))"]
        let states = Set(before.map { "\($0.state)" }).sorted()
        lines.append("  before it, this may have been there: " + states.prefix(4).joined(separator: " or "))
        if states.count > 4 { lines.append("  or one of \(states.count - 4) others") }
        for other in underWay.filter({ $0 != place }).prefix(8) {
            lines.append("  under way: \(transactions[other].described(at: other))")
        }
        return HistoryViolation(description: lines.joined(separator: "\n"))
    }
}
