import DequeModule
/// Whether some order of a history's transactions explains all that was read, and never puts a transaction before one
/// that had returned when it was asked for (strict serializability; Adya 1999, Elle 2020).
///
/// Lists tell the order of their appends. From that follow dependencies: who appended after whom, who read what
/// somebody appended, who read before somebody appended; and who returned before somebody else began. A circle of them
/// has no order.
///
/// Time and memory grow with the operations and with the elements of all lists that were read: so a workload keeps its
/// lists short, and begins new ones. Only a list that many read before many appends that nobody has read costs the
/// product of the two.
public enum SerializabilityChecker {
    /// Transactions of one history that a bench records at most: what is checked in about a second, with some 250 MB.
    public static let benchLimit = 200_000

    /// - Throws: the first thing found that cannot be, with the transactions that show it.
    public static func check(_ history: ListHistory) throws(HistoryViolation) {
        var graph = DependencyGraph(history)
        try graph.orderKeys()
        graph.addTime()
        if let cycle = graph.shortestCycle() {
            var text = "not strictly serializable:"
            for (from, reason, to) in cycle {
                text += "\n  \(graph.describe(from))\n    \(reason)" + (to == cycle[0].0 ? " the first" : "")
            }
            throw HistoryViolation(description: text)
        }
    }
}

struct DependencyGraph {
    private struct Edge {
        let to: Int
        let reason: Reason
    }

    /// Why one transaction is before another. Words are made only for what is shown: a long history has millions of
    /// edges.
    private enum Reason {
        /// To a moment and from it: the place of a return in time.
        case time
        case returned
        /// Keys by their place in `names`.
        case appendedBefore(key: Int32)
        case wasRead(key: Int32, value: UInt64)
        case readWithout(key: Int32, value: UInt64)
        case readWithoutUnread(key: Int32)
    }

    private let history: [ListHistory.Transaction]
    /// By transaction: it returned, or somebody has seen what it did.
    private var happened: [Bool]
    /// Transactions by their place, then moments.
    private var edges: [[Edge]]
    private var isMoment: [Bool]
    /// Keys in the order in which the history names them.
    private var names: [String] = []

    init(_ history: ListHistory) {
        self.history = history.transactions
        happened = self.history.map { $0.outcome == .ok }
        edges = Array(repeating: [], count: self.history.count)
        isMoment = Array(repeating: false, count: self.history.count)
    }

    func describe(_ i: Int) -> String { history[i].described(at: i) }

    private mutating func add(_ from: Int, _ to: Int, _ reason: Reason) {
        if from != to { edges[from].append(Edge(to: to, reason: reason)) }
    }

    private func text(_ reason: Reason) -> String {
        switch reason {
        case .time: ""
        case .returned: "returned before the start of"
        case .appendedBefore(let key): "appended to \(names[Int(key)]) before"
        case .wasRead(let key, let value): "appended \(value) to \(names[Int(key)]), which was read by"
        case .readWithout(let key, let value): "read \(names[Int(key)]) without \(value), appended by"
        case .readWithoutUnread(let key): "read \(names[Int(key)]) without what was appended by"
        }
    }

    // MARK: What lists say

    private struct Appended: Hashable {
        let key: String
        let value: UInt64
    }

    private struct Key {
        /// The longest list that was read, and by whom.
        var order: [UInt64] = []
        var reader: Int?
        var reads: [(by: Int, values: [UInt64])] = []
        var appends: [(by: Int, value: UInt64)] = []
    }

