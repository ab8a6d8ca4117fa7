import CoreMetrics
import Cores
import Messages
import NIOCore
import ShardState
import Transport

/// The listening side of a host: sessions of peers and of gateways. Lives on one event loop.
///
/// Nobody can keep another out by holding connections. A connection is first one of those that have not said hello, of
/// which the oldest goes for a new one. The hosts of the manifest leave these as soon as they have proven their key,
/// and have a place each. A gateway or tool has a place until it is quiet and another one needs it; while none is,
/// further ones are let in as visitors for a short time, which is enough to ask how the host is.
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
    private var unidentified: [SessionID: Session] = [:]
    private var unidentifiedPlaces: Places<SessionID>
    private var handshakeRates: HandshakeRates
    /// Have proven the key of a host of the manifest, and not said hello.
    private var proven: [HostID: Session] = [:]
    private var peers: [HostID: Session] = [:]
    /// Visitors too.
    private var gateways: [SessionID: Session] = [:]
    private var gatewayPlaces: Places<SessionID>
    private var visitorPlaces: Places<SessionID>
    /// Of `gateways`, those that are read in turn.
    private var debtors: Debtors<SessionID>
    private var isTurnDue = false
    private let outbound: ByteRoom
    private let unfinished: ByteRoom
    private var lastSession: UInt64 = 0
    private var isStopped = false

    init(
        manifest: Manifest, host: HostID, tls: SessionTLS, options: TransportOptions, loop: any EventLoop,
        counters: RuntimeCounters, log: LimitedLog
    ) {
        (self.manifest, self.host, self.tls, self.options) = (manifest, host, tls, options)
        (self.loop, self.counters, self.log) = (loop, counters, log)
        unidentifiedPlaces = Places(limit: options.maxUnidentified, minimumQuiet: 0)
        handshakeRates = HandshakeRates(rate: options.maxHandshakesPerSecond)
        gatewayPlaces = Places(limit: options.maxGateways, minimumQuiet: UInt64(options.gatewayQuiet.nanoseconds))
        visitorPlaces = Places(limit: options.maxVisitors, minimumQuiet: 0)
        debtors = Debtors(pause: UInt64(options.vainPause.nanoseconds), reads: options.vainReads)
        let sessions = options.maxSessions
        outbound = ByteRoom(limit: options.maxOutboundToGateways, connections: sessions) {
            counters.mostOutbound.record($0)
        }
        unfinished = ByteRoom(limit: options.maxUnfinished, connections: sessions) {
            counters.mostUnfinished.record($0)
        }
    }

    /// - Returns: the port, which differs from the one asked for only if that was 0.
    func listen(address: String, port: Int) -> EventLoopFuture<Int> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return Listener.listen(
            at: HostAddress(address: address, port: port), on: loop, accept: { try bound.value.accept($0) },
            makeRoom: { bound.value.makeRoom() }
        ).map { channel in
            bound.value.server = channel
            return channel.localAddress?.port ?? port
        }
    }

    private func accept(_ channel: any Channel) throws {
        guard !isStopped else { throw Session.Ended.stopped }
        guard handshakeRates.admit(channel.peerNetwork, now: Clock.uptime()) else {
            counters.refusedHandshakes.increment()
            log.warning(
                "a connection was closed before TLS",
                "its address begins more than \(options.maxHandshakesPerSecond) handshakes a second")
            throw Session.Ended.refused("too many handshakes")
        }
        try Session.configure(channel, options)
        lastSession += 1
        let id = SessionID(lastSession)
        let door = Door()
        let session = Session(
            .accepting(admit: { [unowned self] in admit($0, id, $1, $2) }), frameLimit: 0,
            outboundLimit: options.maxOutboundPerGateway, options: options, counters: counters, door: door)
        switch unidentifiedPlaces.admit(id, from: channel.peerNetwork, now: Clock.uptime()) {
        case .admitted: break
        case .instead(let oldest): unidentified[oldest]?.end(.displaced)
        case .full: throw Session.Ended.displaced
        }
        unidentified[id] = session
        session.onProven = { [unowned self] session, key in proved(session, id, key) }
        session.onEnd = { [weak self] _, why in
            self?.leaveUnidentified(id)
            self?.refused(why)
        }
        try channel.pipeline.syncOperations.addHandlers(door, tls.serverHandler(), session)
    }

    private func leaveUnidentified(_ id: SessionID) {
        unidentified[id] = nil
        unidentifiedPlaces.remove(id)
    }

    private func refused(_ why: Session.Ended) {
        counters.refusedSessions.increment()
        switch why {
        case .closed: return
        case .displaced: counters.displacedSessions.increment()
        case .refused, .timeout, .resumed, .garbage, .failed, .stopped, .noRoom: break
        }
        log.warning("a connection was not accepted", "\(why)")
    }

    /// There are no descriptors left.
    private func makeRoom() -> Bool {
        log.warning(
            "no descriptors are left", every: 60,
            "connections that have not said hello, and visitors, are closed for new ones")
        if let oldest = unidentifiedPlaces.removeQuietest(now: Clock.uptime()) {
            unidentified[oldest]?.end(.displaced)
        } else if let visitor = visitorPlaces.removeQuietest(now: Clock.uptime()) {
            gateways[visitor]?.end(.displaced)
        } else {
            return false
        }
        return true
    }

    /// A host of the manifest does not have to compete with strangers any more, even before it has said hello. A new
    /// connection of the same host takes the place of the one before.
    private func proved(_ session: Session, _ id: SessionID, _ key: PublicKey) {
        guard let index = manifest.hosts.firstIndex(where: { $0.publicKey == key }), index != Int(host.number) else {
            return
        }
        leaveUnidentified(id)
        if let network = session.channel?.peerNetwork { handshakeRates.giveBack(network) }
        let peer = HostID(UInt16(index))
        let old = proven.updateValue(session, forKey: peer)
        session.onEnd = { [weak self] ended, why in
            guard let self else { return }
            if proven[peer] === ended { proven[peer] = nil }
            refused(why)
        }
        old?.end(.displaced)
    }

    /// Whichever of the two it was.
    private func leaveGreeting(_ session: Session, _ id: SessionID) {
        leaveUnidentified(id)
        // At most one of a few.
        for (peer, waiting) in proven where waiting === session { proven[peer] = nil }
    }

    private func admit(_ session: Session, _ id: SessionID, _ hello: Hello, _ key: PublicKey) -> Result<
        Int, HelloRefusal
    > {
        guard hello.version == Hello.currentVersion else {
            return .failure(.version(theirs: hello.version, ours: Hello.currentVersion))
        }
        guard hello.cluster == manifest.cluster else {
            return .failure(.cluster(theirs: hello.cluster, ours: manifest.cluster))
        }
        guard hello.epoch == manifest.epoch else { return .failure(.epoch(theirs: hello.epoch, ours: manifest.epoch)) }
        switch hello.sender {
        case .host(let peer, let procedures):
            guard peer != host, Int(peer.number) < manifest.hosts.count,
                manifest.hosts[Int(peer.number)].publicKey == key
            else {
                return .failure(.key(peer))
            }
            guard procedures == ProcedureRegistry.fingerprint(of: options.procedures) else {
                return .failure(.procedures(peer, ours: options.procedures))
            }
            admitted(session, id, peer)
            return .success(options.maxHostFrame)
        case .gateway:
            guard place(id, from: session.channel?.peerNetwork ?? PeerNetwork(nil)) else {
                return .failure(.tooManyGateways(limit: options.maxGateways))
            }
            admittedGateway(session, id)
            return .success(options.maxGatewayFrame)
        }
    }

    private func admitted(_ session: Session, _ id: SessionID, _ peer: HostID) {
        leaveGreeting(session, id)
        // A peer that restarted connects again before this side notices that the old session is dead.
        let old = peers.updateValue(session, forKey: peer)
        session.onFrames = { [unowned self] _, frames in receivedFrames(onPeerFrames(peer, frames), "host \(peer)") }
        session.onEnd = { [weak self] session, why in
            guard let self else { return }
            if peers[peer] === session { peers[peer] = nil }
            if case .garbage = why {
                log.warning(
                    "closed the session of host \(peer)", "\(why)", metadata: ["peer": .stringConvertible(peer.number)])
            }
        }
        old?.end(.stopped)
    }

    /// - Returns: false if there is no place even for a visitor.
    private func place(_ id: SessionID, from network: PeerNetwork) -> Bool {
        let now = Clock.uptime()
        switch gatewayPlaces.admit(id, from: network, now: now) {
        case .admitted: return true
        case .instead(let quiet):
            gateways[quiet]?.end(.displaced)
            return true
        case .full: break
        }
        switch visitorPlaces.admit(id, from: network, now: now) {
        case .admitted: break
        case .instead(let oldest): gateways[oldest]?.end(.displaced)
        case .full: return false
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: options.visit) { bound.value.endVisit(id, from: network) }
        return true
    }

    /// A visitor who is still here may stay if there is a place by now.
    private func endVisit(_ id: SessionID, from network: PeerNetwork) {
        guard let session = gateways[id], visitorPlaces.contains(id) else { return }
        visitorPlaces.remove(id)
        switch gatewayPlaces.admit(id, from: network, now: Clock.uptime()) {
        case .admitted: return
        case .instead(let quiet): gateways[quiet]?.end(.displaced)
        case .full: session.end(.displaced)
        }
    }

    private func admittedGateway(_ session: Session, _ id: SessionID) {
        leaveGreeting(session, id)
        gateways[id] = session
        session.limitReceiveBuffer(options.gatewayReceiveBuffer)
        session.share(outbound: outbound)
        session.unfinished = ByteRoom.Part(of: unfinished)
        session.onFrames = { [unowned self] _, frames in
            gatewayPlaces.heard(id, at: Clock.uptime())
            return receivedFrames(onGatewayFrames(id, frames), "gateway session")
        }
        session.onEnd = { [weak self] _, why in
            guard let self else { return }
            gateways[id] = nil
            debtors.remove(id)
            gatewayPlaces.remove(id)
            visitorPlaces.remove(id)
            switch why {
            case .garbage: log.warning("closed a gateway's session", "\(why)")
            case .noRoom:
                counters.unfinished.increment()
                log.warning("closed a gateway's session", "\(why)")
            case .displaced:
                counters.displacedSessions.increment()
                log.warning("closed a quiet gateway's session", "\(why)")
            case .closed, .refused, .timeout, .resumed, .failed, .stopped: break
            }
            onGatewayClosed(id)
        }
    }

    private func receivedFrames(_ areMessages: Bool, _ sender: String) -> Bool {
        if !areMessages { counters.undecodable.increment() }
        return areMessages
    }

    /// What is not taken is dropped and counted. `flush` sends.
    func send(_ frame: EncodedFrame, to gateway: SessionID) {
        guard let session = gateways[gateway] else { return counters.notConnected.increment() }
        if !session.send(frame) { counters.outboundFull.increment() }
    }

    /// It has brought too much in vain.
    func pause(_ gateway: SessionID) {
        guard let session = gateways[gateway] else { return }
        counters.pausedSessions.increment()
        if debtors.add(gateway, now: Clock.uptime()) { session.restrain(bytes: options.vainReadBytes) }
        takeTurnLater()
    }

    private func takeTurnLater() {
        guard !isTurnDue, !debtors.isEmpty, !isStopped else { return }
        isTurnDue = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: options.vainTurn) { bound.value.takeTurn() }
    }

    private func takeTurn() {
        isTurnDue = false
        switch debtors.next(now: Clock.uptime()) {
        case .read(let gateway)?: gateways[gateway]?.readOnce()
        case .release(let gateway)?: gateways[gateway]?.release()
        case nil: break
        }
        takeTurnLater()
    }

    func flush(_ gateway: SessionID) { gateways[gateway]?.flush() }

    func stop() {
        isStopped = true
        server?.close(promise: nil)
        let sessions = [Array(unidentified.values), Array(proven.values), Array(peers.values), Array(gateways.values)]
        for session in sessions.joined() { session.end(.stopped) }
    }
}
