import NIOCore
import Synchronization
import Transport

/// First in a pipeline, before TLS: closes the connections of who begins too many handshakes. What is behind it never
/// hears of them.
final class HandshakeGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// For all connections of a server.
    final class Rates: Sendable {
        private let rates: Mutex<HandshakeRates>
        let onRefused: @Sendable () -> Void

        init(_ perSecond: Int, onRefused: @escaping @Sendable () -> Void) {
            rates = Mutex(HandshakeRates(rate: perSecond))
            self.onRefused = onRefused
        }

        func admit(_ peer: PeerNetwork) -> Bool {
            rates.withLock { $0.admit(peer, now: NIODeadline.now().uptimeNanoseconds) }
        }
    }

    private let rates: Rates
    private var isRefused = false

    init(_ rates: Rates) { self.rates = rates }

    func channelActive(context: ChannelHandlerContext) {
        guard rates.admit(PeerNetwork(context.channel.remoteAddress)) else {
            isRefused = true
            rates.onRefused()
            return context.close(promise: nil)
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isRefused { context.fireChannelRead(data) }
    }
}
