import Client
import DequeModule
import Messages
import Randomness

/// A load as a state machine, a closed loop of clients or an open one: signs and numbers work, sends it, sends it
/// again, checks receipts. No I/O and no clock: `LoadGenerator` carries out what it asks.
///
/// In an open loop (`LoadShape`) latency counts from the moment that a request was meant for. If the source has nothing
/// then that may start, the next work takes that moment over.
///
/// What one principal pays happens in the order in which the source gave it, however much of it is under way: each
/// request follows the one before on the shards where it takes money (`RequestOrder`), and goes over the same channel.
/// A new attempt, see below, comes behind what was signed meanwhile.
///
/// Retries: a rejected or unanswered request is sent again with the same signed bytes, so that it cannot happen
/// twice. Only a certified abort without a record (the deadline passed before any shard voted) leads to a new
/// attempt, with a new number, for the operations concerned; and the death of a call, for want of a lock, to one that
/// is as old as the first (R5), after a pause, until a lifetime has passed since the work began.
public struct RequestEngine<Source: WorkSource>: Sendable {
    /// How many clients there are, and how long they wait.
    public struct Configuration: Sendable {
        /// Works in flight at most, in a closed loop.
        public var clients: Int
        /// When works begin.
        public var shape: LoadShape
        /// Ways to gateways, numbered from 0; principals use them in turn.
        public var channels: Int
        /// From signing to deadline, microseconds.
        public var lifetime: UInt64
        /// After the deadline a client waits so much longer for a certified answer, nanoseconds.
        public var patience: UInt64
        /// Without any answer for so long, a request is sent again over another channel, nanoseconds.
        public var silence: UInt64
        /// Of the jitter between attempts.
        public var seed: UInt64

        /// - Precondition: there is a client and a channel.
        public init(
            clients: Int, channels: Int, lifetime: UInt64 = 20_000_000, patience: UInt64 = 30_000_000_000,
            silence: UInt64 = 5_000_000_000, seed: UInt64 = 1, shape: LoadShape = .closed
        ) {
            precondition(clients >= 1 && channels >= 1)
            (self.clients, self.channels, self.lifetime) = (clients, channels, lifetime)
            (self.patience, self.silence, self.seed, self.shape) = (patience, silence, seed, shape)
        }
    }

    /// What was done beside sending each request once.
    public struct Counters: Sendable, Equatable {
        /// The same bytes sent again by the client.
        public var resent = 0
        /// New attempts after a certified abort without a record.
        public var newAttempts = 0
        /// Attempts of calls that died for want of a lock, and had no effect.
        public var deaths = 0
        /// Rejections by a gateway, by `GatewayRejection` - 1.
        public var rejections = [Int](repeating: 0, count: GatewayRejection.allCases.count)
        /// Requests that a channel gave back without an answer.
        public var connectionFailures = 0
        /// Sent again by gateways, and of these after a conflict.
        public var gatewayRetries = 0
        /// Those of `gatewayRetries` that followed a conflict.
        public var gatewayConflicts = 0
        /// Receipts that did not verify.
        public var invalidReceipts = 0
        /// Requests that were signed before the load began.
        public var presigned = 0
        /// Where there are any: requests that were signed during the load all the same.
        public var signedLate = 0
        /// All zero.
        public init() {}
    }

    /// A request to be sent over a channel; the answer comes back with the id.
    public struct Outgoing: Sendable {
        /// Goes back to `receive`. A request that is sent again keeps it.
        public let id: UInt64
        /// Below the configuration's `channels`.
        public let channel: Int
        /// Signed; the same bytes each time it is sent.
        public let request: SignedRequest
    }

    private struct Flight: Sendable {
        let work: Work
        /// The operations of the work that this attempt carries.
        var legs: [Int]
        let startedAt: UInt64
        var request: SignedRequest
        var number: UInt64
        var giveUpAt: UInt64
        var sentAt: UInt64
        var sends = 1
        /// When to send again; nil while an answer is awaited.
        var resendAt: UInt64?
        var channel: Int
        /// The number of the attempt before, which died: not acknowledged until this one has taken its age over.
        var continued: UInt64?
        var deaths = 0
    }

