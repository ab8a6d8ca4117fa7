import Messages

/// The reads of a run's clients, each held against what it may see (R6): everything that was answered before it was
/// asked and all that an earlier read saw; nothing that was not yet asked for when it was answered, and nothing that
/// was aborted.
struct ReadBook {
    /// What a transaction does to the account.
    struct Change {
        let id: TransactionID
        let amount: Int128
    }

    struct Open {
        let account: AccountID
        let isOrdered: Bool
        var nonce: Digest
        var attempts = 1
        /// When this attempt has failed, or the next one is made.
        var dueAt: UInt64
        /// What it must see; nil if there is no such account.
        let base: Int128?
        /// What was in flight, or has been asked for since: seen or not.
        var possible: [Change]
    }

    /// By client.
    private(set) var open: [Open?]
    /// Clients that found no agreement, and read in order next.
    private(set) var wantsOrder: [AccountID?]
    /// In flight when a read saw them.
    private var seen: Set<TransactionID> = []
    private(set) var answered = 0
    private(set) var ordered = 0
    private let map: ShardMap
    static let maxAttempts = 3
    /// Nanoseconds. A gateway that still knows of the read answers sooner.
    static let patience: UInt64 = 1_000_000_000

    init(clients: Int, map: ShardMap) {
        (open, wantsOrder) = (Array(repeating: nil, count: clients), Array(repeating: nil, count: clients))
        self.map = map
    }

    var isIdle: Bool { open.allSatisfy { $0 == nil } && wantsOrder.allSatisfy { $0 == nil } }
    func isIdle(_ client: Int) -> Bool { open[client] == nil && wantsOrder[client] == nil }

    // MARK: What happens meanwhile

    /// - Parameter inFlight: asked for by any client and not answered.
    mutating func begin(
        _ client: Int, _ account: AccountID, nonce: Digest, isOrdered: Bool, balance: Int128?,
        inFlight: [SignedRequest], now: UInt64
    ) {
        let changes = inFlight.flatMap { self.changes(of: $0, to: account) }
        let known = changes.filter { seen.contains($0.id) }.reduce(0) { $0 + $1.amount }
        open[client] = Open(
            account: account, isOrdered: isOrdered, nonce: nonce, dueAt: now + Self.patience,
            base: balance.map { $0 + known },
            possible: changes.filter { !seen.contains($0.id) })
        wantsOrder[client] = nil
    }

    mutating func asked(_ request: SignedRequest) {
        for i in open.indices {
            guard let account = open[i]?.account else { continue }
            let changes = changes(of: request, to: account)
            open[i]?.possible += changes
        }
    }

    /// - Returns: what is wrong.
    mutating func aborted(_ id: TransactionID) -> String? {
        for i in open.indices { open[i]?.possible.removeAll { $0.id == id } }
        return seen.contains(id) ? "a read saw \(id), which is aborted" : nil
    }

    private func changes(of signed: SignedRequest, to account: AccountID) -> [Change] {
        let request = signed.request
        return (0..<request.legCount).compactMap { leg in
            var amount: Int128 = 0
            for case .transfer(let transfer) in request.operations(ofLeg: leg) {
                if transfer.from == account { amount -= Int128(transfer.amount.number) }
                if transfer.to == account { amount += Int128(transfer.amount.number) }
            }
            if let invocation = request.rootCall {
                for effect in SimulatedProcedures.effects(of: invocation) where effect.account == account {
                    amount += effect.amount
                }
            }
            guard amount != 0 else { return nil }
            return Change(
                id: TransactionID(request: signed.digest, mode: request.mode, leg: UInt16(leg)), amount: amount)
        }
    }

    // MARK: Ends

    /// The next attempt comes a little later.
    mutating func disagreed(_ client: Int, until time: UInt64) { open[client]?.dueAt = time }

    /// - Returns: whether it asks again; if not it reads in order, or not at all.
    mutating func asksAgain(_ client: Int, nonce: Digest, isOwner: Bool, now: UInt64) -> Bool {
        guard let read = open[client] else { return false }
        guard read.attempts < Self.maxAttempts else {
            open[client] = nil
            if isOwner { wantsOrder[client] = read.account }
            return false
        }
        open[client]?.attempts += 1
        open[client]?.nonce = nonce
        open[client]?.dueAt = now + Self.patience
        return true
    }

    mutating func giveUp(_ client: Int) { open[client] = nil }

    /// - Returns: what is wrong.
    mutating func answered(_ client: Int, _ view: AccountView?) -> String? {
        guard let read = open[client] else { return nil }
        open[client] = nil
        if read.isOrdered { ordered += 1 } else { answered += 1 }
        let who = "client \(client) reads \(view.map { "\($0.posted)" } ?? "nothing") of account \(read.account)"
        guard let base = read.base, let view else {
            return read.base == nil && view == nil ? nil : "\(who), expected \(read.base.map { "\($0)" } ?? "nothing")"
        }
        guard !view.isPending else { return "\(who), of which something is reserved" }
        let difference = Int128(view.posted.number) - base
        let changes = read.possible
        let expected = "expected \(base) and any of \(changes.map(\.amount))"
        guard changes.count <= 12 else {
            // Too many to try them all.
            let least = changes.reduce(0) { $0 + min(0, $1.amount) }
            let most = changes.reduce(0) { $0 + max(0, $1.amount) }
            return (least...most).contains(difference) ? nil : "\(who), \(expected)"
        }
        var certain: Int?
        for subset in 0..<1 << changes.count {
            var sum: Int128 = 0
            for i in changes.indices where subset >> i & 1 == 1 { sum += changes[i].amount }
            if sum == difference { certain = (certain ?? subset) & subset }
        }
        guard let certain else { return "\(who), \(expected)" }
        for i in changes.indices where certain >> i & 1 == 1 { seen.insert(changes[i].id) }
        return nil
    }
}