    /// Finds the order of each key's appends, and what follows from it.
    mutating func orderKeys() throws(HistoryViolation) {
        var appender: [Appended: Int] = [:]
        var keys: [String: Key] = [:]
        func touch(_ name: String) {
            if keys[name] == nil {
                keys[name] = Key()
                names.append(name)
            }
        }
        for (i, transaction) in history.enumerated() {
            // What this transaction must see on a key after its own operations; nil if it has not read it.
            var own: [String: [UInt64]] = [:]
            var pending: [String: [UInt64]] = [:]
            for operation in transaction.operations {
                switch operation {
                case .append(let name, let value):
                    touch(name)
                    if let other = appender.updateValue(i, forKey: Appended(key: name, value: value)) {
                        throw HistoryViolation(
                            description:
                                "\(value) is appended to \(name) twice:\n  \(describe(other))\n  \(describe(i))")
                    }
                    if transaction.outcome != .failed { keys[name]?.appends.append((i, value)) }
                    if own[name] != nil { own[name]?.append(value) } else { pending[name, default: []].append(value) }
                case .read(let name, let values?) where transaction.outcome == .ok:
                    touch(name)
                    if let expected = own[name] {
                        guard values == expected else {
                            throw HistoryViolation(
                                description:
                                    "does not see \([ListAction].short(expected)) in \(name), what it did itself:\n  \(describe(i))"
                            )
                        }
                        continue
                    }
                    let before = pending[name] ?? []
                    guard values.suffix(before.count) == before[...] else {
                        throw HistoryViolation(
                            description: "does not see what it appended itself, \(before):\n  \(describe(i))")
                    }
                    own[name] = values
                    keys[name]?.reads.append((i, before.isEmpty ? values : Array(values.dropLast(before.count))))
                case .read: break
                }
            }
        }
        for name in names {
            guard var key = keys[name] else { continue }
            for read in key.reads where read.values.count > key.order.count || key.reader == nil {
                (key.order, key.reader) = (read.values, read.by)
            }
            // Of a transaction whose outcome nobody knows, what somebody has seen has happened, and then all of it.
            for value in key.order {
                if let writer = appender[Appended(key: name, value: value)] { happened[writer] = true }
            }
            keys[name] = key
        }
        for (place, name) in names.enumerated() {
            if let key = keys[name] { try add(key, Int32(place), named: name, appender) }
        }
    }

    private mutating func add(_ key: Key, _ place: Int32, named name: String, _ appender: [Appended: Int])
        throws(HistoryViolation)
    {
        var appended: [Int: [UInt64]] = [:]
        for append in key.appends { appended[append.by, default: []].append(append.value) }
        var inOrder = Set<Int>()
        var writers: [Int] = []
        while writers.count < key.order.count {
            let value = key.order[writers.count]
            guard let writer = appender[Appended(key: name, value: value)] else {
                throw HistoryViolation(
                    description: "\(value) in \(name) was appended by nobody:\n  \(key.reader.map(describe) ?? "")")
            }
            guard history[writer].outcome != .failed else {
                throw HistoryViolation(
                    description:
                        "\(value) in \(name) is of a transaction that aborted:\n  \(describe(writer))\n  \(key.reader.map(describe) ?? "")"
                )
            }
            // All that one transaction appended to a list stands there once, together and in its order, or nothing of
            // it does.
            let own = appended[writer] ?? []
            guard inOrder.insert(writer).inserted, key.order[writers.count...].starts(with: own) else {
                throw HistoryViolation(
                    description:
                        "\(name) does not hold \(own) once and in one piece:\n  \(describe(writer))\n  \(key.reader.map(describe) ?? "")"
                )
            }
            if let last = writers.last { add(last, writer, .appendedBefore(key: place)) }
            writers += repeatElement(writer, count: own.count)
        }
        // What nobody has read comes after all that was read, if it is there at all.
        let unread = appended.keys.filter { !inOrder.contains($0) }.sorted()
        if let last = writers.last {
            for writer in unread where happened[writer] { add(last, writer, .appendedBefore(key: place)) }
        }
        for read in key.reads {
            guard key.order.starts(with: read.values) else {
                let place = zip(key.order, read.values).prefix { $0 == $1 }.count
                throw HistoryViolation(
                    description:
                        "\(name) has two orders, which part after \(place) values:\n  \(describe(read.by))\n  \(key.reader.map(describe) ?? "")"
                )
            }
            if let last = read.values.last, let writer = appender[Appended(key: name, value: last)] {
                add(writer, read.by, .wasRead(key: place, value: last))
            }
            if read.values.count < writers.count {
                add(read.by, writers[read.values.count], .readWithout(key: place, value: key.order[read.values.count]))
            } else {
                for writer in unread where happened[writer] { add(read.by, writer, .readWithoutUnread(key: place)) }
            }
        }
    }

    // MARK: Time