    /// A call that died, in the place of a client until it is tried again.
    private struct Resting: Sendable {
        let flight: Flight
        let until: UInt64
    }

    /// Of one principal.
    private struct Numbers: Sendable {
        var next: UInt64
        /// Those that are not finished, ascending.
        var open: [UInt64] = []
        var order = RequestOrder()
        /// Over which requests go for as long as one is under way: on two they would overtake each other.
        var channel = 0
        /// Work that waits for a number, each in the place of a client, and from when on its latency counts; nil for
        /// when it begins.
        var held = Deque<(work: Work, since: UInt64?)>()
        /// Signed beforehand, with the numbers from `next` on.
        var presigned = Deque<SignedRequest>()
        /// Of all that were signed beforehand.
        var presignedOrder = RequestOrder()
        var acknowledgedBelow: UInt64 { open.first ?? next }
        var hasRoom: Bool {
            let window = presigned.isEmpty ? RequestEngine.numberWindow : RequestEngine.presignedWindow
            return next < acknowledgedBelow + window
        }
    }

    /// R11 accepts numbers below `acknowledgedBelow` + 1,024.
    private static var numberWindow: UInt64 { 1024 }
    /// What is signed beforehand acknowledges so many numbers less than its own, and is sent when that is true.
    private static var presignedWindow: UInt64 { 512 }
    /// A channel whose connection failed is tried again after so long, nanoseconds.
    private static var avoidance: UInt64 { 250_000_000 }
    /// In an open loop, for each request in flight, nanoseconds: 65,536 are looked through six times a second, as to
    /// look at one takes some 50 ns.
    private static var lookPause: UInt64 { 2500 }

    /// With what it has measured so far.
    public private(set) var source: Source
    /// What was sent again until now, and why.
    public private(set) var counters = Counters()
    private let configuration: Configuration
    private let signers: [any Signer]
    private var numbers: [Numbers]
    private let manifest: Manifest
    private var checker: any CertificateChecker
    private let map: ShardMap
    private var random: SplitMix64
    private var flights: [UInt64: Flight] = [:]
    /// Their ids, ascending, and some of flights that are over.
    private var ids: Deque<UInt64> = []
    private var nextID: UInt64 = 1
    private var nextChannel = 0
    /// By channel: until when it is passed over, because its connection failed.
    private var avoidedUntil: [UInt64]
    private var outbox: [Outgoing] = []
    private var resting: [Resting] = []
    /// Works that wait for their principals' numbers, over all principals.
    private var heldCount = 0
    /// Nil in a closed loop.
    private var pacing: OpenPacing?
    /// In an open loop: requests are looked through no sooner, as there may be very many.
    private var nextLook: UInt64 = 0
    private var busyNanoseconds: UInt128 = 0
    private var lastChange: UInt64?
    private var startedAt: UInt64?

    /// - Parameters:
    ///   - checker: looks at the certificates of receipts; nil for Ed25519 against the manifest.
    ///   - firstNumber: the first request number of every principal.
    public init(
        source: Source, signers: [any Signer], manifest: Manifest, checker: (any CertificateChecker)? = nil,
        configuration: Configuration, firstNumber: UInt64 = 1
    ) {
        (self.source, self.signers, self.configuration) = (source, signers, configuration)
        avoidedUntil = Array(repeating: 0, count: configuration.channels)
        numbers = Array(repeating: Numbers(next: firstNumber), count: signers.count)
        self.manifest = manifest
        self.checker = checker ?? Verifier(manifest: manifest, scheme: Ed25519Scheme())
        map = manifest.shardMap
        random = SplitMix64(seed: configuration.seed, stream: "client backoff")
        if case .open(let loop) = configuration.shape { pacing = OpenPacing(loop) }
    }

    /// Works that were sent and have no outcome.
    public var inFlight: Int { flights.count }

    /// Nothing is in flight and nothing will be.
    public func isDone(now: Instant) -> Bool {
        flights.isEmpty && heldCount == 0 && resting.isEmpty && source.isExhausted(now: now)
    }

    /// The mean number of works in flight so far.
    public func meanInFlight(now: UInt64) -> Double {
        guard let startedAt, now > startedAt else { return 0 }
        return Double(busyNanoseconds) / Double(now - startedAt)
    }

