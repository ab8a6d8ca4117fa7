import Randomness
import Gateway
import Messages
import TwoPhaseCommit

/// A gateway: admits requests, sends them to the hosts, gathers what the shards certify, carries votes between them
/// and answers. Untrusted and deterministic; every map in it is bounded.
public struct GatewayCore: Sendable {
    enum TimerKey: Hashable, Sendable {
        case request(Digest)
        case question(UInt64)
    }

    let options: GatewayOptions
    let map: ShardMap
    var routing: GatewayRouting
    var admission: AdmissionQueue
    /// By shard.
    var breakers: [CircuitBreaker]
    /// By shard: from sending to its first word, and from the answer to the last word of a request across shards.
    var answerTimes: [ResponseTime]
    var settlingTimes: [ResponseTime]
    var evidence: EvidenceSet
    var entries: [Digest: GatewayEntry] = [:]
    /// Bytes of the requests that wait or are in flight, by the session that brought them.
    var held: FairShare<SessionID>
    var finished: FinishedRequests
    var settling = Settling()
    var followers = WaitingFollowers()
    var questions: GatewayQuestions
    /// By session that is open.
    var trust: [SessionID: SessionTrust] = [:]
    var forgeries = ForgeryBudget()
    /// Answers that a session waits for. A session that closed is not in it, so that its answers are dropped.
    var expecting: [SessionID: Int] = [:]
    var timers = TimerHeap<TimerKey>()
    var budget = RetryBudget()
    var jitter: SplitMix64
    /// Of this step: what leaves together.
    private var decided = DecidesToSend()
    var counters = GatewayStatus()

    /// - Parameter seed: of the jitter between attempts. Gateways with the same one would all come back at once.
    public init(manifest: Manifest, options: GatewayOptions = .init(), seed: UInt64) {
        self.options = options
        map = manifest.shardMap
        routing = GatewayRouting(manifest: manifest)
        breakers = Array(repeating: CircuitBreaker(limits: options.breaker), count: manifest.shardCount)
        answerTimes = Array(repeating: ResponseTime(), count: manifest.shardCount)
        settlingTimes = answerTimes
        admission = AdmissionQueue(shardCount: manifest.shardCount, limits: options.limits)
        questions = GatewayQuestions(manifest: manifest, options: options)
        evidence = EvidenceSet(manifest: manifest)
        held = FairShare(limit: options.maxHeldBytes, holders: options.maxSessions)
        finished = FinishedRequests(capacity: options.maxFinished, bytes: options.maxFinishedBytes)
        jitter = SplitMix64(seed: seed)
    }

    var manifest: Manifest { routing.manifest }

    /// The gateway's counters, as a client may ask for them.
    public var status: GatewayStatus {
        var status = counters
        (status.queued, status.inFlight) = (UInt64(admission.queued), UInt64(admission.inFlight))
        return status
    }

    /// Whether a client that is still connected waits for an answer.
    public var isAnswerDue: Bool { !expecting.isEmpty }
    /// Requests that are held for any reason.
    public var heldRequests: Int { entries.count }
    /// Bytes of those that have no answer yet.
    public var heldBytes: Int { held.total }

