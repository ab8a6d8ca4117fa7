import HostCore
import Messages
import NIOCore
import NIOPosix

/// Bounds of a gateway's clients.
public struct GatewayClientOptions: Sendable {
    public var maxClients = 1024
    /// The longest frame from a client.
    public var maxFrame = 1 << 20
    /// A client that lets so many bytes of answers lie is disconnected.
    public var maxOutbound = 16 << 20
    /// Addresses other than loopback let anyone in: clients are not authenticated, only their requests are.
    public var address = "127.0.0.1"

    public init() {}
}

/// The listening side of a gateway: plain TCP, framed client messages. Lives on one event loop.
final class ClientAcceptor {
    private let options: GatewayClientOptions
    private let loop: any EventLoop
    private let counters: RuntimeCounters
    private let log: LimitedLog

    var onMessages: (SessionID, [ClientMessage]) -> Void = { _, _ in }
    var onClosed: (SessionID) -> Void = { _ in }

    private var server: (any Channel)?
    private var clients: [SessionID: ClientSession] = [:]
    private var unflushed: Set<SessionID> = []
    private var lastSession: UInt64 = 0
    private var isStopped = false

    init(options: GatewayClientOptions, loop: any EventLoop, counters: RuntimeCounters, log: LimitedLog) {
        (self.options, self.loop, self.counters, self.log) = (options, loop, counters, log)
    }

    /// - Returns: the port.
    func listen(port: Int) -> EventLoopFuture<Int> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let address = options.address
        return ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
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
        guard !isStopped, clients.count < options.maxClients else {
            counters.add(to: \.refusedSessions)
            log.warning("a client was turned away", "\(options.maxClients) are connected, which is the limit")
            throw Session.Ended.refused("too many clients")
        }
        lastSession += 1
        let id = SessionID(lastSession)
        let session = ClientSession(channel, frameLimit: options.maxFrame, outboundLimit: options.maxOutbound)
        session.onMessages = { [unowned self] in onMessages(id, $0) }
        session.onEnd = { [weak self] garbage in
            guard let self else { return }
            clients[id] = nil
            if let garbage {
                counters.add(to: \.undecodable)
                log.warning("closed a client's connection", garbage)
            }
            onClosed(id)
        }
        clients[id] = session
        try channel.pipeline.syncOperations.addHandler(session)
    }

    func send(_ frame: [UInt8], to client: SessionID) {
        guard let session = clients[client] else { return }
        if session.send(frame) {
            unflushed.insert(client)
        } else {
            counters.add(to: \.outboundDropped)
            session.end("it does not read its answers")
        }
    }

    func flush() {
        for client in unflushed { clients[client]?.flush() }
        unflushed.removeAll(keepingCapacity: true)
    }

    func stop() {
        isStopped = true
        server?.close(promise: nil)
        for session in Array(clients.values) { session.end(nil) }
    }
}

/// One client's connection.
final class ClientSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel
    private var parser: FrameParser
    private var outbound: OutboundFrames
    private var messages: [ClientMessage] = []
    private var hasEnded = false

    var onMessages: ([ClientMessage]) -> Void = { _ in }
    /// Once; with what was wrong, if the client was.
    var onEnd: (String?) -> Void = { _ in }

    init(_ channel: any Channel, frameLimit: Int, outboundLimit: Int) {
        self.channel = channel
        parser = FrameParser(limit: frameLimit)
        outbound = OutboundFrames(limit: outboundLimit)
    }

    func send(_ frame: [UInt8]) -> Bool { outbound.append(frame) }
    func flush() { if let bytes = outbound.take(for: channel) { channel.writeAndFlush(bytes, promise: nil) } }

    func end(_ garbage: String?) {
        guard !hasEnded else { return }
        hasEnded = true
        channel.close(promise: nil)
        onEnd(garbage)
        (onMessages, onEnd) = ({ _ in }, { _ in })
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasEnded else { return }
        var bytes = unwrapInboundIn(data)
        parser.append(&bytes)
        do {
            while let frame = try parser.next() { messages.append(try ClientMessage(decoding: frame)) }
        } catch {
            deliver()
            end("\(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { deliver() }

    private func deliver() {
        guard !messages.isEmpty, !hasEnded else { return }
        let batch = messages
        messages.removeAll(keepingCapacity: true)
        onMessages(batch)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
    }
    func channelInactive(context: ChannelHandlerContext) {
        deliver()
        end(nil)
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(nil) }
}
