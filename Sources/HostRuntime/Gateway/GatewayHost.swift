import Gateway
import CoreMetrics
import Cores
import Logging
import Messages
import Meter
import NIOCore
import Transport

/// How a gateway runs.
public struct GatewayRuntimeOptions: Sendable {
    /// The core's own bounds. `maxSessions` is overwritten with `clients.maxClients`.
    public var core = GatewayOptions()
    /// For the sessions with the hosts.
    public var transport = TransportOptions()
    /// For the connections of clients, and the address on which they are accepted.
    public var clients = GatewayClientOptions()
    /// Threads that check signatures, 1 or more.
    public var verifierThreads = 1
    /// What may wait for them: of one client or host 32 MiB, of all hosts 128 MiB, of all clients 64 MiB.
    public var verifying = {
        var limits = VerifyingLimits()
        (limits.bytesPerSource, limits.ordinaryBytes) = (32 << 20, 64 << 20)
        return limits
    }()
    /// How often the core's timers are looked at; none is more exact than this.
    public var tickMilliseconds = 5
    /// When a client that was turned away before the gateway saw its request should come back.
    public var retryAfterMicroseconds: UInt64 = 50_000

    /// Requests of which the gateway keeps stamps, for whoever asks: none.
    public var traces = TraceSampling.off
    /// Who sees what clients ask and are answered; nil for nobody.
    public var observer: GatewayObserver?

    /// One verifier and a tick of 5 ms, on loopback.
    public init() {}
}

/// One gateway, running in this process: clients on a port, in TLS or plain TCP, a session to every host.
public final class GatewayHost: Sendable {
    /// Where it listens for clients.
    public let port: Int
    /// The cluster that it serves.
    public let manifest: Manifest
    /// What it counts; a client that asks for its status gets the same.
    public var metrics: MetricsRegistry { counters.registry }
    package let counters: RuntimeCounters
    /// A port of HTTPS beside it has closed a connection before TLS.
    package func noteRefusedHandshake() { counters.refusedHandshakes.increment() }
    private let threads: RuntimeThreads
    private let engine: NIOLoopBound<GatewayEngine>
    private let logger: Logger

    /// - Parameters:
    ///   - port: 0 for any.
    ///   - addresses: of the hosts, by host; nil for the manifest's.
    public static func start(
        manifest: Manifest, port: Int, addresses: [HostAddress]? = nil, options: GatewayRuntimeOptions = .init(),
        logger: Logger
    ) async throws -> GatewayHost {
        var logger = logger
        logger[metadataKey: "cluster"] = "\(manifest.cluster.hex)"
        let threads = RuntimeThreads(verifiers: options.verifierThreads, storage: false)
        let counters = RuntimeCounters()
        counters.note(manifest)
        let loop = threads.io
        do {
            let tls = try SessionTLS.ephemeral()
            let seed = UInt64.random(in: .min ... .max)
            let (engine, bound) = try await loop.flatSubmit { [logger] in
                let engine = GatewayEngine(
                    manifest: manifest, tls: tls, seed: seed, options: options, threads: threads, counters: counters,
                    logger: logger)
                let loopBound = NIOLoopBound(engine, eventLoop: loop)
                return engine.clients.listen(port: port).map { (loopBound, $0) }
            }.get()
            try await loop.submit { engine.value.start(addresses) }.get()
            let place = HostAddress(address: options.clients.address, port: bound)
            logger.info(
                "gateway of cluster \(manifest.cluster.short) listens on \(place)\(options.clients.tls == nil ? ", in plain TCP" : ", in TLS 1.3")"
            )
            return GatewayHost(
                manifest: manifest, port: bound, counters: counters, threads: threads, engine: engine, logger: logger)
        } catch {
            await threads.stop()
            throw error
        }
    }

    private init(
        manifest: Manifest, port: Int, counters: RuntimeCounters, threads: RuntimeThreads,
        engine: NIOLoopBound<GatewayEngine>, logger: Logger
    ) {
        (self.manifest, self.port, self.counters, self.threads) = (manifest, port, counters, threads)
        (self.engine, self.logger) = (engine, logger)
    }

    /// What it holds, and with whom it is connected; nil if it is stopping.
    public func health() async -> GatewayHealth? {
        let engine = engine
        return try? await threads.io.submit { engine.value.health }.get()
    }

