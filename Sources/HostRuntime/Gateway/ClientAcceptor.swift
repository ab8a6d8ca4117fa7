import ConnectionErrors
import CoreMetrics
import Cores
import Messages
import NIOCore
import NIOSSL
import NIOTLS
import Transport

/// Bounds of a gateway's clients.
public struct GatewayClientOptions: Sendable {
    /// Connections. One more takes the place of one that has been quiet for `quiet`; while an answer is due to a
    /// client, and for `patience` at most, it is not quiet.
    public var maxClients = 1024
    /// How long a client must have been silent, with every answer that was due to it sent, before its place may go.
    public var quiet = TimeAmount.seconds(1)
    /// How long a message without an answer keeps its client's place.
    public var patience = TimeAmount.seconds(30)
    /// The longest frame from a client: a request and what goes with it.
    public var maxFrame = SignedRequest.maxBytes + 4096
    /// A frame has so long to arrive wholly.
    public var frameTimeout = TimeAmount.seconds(20)
    /// Memory of frames that have not wholly arrived, over all clients.
    public var maxUnfinished = 64 << 20
    /// A client that lets so many bytes of answers lie is disconnected.
    public var maxOutbound = 16 << 20
    /// The same over all clients: then those are that let the most lie.
    public var maxOutboundOfAll = 256 << 20
    /// Of these, those of one address of another machine (of IPv6, of one /64): with as many, one more takes the place of
    /// his own that has been quiet for longest, or is turned away.
    public var maxClientsPerAddress = 256
    /// Connections whose TLS handshake is not over, beside `maxClients`; one more takes the place of the oldest of the
    /// address that has most of them.
    public var maxHandshakes = 128
    /// TLS handshakes that one address of another machine (of IPv6, one /64) begins in a second; two and a half times as
    /// many at once. Who comes sooner is turned away before TLS.
    public var maxHandshakesPerSecond = 20
    /// A handshake has so long.
    public var handshakeTimeout = TimeAmount.seconds(10)
    /// In TLS, with this certificate; nil for plain TCP.
    public var tls: ServerCertificate?
    /// Addresses other than loopback let anyone in: clients are not authenticated, only their requests are.
    public var address = "127.0.0.1"

    /// The bounds that docs/ARCHITECTURE.md lists, on loopback.
    public init() {}
}

/// The listening side of a gateway: TLS 1.3 or plain TCP, framed client messages. Lives on one event loop.
final class ClientAcceptor {
    private let options: GatewayClientOptions
    private let loop: any EventLoop
    private let counters: RuntimeCounters
    private let log: LimitedLog

    var onMessages: (SessionID, [ClientMessage]) -> Void = { _, _ in }
    var onClosed: (SessionID) -> Void = { _ in }

    /// Connections that are open.
    var count: Int { clients.count }

    private var server: (any Channel)?
    private var clients: [SessionID: ClientSession] = [:]
    private var places: Places<SessionID>
    /// In TLS, until the handshake is over: who does not end it takes no client's place.
    private var handshakes: [SessionID: PortDoor] = [:]
    private var handshakePlaces: Places<SessionID>
    private var handshakeRates: HandshakeRates
    /// Connections of other machines; of IPv6, by the /64.
    private var perNetwork: [PeerNetwork: Set<SessionID>] = [:]
    private let unfinished: ByteRoom
    private let outbound: ByteRoom
    private var sweep: RepeatedTask?
    private var unflushed: Set<SessionID> = []
    private var lastSession: UInt64 = 0
    private var isStopped = false

    init(options: GatewayClientOptions, loop: any EventLoop, counters: RuntimeCounters, log: LimitedLog) {
        (self.options, self.loop, self.counters, self.log) = (options, loop, counters, log)
        places = Places(limit: options.maxClients, minimumQuiet: UInt64(options.quiet.nanoseconds))
        handshakePlaces = Places(limit: max(1, options.maxHandshakes), minimumQuiet: 0)
        handshakeRates = HandshakeRates(rate: options.maxHandshakesPerSecond)
        let connections = max(1, options.maxClients)
        unfinished = ByteRoom(limit: options.maxUnfinished, connections: connections) {
            counters.mostUnfinished.record($0)
        }
        outbound = ByteRoom(limit: options.maxOutboundOfAll, connections: connections) {
            counters.mostOutbound.record($0)
        }
    }

