/// Whether some order of a history's transactions explains all that was read, and never puts a transaction before one that had
/// returned when it was asked for (strict serializability; Adya 1999, Elle 2020).
///
/// Lists tell the order of their appends. From that follow dependencies: who appended after whom, who read what somebody
/// appended, who read before somebody appended; and who returned before somebody else began. A circle of them has no order.
public enum SerializabilityChecker {
    /// - Throws: the first thing found that cannot be, with the transactions that show it.
    public static func check(_ history: ListHistory) throws(HistoryViolation) {
        var graph = DependencyGraph(history)
        try graph.orderKeys()
        graph.addTime()
        if let cycle = graph.shortestCycle() {
            var text = "not strictly serializable:"
            for (from, reason, to) in cycle { text += "\n  \(graph.describe(from))\n    \(reason)" + (to == cycle[0].0 ? " the first" : "") }
            throw HistoryViolation(description: text)
        }
    }
}

struct DependencyGraph {
    private struct Edge {
        let to: Int
        let reason: String
    }

    private let history: [ListHistory.Transaction]
    /// Transactions by their place, then moments.
    private var edges: [[Edge]]
    private var isMoment: [Bool]

    init(_ history: ListHistory) {
        self.history = history.transactions
        edges = Array(repeating: [], count: self.history.count)
        isMoment = Array(repeating: false, count: self.history.count)
    }

    func describe(_ i: Int) -> String {
        let transaction = history[i]
        let operations = transaction.operations.map { operation in
            switch operation {
            case .append(let key, let value): "append \(value) to \(key)"
            case .read(let key, let values): "read \(key): \(values.map { "\($0)" } ?? "?")"
            }
        }
        return "#\(i) of process \(transaction.process), \(transaction.invokedAt)…\(transaction.outcome == .unknown ? "?" : "\(transaction.returnedAt)") ns: "
            + operations.joined(separator: ", ")
    }

    private mutating func add(_ from: Int, _ to: Int, _ reason: String) {
        if from != to { edges[from].append(Edge(to: to, reason: reason)) }
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
        var appenders: [Int] = []
    }

    /// Finds the order of each key's appends, and what follows from it.
    mutating func orderKeys() throws(HistoryViolation) {
        var appender: [Appended: Int] = [:]
        var keys: [String: Key] = [:]
        var names: [String] = []
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
                        throw HistoryViolation(description: "\(value) is appended to \(name) twice:\n  \(describe(other))\n  \(describe(i))")
                    }
                    if transaction.outcome != .failed { keys[name]?.appenders.append(i) }
                    if own[name] != nil { own[name]?.append(value) } else { pending[name, default: []].append(value) }
                case .read(let name, let values?) where transaction.outcome == .ok:
                    touch(name)
                    if let expected = own[name] {
                        guard values == expected else {
                            throw HistoryViolation(description: "does not see what it did itself, \(expected):\n  \(describe(i))")
                        }
                        continue
                    }
                    let before = pending[name] ?? []
                    guard values.suffix(before.count) == before[...] else {
                        throw HistoryViolation(description: "does not see what it appended itself, \(before):\n  \(describe(i))")
                    }
                    own[name] = values
                    keys[name]?.reads.append((i, Array(values.dropLast(before.count))))
                case .read: break
                }
            }
        }
        for name in names {
            guard var key = keys[name] else { continue }
            for read in key.reads where read.values.count > key.order.count || key.reader == nil { (key.order, key.reader) = (read.values, read.by) }
            try add(key, named: name, appender)
        }
    }

    private mutating func add(_ key: Key, named name: String, _ appender: [Appended: Int]) throws(HistoryViolation) {
        var inOrder = Set<Int>()
        var writers: [Int] = []
        for value in key.order {
            guard let writer = appender[Appended(key: name, value: value)] else {
                throw HistoryViolation(description: "\(value) in \(name) was appended by nobody:\n  \(key.reader.map(describe) ?? "")")
            }
            guard history[writer].outcome != .failed else {
                throw HistoryViolation(
                    description: "\(value) in \(name) is of a transaction that aborted:\n  \(describe(writer))\n  \(key.reader.map(describe) ?? "")")
            }
            guard writers.last == writer || inOrder.insert(writer).inserted else {
                throw HistoryViolation(description: "others appended to \(name) in between:\n  \(describe(writer))")
            }
            if let last = writers.last { add(last, writer, "appended to \(name) before") }
            writers.append(writer)
        }
        // What nobody has read comes after all that was read, if it is there at all.
        let unread = key.appenders.filter { !inOrder.contains($0) }
        if let last = writers.last { for writer in unread where history[writer].outcome == .ok { add(last, writer, "appended to \(name) before") } }
        for read in key.reads {
            guard key.order.starts(with: read.values) else {
                throw HistoryViolation(
                    description: "\(name) has two orders:\n  \(describe(read.by))\n  \(key.reader.map(describe) ?? "")")
            }
            if let last = read.values.last, let writer = appender[Appended(key: name, value: last)] {
                add(writer, read.by, "appended \(last) to \(name), which was read by")
            }
            if read.values.count < writers.count {
                add(read.by, writers[read.values.count], "read \(name) without \(key.order[read.values.count]), appended by")
            } else {
                for writer in unread where history[writer].outcome == .ok { add(read.by, writer, "read \(name) without what was appended by") }
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
            if transaction.outcome == .ok { events.append(Event(time: transaction.returnedAt, isReturn: true, transaction: i)) }
        }
        // At one moment, what begins comes first: nothing then says that the other had returned.
        events.sort { ($0.time, $0.isReturn ? 1 : 0, $0.transaction) < ($1.time, $1.isReturn ? 1 : 0, $1.transaction) }
        var moment: Int?
        for event in events {
            if event.isReturn {
                let next = edges.count
                edges.append([])
                isMoment.append(true)
                if let moment { edges[moment].append(Edge(to: next, reason: "")) }
                edges[event.transaction].append(Edge(to: next, reason: "returned before the start of"))
                moment = next
            } else if let moment {
                edges[moment].append(Edge(to: event.transaction, reason: ""))
            }
        }
    }

    // MARK: Circles

    /// The shortest circle through some transaction of the first strongly connected component; nil if there is none.
    func shortestCycle() -> [(Int, String, Int)]? {
        guard let component = component() else { return nil }
        let members = Set(component)
        var best: [(Int, String, Int)]?
        for start in component.filter({ !isMoment[$0] }).sorted().prefix(64) {
            if let cycle = cycle(from: start, within: members), cycle.count < best?.count ?? .max { best = cycle }
        }
        return best
    }

    /// Breadth first, back to where it began.
    private func cycle(from start: Int, within members: Set<Int>) -> [(Int, String, Int)]? {
        var came: [Int: (from: Int, reason: String)] = [:]
        var queue = [start]
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
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

    private func withoutMoments(_ path: [(Int, String, Int)]) -> [(Int, String, Int)] {
        var result: [(Int, String, Int)] = []
        for (from, reason, to) in path {
            if isMoment[from], let last = result.popLast() { result.append((last.0, last.1, to)) } else { result.append((from, reason, to)) }
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
                    if index[to] < 0 { work.append((to, 0)) } else if isOnStack[to] { low[node] = min(low[node], index[to]) }
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
