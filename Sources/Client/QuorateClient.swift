import Messages
import NIOCore
import NIOPosix

/// How long a client waits for what, and how it tries again.
public struct ClientOptions: Hashable, Sendable {
    /// How long a request may take effect: from `issuedAt` to its deadline.
    public var lifetime = Duration.seconds(30)
    /// After this long without an answer another gateway is asked.
    public var answerTimeout = Duration.seconds(5)
    /// How long after the deadline a certified outcome is still asked for.
    public var grace = Duration.seconds(10)
    /// After so long without a TCP connection another gateway is tried.
    public var connectTimeout = Duration.seconds(3)
    /// Between two submissions of the same bytes; at first within 10 ms, doubled up to 1 s.
    public var backoff = Backoff()
    /// Before a call is tried again for which others stood in the way: about as long as it takes them to be gone. The
    /// next attempt is as old as the first, so it need not hurry; who comes back at once locks what he needs at home,
    /// and dies again where he died.
    public var callBackoff = Backoff(base: .milliseconds(32), cap: .milliseconds(500))

    /// 30 s for a request to take effect, and 10 s more to learn that it did.
    public init() {}
}

/// Why a client has no outcome to give.
public enum ClientError: Error, Sendable, CustomStringConvertible {
    /// The client was made without any.
    case noGateways
    /// It was not sent: every shard would refuse it for ever. What is wrong with it, and how it is done.
    case malformed(String)
    /// 1,024 numbers lie between the oldest request without an outcome and the next one. Of requests in order it says
    /// more: none is under way any more whose outcome could make room (`submitInOrder`).
    case windowFull(oldest: RequestNumber)
    /// Nothing certified was received in time: the request may have taken effect or may yet. `resolve` asks again
    /// with the same signed bytes; `abandon` acknowledges the number, after which it cannot take effect any more.
    case outcomeUnknown(SignedRequest, lastCause: String)
    /// The signed bytes can never be accepted here.
    case invalid(SignedRequest)
    /// The principal has acknowledged the number, and a shard that the outcome hangs on may have forgotten it: what
    /// became of the request, if anything, is known from an earlier receipt. It will not take effect from now on (R11).
    case acknowledged(SignedRequest)
    /// The account belongs to somebody else, and no quorum of replicas agreed on what it holds.
    case readRefused(AccountID)
    /// No 2f + 1 replicas of the shard said the same when they were asked: too many do not answer, or what was asked
    /// about changes.
    case noQuorum(ShardID)

    /// In words, with the number of the request that it is about.
    public var description: String {
        switch self {
        case .noGateways: "no gateway was given"
        case .malformed(let problem): "the request was not sent: \(problem)"
        case .windowFull(let oldest):
            "the outcome of request \(oldest) is unknown, and \(RequestWindow.width) came after it"
        case .outcomeUnknown(let request, let cause):
            "the outcome of request \(request.request.number) is unknown: \(cause)"
        case .readRefused(let account):
            "no quorum agrees on account \(account) just now, and a read in order is for its owner only; ask again"
        case .noQuorum(let shard): "no quorum of shard \(shard) answers alike just now; ask again"
        case .acknowledged(let request):
            "request number \(request.request.number) was acknowledged before: it does nothing from now on, and what it did is known only from an earlier receipt"
        case .invalid(let request):
            "every gateway says that request \(request.request.number) is not valid for its cluster"
        }
    }
}

/// A call that is certified to have no effect.
public struct CallFailed: Error, Sendable, CustomStringConvertible {
    /// What failed, and where; nil if the request itself was refused, for which see the outcome's decision.
    public let failure: CallFailure?
    /// With the receipt that proves that it has no effect.
    public let outcome: Outcome

    /// What failed, on which shard, in the procedure's own words; or why the request was refused.
    public var description: String {
        if let failure { return "the call failed: \(failure)" }
        if case .abort(let reason)? = outcome.decisions.first { return "the call was refused: \(reason)" }
        return "the call was refused"
    }
}