    /// - Returns: the port.
    func listen(port: Int) -> EventLoopFuture<Int> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return Listener.listen(
            at: HostAddress(address: options.address, port: port), on: loop, accept: { try bound.value.accept($0) },
            makeRoom: { bound.value.makeRoom() }
        ).map { channel in
            bound.value.listens(on: channel)
            return channel.localAddress?.port ?? port
        }
    }

    private func listens(on channel: any Channel) {
        server = channel
        let bound = NIOLoopBound(self, eventLoop: loop)
        sweep = loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.endSlowFrames()
        }
    }

    private func accept(_ channel: any Channel) throws {
        guard !isStopped else { throw Session.Ended.stopped }
        guard options.tls == nil || handshakeRates.admit(channel.peerNetwork, now: Clock.uptime()) else {
            counters.refusedHandshakes.increment()
            log.warning(
                "a connection was closed before TLS",
                "its address begins more than \(options.maxHandshakesPerSecond) handshakes a second")
            throw Session.Ended.refused("too many handshakes")
        }
        try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try channel.syncOptions?.setOption(.socketOption(.so_keepalive), value: 1)
        lastSession += 1
        let id = SessionID(lastSession)
        let door = PortDoor(options.tls == nil ? .binary : .binaryInTLS, patience: options.handshakeTimeout)
        door.onMistake = { [unowned self] words in
            counters.undecodable.increment()
            log.warning("a connection is not for this port", words)
        }
        let session = ClientSession(
            channel, door: door, frameLimit: options.maxFrame, outboundLimit: options.maxOutbound,
            unfinished: ByteRoom.Part(of: unfinished),
            outbound: ByteRoom.Part(of: outbound), counters: counters)
        guard let tls = options.tls else {
            try begin(session, id, from: channel.peerNetwork)
            return try channel.pipeline.syncOperations.addHandlers(door, session)
        }
        switch handshakePlaces.admit(id, from: channel.peerNetwork, now: Clock.uptime()) {
        case .admitted: break
        case .instead(let oldest):
            counters.displacedSessions.increment()
            handshakes.removeValue(forKey: oldest)?.shut()
        case .full: throw Session.Ended.displaced
        }
        handshakes[id] = door
        door.onTimeout = { [unowned self] in
            counters.refusedSessions.increment()
            log.warning("a client was turned away", "no TLS handshake in time")
        }
        session.onEnd = { [weak self] failure in
            guard let self else { return }
            leaveHandshake(id)
            guard let failure else { return }
            counters.refusedSessions.increment()
            log.warning("a client was turned away", "no TLS: \(failure)")
        }
        session.onSecured = { [unowned self, unowned session] in
            leaveHandshake(id)
            do { try begin(session, id, from: channel.peerNetwork) } catch { session.end(nil) }
        }
        try channel.pipeline.syncOperations.addHandlers(
            door, NIOSSLServerHandler(context: tls.binaryContext), session)
    }

    private func leaveHandshake(_ id: SessionID) {
        handshakes[id] = nil
        handshakePlaces.remove(id)
    }

    /// It is a client from now on.
    /// - Throws: if there is no place for it.
    private func begin(_ session: ClientSession, _ id: SessionID, from network: PeerNetwork) throws {
        guard !isStopped else { throw Session.Ended.stopped }
        try makePlace(id, from: network)
        switch places.admit(id, from: network, now: Clock.uptime()) {
        case .admitted: break
        case .instead(let quiet): displace(quiet)
        case .full:
            leaveNetwork(id, network)
            counters.refusedSessions.increment()
            log.warning("a client was turned away", "\(options.maxClients) are connected and busy, which is the limit")
            throw Session.Ended.refused("too many clients")
        }
        session.onMessages = { [unowned self] messages in
            places.heard(id, at: Clock.uptime() + UInt64(options.patience.nanoseconds))
            onMessages(id, messages)
        }
        session.onEnd = { [weak self] garbage in
            guard let self else { return }
            clients[id] = nil
            places.remove(id)
            leaveNetwork(id, network)
            if let garbage { log.warning("closed a client's connection", garbage) }
            onClosed(id)
        }
        session.onAnswered = { [unowned self] in places.heard(id, at: Clock.uptime()) }
        clients[id] = session
    }

    /// One address of another machine, or one /64, has its share of the connections, and no more.
    private func makePlace(_ id: SessionID, from network: PeerNetwork) throws {
        guard !network.isLoopback else { return }
        let own = perNetwork[network] ?? []
        if own.count >= max(1, options.maxClientsPerAddress) {
            guard let quiet = places.removeQuietest(of: own, now: Clock.uptime()) else {
                counters.refusedSessions.increment()
                log.warning("a client was turned away", "\(own.count) of its address are connected and busy")
                throw Session.Ended.refused("too many clients of one address")
            }
            displace(quiet)
        }
        perNetwork[network, default: []].insert(id)
    }

    private func leaveNetwork(_ id: SessionID, _ network: PeerNetwork) {
        perNetwork[network]?.remove(id)
        if perNetwork[network]?.isEmpty == true { perNetwork[network] = nil }
    }

    private func displace(_ id: SessionID) {
        counters.displacedSessions.increment()
        clients[id]?.end("it was quiet, and another client needed its place")
    }

    /// There are no descriptors left.
    private func makeRoom() -> Bool {
        log.warning(
            "no descriptors are left", every: 60,
            "clients that are quiet are disconnected for new ones; raise the limit (ulimit -n)")
        if let oldest = handshakePlaces.removeQuietest(now: Clock.uptime()) {
            counters.displacedSessions.increment()
            handshakes.removeValue(forKey: oldest)?.shut()
            return true
        }
        guard let quietest = places.removeQuietest(now: Clock.uptime()) else { return false }
        displace(quietest)
        return true
    }

    private func endSlowFrames() {
        let now = Clock.uptime()
        for session in Array(clients.values) {
            if let since = session.unfinishedSince, now - since > UInt64(options.frameTimeout.nanoseconds) {
                counters.unfinished.increment()
                session.end("a frame did not arrive in time")
            }
        }
    }

    func send(_ frame: EncodedFrame, to client: SessionID) {
        guard let session = clients[client] else { return }
        if session.send(frame) {
            unflushed.insert(client)
        } else {
            counters.outboundFull.increment()
            session.end("it does not read its answers")
        }
    }

    func flush() {
        for client in unflushed { clients[client]?.flush() }
        unflushed.removeAll(keepingCapacity: true)
    }

    /// Nobody new is accepted; those who are connected stay.
    func stopListening() {
        server?.close(promise: nil)
        server = nil
    }

    func stop() {
        isStopped = true
        sweep?.cancel()
        server?.close(promise: nil)
        for session in Array(clients.values) { session.end(nil) }
        for door in Array(handshakes.values) { door.shut() }
    }
}

