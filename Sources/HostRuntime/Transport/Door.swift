import NIOCore
import NIOPosix
#if canImport(Glibc)
import Glibc
#endif

/// Stands between a socket and its TLS, so that a connection can be ended without a word: a parting that the other side
/// has to answer keeps the descriptor, and who holds hundreds of them does not answer.
final class Door: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func shut() { context?.close(promise: nil) }
}

/// Sees that a listening socket gives no connections because the process or the machine has no descriptors left.
/// Without somebody to end for it the library waits a second.
final class DescriptorWatch: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    /// True if something was ended, so that there may be a descriptor now.
    private let makeRoom: () -> Bool

    init(makeRoom: @escaping () -> Bool) { self.makeRoom = makeRoom }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode), makeRoom() {
            return
        }
        context.fireErrorCaught(error)
    }
}

extension Channel {
    /// Of the other side, for `Places`.
    var peerAddress: String { remoteAddress?.ipAddress ?? remoteAddress?.pathname ?? "" }
}
