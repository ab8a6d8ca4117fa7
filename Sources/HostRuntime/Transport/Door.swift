import ConnectionErrors
import NIOCore
import NIOPosix
import Transport
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

/// What all listening sockets have in common.
enum Listener {
    /// - Parameters:
    ///   - accept: makes a connection's pipeline; what it throws closes the connection.
    ///   - makeRoom: see `DescriptorWatch`.
    /// - Returns: the listening channel; fails with `ListenFailure`.
    static func listen(
        at address: HostAddress, on loop: any EventLoop, accept: @escaping @Sendable (any Channel) throws -> Void,
        makeRoom: @escaping @Sendable () -> Bool
    ) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DescriptorWatch(makeRoom: makeRoom))
                }
            }
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try accept(channel) } }
            .bind(host: address.address, port: address.port)
            .flatMapErrorThrowing { throw ListenFailure(address: address, reason: NetworkFailure.text($0)) }
    }
}

extension Channel {
    /// Of the other side, for `Places`.
    var peerNetwork: PeerNetwork { PeerNetwork(remoteAddress) }
}
