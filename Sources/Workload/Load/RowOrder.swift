import DequeModule
/// Decides which rows of a trace may be under way at the same time.
///
/// The rule: **an account's payments are given out in the order of the trace, and a payment that its account could not
/// make without money that earlier rows pay in waits for that money.** It waits for no earlier payment to end: that the
/// shards keep to the order is for who signs them to ask for (`Request.follows`). Credits wait for nothing: they commute with each
/// other, and with payments that are covered without them. So with the opening balances of `Funding` no row fails
/// that would not fail in a serial replay, and each account pays the same amounts to the same accounts in the same
/// order. (If credits were kept in order too, no outcome would change, and a real Ethereum trace would be left a
/// parallelism of 4.)
///
/// What an account can pay is counted from below: its opening balance, plus credits that are proven, less payments
/// that have started. A payment that is still not covered when all earlier rows that pay its account have ended runs
/// all the same, and aborts: that is its outcome.
///
/// Rows are looked at in order, at most `window` rows beyond the oldest unfinished one. Rows that wait block no others.
struct RowOrder: Sendable {
    private struct Account: Sendable {
        /// Opening balance + proven credits - started payments; below zero only after a payment that was not covered.
        var available: Int128
        /// Admitted payments that have not started, ascending.
        var payments = Deque<Int>()
        /// Rows that pay this account, ascending; finished ones go when they come to the front.
        var credits = Deque<Int>()
        /// The first of `payments` has been given out as ready.
        var isReady = false
    }

    private struct Slot: Sendable {
        var from: Int32 = 0
        var to: Int32 = 0
        var amount: UInt64 = 0
        var isFinished = true
    }

    let window: Int
    private var slots: [Slot]
    private var accounts: [Account]
    /// Every row below is finished.
    private(set) var oldest = 0
    /// Rows below have been admitted.
    private(set) var admitted = 0

    init(openingBalances: [UInt128], window: Int) {
        self.window = window
        slots = Array(repeating: Slot(), count: window)
        accounts = openingBalances.map { Account(available: Int128(clamping: $0)) }
    }

    var hasRoom: Bool { admitted - oldest < window }
    var unfinished: Bool { oldest < admitted }

    private func isFinished(_ row: Int) -> Bool { row < oldest || slots[row % window].isFinished }

    /// Looks at the next row.
    /// - Returns: true if it may run at once.
    mutating func admit(_ row: Trace.Row) -> Bool {
        precondition(hasRoom)
        let ordinal = admitted
        admitted += 1
        slots[ordinal % window] = Slot(from: row.from, to: row.to, amount: row.amount, isFinished: false)
        accounts[Int(row.from)].payments.append(ordinal)
        accounts[Int(row.to)].credits.append(ordinal)
        return readyPayment(of: Int(row.from)) != nil
    }

    /// No earlier row that pays the account is unfinished.
    private mutating func hasAllCredits(_ account: Int, before row: Int) -> Bool {
        while let credit = accounts[account].credits.first, isFinished(credit) {
            _ = accounts[account].credits.popFirst()
        }
        return accounts[account].credits.first.map { $0 > row } ?? true
    }

    private mutating func isCovered(_ row: Int, of account: Int) -> Bool {
        accounts[account].available >= Int128(slots[row % window].amount) || hasAllCredits(account, before: row)
    }

    /// The account's next payment, if it may run and has not been given out.
    private mutating func readyPayment(of account: Int) -> Int? {
        guard !accounts[account].isReady, let next = accounts[account].payments.first, isCovered(next, of: account)
        else { return nil }
        accounts[account].isReady = true
        return next
    }

    /// The caller starts a ready row. Then it may take followers, and asks for the account's next payment.
    mutating func take(_ row: Int) {
        let account = Int(slots[row % window].from)
        precondition(accounts[account].isReady && accounts[account].payments.first == row)
        accounts[account].isReady = false
        start(account)
    }

    private mutating func start(_ account: Int) {
        guard let row = accounts[account].payments.popFirst() else { return }
        accounts[account].available -= Int128(slots[row % window].amount)
    }

    /// Takes the account's next payment into the same request, if it is covered: legs run in order.
    mutating func takeFollower(of row: Int) -> Int? {
        let account = Int(slots[row % window].from)
        guard let next = accounts[account].payments.first, isCovered(next, of: account) else { return nil }
        start(account)
        return next
    }

    /// After a row was taken with its followers: the next payment of its account, if that may run too.
    mutating func next(after row: Int) -> Int? { readyPayment(of: Int(slots[row % window].from)) }

    /// - Parameters:
    ///   - moved: whether the money has moved.
    ///   - ready: gets the rows that may run now.
    mutating func finish(_ row: Int, moved: Bool, ready: (Int) -> Void) {
        let slot = slots[row % window]
        precondition(!slot.isFinished)
        slots[row % window].isFinished = true
        let (from, to) = (Int(slot.from), Int(slot.to))
        accounts[moved ? to : from].available += Int128(slot.amount)
        if let next = readyPayment(of: from) { ready(next) }
        if let next = readyPayment(of: to) { ready(next) }
        while oldest < admitted, slots[oldest % window].isFinished { oldest += 1 }
    }
}
