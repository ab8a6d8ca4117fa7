import Randomness
import Histories
import Cores
import Messages

/// The clients of a run: each makes one transfer after the other and repeats what was not answered. Remembers every
/// outcome, to hold the final balances against it.
struct ClientModel {
    struct Pending {
        let request: SignedRequest
        var sentAt: UInt64
        /// When it was sent first.
        let askedAt: UInt64
    }

    struct Principal {
        let signer: StandInSigner
        var nextNumber = RequestNumber(1)
        var acknowledgedBelow = RequestNumber(0)
    }

    private(set) var manifest: Manifest
    let issuer: StandInSigner
    var principals: [Principal] = []
    let accounts: [AccountSpecification]
    /// Opened and filled too, and used by somebody else.
    private let others: [AccountSpecification]
    /// By client; the issuer's set-up is client 0.
    var pending: [Pending?]
    var remaining: [Int]
    /// When each client makes its next transfer.
    private var nextAt: [UInt64]
    var setUp: [Request] = []
    var isSetUp = false
    /// Certified decisions: by transaction.
    private(set) var decisions: [TransactionID: Decision] = [:]
    /// What the balances must be.
    private(set) var balances: [AccountID: Int128] = [:]
    private(set) var committed = 0
    private(set) var aborted = 0
    var reads: ReadBook
    private let pause: UInt64
    private let callsPerMille: Int
    private let isCalm: Bool
    private var lastValue: UInt64 = 0
    /// By principal: a call that died, to be tried again.
    private var died: [(invocation: Invocation, number: RequestNumber)?] = []
    private(set) var committedCalls = 0
    private(set) var abortedCalls = 0
    private(set) var history = ListHistory()
    /// While a client is away it neither sends nor hears anything; each time it comes back with a new session.
    private var awayUntil: [UInt64]
    private var visits: [UInt64]
    static let opening = 1000
    /// The longest that a request lives.
    static let lifetimeMicroseconds: UInt64 = 8_000_000
    private let seed: UInt64
    /// What shards say of their time; nothing while everybody's clock is right.
    var clocks: [ShardClock] = []

    init(manifest: Manifest, issuer: StandInSigner, options: SimulationOptions, others: [AccountSpecification] = []) {
        (self.manifest, self.issuer, self.others, seed) = (manifest, issuer, others, options.seed)
        principals = (0..<options.clients).map { Principal(signer: StandInSigner(1_000 + UInt64($0))) }
        accounts = (0..<options.accounts).map { [principals] in
            AccountSpecification(
                owner: principals[$0 % principals.count].signer.publicKey, asset: AssetID(1), index: UInt64($0))
        }
        pending = Array(repeating: nil, count: options.clients + 1)
        died = Array(repeating: nil, count: options.clients)
        reads = ReadBook(clients: options.clients + 1, map: manifest.shardMap)
        remaining = [0] + Array(repeating: options.transfersPerClient, count: options.clients)
        nextAt = Array(repeating: 0, count: options.clients + 1)
        awayUntil = Array(repeating: 0, count: options.clients + 1)
        visits = awayUntil
        (callsPerMille, isCalm) = (options.callsPerMille, options.profile == .calm)
        pause = 2 * options.faultyUntil / UInt64(max(1, options.transfersPerClient))
    }

    var isDone: Bool {
        isSetUp && closing.isEmpty && pending.allSatisfy { $0 == nil } && remaining.allSatisfy { $0 == 0 }
            && reads.isIdle
    }

    /// What a client sends now: its next request, or again the one that is not answered.
    mutating func next(client: Int, now: Instant, using rng: inout SplitMix64) -> SignedRequest? {
        guard now.uptime > awayUntil[client] else { return nil }
        if let waiting = pending[client] {
            guard waiting.sentAt == 0 || now.uptime > waiting.sentAt + 700_000_000 else { return nil }
            pending[client]?.sentAt = now.uptime
            return waiting.request
        }
        guard !isMisled(now) else { return nil }
        guard
            let request = client == 0
                ? nextSetUp(now) : orderedRead(client, now) ?? nextTransfer(client, now, using: &rng)
        else { return nil }
        reads.asked(request)
        pending[client] = Pending(request: request, sentAt: now.uptime, askedAt: now.uptime)
        return request
    }

    /// The hosts' clocks say that it is far later than it is, and no shard has gone by them yet. Were they put right
    /// now, what is signed for that time would be from the future until then. Whose clock is wrong a client cannot
    /// know; here its own is right, so it waits.
    private func isMisled(_ now: Instant) -> Bool {
        let issuedAt = RequestTimes(own: now.wall, clocks: clocks, lifetime: Self.lifetimeMicroseconds).issuedAt
        return issuedAt > max(now.wall, clocks.map(\.time).max() ?? .zero)
    }