    /// Takes nothing new: accepts no connection, and answers requests and reads with `shuttingDown`. Returns when
    /// everything that clients wait for has been answered, or after `limit`. `stop` comes next.
    /// - Returns: whether all was answered.
    @discardableResult public func drain(limit: Duration) async -> Bool {
        let engine = engine
        let end = ContinuousClock.now + limit
        try? await threads.io.submit { engine.value.startDraining() }.get()
        // What is being checked is not known to the core yet: one look may be too early.
        var quietLooks = 0
        while quietLooks < 3 {
            let isDue = (try? await threads.io.submit { engine.value.isAnswerDue }.get()) ?? false
            quietLooks = isDue ? 0 : quietLooks + 1
            guard ContinuousClock.now < end else { return !isDue }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return !isDue }
        }
        return true
    }

    /// Whether `drain` was called.
    public func isDraining() async -> Bool {
        let engine = engine
        return (try? await threads.io.submit { engine.value.isDraining }.get()) ?? true
    }

    /// Its core as it is now; nil once it is stopped.
    /// - Parameter limit: how many undecided requests are named.
    package func look(limit: Int) async -> GatewayLook? {
        let engine = engine
        return try? await threads.io.submit { engine.value.look(limit: limit) }.get()
    }

    /// What it has stamped of traced requests; nil if it traces nothing, is asked too often, or is stopped.
    package func stamps(_ query: StampQuery) async -> StampAnswer? {
        let engine = engine
        return try? await threads.io.submit { engine.value.stamps(query) }.get()
    }

    /// Closes all connections and ends the threads. A client whose request was under way asks another gateway.
    public func stop() async {
        let engine = engine
        try? await threads.io.submit { engine.value.stop() }.get()
        await threads.stop()
        logger.info("stopped")
    }
}

/// The gateway's part that lives on its loop: the core, its clients and its hosts share it, which saves two hops a
/// request.
final class GatewayEngine {
    let clients: ClientAcceptor
    private let manifest: Manifest
    private let tls: SessionTLS
    private let options: GatewayRuntimeOptions
    private let loop: any EventLoop
    private let counters: RuntimeCounters
    private let counted: GatewayCounters
    private let log: LimitedLog
    private let logger: Logger
    private(set) var isDraining = false
    private var core: GatewayCore
    private var ready = GatewayReady()
    private var links: [Link] = []
    private var inbox: Mailbox<GatewayEvent>?
    private var inbound: GatewayInbound?
    private var ticker: RepeatedTask?
    private var encoder = FrameEncoder()
    private var sent: SentMessages
    /// Nil unless requests are traced.
    private let ring: StampRing?
    private var requestTimes: RequestTimes

    init(
        manifest: Manifest, tls: SessionTLS, seed: UInt64, options: GatewayRuntimeOptions, threads: RuntimeThreads,
        counters: RuntimeCounters, logger: Logger
    ) {
        (self.manifest, self.tls, self.options, self.counters) = (manifest, tls, options, counters)
        counted = GatewayCounters(registry: counters.registry)
        sent = SentMessages(registry: counters.registry)
        requestTimes = RequestTimes(registry: counters.registry, map: manifest.shardMap)
        ring = StampRing(options.traces)
        loop = threads.io
        (log, self.logger) = (LimitedLog(logger), logger)
        clients = ClientAcceptor(options: options.clients, loop: threads.io, counters: counters, log: log)
        var coreOptions = options.core
        coreOptions.maxSessions = max(1, options.clients.maxClients)
        core = GatewayCore(manifest: manifest, options: coreOptions, seed: seed)
        let bound = NIOLoopBound(self, eventLoop: loop)
        let inbox = Mailbox<GatewayEvent>(on: loop) { bound.value.run($0) }
        let inbound = GatewayInbound(
            manifest: manifest, threads: threads, limits: options.verifying, clients: coreOptions.maxSessions,
            counters: counters, ring: ring
        ) { inbox.post(contentsOf: $0) }
        (self.inbox, self.inbound) = (inbox, inbound)
        clients.onMessages = { bound.value.receive($1, from: $0) }
        clients.onClosed = { session in
            bound.value.requestTimes.close(session)
            inbound.clientClosed(session)
        }
    }

    var health: GatewayHealth {
        GatewayHealth(
            status: core.status, clients: clients.count, connected: links.map(\.isUp), openBreakers: core.openBreakers)
    }

    func start(_ addresses: [HostAddress]?) {
        guard let inbox, let inbound else { return }
        let hello = Hello(cluster: manifest.cluster, epoch: manifest.epoch, sender: .gateway)
        links = manifest.hosts.enumerated().map { index, host in
            let id = HostID(UInt16(index))
            let link = Link(
                to: id, at: addresses?[index] ?? HostAddress(address: host.address, port: host.port),
                key: host.publicKey, tls: tls,
                hello: hello, frameLimit: options.transport.maxHostFrame,
                outboundLimit: options.transport.maxOutboundPerHost,
                options: options.transport, loop: loop, counters: counters, log: log)
            link.onUp = { inbox.post(.input(.hostConnected(id))) }
            link.onDown = { inbox.post(.input(.hostDisconnected(id))) }
            link.onFrames = { [counters] frames in
                let areReplies = inbound.receive(frames, from: id)
                if !areReplies { counters.undecodable.increment() }
                return areReplies
            }
            link.connect()
            return link
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        let period = TimeAmount.milliseconds(Int64(options.tickMilliseconds))
        ticker = loop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.run([.input(.tick)])
        }
    }

