import Randomness
import Cores
import Messages

/// The clients of a run: each makes one transfer after the other, or in some runs many at a time in an order, and
/// repeats what was not answered. What they learn stands in their books, to hold the final balances against it.
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

    private let manifest: Manifest
    /// Of clients, from 1 on; in a run with freezes the authority comes last.
    private var principals: [Principal] = []
    /// How many of them own accounts.
    private let owners: Int
    private var freezing: FreezeWorkload?
    let accounts: [AccountSpecification]
    /// By client what is not answered, ascending by number; the issuer's set-up is client 0.
    var pending: [[Pending]]
    var remaining: [Int]
    /// When each client makes its next transfer.
    private var nextAt: [UInt64]
    private var setUp: AccountSetUp
    private(set) var books = ClientBooks()
    var reads: ReadBook
    private var calls: CallWorkload
    private var sessions: ClientSessions
    private let pause: UInt64
    private let isCalm: Bool
    private let pipeline: Int
    private let seed: UInt64
    /// What shards say of their time; nothing while everybody's clock is right.
    var clocks: [ShardClock] = []
    /// The longest that a request lives.
    static let lifetimeMicroseconds: UInt64 = 8_000_000

    /// - Parameter others: accounts that are opened and filled too, and used by somebody else.
    init(manifest: Manifest, issuer: StandInSigner, options: SimulationOptions, others: [AccountSpecification] = []) {
        (self.manifest, seed) = (manifest, options.seed)
        owners = options.clients
        principals = (0..<options.clients).map { Principal(signer: StandInSigner(1_000 + UInt64($0))) }
        accounts = (0..<options.accounts).map { [principals] in
            AccountSpecification(
                owner: principals[$0 % principals.count].signer.publicKey, asset: AssetID(1), index: UInt64($0))
        }
        if options.freezes {
            freezing = FreezeWorkload(options)
            principals.append(Principal(signer: FreezeWorkload.authority))
        }
        pending = Array(repeating: [], count: principals.count + 1)
        pipeline = options.pipeline
        setUp = AccountSetUp(issuer: issuer, accounts: accounts + others)
        calls = CallWorkload(clients: options.clients, perMille: options.callsPerMille)
        sessions = ClientSessions(clients: principals.count + 1)
        reads = ReadBook(clients: principals.count + 1, map: manifest.shardMap)
        remaining = [0] + Array(repeating: options.transfersPerClient, count: principals.count)
        nextAt = Array(repeating: 0, count: principals.count + 1)
        isCalm = options.profile == .calm
        pause = 2 * options.faultyUntil / UInt64(max(1, options.transfersPerClient))
    }

    var isSetUp: Bool { setUp.isDone }

    var isDone: Bool {
        isSetUp && setUp.closing.isEmpty && pending.allSatisfy(\.isEmpty) && remaining.allSatisfy { $0 == 0 }
            && reads.isIdle
    }

    /// What a client sends now: its next request, or again one that is not answered.
    mutating func next(client: Int, now: Instant, using rng: inout SplitMix64) -> SignedRequest? {
        guard !sessions.isAway(client, now: now.uptime) else { return nil }
        if let late = pending[client].firstIndex(where: { $0.sentAt == 0 || now.uptime > $0.sentAt + 700_000_000 }) {
            pending[client][late].sentAt = now.uptime
            return pending[client][late].request
        }
        guard pending[client].isEmpty || mayGoOn(client), !isMisled(now) else { return nil }
        guard
            let request = client == 0
                ? nextSetUp(now)
                : orderedRead(client, now) ?? nextOrder(client, now) ?? nextTransfer(client, now, using: &rng)
        else { return nil }
        reads.asked(request)
        pending[client].append(Pending(request: request, sentAt: now.uptime, askedAt: now.uptime))
        return request
    }

    /// Transfers may be under way together; calls and reads come alone.
    private func mayGoOn(_ client: Int) -> Bool {
        client > 0 && pending[client].count < pipeline
            && pending[client].allSatisfy {
                if case .transfer? = $0.request.request.operations.first { true } else { false }
            }
    }

    /// Of transfers and calls, ascending.
    private static func participants(of operations: [Operation], in map: ShardMap) -> [ShardID] {
        Set(
            operations.flatMap { operation -> [ShardID] in
                switch operation {
                case .transfer(let transfer): [map.shard(of: transfer.from), map.shard(of: transfer.to)]
                case .call(let invocation, _): [map.shard(of: invocation.target)]
                case .read(let account), .freeze(let account, _), .release(let account): [map.shard(of: account)]
                case .open, .issue: []
                }
            }
        ).sorted()
    }

    /// What a client's next request follows: on each of its shards the newest of the same client that takes part there.
    private func predecessors(_ client: Int, _ operations: [Operation]) -> [Predecessor] {
        guard !pending[client].isEmpty else { return [] }
        let map = manifest.shardMap
        return Self.participants(of: operations, in: map).compactMap { shard in
            let last = pending[client].last { $0.request.request.participants(in: map).contains(shard) }
            return last.map {
                Predecessor(shard: shard, number: $0.request.request.number, deadline: $0.request.request.deadline)
            }
        }
    }

    /// The hosts' clocks say that it is far later than it is, and no shard has gone by them yet. Were they put right
    /// now, what is signed for that time would be from the future until then. Whose clock is wrong a client cannot
    /// know; here its own is right, so it waits.
    private func isMisled(_ now: Instant) -> Bool {
        let issuedAt = RequestTimes(own: now.wall, clocks: clocks, lifetime: Self.lifetimeMicroseconds).issuedAt
        return issuedAt > max(now.wall, clocks.map(\.time).max() ?? .zero)
    }

    func session(of client: Int) -> SessionID { sessions.session(of: client) }

    /// Nil for a session that has ended.
    func client(of session: SessionID) -> Int? { sessions.client(of: session) }

    /// The session that ends. What the client has asked for it asks for again when it is back.
    mutating func leave(_ client: Int, until: UInt64) -> SessionID {
        let session = sessions.leave(client, until: until)
        for i in pending[client].indices { pending[client][i].sentAt = 0 }
        // A request is repeated; a read is not.
        if reads.open[client]?.isOrdered == false { reads.giveUp(client) }
        return session
    }

    // MARK: Reads

    func mayRead(_ client: Int, now: Instant) -> Bool {
        isSetUp && (1...owners).contains(client) && reads.isIdle(client) && !sessions.isAway(client, now: now.uptime)
    }

    mutating func beginRead(_ client: Int, _ account: AccountID, nonce: Digest, isOrdered: Bool = false, now: UInt64) {
        reads.begin(
            client, account, nonce: nonce, isOrdered: isOrdered, balance: books.balances[account],
            inFlight: pending.flatMap { $0.map(\.request) },
            now: now)
    }

    /// - Returns: whether it asks again.
    mutating func readsAgain(_ client: Int, nonce: Digest, now: UInt64) -> Bool {
        let account = reads.open[client]?.account
        let isOwner = accounts.contains { $0.id == account && $0.owner == principals[client - 1].signer.publicKey }
        return reads.asksAgain(client, nonce: nonce, isOwner: isOwner, now: now)
    }

    private mutating func orderedRead(_ client: Int, _ now: Instant) -> SignedRequest? {
        guard pending[client].isEmpty, let account = reads.wantsOrder[client] else { return nil }
        beginRead(client, account, nonce: .null, isOrdered: true, now: now.uptime)
        return sign([.read(account)], .atomic, by: client - 1, now)
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

    private mutating func nextSetUp(_ now: Instant) -> SignedRequest? {
        guard let (operations, number) = setUp.next() else { return nil }
        return sign(operations, .independent, by: setUp.issuer, number: number, below: RequestNumber(1), now)
    }

    /// Has something ordered on each of these shards that moves no money: an account is opened there.
    mutating func closeAll(_ shards: [ShardID]) { setUp.close(shards, in: manifest.shardMap) }

    private mutating func nextTransfer(_ client: Int, _ now: Instant, using rng: inout SplitMix64) -> SignedRequest? {
        guard isSetUp, client <= owners, remaining[client] > 0, now.uptime >= nextAt[client] else { return nil }
        // Spread over the time in which things go wrong, some of them close together.
        nextAt[client] = now.uptime + (rng.chance(perMille: pipeline > 1 ? 750 : 300) ? 0 : rng.below(pause))
        remaining[client] -= 1
        let member = client - 1
        let own = accounts.indices.filter { $0 % owners == member }
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
        if pending[client].isEmpty {
            if let (again, continued) = calls.again(member, using: &rng) {
                return sign([.call(again, continues: continued)], .atomic, by: member, now)
            }
            if let invocation = calls.next(own, of: accounts, using: &rng) {
                return sign([.call(invocation)], .atomic, by: member, now)
            }
        }
        let kind = rng.below(10)
        let operations = (0..<(kind < 6 ? 1 : 2 + rng.below(3))).map { _ in transfer() }
        return sign(operations, kind < 8 ? .atomic : .independent, by: member, now)
    }

    /// What the authority orders next, or one of the others, who may not.
    private mutating func nextOrder(_ client: Int, _ now: Instant) -> SignedRequest? {
        guard freezing != nil, isSetUp, remaining[client] > 0, pending[client].isEmpty else { return nil }
        if client <= owners {
            let attempt = freezing?.attempt(of: accounts.map(\.id))
            return attempt.map { sign([$0], .independent, by: client - 1, now) }
        }
        guard now.uptime >= nextAt[client],
            let (operation, wait) = freezing?.next(of: accounts.map(\.id), within: pause / 2)
        else { return nil }
        nextAt[client] = now.uptime + wait
        remaining[client] -= 1
        return sign([operation], .independent, by: client - 1, now)
    }

    /// In a third of the runs with faults some requests live so short that their deadlines pass while things go wrong.
    private func lifetime(of number: RequestNumber, client: StandInSigner) -> UInt64 {
        guard !isCalm, seed.isMultiple(of: 3), isSetUp else { return Self.lifetimeMicroseconds }
        var chance = ChanceStream.lifetimes.generator(
            seed: seed, number: Int(truncatingIfNeeded: number.number) << 8 | Int(client.publicKey.bytes[0]))
        return chance.chance(perMille: 500) ? 1_000_000 + chance.below(UInt64(3_000_000)) : Self.lifetimeMicroseconds
    }

    /// Under the principal's next number.
    private mutating func sign(
        _ operations: [Operation], _ mode: Request.Mode, by member: Int, _ now: Instant
    ) -> SignedRequest {
        let principal = principals[member]
        principals[member].nextNumber = principal.nextNumber.next
        return sign(
            operations, mode, by: principal.signer, number: principal.nextNumber, below: principal.acknowledgedBelow,
            follows: predecessors(member + 1, operations), now)
    }

    private func sign(
        _ operations: [Operation], _ mode: Request.Mode, by signer: StandInSigner, number: RequestNumber,
        below: RequestNumber, follows: [Predecessor] = [], _ now: Instant
    ) -> SignedRequest {
        let times = RequestTimes(own: now.wall, clocks: clocks, lifetime: lifetime(of: number, client: signer))
        return SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey, number: number,
                acknowledgedBelow: below, follows: follows, issuedAt: times.issuedAt, deadline: times.deadline,
                mode: mode, operations: operations),
            signedBy: signer)
    }

    /// The gateway's answer to a client. Returns what is wrong with it, if anything.
    mutating func receive(_ receipt: Receipt, client: Int, now: UInt64) -> String? {
        guard let place = pending[client].firstIndex(where: { $0.request.digest == receipt.request.digest }) else {
            return nil
        }
        let waiting = pending[client][place]
        let request = receipt.request.request
        for leg in 0..<request.legCount {
            guard let decision = receipt.decision(ofLeg: leg, in: manifest.shardMap) else {
                let said = receipt.certificates.map { certificate in
                    let status = certificate.leaf.status(ofLeg: UInt16(leg)).map { "\($0)" } ?? "nothing"
                    return "shard \(certificate.shard) \(status)"
                }
                return "the receipt of \(receipt.request.digest.short) does not decide leg \(leg): "
                    + said.joined(separator: ", ")
            }
            let id = TransactionID(request: receipt.request.digest, mode: request.mode, leg: UInt16(leg))
            if let earlier = books.decisions[id] {
                if (earlier == .commit) != (decision == .commit) { return "\(id) was \(earlier) and is \(decision)" }
                continue
            }
            books.enter(decision, of: id, request, leg: leg)
            if decision == .commit, let problem = Self.usurps(request, leg) { return problem }
            if decision != .commit, let problem = reads.aborted(id) { return problem }
        }
        if case .read? = request.operations.first, let problem = noteRead(receipt, client: client) { return problem }
        if let invocation = request.rootCall {
            books.note(invocation, receipt, client: client, from: waiting.askedAt, to: now)
            if Self.failure(receipt)?.reason == .frozen { books.noteFrozenCall() }
            for certificate in receipt.certificates where isCalm {
                guard case .failed(let failure)? = certificate.leaf.status(ofLeg: 0),
                    failure.reason == .deadline || failure.reason == .waited
                else { continue }
                return
                    "\(receipt.request.digest.short) waited until its deadline although nothing was wrong: \(failure)"
            }
        }
        pending[client].remove(at: place)
        guard client > 0 else { return nil }
        let principal = principals[client - 1]
        principals[client - 1].acknowledgedBelow = pending[client].first?.request.request.number ?? principal.nextNumber
        if let invocation = request.rootCall, Self.isDeath(receipt) {
            calls.died(client - 1, invocation, request.number)
            // Acknowledged only by what comes after the one that continues it.
            principals[client - 1].acknowledgedBelow = request.number
            remaining[client] += 1
        }
        return nil
    }

    private static func isDeath(_ receipt: Receipt) -> Bool {
        let reason = failure(receipt)?.reason
        return reason == .died || reason == .waited
    }

    /// Of a root call; home alone certifies one.
    private static func failure(_ receipt: Receipt) -> CallFailure? {
        for certificate in receipt.certificates {
            if case .failed(let failure)? = certificate.leaf.status(ofLeg: 0) { return failure }
        }
        return nil
    }

    /// Somebody has frozen or released an account who may not.
    private static func usurps(_ request: Request, _ leg: Int) -> String? {
        guard request.principal != FreezeWorkload.authority.publicKey else { return nil }
        for operation in request.operations(ofLeg: leg) {
            switch operation {
            case .freeze(let account, _), .release(let account):
                return "\(request.principal.short) froze or released account \(account), and is not the authority"
            case .transfer, .open, .issue, .read, .call: continue
            }
        }
        return nil
    }

    /// A rejection is no outcome: the same request is sent again at once.
    mutating func rejected(client: Int, number: UInt64) {
        guard let place = pending[client].firstIndex(where: { $0.request.request.number.number == number }) else {
            return
        }
        pending[client][place].sentAt = 0
    }
}