    /// What is to be sent now.
    public mutating func takeOutbox() -> [Outgoing] {
        defer { outbox.removeAll(keepingCapacity: true) }
        return outbox
    }

    private mutating func account(now: UInt64) {
        if let lastChange, now > lastChange { busyNanoseconds += UInt128(now - lastChange) * UInt128(flights.count) }
        if startedAt == nil { startedAt = now }
        lastChange = now
    }

    /// Starts work while clients are free, or in an open loop what is due.
    public mutating func pump(now: Instant) {
        account(now: now.uptime)
        guard pacing == nil else { return pumpDue(now: now) }
        while flights.count + heldCount + resting.count < configuration.clients, let work = source.next(now: now) {
            take(work, since: nil, now: now)
        }
    }

    private mutating func pumpDue(now: Instant) {
        pacing?.begin(at: now.uptime)
        while let due = pacing?.due, due <= now.uptime, !source.hasGivenAll(now: now) {
            guard flights.count + heldCount + resting.count < pacing?.maxInFlight ?? 0 else {
                pacing?.block(now: now.uptime, isFull: true)
                return
            }
            guard let work = source.next(now: now) else {
                // What ends the source is no fault of its order.
                if !source.hasGivenAll(now: now) { pacing?.block(now: now.uptime, isFull: false) }
                return
            }
            take(work, since: due, now: now)
            pacing?.begin(now: now.uptime, inFlight: flights.count + heldCount)
        }
        if source.hasGivenAll(now: now) { pacing?.end() }
    }

    /// In an open loop: when the next request is to begin, monotonic nanoseconds; nil if an answer or `tick` shows.
    public var nextDue: UInt64? { pacing?.wakeUp }

    /// How well an open loop kept to its moments so far; nil in a closed one.
    public var openFigures: OpenFigures? {
        guard let pacing else { return nil }
        var figures = pacing.figures
        figures.unstarted = pacing.unstarted
        return figures
    }

    private mutating func take(_ work: Work, since: UInt64?, now: Instant) {
        if numbers[work.principal].held.isEmpty, numbers[work.principal].hasRoom {
            begin(work, since: since, now: now)
        } else {
            numbers[work.principal].held.append((work, since))
            heldCount += 1
        }
    }

    /// The principal's channel, or the next in turn if nothing is under way over that.
    private mutating func channel(for principal: Int, now: UInt64) -> Int {
        if !numbers[principal].open.isEmpty, avoidedUntil[numbers[principal].channel] <= now {
            return numbers[principal].channel
        }
        let isAvoided = avoidedUntil[nextChannel] > now
        let channel = isAvoided ? self.channel(after: nextChannel, now: now) : nextChannel
        nextChannel = (channel + 1) % configuration.channels
        numbers[principal].channel = channel
        return channel
    }

    private mutating func begin(_ work: Work, since: UInt64?, now: Instant) {
        let channel = channel(for: work.principal, now: now.uptime)
        let presigned = takePresigned(for: work)
        start(
            work, legs: Array(0..<work.legCount), since: since ?? now.uptime, channel: channel, now: now,
            presigned: presigned)
    }

    /// Signs a work that will come, behind those of its principal that were signed so far. Works of one principal must
    /// come in this order: where one does not, the others of its principal are signed anew when they come.
    /// - Parameter lifetime: from now to the deadline, microseconds.
    /// - Precondition: the load has not begun.
    public mutating func presign(_ work: Work, now: Instant, lifetime: UInt64) {
        precondition(startedAt == nil)
        let first = numbers[work.principal].next
        let number = numbers[work.principal].presigned.last.map { $0.request.number.number + 1 } ?? first
        let follows = numbers[work.principal].presignedOrder.predecessors(of: work.operations, in: map)
        // Of a sliding window: what is below has ended when the request is sent.
        let acknowledgedBelow = max(first, number - min(number, Self.presignedWindow))
        let request = request(
            of: work, work.operations, number: number, acknowledgedBelow: acknowledgedBelow, follows: follows,
            now: now, lifetime: lifetime)
        numbers[work.principal].presignedOrder.begin(request, in: map)
        numbers[work.principal].presigned.append(SignedRequest(request, signedBy: signers[work.principal]))
        counters.presigned += 1
    }