/// A call has taken effect, and what it returned is of another type than was asked for.
public struct UnreadableResult: Error, Sendable, CustomStringConvertible {
    /// With the receipt, in which the result's bytes are.
    public let outcome: Outcome
    /// Where decoding stopped.
    public let reason: DecodingFailure

    /// That the call has committed, and what is wrong with the result.
    public var description: String { "the call has committed, and what it returned cannot be read: \(reason)" }
}

/// A proven result.
public struct Outcome: Sendable {
    /// One for each leg of the request.
    public let decisions: [Decision]
    /// Verified; keep it as evidence.
    public let receipt: Receipt
    /// From when it was first sent, or asked for again, to the verified receipt.
    public let latency: Duration
    /// How often this client sent the request again.
    public let retries: Int
    /// How often the last gateway did, and how often because of a conflict.
    public let gatewayRetries: Int
    /// How often the last gateway was told that undecided transactions hold what the request needs.
    public let conflicts: Int

    /// Every leg of the request has committed.
    public var isCommitted: Bool { decisions.allSatisfy { $0 == .commit } }

    /// Of a root call: only home's word counts. A gateway may add what others have certified of the same call, which
    /// says nothing of its outcome.
    public func status(at home: ShardID) -> LegStatus? {
        for certificate in receipt.certificates where certificate.shard == home {
            if let status = certificate.leaf.status(ofLeg: 0) { return status }
        }
        return nil
    }
}