    func session(of client: Int) -> SessionID { SessionID(visits[client] << 16 | UInt64(client)) }

    /// Nil for a session that has ended.
    func client(of session: SessionID) -> Int? {
        let client = Int(session.number & 0xffff)
        return self.session(of: client) == session ? client : nil
    }

    /// The session that ends. What the client has asked for it asks for again when it is back.
    mutating func leave(_ client: Int, until: UInt64) -> SessionID {
        let session = session(of: client)
        visits[client] += 1
        awayUntil[client] = until
        pending[client]?.sentAt = 0
        // A request is repeated; a read is not.
        if reads.open[client]?.isOrdered == false { reads.giveUp(client) }
        return session
    }

    // MARK: Reads

    func mayRead(_ client: Int, now: Instant) -> Bool {
        isSetUp && client > 0 && reads.isIdle(client) && now.uptime > awayUntil[client]
    }

    mutating func beginRead(_ client: Int, _ account: AccountID, nonce: Digest, isOrdered: Bool = false, now: UInt64) {
        reads.begin(
            client, account, nonce: nonce, isOrdered: isOrdered, balance: balances[account],
            inFlight: pending.compactMap { $0?.request },
            now: now)
    }

    /// - Returns: whether it asks again.
    mutating func readsAgain(_ client: Int, nonce: Digest, now: UInt64) -> Bool {
        let account = reads.open[client]?.account
        let isOwner = accounts.contains { $0.id == account && $0.owner == principals[client - 1].signer.publicKey }
        return reads.asksAgain(client, nonce: nonce, isOwner: isOwner, now: now)
    }

    private mutating func orderedRead(_ client: Int, _ now: Instant) -> SignedRequest? {
        guard let account = reads.wantsOrder[client] else { return nil }
        beginRead(client, account, nonce: .null, isOrdered: true, now: now.uptime)
        let number = principals[client - 1].nextNumber
        principals[client - 1].nextNumber = number.next
        return sign(
            [.read(account)], .atomic, by: principals[client - 1].signer, number: number,
            below: principals[client - 1].acknowledgedBelow, now)
    }

    /// What a read in order gave.
    private mutating func noteRead(_ receipt: Receipt, client: Int) -> String? {
        for certificate in receipt.certificates {
            if case .read(let view)? = certificate.leaf.status(ofLeg: 0) { return reads.answered(client, view) }
        }
        reads.giveUp(client)
        return nil
    }

    // MARK: Requests

    private var setUpStep = 0
    /// Opened by the issuer when it is asked to.
    private var closing: [AccountSpecification] = []

    private mutating func nextSetUp(_ now: Instant) -> SignedRequest? {
        let operations: [Operation]
        switch setUpStep {
        case 0: operations = (accounts + others).map { .open($0) }
        case 1:
            operations = (accounts + others).map {
                .issue(to: $0.id, asset: $0.asset, amount: Amount(UInt128(Self.opening)))
            }
        default:
            isSetUp = true
            guard !closing.isEmpty else { return nil }
            operations = closing.map { .open($0) }
            closing = []
        }
        setUpStep += 1
        return sign(
            operations, .independent, by: issuer, number: RequestNumber(UInt64(setUpStep)), below: RequestNumber(1), now
        )
    }

