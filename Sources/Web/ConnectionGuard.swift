import Hummingbird
import NIOCore
import NIOHTTPTypes
import Synchronization

/// How many connections each address has. Programs on this machine have all places, others all but some of them, and each
/// of the others its share.
package final class ConnectionCounts: Sendable {
    private struct Counts {
        var byPeer: [WebPeer: Int] = [:]
        /// Of other machines.
        var remote = 0
    }

    private let maxEach: Int
    private let maxRemote: Int
    private let counts = Mutex(Counts())

    /// - Parameters:
    ///   - maxEach: of one address of another machine.
    ///   - maxRemote: of all other machines.
    package init(maxEach: Int, maxRemote: Int) { (self.maxEach, self.maxRemote) = (maxEach, maxRemote) }

    /// - Returns: if it is admitted, `leave` is to follow.
    package func admit(_ peer: WebPeer) -> Bool {
        guard !peer.isLoopback else { return true }
        return counts.withLock { counts in
            let own = counts.byPeer[peer] ?? 0
            guard own < maxEach, counts.remote < maxRemote else { return false }
            counts.byPeer[peer] = own + 1
            counts.remote += 1
            return true
        }
    }

    package func leave(_ peer: WebPeer) {
        guard !peer.isLoopback else { return }
        counts.withLock { counts in
            guard let own = counts.byPeer[peer] else { return }
            counts.byPeer[peer] = own > 1 ? own - 1 : nil
            counts.remote -= 1
        }
    }
}

/// Closes connections of who has too many, those on which no request begins in time, and each after an answer that came
/// before its request's end: the library would read the rest of a body however long that takes.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let counts: ConnectionCounts
    private let patience: TimeAmount
    private var peer: WebPeer?
    private var waiting: Scheduled<Void>?
    /// Those whose head came, less those whose end did.
    private var unread = 0
    /// Those whose head came, less those that were answered.
    private var unanswered = 0
    private var saidClose = false
    private var isClosing = false

    /// - Parameter patience: how long the head of a request may take, from the end of the last one on.
    init(_ counts: ConnectionCounts, patience: TimeAmount) { (self.counts, self.patience) = (counts, patience) }

    func handlerAdded(context: ChannelHandlerContext) { if context.channel.isActive { begin(context) } }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        waiting?.cancel()
        if let peer { counts.leave(peer) }
        peer = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After the last answer nothing is asked any more.
        guard !isClosing else { return }
        switch unwrapInboundIn(data) {
        case .head:
            (unread, unanswered) = (unread + 1, unanswered + 1)
            waiting?.cancel()
        case .end: unread -= 1
        case .body: break
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where unread >= unanswered && unread > 0 && head.status.kind != .informational:
            head.headerFields[.connection] = "close"
            saidClose = true
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            let isEarly = saidClose || unread >= unanswered && unread > 0
            unanswered -= 1
            context.write(data, promise: promise)
            if isEarly { end(context) } else if unanswered == 0 { wait(context) }
        case .head, .body: context.write(data, promise: promise)
        }
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard peer == nil, !isClosing else { return }
        let peer = WebPeer(context.channel.remoteAddress)
        guard counts.admit(peer) else {
            isClosing = true
            context.close(promise: nil)
            return
        }
        self.peer = peer
        wait(context)
    }

    private func wait(_ context: ChannelHandlerContext) {
        let channel = context.channel
        waiting?.cancel()
        waiting = context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }

    /// When the answer has had time to arrive: closing at once would take it away from who still sends.
    private func end(_ context: ChannelHandlerContext) {
        isClosing = true
        let channel = context.channel
        waiting?.cancel()
        waiting = context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }
}
