import ConnectionErrors
import Cores
import Logging
import Messages
import NIOCore
import NIOPosix
import Transport

/// Why a tool has no answer from a host.
public enum HostConnectionError: Error, Hashable, Sendable, CustomStringConvertible {
    case noSuchHost(HostID)
    case cannotConnect(HostID, String)
    case lost(HostID, String)
    case timeout(HostID)

    /// Which host, and what came between.
    public var description: String {
        switch self {
        case .noSuchHost(let host): "the manifest has no host \(host)"
        case .cannotConnect(let host, let why): "cannot connect to host \(host): \(why)"
        case .lost(let host, let why): "the session with host \(host) was lost: \(why)"
        case .timeout(let host): "host \(host) did not answer in time"
        }
    }
}

/// Messages as they leave, so that the same ones can be sent again and again at no cost.
public struct HostFrames: Sendable {
    fileprivate let bytes: ByteBuffer
    /// How many messages.
    public let count: Int

    /// Encodes the messages, in their order.
    public init(_ messages: [GatewayMessage]) {
        var bytes = ByteBuffer()
        var encoder = FrameEncoder()
        for message in messages { bytes.write(encoder.frame(message)) }
        (self.bytes, count) = (bytes, messages.count)
    }
}

/// A tool's session with one host. Every function throws `HostConnectionError`. Mutual TLS with a fresh key on this
/// side and the manifest's key on the other.
public final class HostConnection: Sendable {
    /// The other side, which has proven the key that the manifest has for it.
    public let host: HostID
    private let core: NIOLoopBound<HostConnectionCore>
    private let loop: any EventLoop

    /// - Parameters:
    ///   - address: nil for the manifest's.
    ///   - hear: what the host says of requests, on the connection's loop.
    public static func connect(
        to host: HostID, of manifest: Manifest, at address: HostAddress? = nil, options: TransportOptions = .init(),
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        hear: @escaping @Sendable (HostReply) -> Void = { _ in }
    ) async throws -> HostConnection {
        guard Int(host.number) < manifest.hosts.count else { throw HostConnectionError.noSuchHost(host) }
        let entry = manifest.hosts[Int(host.number)]
        let address = address ?? HostAddress(address: entry.address, port: entry.port)
        let hello = Hello(cluster: manifest.cluster, epoch: manifest.epoch, sender: .gateway)
        let loop = group.next()
        let opened = loop.makePromise(of: Void.self)
        do {
            let tls = try SessionTLS.ephemeral()
            let core = try await ClientBootstrap(group: loop)
                .connectTimeout(options.connectTimeout)
                .connect(host: address.address, port: address.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try Session.configure(channel, options)
                        let session = Session(
                            .connecting(hello), frameLimit: options.maxHostFrame,
                            outboundLimit: options.maxOutboundPerGateway,
                            options: options, counters: nil)
                        let core = HostConnectionCore(
                            session, host: host, loop: channel.eventLoop, opened: opened, hear: hear)
                        try channel.pipeline.syncOperations.addHandlers(
                            tls.clientHandler(expecting: entry.publicKey), session)
                        return NIOLoopBound(core, eventLoop: channel.eventLoop)
                    }
                }
            do {
                try await withTaskCancellationHandler {
                    try await opened.futureResult.get()
                } onCancel: {
                    opened.fail(CancellationError())
                }
            } catch {
                // Where the other side has not ended it: the caller does not wait any more.
                loop.execute { core.value.close() }
                throw error
            }
            return HostConnection(host: host, core: core, loop: loop)
        } catch {
            opened.fail(error)
            throw HostConnectionError.cannotConnect(host, NetworkFailure.text(error))
        }
    }

    private init(host: HostID, core: NIOLoopBound<HostConnectionCore>, loop: any EventLoop) {
        (self.host, self.core, self.loop) = (host, core, loop)
    }

    /// One entry for each replica that the host runs.
    public func status(timeout: Duration = .seconds(10)) async throws -> [ReplicaStatus] {
        try await report(timeout: timeout).replicas
    }

    /// The same with what the host counts.
    public func report(
        timeout: Duration = .seconds(10)
    ) async throws -> (replicas: [ReplicaStatus], metrics: [MetricSample]) {
        guard case .status(_, let replicas, let metrics) = try await call({ .status(id: $0) }, timeout) else {
            throw wrongKind
        }
        return (replicas, metrics)
    }

    /// Sums over the whole state of each replica; expensive.
    public func audit(timeout: Duration = .seconds(120)) async throws -> [ShardAudit] {
        guard case .audit(_, let audits) = try await call({ .audit(id: $0) }, timeout) else { throw wrongKind }
        return audits
    }

    /// Moments of traced requests, as this host saw them.
    public func stamps(_ query: StampQuery, timeout: Duration = .seconds(10)) async throws -> StampAnswer {
        guard case .stamps(_, let answer) = try await call({ .stamps(id: $0, query) }, timeout) else {
            throw wrongKind
        }
        return answer
    }

    /// How batches travelled, as this host saw it, and what is undecided at its replicas.
    public func observe(
        _ query: ObservationQuery, timeout: Duration = .seconds(10)
    ) async throws -> HostObservation {
        guard case .observation(_, let answer) = try await call({ .observe(id: $0, query) }, timeout) else {
            throw wrongKind
        }
        return answer
    }

    /// What this host has archived; nothing of it is checked.
    public func archive(_ query: ArchiveQuery, timeout: Duration = .seconds(10)) async throws -> ArchiveAnswer {
        guard case .archive(_, let answer) = try await call({ .archive(id: $0, query) }, timeout) else {
            throw wrongKind
        }
        return answer
    }

    /// What this host's replica holds now; nil if there is no such account.
    public func account(_ account: AccountID, timeout: Duration = .seconds(10)) async throws -> AccountView? {
        guard case .account(_, let view) = try await call({ .account(id: $0, account) }, timeout) else {
            throw wrongKind
        }
        return view
    }

    /// Sends messages, in addition to calls. Returns when the socket has taken them: a host that reads nothing holds
    /// the sender up.
    public func post(_ frames: HostFrames) async throws {
        let core = core
        do {
            try await loop.flatSubmit { core.value.post(frames) }.get()
        } catch let error as HostConnectionError {
            throw error
        } catch {
            throw HostConnectionError.lost(host, "\(error)")
        }
    }

    /// Ends the session. Calls that wait fail with `HostConnectionError.lost`.
    public func close() async {
        let core = core
        try? await loop.submit { core.value.close() }.get()
    }

    private var wrongKind: HostConnectionError { .lost(host, "a reply of another kind") }

    private func call(
        _ message: @escaping @Sendable (UInt64) -> GatewayMessage, _ timeout: Duration
    ) async throws -> HostReply {
        let core = core
        do {
            // Whoever is cancelled does not wait for the answer; it comes to nobody.
            let answer = loop.makePromise(of: HostReply.self)
            loop.flatSubmit { core.value.call(message, TimeAmount(timeout)) }.cascade(to: answer)
            return try await withTaskCancellationHandler {
                try await answer.futureResult.get()
            } onCancel: {
                answer.fail(CancellationError())
            }
        } catch let error as HostConnectionError {
            throw error
        } catch {
            throw HostConnectionError.lost(host, NetworkFailure.text(error))
        }
    }
}