    /// Takes what has happened, and adds to `ready` what it asks for. Timers run only on `tick`.
    public mutating func step(_ input: GatewayInput, now: Instant, into ready: inout GatewayReady) {
        let before = ready.toHosts.count
        defer { sendDecided(at: before, into: &ready) }
        switch input {
        case .client(let session, let message):
            switch message.value {
            case .submit(let id, let request):
                submit(request, isChecked: true, for: .init(session: session, id: id), now: now, into: &ready)
            case .account(let id, let account):
                ask(.account(account), for: .init(session: session, id: id), now: now, into: &ready)
            case .read(let id, let subject, let nonce):
                ask(.read(subject, nonce: nonce), for: .init(session: session, id: id), now: now, into: &ready)
            case .status(let id): ready.toClients.append((session, .status(id: id, status)))
            // Stamps are the runtime's, which knows a clock.
            case .stamps(let id, _): ready.toClients.append((session, .stamps(id: id, .off)))
            }
        case .submitted(let session, let id, let request):
            submit(request, isChecked: false, for: .init(session: session, id: id), now: now, into: &ready)
        case .checked(let check, let verified): take(verified, of: check, now: now, into: &ready)
        case .checkDropped(let check): drop(check, into: &ready)
        case .clientClosed(let session):
            expecting[session] = nil
            trust[session] = nil
            questions.forget(session)
        case .host(let host, let reply):
            switch reply.value {
            case .attestation:
                guard let attestation = reply.attestation else { break }
                for certificate in evidence.add(attestation) { note(certificate, now: now, into: &ready) }
            case .refused(let refusal): note(refusal, from: host, now: now, into: &ready)
            case .account(let id, let view):
                withQuestions(into: &ready) { $0.note(view, of: id, from: host, now: now, into: &$1) }
            case .read(let id, let answer):
                withQuestions(into: &ready) { $0.note(answer, of: id, from: host, now: now, into: &$1) }
            // Never asked for here.
            case .status, .audit, .stamps, .archive, .observation: break
            }
        case .hostConnected(let host):
            routing.note(host, isConnected: true)
            probeShards(of: host, now: now)
        case .hostDisconnected(let host): routing.note(host, isConnected: false)
        case .tick:
            openBreakers(now: now, into: &ready)
            runTimers(now: now, into: &ready)
        }
        startAdmitted(now: now, into: &ready)
    }

    // MARK: Timers

    private mutating func runTimers(now: Instant, into ready: inout GatewayReady) {
        while let timer = timers.popDue(now.uptime) {
            switch timer.key {
            case .request(let digest):
                if entries[digest]?.timer == timer.serial { wake(digest, now: now, into: &ready) }
            case .question(let id): withQuestions(into: &ready) { $0.expire(id, now: now, into: &$1) }
            }
        }
        // Timers that were outlived go when they are due; this bounds them when deadlines are far.
        if timers.count > 4 * (entries.count + questions.count) + 1024 {
            let (entries, questions) = (entries, questions)
            timers.keep { timer in
                switch timer.key {
                case .request(let digest): entries[digest]?.timer == timer.serial
                case .question(let id): questions.isOpen(id)
                }
            }
        }
    }

    // MARK: Answers to clients

    mutating func expectAnswer(_ waiter: GatewayEntry.Waiter) { expecting[waiter.session, default: 0] += 1 }

    /// Sends an answer that the session waits for, unless it closed.
    mutating func deliver(_ reply: GatewayReply, to session: SessionID, into ready: inout GatewayReady) {
        guard let count = expecting[session] else { return }
        expecting[session] = count > 1 ? count - 1 : nil
        ready.toClients.append((session, reply))
    }

    mutating func countRejection(_ reason: GatewayRejection, into ready: inout GatewayReady) {
        counters.rejected += 1
        ready.counts.append(.rejected(reason))
    }

    mutating func reject(
        _ waiter: GatewayEntry.Waiter, _ reason: GatewayRejection, retryAfter microseconds: UInt64 = 0,
        into ready: inout GatewayReady
    ) {
        countRejection(reason, into: &ready)
        ready.toClients.append((waiter.session, .rejected(id: waiter.id, reason, retryAfterMicroseconds: microseconds)))
    }

    // MARK: Messages to hosts

    mutating func send(_ request: SignedRequest, to shards: [ShardID], into ready: inout GatewayReady) {
        for route in routing.routes(to: shards) {
            ready.toHosts.append(.init(to: route.hosts, message: .submit(route.shards, request)))
        }
    }

    mutating func send(_ evidence: CallEvidence, to shards: [ShardID], into ready: inout GatewayReady) {
        for route in routing.routes(to: shards) {
            ready.toHosts.append(.init(to: route.hosts, message: .evidence(route.shards, evidence)))
        }
    }

    /// With all others of this step for the same shards: one attestation may decide hundreds of requests.
    mutating func send(_ decide: TransactionDecide, to shards: [ShardID]) { decided.add(decide, to: shards) }

    /// Before what else this step has to say: what is decided frees what requests need.
    private mutating func sendDecided(at place: Int, into ready: inout GatewayReady) {
        guard !decided.isEmpty else { return }
        var outgoing: [GatewayReady.Outgoing] = []
        for (shards, decides) in decided.take() {
            for route in routing.routes(to: shards) {
                outgoing.append(.init(to: route.hosts, message: .decides(route.shards, decides)))
            }
        }
        ready.toHosts.insert(contentsOf: outgoing, at: place)
    }
}