    /// Nil if there is none, or it is for something else: then what else was signed for the principal is no use either.
    private mutating func takePresigned(for work: Work) -> SignedRequest? {
        guard counters.presigned > 0 else { return nil }
        let first = numbers[work.principal].presigned.popFirst()
        if let first, first.request.operations == work.operations { return first }
        numbers[work.principal].presigned.removeAll()
        counters.signedLate += 1
        return nil
    }

    private func request(
        of work: Work, _ operations: [Operation], number: UInt64, acknowledgedBelow: UInt64, follows: [Predecessor],
        now: Instant, lifetime: UInt64
    ) -> Request {
        // Opening and issuing are legs of their own; one transfer or call alone is an atomic request.
        var mode = work.isAtomic ? Request.Mode.atomic : .independent
        switch operations.count == 1 ? operations[0] : nil {
        case .transfer, .call: mode = .atomic
        case .open, .issue, .read, .freeze, .release, nil: break
        }
        return Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: signers[work.principal].publicKey,
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(acknowledgedBelow), follows: follows,
            issuedAt: now.wall, deadline: now.wall.adding(microseconds: lifetime), mode: mode, operations: operations)
    }

    /// - Parameter died: the attempt before, if it died for want of a lock.
    private mutating func start(
        _ work: Work, legs: [Int], since: UInt64, channel: Int, now: Instant, presigned: SignedRequest? = nil,
        after died: Flight? = nil
    ) {
        let number = numbers[work.principal].next
        numbers[work.principal].next += 1
        numbers[work.principal].open.append(number)
        let signed: SignedRequest
        if let presigned {
            signed = presigned
        } else {
            // Whatever was signed for this number and those behind it.
            numbers[work.principal].presigned.removeAll()
            var operations = legs.flatMap { work.operations(ofLeg: $0) }
            if operations.count == 1, case .call(let invocation, _) = operations[0] {
                operations = [.call(invocation, continues: died.map { RequestNumber($0.number) })]
            }
            let request = request(
                of: work, operations, number: number, acknowledgedBelow: numbers[work.principal].acknowledgedBelow,
                follows: work.isOrdered ? numbers[work.principal].order.predecessors(of: operations, in: map) : [],
                now: now, lifetime: configuration.lifetime)
            signed = SignedRequest(request, signedBy: signers[work.principal])
        }
        if work.isOrdered { numbers[work.principal].order.begin(signed.request, in: map) }
        let id = nextID
        nextID += 1
        let flight = Flight(
            work: work, legs: legs, startedAt: since, request: signed, number: number,
            giveUpAt: now.uptime + configuration.lifetime * 1000 + configuration.patience, sentAt: now.uptime,
            channel: channel, continued: died?.number, deaths: died?.deaths ?? 0)
        flights[id] = flight
        ids.append(id)
        outbox.append(Outgoing(id: id, channel: channel, request: flight.request))
    }

    /// A gateway's answer to a request, or the failure of its connection (nil).
    public mutating func receive(id: UInt64, _ reply: GatewayReply?, now: Instant) {
        account(now: now.uptime)
        guard let flight = flights[id] else { return }
        if reply != nil { avoidedUntil[flight.channel] = 0 }
        switch reply {
        case .receipt(_, let receipt, let retries, let conflicts):
            counters.gatewayRetries += Int(retries)
            counters.gatewayConflicts += Int(conflicts)
            settle(id, flight, receipt, now: now)
        case .rejected(_, let reason, let retryAfter):
            counters.rejections[Int(reason.rawValue) - 1] += 1
            if reason == .invalid { return giveUp(id, flight, why: "\(reason)", now: now) }
            if reason == .shuttingDown {
                avoidedUntil[flight.channel] = now.uptime + Self.avoidance
                moveOn(id, from: flight.channel, now: now.uptime)
            }
            scheduleResend(id, after: min(retryAfter, 5_000_000) * 1000, now: now.uptime)
        case nil:
            counters.connectionFailures += 1
            avoidedUntil[flight.channel] = now.uptime + Self.avoidance
            moveOn(id, from: flight.channel, now: now.uptime)
            scheduleResend(id, after: 0, now: now.uptime)
        case .account, .status, .read, .stamps:
            // Not an answer to what was asked: a gateway that lies is treated as one that is silent.
            return
        }
        pump(now: now)
    }

    private mutating func moveOn(_ id: UInt64, from channel: Int, now: UInt64) {
        let next = self.channel(after: channel, now: now)
        flights[id]?.channel = next
    }

    /// The next one whose connection has not just failed; the next of all if there is none.
    private func channel(after channel: Int, now: UInt64) -> Int {
        let others = (1...configuration.channels).map { (channel + $0) % configuration.channels }
        return others.first { avoidedUntil[$0] <= now } ?? others[0]
    }

    private let backoff = Backoff(base: .milliseconds(4), cap: .seconds(1))

    /// Backs off on top of what the gateway asked for.
    private mutating func scheduleResend(_ id: UInt64, after hint: UInt64, now: UInt64) {
        guard let flight = flights[id], flight.resendAt == nil else { return }
        let delay = backoff.delay(attempt: flight.sends, using: &random)
        flights[id]?.resendAt = now + hint + delay
    }

    /// Call every few milliseconds.
    public mutating func tick(now: Instant) {
        account(now: now.uptime)
        defer {
            tryAgain(now: now)
            pump(now: now)
        }
        if pacing != nil {
            guard now.uptime >= nextLook else { return }
            nextLook = now.uptime + UInt64(ids.count) * Self.lookPause
        }
        ids.removeAll { flights[$0] == nil }
        for id in ids {
            guard let flight = flights[id] else { continue }
            if now.uptime >= flight.giveUpAt {
                giveUp(
                    id, flight,
                    why: "no certified answer until \(configuration.patience / 1_000_000_000) s after the deadline",
                    now: now)
            } else if let resendAt = flight.resendAt {
                if now.uptime >= resendAt { resend(id, flight, channel: flight.channel, now: now.uptime) }
            } else if now.uptime >= flight.sentAt + configuration.silence {
                resend(id, flight, channel: channel(after: flight.channel, now: now.uptime), now: now.uptime)
            }
        }
    }

    // MARK: Calls that died

    private let callBackoff = Backoff(base: .milliseconds(32), cap: .milliseconds(500))

    /// Its number stays open for the attempt that continues it; the one before has done its duty.
    private mutating func rest(_ id: UInt64, _ flight: Flight, now: UInt64) {
        counters.deaths += 1
        flights[id] = nil
        if let continued = flight.continued { forget(continued, of: flight.work.principal) }
        var died = flight
        died.deaths += 1
        let pause = callBackoff.delay(attempt: flight.deaths, using: &random)
        resting.append(Resting(flight: died, until: now + pause))
    }

    private mutating func tryAgain(now: Instant) {
        let due = resting.filter { $0.until <= now.uptime }
        guard !due.isEmpty else { return }
        resting.removeAll { $0.until <= now.uptime }
        for flight in due.map(\.flight) {
            let principal = flight.work.principal
            var died: Flight? = flight
            if !numbers[principal].hasRoom {
                // The number that is kept is itself what leaves no room: younger is better than never.
                forget(flight.number, of: principal)
                died = nil
            }
            guard numbers[principal].hasRoom else {
                numbers[principal].held.append((flight.work, flight.startedAt))
                heldCount += 1
                continue
            }
            let channel = channel(for: principal, now: now.uptime)
            start(flight.work, legs: flight.legs, since: flight.startedAt, channel: channel, now: now, after: died)
        }
    }

    /// Whether the call died for want of a lock, and there is time to try it again. Tells the source of the answer
    /// otherwise, if there is one.
    private mutating func isToRest(_ flight: Flight, _ receipt: Receipt, now: UInt64) -> Bool {
        guard let invocation = flight.request.request.rootCall else { return false }
        let home = map.shard(of: invocation.target)
        switch receipt.status(at: home) {
        case .failed(let failure)?:
            if failure.isToBeTriedAgain, now < flight.startedAt + configuration.lifetime * 1000 { return true }
            source.answered(flight.work, .failed(failure))
        case .returned(let bytes, _)?: source.answered(flight.work, .returned(bytes))
        default: break
        }
        return false
    }

    private mutating func resend(_ id: UInt64, _ flight: Flight, channel: Int, now: UInt64) {
        var flight = flight
        flight.sends += 1
        (flight.sentAt, flight.resendAt, flight.channel) = (now, nil, channel)
        flights[id] = flight
        counters.resent += 1
        outbox.append(Outgoing(id: id, channel: channel, request: flight.request))
    }

    private func microseconds(_ flight: Flight, _ now: Instant) -> UInt64 {
        (now.uptime - min(now.uptime, flight.startedAt)) / 1000
    }

    private mutating func giveUp(_ id: UInt64, _ flight: Flight, why: String, now: Instant) {
        for leg in flight.legs {
            source.completed(
                flight.work, leg: leg, outcome: .unknown(why), microseconds: microseconds(flight, now), now: now)
        }
        close(id, flight)
        source.finished(flight.work, now: now)
        startHeld(of: flight.work.principal, now: now)
    }

    private mutating func close(_ id: UInt64, _ flight: Flight) {
        flights[id] = nil
        forget(flight.number, of: flight.work.principal)
        if let continued = flight.continued { forget(continued, of: flight.work.principal) }
        numbers[flight.work.principal].order.end(RequestNumber(flight.number))
    }

    /// The number's outcome is known, or of no interest.
    private mutating func forget(_ number: UInt64, of principal: Int) {
        if let position = numbers[principal].open.firstIndex(of: number) {
            numbers[principal].open.remove(at: position)
        }
    }

    /// Starts what waited for a number of this principal, in its order.
    private mutating func startHeld(of principal: Int, now: Instant) {
        while numbers[principal].hasRoom, let (work, since) = numbers[principal].held.popFirst() {
            heldCount -= 1
            begin(work, since: since, now: now)
        }
    }

    /// Checks the certificates and takes the outcomes.
    private mutating func settle(_ id: UInt64, _ flight: Flight, _ receipt: Receipt, now: Instant) {
        guard receipt.request.digest == flight.request.digest, isValid(receipt) else {
            counters.invalidReceipts += 1
            moveOn(id, from: flight.channel, now: now.uptime)
            return scheduleResend(id, after: 0, now: now.uptime)
        }
        var outcomes: [LegOutcome?] = []
        for leg in flight.legs.indices {
            switch receipt.decision(ofLeg: leg, in: map) {
            case .commit: outcomes.append(.committed)
            case .abort(let reason):
                let expired = reason == .participantAborted && Self.hasNoRecord(receipt, leg: leg)
                outcomes.append(expired ? nil : .aborted(reason))
            case nil where receipt.isBeyondProof(leg: leg, in: map):
                outcomes.append(.unknown("its number was acknowledged by another client of the same principal"))
            case nil:
                counters.invalidReceipts += 1
                return scheduleResend(id, after: 0, now: now.uptime)
            }
        }
        if isToRest(flight, receipt, now: now.uptime) { return rest(id, flight, now: now.uptime) }
        var again: [Int] = []
        for (leg, outcome) in zip(flight.legs, outcomes) {
            guard let outcome else {
                again.append(leg)
                continue
            }
            source.completed(flight.work, leg: leg, outcome: outcome, microseconds: microseconds(flight, now), now: now)
        }
        close(id, flight)
        if again.isEmpty {
            source.finished(flight.work, now: now)
        } else {
            counters.newAttempts += 1
            start(flight.work, legs: again, since: flight.startedAt, channel: flight.channel, now: now)
        }
        startHeld(of: flight.work.principal, now: now)
    }

    /// The request is the client's own, so only the certificates are checked; one attestation covers a whole batch
    /// and is checked once.
    private mutating func isValid(_ receipt: Receipt) -> Bool {
        for certificate in receipt.certificates {
            guard certificate.leaf.request == receipt.request.digest, checker.isGenuine(certificate) else {
                return false
            }
        }
        return true
    }

    private static func hasNoRecord(_ receipt: Receipt, leg: Int) -> Bool {
        receipt.certificates.contains { $0.leaf.status(ofLeg: UInt16(leg)) == .noRecordAbort }
    }
}

extension Receipt {
    /// Of a root call: only home's word counts.
    fileprivate func status(at home: ShardID) -> LegStatus? {
        certificates.lazy.filter { $0.shard == home }.compactMap { $0.leaf.status(ofLeg: 0) }.first
    }
}