    private func run(_ events: [GatewayEvent]) {
        let now = Clock.now()
        for event in events {
            switch event {
            case .input(let input): step(input, now: now)
            case .reject(let client, let id, let reason):
                counted.noteRejected(reason)
                let reply = GatewayReply.rejected(
                    id: id, reason, retryAfterMicroseconds: options.retryAfterMicroseconds)
                send(reply, to: client)
            }
        }
        carryOut()
    }

    func startDraining() {
        isDraining = true
        clients.stopListening()
    }

    /// A client that is connected waits for something.
    var isAnswerDue: Bool { core.isAnswerDue }

    /// Refuses what is new.
    /// - Returns: what is no work: whoever asks how the gateway is learns it to the end.
    private func refuse(_ messages: [ClientMessage], from session: SessionID) -> [ClientMessage] {
        messages.filter { message in
            switch message {
            case .status, .stamps: return true
            case .submit, .account, .read:
                counted.noteRejected(.shuttingDown)
                let retryAfter = options.retryAfterMicroseconds
                send(.rejected(id: message.id, .shuttingDown, retryAfterMicroseconds: retryAfter), to: session)
                return false
            }
        }
    }

    /// Requests go to the core at once; it says which are to be checked first.
    private func receive(_ messages: [ClientMessage], from session: SessionID) {
        let messages = isDraining ? refuse(messages, from: session) : messages
        if let ring { for message in messages { ring.noteReceived(message) } }
        var others: [ClientMessage] = []
        let now = Clock.now()
        for message in messages {
            if case .submit(let id, let request) = message {
                requestTimes.begin(request.request, id: id, of: session, at: now.uptime)
                step(.submitted(session, id: id, request), now: now)
            } else {
                others.append(message)
            }
        }
        inbound?.receive(others, from: session)
        carryOut()
    }

    private func step(_ input: GatewayInput, now: Instant) {
        guard !answersStamps(input) else { return }
        let checks = ready.checks.count
        core.step(input, now: now, into: &ready)
        // Not looked at here: the phase is over.
        if let ring, case .submitted(_, _, let request) = input, ready.checks.count == checks {
            ring.note(.gatewayVerified, request)
        }
    }

    /// Questions about stamps end here, where requests are traced.
    private func answersStamps(_ input: GatewayInput) -> Bool {
        guard let ring, case .client(let session, let message) = input, case .stamps(let id, let query) = message.value
        else { return false }
        if let answer = ring.answer(query, now: Clock.now()) { send(.stamps(id: id, answer), to: session) }
        return true
    }

    private func carryOut() {
        ring?.note(ready)
        for outgoing in ready.toHosts {
            let frame = encoder.frame(outgoing.message)
            sent.note(outgoing.message.sentKind, size: frame.size, copies: outgoing.to.count)
            for host in outgoing.to where links.indices.contains(Int(host.number)) {
                links[Int(host.number)].send(frame)
            }
        }
        let saysOutcomes = logger.logLevel <= .debug
        for (client, reply) in ready.toClients {
            if saysOutcomes { sayOutcome(reply) }
            send(withMetrics(reply), to: client)
        }
        counted.add(ready.counts)
        inbound?.check(ready.checks)
        ready.removeAll()
        for link in links { link.flush() }
        clients.flush()
        sent.flush()
        options.observer?.notePending(requestTimes.count)
    }

    private func send(_ reply: GatewayReply, to client: SessionID) {
        if let answered = requestTimes.end(reply, of: client) {
            options.observer?.note(reply, answered)
        }
        let frame = encoder.frame(reply)
        sent.note(reply.sentKind, size: frame.size)
        clients.send(frame, to: client)
    }

    private func sayOutcome(_ reply: GatewayReply) {
        guard case .receipt(_, let receipt, let retries, let conflicts) = reply else { return }
        let request = receipt.request
        let txid = TransactionID(request: request.digest, mode: request.request.mode, leg: 0)
        logger.debug(
            "answered with a receipt",
            metadata: [
                "txid": "\(txid.hex)", "retries": .stringConvertible(retries),
                "conflicts": .stringConvertible(conflicts),
            ])
    }

    private func withMetrics(_ reply: GatewayReply) -> GatewayReply {
        guard case .status(let id, var status) = reply else { return reply }
        status.metrics = counters.samples
        return .status(id: id, status)
    }

    func look(limit: Int) -> GatewayLook { core.look(limit: limit) }

    func stamps(_ query: StampQuery) -> StampAnswer? { ring?.answer(query, now: Clock.now()) }

    func stop() {
        ticker?.cancel()
        clients.stop()
        for link in links { link.stop() }
        inbound?.stop()
        // They hold each other.
        (inbox, inbound) = (nil, nil)
        (clients.onMessages, clients.onClosed) = ({ _, _ in }, { _ in })
    }
}