    /// Who returned before another began comes before it. Moments stand between, so that not every pair needs an edge.
    mutating func addTime() {
        struct Event {
            let time: UInt64
            let isReturn: Bool
            let transaction: Int
        }
        var events: [Event] = []
        for (i, transaction) in history.enumerated() where transaction.outcome != .failed {
            events.append(Event(time: transaction.invokedAt, isReturn: false, transaction: i))
            if transaction.outcome == .ok {
                events.append(Event(time: transaction.returnedAt, isReturn: true, transaction: i))
            }
        }
        // At one moment, what begins comes first: nothing then says that the other had returned.
        events.sort { ($0.time, $0.isReturn ? 1 : 0, $0.transaction) < ($1.time, $1.isReturn ? 1 : 0, $1.transaction) }
        var moment: Int?
        for event in events {
            if event.isReturn {
                let next = edges.count
                edges.append([])
                isMoment.append(true)
                if let moment { edges[moment].append(Edge(to: next, reason: .time)) }
                edges[event.transaction].append(Edge(to: next, reason: .returned))
                moment = next
            } else if let moment {
                edges[moment].append(Edge(to: event.transaction, reason: .time))
            }
        }
    }

    // MARK: Circles

    /// A circle of two if there is one in the first strongly connected component, or else the shortest through some of
    /// its transactions; nil if there is none.
    func shortestCycle() -> [(Int, String, Int)]? {
        guard let component = component() else { return nil }
        let members = Set(component)
        let transactions = component.filter { !isMoment[$0] }.sorted()
        var best = transactions.lazy.compactMap { pair(from: $0) }.first
        for start in best == nil ? transactions.prefix(64) : [] {
            if let cycle = cycle(from: start, within: members), cycle.count < best?.count ?? .max { best = cycle }
        }
        return best.map { cycle in cycle.map { ($0.0, text($0.1), $0.2) } }
    }

    /// What is seen most easily: each of two comes before the other.
    private func pair(from start: Int) -> [(Int, Reason, Int)]? {
        for edge in edges[start] where !isMoment[edge.to] {
            let (first, other) = (history[start], history[edge.to])
            if other.outcome == .ok, other.returnedAt < first.invokedAt {
                return [(start, edge.reason, edge.to), (edge.to, .returned, start)]
            }
            if let back = edges[edge.to].first(where: { $0.to == start }) {
                return [(start, edge.reason, edge.to), (edge.to, back.reason, start)]
            }
        }
        return nil
    }

    /// Breadth first, back to where it began.
    private func cycle(from start: Int, within members: Set<Int>) -> [(Int, Reason, Int)]? {
        var came: [Int: (from: Int, reason: Reason)] = [:]
        var queue: Deque = [start]
        while let node = queue.popFirst() {
            for edge in edges[node] where members.contains(edge.to) {
                if edge.to == start {
                    var path = [(node, edge.reason, start)]
                    var at = node
                    while at != start, let step = came[at] {
                        path.insert((step.from, step.reason, at), at: 0)
                        at = step.from
                    }
                    return withoutMoments(path)
                }
                if edge.to != start, came[edge.to] == nil {
                    came[edge.to] = (node, edge.reason)
                    queue.append(edge.to)
                }
            }
        }
        return nil
    }

    private func withoutMoments(_ path: [(Int, Reason, Int)]) -> [(Int, Reason, Int)] {
        var result: [(Int, Reason, Int)] = []
        for (from, reason, to) in path {
            if isMoment[from], let last = result.popLast() {
                result.append((last.0, last.1, to))
            } else {
                result.append((from, reason, to))
            }
        }
        return result
    }

    /// Tarjan's algorithm, without recursion: a strongly connected component of more than one node.
    private func component() -> [Int]? {
        var index = [Int](repeating: -1, count: edges.count)
        var low = index
        var isOnStack = [Bool](repeating: false, count: edges.count)
        var stack: [Int] = []
        var next = 0
        for root in edges.indices where index[root] < 0 {
            var work: [(node: Int, edge: Int)] = [(root, 0)]
            while let (node, edge) = work.last {
                if edge == 0 {
                    (index[node], low[node]) = (next, next)
                    next += 1
                    stack.append(node)
                    isOnStack[node] = true
                }
                if edge < edges[node].count {
                    work[work.count - 1].edge += 1
                    let to = edges[node][edge].to
                    if index[to] < 0 {
                        work.append((to, 0))
                    } else if isOnStack[to] {
                        low[node] = min(low[node], index[to])
                    }
                    continue
                }
                work.removeLast()
                if let parent = work.last?.node { low[parent] = min(low[parent], low[node]) }
                guard low[node] == index[node] else { continue }
                var members: [Int] = []
                while let top = stack.popLast() {
                    isOnStack[top] = false
                    members.append(top)
                    if top == node { break }
                }
                if members.count > 1 { return members }
            }
        }
        return nil
    }
}
