import HummingbirdCore
import Logging
import NIOCore
import NIOSSL
import NIOTLS
import Transport

/// A connection of HTTP behind its door and, with a certificate, its TLS. The library's own channel for TLS keeps one
/// certificate for ever; here each connection gets the one that there is when it comes.
struct WebChannel<Base: ServerChildChannel>: ServerChildChannel {
    private let base: Base
    private let tls: (@Sendable () -> NIOSSLContext)?
    private let handshakeTimeout: TimeAmount
    private let handshakes: HandshakeGate.Rates

    init(_ base: Base, _ options: WebOptions, _ handshakes: HandshakeGate.Rates) {
        (self.base, tls, handshakeTimeout) = (base, options.tls, options.handshakeTimeout)
        self.handshakes = handshakes
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        let (base, tls, patience, handshakes) = (base, tls, handshakeTimeout, handshakes)
        return channel.eventLoop.makeCompletedFuture {
            if tls != nil { try channel.pipeline.syncOperations.addHandler(HandshakeGate(handshakes)) }
            let door = PortDoor(tls == nil ? .http : .https, patience: patience)
            try channel.pipeline.syncOperations.addHandler(door)
            guard let tls else { return }
            try channel.pipeline.syncOperations.addHandlers(
                NIOSSLServerHandler(context: tls()), HandshakeEnd(door))
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

extension WebChannel: HTTPChannelHandler where Base: HTTPChannelHandler {
    var responder: HTTPChannelHandler.Responder { base.responder }
}

/// Tells the door that the handshake is over. What a connection without one fails with concerns nobody: strangers and
/// browsers that do not trust the certificate end many.
private final class HandshakeEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let door: PortDoor
    private var isOver = false

    init(_ door: PortDoor) { self.door = door }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent {
            isOver = true
            door.isThrough()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard isOver else { return door.shut() }
        // Most clients close the socket and say nothing more.
        if case NIOSSLError.uncleanShutdown = error { return }
        context.fireErrorCaught(error)
    }
}
