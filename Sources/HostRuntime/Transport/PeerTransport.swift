import CoreMetrics
import Cores
import Logging
import Messages
import NIOCore
import ShardState
import Transport

/// What a host's transport reports. Nothing in it was verified beyond who sent it.
package enum TransportEvent: Sendable {
    case peer(HostID, HostMessage)
    case gateway(SessionID, GatewayMessage)
    case gatewayClosed(SessionID)
    /// Messages to this host leave from now on.
    case peerConnected(HostID)
    case peerDisconnected(HostID)
}

/// A host's sessions: it connects to every peer for sending, and accepts every peer for receiving, so that neither
/// side has to choose between two connections. Gateways and tools connect to it for both.
package final class PeerTransport: Sendable {
    private enum Outbound: Sendable {
        case toHosts([HostReady.Outgoing])
        case toGateways([HostReady.Reply])
        case pause([SessionID])
        case raw(HostID, [UInt8])
    }

    /// Where the host listens.
    package let port: Int
    package let counters: RuntimeCounters
    private let outbound: Mailbox<Outbound>
    private let core: NIOLoopBound<TransportCore>
    private var loop: any EventLoop { outbound.loop }

    /// Listens. `connect` comes second, because tests know the ports only then.
    /// - Parameter events: called on `loop` with what has arrived together.
    package static func listen(
        manifest: Manifest, host: HostID, seed: [UInt8], at address: HostAddress, options: TransportOptions = .init(),
        counters: RuntimeCounters = .init(), logger: Logger, on loop: any EventLoop,
        events: @escaping @Sendable ([TransportEvent]) -> Void
    ) async throws -> PeerTransport {
        let (core, port) = try await loop.flatSubmit {
            do {
                let core = try TransportCore(
                    manifest: manifest, host: host, seed: seed, options: options, counters: counters, logger: logger,
                    loop: loop,
                    events: events)
                let bound = NIOLoopBound(core, eventLoop: loop)
                return core.acceptor.listen(address: address.address, port: address.port).map { (bound, $0) }
            } catch {
                return loop.makeFailedFuture(error)
            }
        }.get()
        return PeerTransport(core: core, port: port, counters: counters, loop: loop)
    }

    private init(core: NIOLoopBound<TransportCore>, port: Int, counters: RuntimeCounters, loop: any EventLoop) {
        (self.core, self.port, self.counters) = (core, port, counters)
        outbound = Mailbox(on: loop) { batch in
            for element in batch {
                switch element {
                case .toHosts(let messages): core.value.send(messages)
                case .toGateways(let replies): core.value.send(replies)
                case .pause(let sessions): for session in sessions { core.value.acceptor.pause(session) }
                case .raw(let host, let frame): core.value.send(raw: frame, to: host)
                }
            }
            core.value.flush()
        }
    }

    /// Starts to connect to all other hosts, for ever.
    /// - Parameter addresses: by host; nil for the manifest's.
    package func connect(to addresses: [HostAddress]? = nil) {
        let core = core
        loop.execute { core.value.connect(addresses) }
    }

    /// Encodes each message once, and flushes each connection once for all that was handed over together.
    package func send(_ messages: [HostReady.Outgoing]) {
        if !messages.isEmpty { outbound.post(.toHosts(messages)) }
    }
    package func send(_ replies: [HostReady.Reply]) {
        if !replies.isEmpty { outbound.post(.toGateways(replies)) }
    }
    /// Hands over all three together, so that the sockets' thread is woken once.
    /// - Parameter pauses: as `pause` has it.
    func send(_ messages: [HostReady.Outgoing], _ replies: [HostReady.Reply], pausing pauses: [SessionID]) {
        var all: [Outbound] = []
        if !messages.isEmpty { all.append(.toHosts(messages)) }
        if !replies.isEmpty { all.append(.toGateways(replies)) }
        if !pauses.isEmpty { all.append(.pause(pauses)) }
        outbound.post(contentsOf: all)
    }
    /// Nothing is read from these sessions for a while.
    package func pause(_ sessions: [SessionID]) {
        if !sessions.isEmpty { outbound.post(.pause(sessions)) }
    }
    /// Any bytes as one frame: for tests of the other side.
    package func send(raw frame: [UInt8], to host: HostID) { outbound.post(.raw(host, frame)) }

    /// To which hosts messages leave now; without the host itself. Nil if it is stopping.
    func connected() async -> [HostID: Bool]? {
        let core = core
        return try? await loop.submit { core.value.connected }.get()
    }

    package func stop() async {
        let core = core
        try? await loop.submit { core.value.stop() }.get()
    }
}