// Untyped throws: with typed ones, Swift 6.3 miscompiles an async function that forwards another one's error (the task
// resumes at address zero).
/// One principal's client: numbers and signs requests, submits them through any of several gateways, none of which it
/// trusts, and gives only outcomes whose certificates it has checked against the manifest.
public actor QuorateClient {
    /// By which certificates are checked.
    public nonisolated let manifest: Manifest
    /// The principal's.
    public nonisolated let publicKey: PublicKey
    let gateways: [GatewayAddress]
    nonisolated let options: ClientOptions
    private let group: any EventLoopGroup
    var principal: Principal
    var numbering: Numbering
    /// What was submitted in order and is under way, and who waits for something of it to end.
    var order = RequestOrder()
    var roomWaiters: [CheckedContinuation<Void, Never>] = []
    private var verifier: Verifier<Ed25519Scheme>
    private var connections: [GatewayAddress: GatewayConnection] = [:]
    /// The gateway that is asked first: the last one that answered.
    private var preferred = 0
    var random = SystemRandomNumberGenerator()
    /// What shards say of their time, and which of them are asked for it just now.
    var clockBook = ClockBook()
    var clockQuestions: [ShardID: ClockQuestion] = [:]

    /// - Parameters:
    ///   - firstNumber: see `Principal.init`; nil to ask the shards which numbers of this key they have recorded.
    ///   - foreign: outcomes from this number on, which lies below the first, are not acknowledged at once
    ///     (`RequestWindow`).
    public init(
        signer: Ed25519Signer, manifest: Manifest, gateways: [GatewayAddress], options: ClientOptions = .init(),
        firstNumber: RequestNumber? = nil, keeping foreign: RequestNumber? = nil,
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        (self.manifest, self.gateways, self.options, self.group) = (manifest, gateways, options, group)
        publicKey = signer.publicKey
        principal = Principal(
            signer: signer, manifest: manifest, first: firstNumber ?? RequestNumber(1), keeping: foreign)
        numbering = Numbering(isGiven: firstNumber != nil)
        verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
    }

    /// Moves money from an account of this principal.
    /// - Throws: `ClientError`.
    public func transfer(
        from: AccountID, to: AccountID, asset: AssetID, amount: Amount
    ) async throws -> Outcome {
        try await submit([.transfer(Transfer(from: from, to: to, asset: asset, amount: amount))], mode: .atomic)
    }

    /// Signs the operations under the next request number, and returns when every leg's outcome is proven. If another
    /// program with this key has used that number, it is certified that nothing was done, and the operations are signed
    /// under another one; so they are if clocks were set meanwhile, and the deadline was past when the request came.
    /// - Parameter mode: whether the operations are one transaction, or each is one. Accounts are opened, and money is
    ///   issued, by transactions of their own.
    /// - Throws: `ClientError`; before anything is signed, `malformed`.
    public func submit(_ operations: [Operation], mode: Request.Mode = .atomic) async throws -> Outcome {
        try Self.check(operations, mode)
        guard !gateways.isEmpty else { throw ClientError.noGateways }
        var attempts = 0
        while true {
            let outcome = try await resolve(try await sign(operations, mode))
            guard try await isToBeSignedAgain(outcome, &attempts) else { return outcome }
        }
    }

    /// Whether nothing was done, and the reason lies in numbers or clocks that are known better now.
    func isToBeSignedAgain(_ outcome: Outcome, _ attempts: inout Int) async throws -> Bool {
        if isLateByClock(outcome), attempts < Self.lateRetries {
            attempts += 1
            clockBook.doubt()
            return true
        }
        guard Self.isSuperseded(outcome), attempts < Self.supersededRetries else { return false }
        attempts += 1
        try await leaveOut(on: outcome.receipt.request.request.participants(in: manifest.shardMap))
        return true
    }

    /// Signs the operations under the next request number and sends nothing: for who keeps the signed bytes before they
    /// are sent, so that after a crash the same bytes are sent again, and nothing happens twice. Then `resolve`.
    /// - Throws: `ClientError.malformed`, `ClientError.windowFull`, `ClientError.noQuorum`.
    public func prepare(_ operations: [Operation], mode: Request.Mode = .atomic) async throws -> SignedRequest {
        try Self.check(operations, mode)
        return try await sign(operations, mode)
    }

    /// - Parameter isInOrder: it follows what is under way in order, and is itself from now on.
    func sign(
        _ operations: [Operation], _ mode: Request.Mode, isInOrder: Bool = false
    ) async throws -> SignedRequest {
        try await number(operations)
        let times = await times(of: operations, lifetime: UInt64(max(0, options.lifetime / .microseconds(1))))
        let lifetime = times.deadline.microseconds(since: times.issuedAt)
        let follows = isInOrder ? order.predecessors(of: operations, in: manifest.shardMap) : []
        guard
            let request = principal.sign(
                operations, mode: mode, follows: follows, issuedAt: times.issuedAt, lifetimeMicroseconds: lifetime)
        else {
            throw ClientError.windowFull(oldest: principal.window.acknowledgedBelow)
        }
        if isInOrder { order.begin(request.request, in: manifest.shardMap) }
        return request
    }

    /// Calls a procedure on the shard of its target; whatever it does on any shard happens, or none of it (R13). Tried
    /// again, as a request of its own that is as old as the first, when an older transaction was in its way, until
    /// `options.lifetime` has passed.
    /// - Parameters:
    ///   - arguments: as the procedure declares them.
    /// - Returns: what the procedure returned, and the receipt.
    /// - Throws: `CallFailed` when the transaction is certified to have no effect, with the procedure's own words;
    ///   `UnreadableResult` when it has taken effect and what it returned is no `Result`; `ClientError`;
    ///   `CancellationError` between two attempts.
    public func call<Result: CanonicalDecodable>(
        _ target: CallTarget, _ procedure: String, version: UInt16 = 1, _ arguments: some CanonicalEncodable & Sendable,
        returning _: Result.Type = Result.self
    ) async throws -> (result: Result, outcome: Outcome) {
        let invocation = Invocation(
            target: target, procedure: procedure, version: version, arguments: arguments.encoded())
        let home = manifest.shardMap.shard(of: target)
        let start = ContinuousClock.now
        var (deaths, superseded, late) = (0, 0, 0)
        // The last attempt that was executed: not acknowledged until another one has taken its age over.
        var died: RequestNumber?
        defer { if let died { principal.window.close(died) } }
        while true {
            let outcome = try await tryOnce(invocation, continues: died)
            switch outcome.status(at: home) {
            case .returned(let bytes, _)?:
                do { return (try Result(decoding: bytes), outcome) } catch {
                    throw UnreadableResult(outcome: outcome, reason: error)
                }
            case .failed(let failure)? where failure.isToBeTriedAgain:
                if let died { principal.window.close(died) }
                died = outcome.receipt.request.request.number
                guard start.duration(to: .now) < options.lifetime else {
                    throw CallFailed(failure: failure, outcome: outcome)
                }
                try await Task.sleep(for: options.callBackoff.pause(attempt: deaths, using: &random))
                deaths += 1
            case .failed(let failure)?: throw CallFailed(failure: failure, outcome: outcome)
            case let status where Self.isSuperseded(outcome, status) && superseded < Self.supersededRetries:
                superseded += 1
                try await leaveOut(on: [home])
            case _ where isLateByClock(outcome) && late < Self.lateRetries:
                late += 1
                clockBook.doubt()
            default: throw CallFailed(failure: nil, outcome: outcome)
            }
        }
    }

    /// - Parameter status: of a call, at home.
    private static func isSuperseded(_ outcome: Outcome, _ status: LegStatus?) -> Bool {
        status == .aborted(.superseded) || status == nil && isSuperseded(outcome)
    }

    /// One attempt of a call, for who tries again by himself. While its outcome is one to be tried again
    /// (`CallFailure.isToBeTriedAgain`), its number stays open for the attempt that continues it, or until it is given
    /// up (`abandon`).
    /// - Parameter died: the attempt before: this one is as old.
    /// - Throws: `ClientError`.
    public func attempt(_ invocation: Invocation, continues died: RequestNumber? = nil) async throws -> Outcome {
        defer { if let died { principal.window.close(died) } }
        return try await tryOnce(invocation, continues: died)
    }

    /// As `attempt`; the attempt before stays open.
    private func tryOnce(_ invocation: Invocation, continues died: RequestNumber?) async throws -> Outcome {
        let request = try await sign([.call(invocation, continues: died)], .atomic)
        let outcome = try await resolve(request, closes: false)
        if case .failed(let failure)? = outcome.status(at: manifest.shardMap.shard(of: invocation.target)),
            failure.isToBeTriedAgain
        {
            return outcome
        }
        principal.window.close(request.request.number)
        return outcome
    }

    /// Submits the same signed bytes until an outcome is proven. Safe at any time: signed bytes have one outcome (R11),
    /// and after their deadline this only asks which.
    /// - Parameters:
    ///   - patience: asks for so long at least, however long ago the deadline was.
    ///   - closes: whether an outcome acknowledges the number.
    /// - Throws: `ClientError`.
    public func resolve(_ request: SignedRequest, patience: Duration = .zero, closes: Bool = true) async throws
        -> Outcome
    {
        try await resolve(request, patience: patience, closes: closes, sent: nil)
    }

    /// - Parameter sent: the first submission, if it has left already.
    func resolve(
        _ request: SignedRequest, patience: Duration = .zero, closes: Bool = true, sent: SentRequest?
    ) async throws -> Outcome {
        guard !gateways.isEmpty else { throw ClientError.noGateways }
        let start = ContinuousClock.now
        // By this machine's monotonic clock: its wall clock may be the one that is wrong.
        let end = start + max(patience, untilDeadline(of: request.request) + max(.zero, options.grace))
        var (timeProblem, hasAskedForTime): (String?, Bool) = (nil, false)
        var attempt = 0
        var invalid: Set<GatewayAddress> = []
        // To these nothing can be sent, however often it is tried.
        var strange: Set<GatewayAddress> = []
        var cause = "nothing was tried"
        while true {
            let sent = attempt == 0 ? sent : nil
            let address = sent?.connection.address ?? gateways[preferred % gateways.count]
            var pause = options.backoff.pause(attempt: attempt, using: &random)
            do {
                switch try await answer(to: request, from: address, sent) {
                case .receipt(let receipt, let retries, let conflicts):
                    if let decisions = try proven(receipt, for: request) {
                        if closes { principal.window.close(request.request.number) }
                        return Outcome(
                            decisions: decisions, receipt: receipt, latency: .now - start, retries: attempt,
                            gatewayRetries: Int(retries), conflicts: Int(conflicts))
                    }
                    cause = "the receipt from \(address) proves nothing"
                    moveOn(from: address)
                case .rejected(let reason, let retryAfter):
                    cause = "\(address): \(reason)"
                    if reason == .invalid { invalid.insert(address) }
                    if !hasAskedForTime, reason == .deadlinePassed || reason == .refused {
                        hasAskedForTime = true
                        timeProblem = await clockProblem(of: request.request)
                    }
                    if let timeProblem { cause += "; \(timeProblem)" }
                    // A hint from someone untrusted: it may not stall the client.
                    pause += min(
                        .microseconds(Int64(min(retryAfter, 1_000_000))),
                        .nanoseconds(Int64(clamping: options.backoff.cap)))
                    if reason != .queueFull { moveOn(from: address) }
                }
            } catch let error as ClientError {
                principal.window.close(request.request.number)
                // Another program with the key goes on above: the next request's number is asked for again.
                numbering.known = []
                throw error
            } catch {
                switch error {
                case ConnectionError.notTrusted, ConnectionError.tlsMismatch: strange.insert(address)
                default: strange.remove(address)
                }
                cause = "\(error)"
                moveOn(from: address)
            }
            if strange.count == Set(gateways).count {
                throw ClientError.outcomeUnknown(request, lastCause: cause)
            }
            if invalid.count == Set(gateways).count {
                // Acknowledged from the next request on: should a gateway have lied, it still happens at most once.
                principal.window.close(request.request.number)
                throw ClientError.invalid(request)
            }
            guard ContinuousClock.now < end else { throw ClientError.outcomeUnknown(request, lastCause: cause) }
            do { try await Task.sleep(for: pause) } catch {
                throw ClientError.outcomeUnknown(request, lastCause: "cancelled")
            }
            attempt += 1
        }
    }

    /// The next gateway is asked first from now on, unless another request has moved on already.
    private func moveOn(from address: GatewayAddress) {
        if gateways[preferred % gateways.count] == address { preferred += 1 }
    }

    private func answer(
        to request: SignedRequest, from address: GatewayAddress, _ sent: SentRequest?
    ) async throws -> SubmitResult {
        guard let sent else {
            return try await ask(address) { try await $0.submit(request, timeout: options.answerTimeout) }
        }
        do { return try await sent.answer() } catch {
            await leave(sent.connection, after: error)
            throw error
        }
    }

    /// A connection to the gateway that is asked first, if there is one or it can be made.
    func preferredConnection() async -> GatewayConnection? {
        try? await connection(to: gateways[preferred % gateways.count])
    }

    /// Gives up on a number: the next request tells the shards that its outcome is of no interest, and if it has not
    /// taken effect by then it never will.
    public func abandon(_ number: RequestNumber) { principal.window.close(number) }

    /// A weak read through one gateway: not certified.
    public func account(_ account: AccountID) async throws -> AccountView? {
        guard !gateways.isEmpty else { throw ClientError.noGateways }
        var last: any Error = ConnectionError.closed
        for _ in gateways {
            let address = gateways[preferred % gateways.count]
            do {
                return try await ask(address) { try await $0.account(account).view }
            } catch {
                last = error
                preferred += 1
            }
        }
        throw last
    }

    /// A linearizable read: what 2f + 1 replicas say alike (R6); where they do not, because the account is in use just
    /// now or too many of them do not answer, a read in order, which only the account's owner may ask for.
    /// - Returns: nil if there is no such account.
    /// - Throws: `ClientError`.
    public func read(_ account: AccountID) async throws -> AccountView? {
        if let statement = try await quorumRead(account) { return statement.view }
        let outcome: Outcome
        do { outcome = try await submit([.read(account)]) } catch ClientError.outcomeUnknown(let request, let cause) {
            // It changes nothing, so its number may be given up.
            abandon(request.request.number)
            throw ClientError.outcomeUnknown(request, lastCause: cause)
        }
        for certificate in outcome.receipt.certificates where certificate.shard == manifest.shardMap.shard(of: account)
        {
            if case .read(let view)? = certificate.leaf.status(ofLeg: 0) { return view }
        }
        throw ClientError.readRefused(account)
    }

    /// The unordered part of `read`, which anybody may ask for.
    /// - Parameter timeout: for the answer to one attempt.
    /// - Returns: nil if no 2f + 1 replicas said the same.
    /// - Throws: `ClientError.noGateways`.
    public func quorumRead(
        _ account: AccountID, attempts: Int = 3, timeout: Duration = .seconds(10)
    ) async throws -> ReadStatement? {
        try await proof(of: .account(account), attempts: attempts, timeout: timeout)?.statement
    }

    /// What 2f + 1 replicas of a shard say alike of a subject, with the time of each.
    /// - Returns: nil if no 2f + 1 replicas said the same.
    /// - Throws: `ClientError.noGateways`.
    func proof(of subject: ReadSubject, attempts: Int = 3, timeout: Duration? = .seconds(10)) async throws -> ReadProof?
    {
        guard !gateways.isEmpty else { throw ClientError.noGateways }
        for attempt in 0..<attempts {
            if attempt > 0 { try await Task.sleep(for: options.backoff.pause(attempt: attempt, using: &random)) }
            guard let fresh = FixedBytes32((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }) else {
                continue
            }
            let nonce = Digest(fresh)
            let address = gateways[preferred % gateways.count]
            do {
                let answers = try await ask(address) { try await $0.read(subject, nonce: nonce, timeout: timeout) }
                if let proof = try? verifier.verify(answers, of: subject, nonce: nonce) { return proof.value }
            } catch {}
            // The gateway itself may keep answers back.
            preferred += 1
        }
        return nil
    }

    /// Closes the connections.
    public func close() async {
        let open = connections.values
        connections = [:]
        for connection in open { await connection.close() }
    }

    /// One call to a gateway, on the connection that all calls share.
    private func ask<Answer: Sendable>(
        _ address: GatewayAddress, _ call: (GatewayConnection) async throws -> Answer
    ) async throws -> Answer {
        let connection = try await connection(to: address)
        do { return try await call(connection) } catch {
            await leave(connection, after: error)
            throw error
        }
    }

    /// What becomes of a connection on which a call has failed. Others wait on it, and it may have been replaced
    /// meanwhile.
    private func leave(_ connection: GatewayConnection, after error: any Error) async {
        switch error {
        case ConnectionError.lost, ConnectionError.garbage, ConnectionError.cannotConnect, ConnectionError.tlsMismatch:
            forget(connection)
            await connection.close()
        case ConnectionError.timeout:
            forget(connection)
            connection.closeWhenIdle()
        // That of a call that was cancelled is as good as before.
        case ConnectionError.closed where !Task.isCancelled: forget(connection)
        default: break
        }
    }

    private func forget(_ connection: GatewayConnection) {
        if connections[connection.address] === connection { connections[connection.address] = nil }
    }

    private func connection(to address: GatewayAddress) async throws -> GatewayConnection {
        if let connection = connections[address] { return connection }
        let connection = try await GatewayConnection.connect(address, timeout: options.connectTimeout, on: group)
        // Another call may have connected meanwhile.
        if let first = connections[address] {
            await connection.close()
            return first
        }
        connections[address] = connection
        return connection
    }

    /// The decision of every leg, if the certificates are genuine, about this request, and decide all of it.
    /// - Throws: `ClientError.acknowledged`.
    private func proven(_ receipt: Receipt, for request: SignedRequest) throws -> [Decision]? {
        guard receipt.request == request, (try? verifier.verify(receipt)) != nil else { return nil }
        let map = manifest.shardMap
        var decisions: [Decision] = []
        for leg in 0..<request.request.legCount {
            guard let decision = receipt.decision(ofLeg: leg, in: map) else {
                if receipt.isBeyondProof(leg: leg, in: map) { throw ClientError.acknowledged(request) }
                return nil
            }
            decisions.append(decision)
        }
        return decisions
    }
}