/// One client's connection.
final class ClientSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel
    private let door: PortDoor
    private var parser: FrameParser
    private let outbound: OutboundFrames
    private let unfinished: ByteRoom.Part
    private let counters: RuntimeCounters
    private var messages: [ClientMessage] = []
    /// Messages without an answer, roughly: who repeats one may get one answer.
    private var unanswered = 0
    private var hasEnded = false
    /// Uptime when the frame began that has not wholly arrived.
    private(set) var unfinishedSince: UInt64?

    var onMessages: ([ClientMessage]) -> Void = { _ in }
    /// Every message has its answer.
    var onAnswered: () -> Void = {}
    /// The TLS handshake is over.
    var onSecured: () -> Void = {}
    /// Once; with what was wrong, if something was.
    var onEnd: (String?) -> Void = { _ in }

    init(
        _ channel: any Channel, door: PortDoor, frameLimit: Int, outboundLimit: Int, unfinished: ByteRoom.Part,
        outbound: ByteRoom.Part,
        counters: RuntimeCounters
    ) {
        (self.channel, self.door, self.unfinished, self.counters) = (channel, door, unfinished, counters)
        parser = FrameParser(limit: frameLimit)
        self.outbound = OutboundFrames(limit: outboundLimit, part: outbound)
    }

    func send(_ frame: EncodedFrame) -> Bool {
        unanswered = max(0, unanswered - 1)
        if unanswered == 0 { onAnswered() }
        return outbound.append(frame)
    }

    func flush() {
        let sent = outbound.flush(to: channel)
        if sent > 0 { counters.sentBytes.increment(by: sent) }
    }

    func end(_ reason: String?) {
        guard !hasEnded else { return }
        hasEnded = true
        door.shut()
        unfinished.giveBackAll()
        outbound.part?.giveBackAll()
        onEnd(reason)
        (onMessages, onAnswered, onSecured, onEnd) = ({ _ in }, {}, {}, { _ in })
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasEnded else { return }
        var bytes = unwrapInboundIn(data)
        counters.receivedBytes.increment(by: bytes.readableBytes)
        var isWhole = false
        do {
            while let frame = try parser.next(from: &bytes) {
                messages.append(try ClientMessage(decoding: frame))
                isWhole = true
            }
        } catch {
            deliver()
            counters.undecodable.increment()
            return end("\(error)")
        }
        guard unfinished.set(parser.storage) else {
            deliver()
            counters.unfinished.increment()
            return end("no room for an unfinished frame")
        }
        if isWhole || parser.storage == 0 { unfinishedSince = nil }
        if parser.storage > 0, unfinishedSince == nil { unfinishedSince = Clock.uptime() }
    }

    func channelReadComplete(context: ChannelHandlerContext) { deliver() }

    private func deliver() {
        guard !messages.isEmpty, !hasEnded else { return }
        let batch = messages
        messages.removeAll(keepingCapacity: true)
        unanswered += batch.count
        onMessages(batch)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
    }
    func channelInactive(context: ChannelHandlerContext) {
        deliver()
        end(nil)
    }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent {
            door.isThrough()
            onSecured()
            onSecured = {}
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? NIOSSLError, case .handshakeFailed(let cause) = error else { return end(nil) }
        end(NetworkFailure.reason(cause))
    }
}