/// The part of the transport that lives on its loop.
final class TransportCore {
    let acceptor: Acceptor
    private let manifest: Manifest
    private let host: HostID
    private let tls: SessionTLS
    private let options: TransportOptions
    private let counters: RuntimeCounters
    private let loop: any EventLoop
    private let log: LimitedLog
    private let logger: Logger
    private let events: @Sendable ([TransportEvent]) -> Void
    /// By host; nil for this host itself and before `connect`.
    private var links: [Link?]
    private var unflushed: Set<SessionID> = []
    private var encoder = FrameEncoder()
    private var sent: SentMessages

    init(
        manifest: Manifest, host: HostID, seed: [UInt8], options: TransportOptions, counters: RuntimeCounters,
        logger: Logger,
        loop: any EventLoop, events: @escaping @Sendable ([TransportEvent]) -> Void
    ) throws {
        (self.manifest, self.host, self.options, self.counters) = (manifest, host, options, counters)
        (self.loop, self.events, self.logger) = (loop, events, logger)
        tls = try SessionTLS(seed: seed)
        sent = SentMessages(registry: counters.registry)
        log = LimitedLog(logger)
        links = Array(repeating: nil, count: manifest.hosts.count)
        acceptor = Acceptor(
            manifest: manifest, host: host, tls: tls, options: options, loop: loop, counters: counters, log: log)
        // What a gateway has brought comes again in the primary's proposal.
        let submitted = RequestMemory()
        acceptor.onPeerFrames = { peer, frames in
            Self.deliver(frames, events) {
                TransportEvent.peer(peer, try HostMessage(decoding: $0, memory: submitted))
            }
        }
        acceptor.onGatewayFrames = { session, frames in
            Self.deliver(frames, events) {
                let message = try GatewayMessage(decoding: $0)
                if case .submit(_, let request) = message { submitted.note(request) }
                return TransportEvent.gateway(session, message)
            }
        }
        acceptor.onGatewayClosed = { events([.gatewayClosed($0)]) }
    }

    /// Delivers what stands before a frame that is no message; false if there is one.
    private static func deliver(
        _ frames: [[UInt8]], _ events: ([TransportEvent]) -> Void, _ decode: ([UInt8]) throws -> TransportEvent
    ) -> Bool {
        var decoded: [TransportEvent] = []
        decoded.reserveCapacity(frames.count)
        for frame in frames {
            guard let event = try? decode(frame) else { break }
            decoded.append(event)
        }
        if !decoded.isEmpty { events(decoded) }
        return decoded.count == frames.count
    }

    func connect(_ addresses: [HostAddress]?) {
        let hello = Hello(
            cluster: manifest.cluster, epoch: manifest.epoch,
            sender: .host(host, procedures: ProcedureRegistry.fingerprint(of: options.procedures)))
        for (index, peer) in manifest.hosts.enumerated() where index != Int(host.number) && links[index] == nil {
            let id = HostID(UInt16(index))
            let link = Link(
                to: id, at: addresses?[index] ?? HostAddress(address: peer.address, port: peer.port),
                key: peer.publicKey, tls: tls,
                // Nothing comes back on a session that only sends.
                hello: hello, frameLimit: 1, outboundLimit: options.maxOutboundPerHost, options: options, loop: loop,
                counters: counters, log: log)
            link.onUp = { [events, logger] in
                logger.info("session with host \(id)", metadata: ["peer": .stringConvertible(id.number)])
                events([.peerConnected(id)])
            }
            link.onDown = { [events] in events([.peerDisconnected(id)]) }
            links[index] = link
            link.connect()
        }
    }

    var connected: [HostID: Bool] {
        Dictionary(uniqueKeysWithValues: links.compactMap { link in link.map { ($0.host, $0.isUp) } })
    }

    func send(_ messages: [HostReady.Outgoing]) {
        for outgoing in messages {
            let frame = encoder.frame(outgoing.message)
            sent.note(outgoing.message.sentKind, size: frame.size, copies: outgoing.to.count)
            for host in outgoing.to where links.indices.contains(Int(host.number)) {
                guard let link = links[Int(host.number)] else { counters.notConnected.increment(); continue }
                link.send(frame)
            }
        }
    }

    func send(_ replies: [HostReady.Reply]) {
        for reply in replies {
            let frame = encoder.frame(withMetrics(reply.reply))
            sent.note(reply.reply.sentKind, size: frame.size, copies: reply.to.count)
            for session in reply.to {
                acceptor.send(frame, to: session)
                unflushed.insert(session)
            }
        }
    }

    private func withMetrics(_ reply: HostReply) -> HostReply {
        guard case .status(let id, let replicas, _) = reply else { return reply }
        return .status(id: id, replicas, metrics: counters.samples)
    }

    func send(raw frame: [UInt8], to host: HostID) { links[Int(host.number)]?.send(EncodedFrame(raw: frame)) }

    func flush() {
        for link in links { link?.flush() }
        for session in unflushed { acceptor.flush(session) }
        unflushed.removeAll(keepingCapacity: true)
        sent.flush()
    }

    func stop() {
        acceptor.stop()
        for link in links { link?.stop() }
    }
}