/// The connection's part that lives on its loop: which call has which id.
private final class HostConnectionCore {
    private let session: Session
    private let host: HostID
    private let loop: any EventLoop
    private var waiting: [UInt64: EventLoopPromise<HostReply>] = [:]
    private var lastID: UInt64 = 0
    private var ended: HostConnectionError?
    private let hear: @Sendable (HostReply) -> Void
    private var encoder = FrameEncoder()

    init(
        _ session: Session, host: HostID, loop: any EventLoop, opened: EventLoopPromise<Void>,
        hear: @escaping @Sendable (HostReply) -> Void
    ) {
        (self.session, self.host, self.loop, self.hear) = (session, host, loop, hear)
        session.onOpen = { _ in opened.succeed(()) }
        session.onFrames = { [weak self] _, frames in self?.receive(frames) ?? false }
        session.onEnd = { [weak self] _, why in
            opened.fail(why)
            self?.end(.lost(host, "\(why)"))
        }
    }

    func call(_ message: (UInt64) -> GatewayMessage, _ timeout: TimeAmount) -> EventLoopFuture<HostReply> {
        if let ended { return loop.makeFailedFuture(ended) }
        lastID += 1
        let id = lastID
        let promise = loop.makePromise(of: HostReply.self)
        waiting[id] = promise
        let bound = NIOLoopBound(self, eventLoop: loop)
        let timer = loop.scheduleTask(in: timeout) {
            bound.value.waiting.removeValue(forKey: id)?.fail(HostConnectionError.timeout(bound.value.host))
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        if !session.send(encoder.frame(message(id))) {
            waiting.removeValue(forKey: id)?.fail(HostConnectionError.lost(host, "its buffer is full"))
        }
        session.flush()
        return promise.futureResult
    }

    /// Whole frames, so that calls may come between them.
    func post(_ frames: HostFrames) -> EventLoopFuture<Void> {
        guard let channel = session.channel else { return loop.makeFailedFuture(ended ?? .lost(host, "closed")) }
        return channel.writeAndFlush(frames.bytes)
    }

    private func receive(_ frames: [[UInt8]]) -> Bool {
        for frame in frames {
            guard let reply = try? HostReply(decoding: frame) else { return false }
            switch reply {
            case .account(let id, _), .status(let id, _, _), .audit(let id, _), .stamps(let id, _),
                .archive(let id, _), .observation(let id, _):
                waiting.removeValue(forKey: id)?.succeed(reply)
            case .attestation, .refused: hear(reply)
            case .read: continue
            }
        }
        return true
    }

    private func end(_ why: HostConnectionError) {
        ended = why
        let calls = waiting
        waiting = [:]
        for promise in calls.values { promise.fail(why) }
    }

    func close() { session.end(.stopped) }
}