    /// Has something ordered on each of these shards that moves no money: an account is opened there.
    mutating func closeAll(_ shards: [ShardID]) {
        var index: UInt64 = 1 << 32
        for shard in shards {
            var account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: index)
            while manifest.shardMap.shard(of: account.id) != shard {
                index += 1
                account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: index)
            }
            closing.append(account)
            index += 1
        }
    }

    private mutating func nextTransfer(_ client: Int, _ now: Instant, using rng: inout SplitMix64) -> SignedRequest? {
        guard isSetUp, remaining[client] > 0, now.uptime >= nextAt[client] else { return nil }
        // Spread over the time in which things go wrong, some of them close together.
        nextAt[client] = now.uptime + (rng.chance(perMille: 300) ? 0 : rng.below(pause))
        remaining[client] -= 1
        let member = client - 1
        let own = accounts.indices.filter { $0 % principals.count == member }
        guard !own.isEmpty else { return nil }
        func transfer() -> Operation {
            let from = own[rng.below(own.count)]
            var to = rng.below(accounts.count - 1)
            if to >= from { to += 1 }
            // Now and then more than there is.
            let amount = rng.chance(perMille: 100) ? 5_000 : 1 + rng.below(300)
            return .transfer(
                Transfer(
                    from: accounts[from].id, to: accounts[to].id, asset: AssetID(1), amount: Amount(UInt128(amount))))
        }
        if let again = callAgain(member, now, using: &rng) { return again }
        if callsPerMille > 0, rng.chance(perMille: callsPerMille) { return nextCall(member, own, now, using: &rng) }
        let kind = rng.below(10)
        let operations = (0..<(kind < 6 ? 1 : 2 + rng.below(3))).map { _ in transfer() }
        let number = principals[member].nextNumber
        principals[member].nextNumber = number.next
        return sign(
            operations, kind < 8 ? .atomic : .independent, by: principals[member].signer, number: number,
            below: principals[member].acknowledgedBelow, now)
    }

    /// A call that died, once more, as old as it was.
    private mutating func callAgain(_ member: Int, _ now: Instant, using rng: inout SplitMix64) -> SignedRequest? {
        guard let (invocation, continued) = died[member] else { return nil }
        died[member] = nil
        // Now and then it is let be.
        guard rng.chance(perMille: 900) else { return nil }
        var again = invocation
        if let operations = SimulatedProcedures.listOperations(of: invocation) {
            // What a call that failed would have appended must never be seen.
            let fresh = operations.map { operation in
                if operation.value != nil { lastValue += 1 }
                return SimulatedProcedures.ListOperation(
                    key: operation.key, value: operation.value.map { _ in lastValue })
            }
            again = Invocation(
                target: invocation.target, procedure: invocation.procedure, version: invocation.version,
                arguments: fresh.encoded())
        }
        let number = principals[member].nextNumber
        principals[member].nextNumber = number.next
        return sign(
            [.call(again, continues: continued)], .atomic, by: principals[member].signer, number: number,
            below: principals[member].acknowledgedBelow, now)
    }

    /// A root call: money that moves by calls, or lists on several shards.
    private mutating func nextCall(_ member: Int, _ own: [Int], _ now: Instant, using rng: inout SplitMix64)
        -> SignedRequest
    {
        let invocation: Invocation
        if rng.chance(perMille: 400) {
            let count = 1 + rng.below(4)
            let operations = (0..<count).map { _ in
                lastValue += 1
                return SimulatedProcedures.ListOperation(
                    key: "list \(rng.below(6))", value: rng.chance(perMille: 600) ? lastValue : nil)
            }
            let name = lastValue % 2 == 0 ? SimulatedProcedures.Lists.name : SimulatedProcedures.ListsInOrder.name
            invocation = Invocation(
                target: .key(operations[0].key), procedure: name, version: 1, arguments: operations.encoded())
        } else if rng.chance(perMille: 50) {
            // Money from nowhere: must abort.
            let account = accounts[own[rng.below(own.count)]].id
            let movement = SimulatedProcedures.Movement(from: account, to: account, amount: 7)
            invocation = Invocation(
                target: .account(account), procedure: SimulatedProcedures.Credit.name, version: 1,
                arguments: movement.encoded())
        } else {
            let from = accounts[own[rng.below(own.count)]].id
            var to = from
            while to == from { to = accounts[rng.below(accounts.count)].id }
            let amount = rng.chance(perMille: 100) ? 5_000 : 1 + UInt64(rng.below(300))
            let movement = SimulatedProcedures.Movement(from: from, to: to, amount: amount)
            let procedure = rng.chance(perMille: 500) ? SimulatedProcedures.Move.name : SimulatedProcedures.Bounce.name
            invocation = Invocation(
                target: .account(from), procedure: procedure, version: 1, arguments: movement.encoded())
        }
        let number = principals[member].nextNumber
        principals[member].nextNumber = number.next
        return sign(
            [.call(invocation)], .atomic, by: principals[member].signer, number: number,
            below: principals[member].acknowledgedBelow, now)
    }

    /// What a committed call has done to the balances.
    private mutating func apply(_ invocation: Invocation) {
        for (account, amount) in SimulatedProcedures.effects(of: invocation) { balances[account, default: 0] += amount }
        committedCalls += 1
    }

    /// In a third of the runs with faults some requests live so short that their deadlines pass while things go wrong.
    private func lifetime(of number: RequestNumber, client: StandInSigner) -> UInt64 {
        guard !isCalm, seed.isMultiple(of: 3), isSetUp else { return Self.lifetimeMicroseconds }
        var chance = ChanceStream.lifetimes.generator(
            seed: seed, number: Int(truncatingIfNeeded: number.number) << 8 | Int(client.publicKey.bytes[0]))
        return chance.chance(perMille: 500) ? 1_000_000 + chance.below(UInt64(3_000_000)) : Self.lifetimeMicroseconds
    }

    private func sign(
        _ operations: [Operation], _ mode: Request.Mode, by signer: StandInSigner, number: RequestNumber,
        below: RequestNumber,
        _ now: Instant
    ) -> SignedRequest {
        let times = RequestTimes(own: now.wall, clocks: clocks, lifetime: lifetime(of: number, client: signer))
        return SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey, number: number,
                acknowledgedBelow: below, issuedAt: times.issuedAt, deadline: times.deadline, mode: mode,
                operations: operations),
            signedBy: signer)
    }

    /// The gateway's answer to a client. Returns what is wrong with it, if anything.
    mutating func receive(_ receipt: Receipt, client: Int, now: UInt64) -> String? {
        guard let waiting = pending[client], waiting.request.digest == receipt.request.digest else { return nil }
        let request = receipt.request.request
        for leg in 0..<request.legCount {
            guard let decision = receipt.decision(ofLeg: leg, in: manifest.shardMap) else {
                return "the receipt of \(receipt.request.digest.short) does not decide leg \(leg)"
            }
            let id = TransactionID(request: receipt.request.digest, mode: request.mode, leg: UInt16(leg))
            if let earlier = decisions[id] {
                if (earlier == .commit) != (decision == .commit) { return "\(id) was \(earlier) and is \(decision)" }
                continue
            }
            decisions[id] = decision
            apply(request, leg, decision)
            if decision != .commit, let problem = reads.aborted(id) { return problem }
        }
        if case .read? = request.operations.first, let problem = noteRead(receipt, client: client) { return problem }
        if let invocation = request.rootCall {
            note(invocation, receipt, client: client, from: waiting.askedAt, to: now)
            for certificate in receipt.certificates where isCalm {
                guard case .failed(let failure)? = certificate.leaf.status(ofLeg: 0),
                    failure.reason == .deadline || failure.reason == .waited
                else { continue }
                return
                    "\(receipt.request.digest.short) waited until its deadline although nothing was wrong: \(failure)"
            }
        }
        pending[client] = nil
        guard client > 0 else { return nil }
        principals[client - 1].acknowledgedBelow = request.number.next
        if let invocation = request.rootCall, Self.isDeath(receipt) {
            died[client - 1] = (invocation, request.number)
            // Acknowledged only by what comes after the one that continues it.
            principals[client - 1].acknowledgedBelow = request.number
            remaining[client] += 1
        }
        return nil
    }

    private static func isDeath(_ receipt: Receipt) -> Bool {
        receipt.certificates.contains { certificate in
            guard case .failed(let failure)? = certificate.leaf.status(ofLeg: 0) else { return false }
            return failure.reason == .died || failure.reason == .waited
        }
    }

    private mutating func apply(_ request: Request, _ leg: Int, _ decision: Decision) {
        guard decision == .commit else {
            aborted += 1
            if request.rootCall != nil { abortedCalls += 1 }
            return
        }
        committed += 1
        for operation in request.operations(ofLeg: leg) {
            switch operation {
            case .transfer(let transfer):
                balances[transfer.from, default: 0] -= Int128(transfer.amount.number)
                balances[transfer.to, default: 0] += Int128(transfer.amount.number)
            case .open(let account): balances[account.id, default: 0] += 0
            case .read: break
            case .call(let invocation, _): apply(invocation)
            case .issue(let to, _, let amount): balances[to, default: 0] += Int128(amount.number)
            }
        }
    }

    /// What lists were read and appended to, for the check at the end.
    private mutating func note(_ invocation: Invocation, _ receipt: Receipt, client: Int, from: UInt64, to: UInt64) {
        guard let operations = SimulatedProcedures.listOperations(of: invocation) else { return }
        var read: [[UInt64]]?
        for certificate in receipt.certificates {
            if case .returned(let bytes, _)? = certificate.leaf.status(ofLeg: 0) {
                read = try? [[UInt64]](decoding: bytes)
            }
        }
        var noted: [ListHistory.Operation] = []
        for (i, operation) in operations.enumerated() {
            noted.append(.read(key: operation.key, read?[i]))
            if let value = operation.value { noted.append(.append(key: operation.key, value: value)) }
        }
        history.add(
            .init(
                process: client, invokedAt: from, returnedAt: to, outcome: read == nil ? .failed : .ok,
                operations: noted))
    }

    /// A rejection is no outcome: the same request is sent again at once.
    mutating func rejected(client: Int) { pending[client]?.sentAt = 0 }
}
