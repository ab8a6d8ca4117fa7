/// Decides which rows of a trace may run at the same time.
///
/// The rule: **a row waits for every earlier row that touches the account it spends from.** So an account's payments
/// leave in trace order, and none before the money that the trace had paid in by then has arrived: with the opening
/// balances of `Funding`, no row fails that would not fail in a serial replay. A credit waits for nothing: credits
/// commute with each other and with payments that already had their money. (Ordering credits as well would change no
/// outcome, and would leave the real Ethereum trace a parallelism of 4 instead of 16.)
///
/// Rows are looked at in order, at most `window` rows beyond the oldest unfinished one. Rows that wait block no others.
struct RowOrder: Sendable {
    private enum State: Sendable { case waiting, ready, taken, finished }

    private struct Slot: Sendable {
        var state = State.finished
        /// Unfinished rows that this one waits for.
        var waitsFor = 0
        /// Rows that wait for this one.
        var dependents: [Int] = []
        /// The next admitted row that spends from the same account.
        var nextPayment: Int?
    }

    private struct Account: Sendable {
        var lastPayment: Int?
        /// Credits admitted since `lastPayment`.
        var credits: [Int] = []
    }

    let window: Int
    private var slots: [Slot]
    private var accounts: [Account]
    /// Every row below is finished.
    private(set) var oldest = 0
    /// Rows below have been admitted.
    private(set) var admitted = 0

    init(accounts: Int, window: Int) {
        self.window = window
        slots = Array(repeating: Slot(), count: window)
        self.accounts = Array(repeating: Account(), count: accounts)
    }

    var hasRoom: Bool { admitted - oldest < window }
    var unfinished: Bool { oldest < admitted }

    private func isUnfinished(_ row: Int) -> Bool { row >= oldest && slots[row % window].state != .finished }

    /// Looks at the next row; true if it may run at once.
    mutating func admit(from: Int, to: Int) -> Bool {
        precondition(hasRoom)
        let row = admitted
        admitted += 1
        var slot = Slot(state: .waiting)
        // The last payment waited for everything before it, so only what came since has to be named.
        if let last = accounts[from].lastPayment, isUnfinished(last) {
            slots[last % window].dependents.append(row)
            slots[last % window].nextPayment = row
            slot.waitsFor += 1
        }
        for credit in accounts[from].credits where isUnfinished(credit) {
            slots[credit % window].dependents.append(row)
            slot.waitsFor += 1
        }
        accounts[from].credits.removeAll(keepingCapacity: true)
        accounts[from].lastPayment = row
        if accounts[to].credits.count >= 64, accounts[to].credits.count.nonzeroBitCount == 1 {
            accounts[to].credits = accounts[to].credits.filter { isUnfinished($0) }
        }
        accounts[to].credits.append(row)
        if slot.waitsFor == 0 { slot.state = .ready }
        slots[row % window] = slot
        return slot.waitsFor == 0
    }

    /// The caller starts a ready row.
    mutating func take(_ row: Int) {
        precondition(slots[row % window].state == .ready)
        slots[row % window].state = .taken
    }

    /// Takes the account's next payment too, if it waits only for `row`: legs of one request run in order.
    mutating func takeFollower(of row: Int) -> Int? {
        guard let next = slots[row % window].nextPayment else { return nil }
        let slot = slots[next % window]
        guard slot.state == .waiting, slot.waitsFor == 1 else { return nil }
        slots[next % window].state = .taken
        return next
    }

    /// - Parameter ready: gets the rows that may run now, in order.
    mutating func finish(_ row: Int, ready: (Int) -> Void) {
        precondition(slots[row % window].state == .taken)
        slots[row % window].state = .finished
        for dependent in slots[row % window].dependents {
            slots[dependent % window].waitsFor -= 1
            guard slots[dependent % window].waitsFor == 0, slots[dependent % window].state == .waiting else { continue }
            slots[dependent % window].state = .ready
            ready(dependent)
        }
        slots[row % window].dependents.removeAll()
        while oldest < admitted, slots[oldest % window].state == .finished { oldest += 1 }
    }
}

/// First in, first out, in amortised constant time.
struct Fifo<Element: Sendable>: Sendable {
    private var items: [Element] = []
    private var head = 0

    var count: Int { items.count - head }
    var isEmpty: Bool { count == 0 }
    mutating func append(_ element: Element) { items.append(element) }
    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        defer {
            head += 1
            if head >= 64, head * 2 >= items.count {
                items.removeFirst(head)
                head = 0
            }
        }
        return items[head]
    }
}
