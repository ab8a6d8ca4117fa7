import HostCore
import Messages
import NIOCore
import NIOPosix
import ShardState

/// The listening side of a host: sessions of peers and of gateways. Lives on one event loop.
final class Acceptor {
    private let manifest: Manifest
    private let host: HostID
    private let tls: SessionTLS
    private let options: TransportOptions
    private let loop: any EventLoop
    private let counters: RuntimeCounters
    private let log: LimitedLog

    var onPeerFrames: (HostID, [[UInt8]]) -> Bool = { _, _ in false }
    var onGatewayFrames: (SessionID, [[UInt8]]) -> Bool = { _, _ in false }
    var onGatewayClosed: (SessionID) -> Void = { _ in }

    private var server: (any Channel)?
    private var unidentified: [ObjectIdentifier: Session] = [:]
    private var peers: [HostID: Session] = [:]
    private var gateways: [SessionID: Session] = [:]
    private var lastSession: UInt64 = 0
    private var isStopped = false

    init(
        manifest: Manifest, host: HostID, tls: SessionTLS, options: TransportOptions, loop: any EventLoop,
        counters: RuntimeCounters, log: LimitedLog
    ) {
        (self.manifest, self.host, self.tls, self.options) = (manifest, host, tls, options)
        (self.loop, self.counters, self.log) = (loop, counters, log)
    }

    /// - Returns: the port, which differs from the one asked for only if that was 0.
    func listen(address: String, port: Int) -> EventLoopFuture<Int> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.accept(channel) }
            }
            .bind(host: address, port: port)
            .map { channel in
                bound.value.server = channel
                return channel.localAddress?.port ?? port
            }
            .flatMapErrorThrowing { throw ListenFailure(address: HostAddress(address: address, port: port), reason: "\($0)") }
    }

    private func accept(_ channel: any Channel) throws {
        guard !isStopped, unidentified.count < options.maxUnidentified else {
            counters.add(to: \.refusedSessions)
            throw Session.Ended.refused("too many connections without a greeting")
        }
        try Session.configure(channel, options)
        let session = Session(
            .accepting(admit: { [unowned self] in admit($0, $1, $2) }), frameLimit: 0,
            outboundLimit: options.maxOutboundPerGateway, options: options)
        let id = ObjectIdentifier(session)
        unidentified[id] = session
        session.onEnd = { [weak self] _, why in
            guard let self else { return }
            unidentified[id] = nil
            counters.add(to: \.refusedSessions)
            if case .closed = why { return }
            log.warning("a connection was not accepted", "\(why)")
        }
        try channel.pipeline.syncOperations.addHandlers(tls.serverHandler(), session)
    }

    private func admit(_ session: Session, _ hello: Hello, _ key: PublicKey) -> Result<Int, HelloRefusal> {
        guard hello.version == Hello.currentVersion else {
            return .failure(.version(theirs: hello.version, ours: Hello.currentVersion))
        }
        guard hello.cluster == manifest.cluster else { return .failure(.cluster(theirs: hello.cluster, ours: manifest.cluster)) }
        guard hello.epoch == manifest.epoch else { return .failure(.epoch(theirs: hello.epoch, ours: manifest.epoch)) }
        switch hello.sender {
        case .host(let peer, let procedures):
            guard peer != host, Int(peer.number) < manifest.hosts.count, manifest.hosts[Int(peer.number)].publicKey == key else {
                return .failure(.key(peer))
            }
            guard procedures == ProcedureRegistry.fingerprint(of: options.procedures) else {
                return .failure(.procedures(peer, ours: options.procedures))
            }
            admitted(session, peer)
            return .success(options.maxHostFrame)
        case .gateway:
            guard gateways.count < options.maxGateways else { return .failure(.tooManyGateways(limit: options.maxGateways)) }
            admittedGateway(session)
            return .success(options.maxGatewayFrame)
        }
    }

    private func admitted(_ session: Session, _ peer: HostID) {
        unidentified[ObjectIdentifier(session)] = nil
        // A peer that restarted connects again before this side notices that the old session is dead.
        let old = peers.updateValue(session, forKey: peer)
        session.onFrames = { [unowned self] _, frames in receivedFrames(onPeerFrames(peer, frames), "host \(peer)") }
        session.onEnd = { [weak self] session, why in
            guard let self else { return }
            if peers[peer] === session { peers[peer] = nil }
            if case .garbage = why { log.warning("closed the session of host \(peer)", "\(why)") }
        }
        old?.end(.stopped)
    }

    private func admittedGateway(_ session: Session) {
        unidentified[ObjectIdentifier(session)] = nil
        lastSession += 1
        let id = SessionID(lastSession)
        gateways[id] = session
        session.onFrames = { [unowned self] _, frames in receivedFrames(onGatewayFrames(id, frames), "gateway session") }
        session.onEnd = { [weak self] _, why in
            guard let self else { return }
            gateways[id] = nil
            if case .garbage = why { log.warning("closed a gateway's session", "\(why)") }
            onGatewayClosed(id)
        }
    }

    private func receivedFrames(_ areMessages: Bool, _ sender: String) -> Bool {
        if !areMessages { counters.add(to: \.undecodable) }
        return areMessages
    }

    /// False if the frame was dropped or the session is gone. `flush` sends.
    func send(_ frame: [UInt8], to gateway: SessionID) -> Bool { gateways[gateway]?.send(frame) ?? false }
    func flush(_ gateway: SessionID) { gateways[gateway]?.flush() }

    func stop() {
        isStopped = true
        server?.close(promise: nil)
        for session in Array(unidentified.values) + Array(peers.values) + Array(gateways.values) { session.end(.stopped) }
    }
}
