import Hummingbird
import NIOCore
import NIOHTTPTypes
import Synchronization
import Transport

/// How many connections each address has. Programs on this machine have all places, others all but some of them, and each
/// of the others its share. Where places are few, those on which nothing is asked go for new ones: nobody keeps others
/// out by holding connections.
package final class ConnectionCounts: Sendable {
    private struct Resting {
        /// Counts up with each that comes to rest.
        let since: UInt64
        let peer: PeerNetwork
        let close: @Sendable () -> Void
    }

    private struct Counts {
        /// Of other machines.
        var byPeer: [PeerNetwork: Int] = [:]
        /// Of other machines.
        var remote = 0
        var all = 0
        /// On which nothing is asked just now.
        var resting: [ObjectIdentifier: Resting] = [:]
        var rests: UInt64 = 0

        /// The one that has rested for longest, of those that are meant.
        mutating func displace(where isMeant: (Resting) -> Bool) -> Resting? {
            let meant = resting.filter { isMeant($0.value) }
            guard let longest = meant.min(by: { $0.value.since < $1.value.since }) else { return nil }
            return resting.removeValue(forKey: longest.key)
        }

        /// Of who has most of those with one that rests; but nobody goes for who has more than he.
        /// - Parameter own: how many the newcomer has already.
        mutating func displaceRemote(for own: Int) -> Resting? {
            let most = resting.values.compactMap { byPeer[$0.peer] }.max() ?? 0
            guard most >= own else { return nil }
            return displace(where: { [byPeer] in byPeer[$0.peer] == most })
        }
    }

    private let maxEach: Int
    private let maxRemote: Int
    private let max: Int
    private let counts = Mutex(Counts())

    /// - Parameters:
    ///   - maxEach: of one address of another machine.
    ///   - maxRemote: of all other machines; one more takes the place of one of theirs that rests, of the address with
    ///     the most.
    ///   - max: of all; one more takes the place of one that rests, if there is one.
    package init(maxEach: Int, maxRemote: Int, max: Int = .max) {
        (self.maxEach, self.maxRemote, self.max) = (maxEach, maxRemote, max)
    }

    /// - Returns: if it is admitted, `leave` is to follow.
    package func admit(_ peer: PeerNetwork) -> Bool {
        let (isAdmitted, displaced) = counts.withLock { counts -> (Bool, Resting?) in
            var displaced: Resting?
            if !peer.isLoopback {
                let own = counts.byPeer[peer] ?? 0
                guard own < maxEach else { return (false, nil) }
                if counts.remote >= maxRemote {
                    displaced = counts.displaceRemote(for: own)
                    guard displaced != nil else { return (false, nil) }
                }
                counts.byPeer[peer] = own + 1
                counts.remote += 1
            }
            counts.all += 1
            // Who made room among those of other machines made it among all.
            if displaced == nil, counts.all > max { displaced = counts.displace(where: { _ in true }) }
            return (true, displaced)
        }
        displaced?.close()
        return isAdmitted
    }

    /// Nothing is asked on a connection any more: it may go for another one.
    /// - Parameters:
    ///   - peer: whose it is.
    ///   - close: is called at most once, on any thread.
    package func rests(
        _ connection: ObjectIdentifier, of peer: PeerNetwork, close: @escaping @Sendable () -> Void
    ) {
        counts.withLock { counts in
            counts.rests += 1
            counts.resting[connection] = Resting(since: counts.rests, peer: peer, close: close)
        }
    }

    /// Something is asked on it, or it is gone.
    package func wakes(_ connection: ObjectIdentifier) { counts.withLock { $0.resting[connection] = nil } }

    package func leave(_ peer: PeerNetwork) {
        counts.withLock { counts in
            if counts.all > 0 { counts.all -= 1 }
            guard !peer.isLoopback, let own = counts.byPeer[peer] else { return }
            counts.byPeer[peer] = own > 1 ? own - 1 : nil
            counts.remote -= 1
        }
    }
}

/// Closes connections of who has too many, those on which no request begins in time, those whose answers are not read,
/// and each after an answer that came before its request's end: the library would read the rest of a body however long
/// that takes.
package final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPRequestPart
    package typealias InboundOut = HTTPRequestPart
    package typealias OutboundIn = HTTPResponsePart
    package typealias OutboundOut = HTTPResponsePart

    private let counts: ConnectionCounts
    private let patience: TimeAmount
    private var peer: PeerNetwork?
    private var waiting: Scheduled<Void>?
    /// Those whose head came, less those whose end did.
    private var unread = 0
    /// Those whose head came, less those that were answered.
    private var unanswered = 0
    private var saidClose = false
    private var isClosing = false
    /// Of answers' bodies, bytes so far, and how many of them had left when it was looked last.
    private var given = 0
    private var left = Int.min
    private var stalled: Scheduled<Void>?
    private var channel: (any Channel)?

    /// - Parameter patience: how long the head of a request may take, from the end of the last one on, and how long
    ///   nothing at all of an answer may be taken.
    package init(_ counts: ConnectionCounts, patience: TimeAmount) { (self.counts, self.patience) = (counts, patience) }

    package func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        if context.channel.isActive { begin(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { channel = nil }

    package func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        waiting?.cancel()
        stalled?.cancel()
        counts.wakes(ObjectIdentifier(self))
        if let peer { counts.leave(peer) }
        peer = nil
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After the last answer nothing is asked any more.
        guard !isClosing else { return }
        switch unwrapInboundIn(data) {
        case .head:
            (unread, unanswered) = (unread + 1, unanswered + 1)
            waiting?.cancel()
            counts.wakes(ObjectIdentifier(self))
        case .end: unread -= 1
        case .body: break
        }
        context.fireChannelRead(data)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
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
        case .body(let bytes):
            given += bytes.readableBytes
            context.write(data, promise: promise)
        case .head: context.write(data, promise: promise)
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            stalled?.cancel()
            stalled = nil
        } else if stalled == nil {
            left = taken(context.channel)
            watch(context.eventLoop)
        }
        context.fireChannelWritabilityChanged()
    }

    /// How much of what was given the system has taken, roughly: what comes with it on the wire is not counted.
    private func taken(_ channel: any Channel) -> Int {
        given - ((try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0)
    }

    private func watch(_ loop: any EventLoop) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        stalled = loop.scheduleTask(in: patience) { bound.value.look() }
    }

    /// Who takes a little now and then may go on; who takes nothing is cut off.
    private func look() {
        guard let channel, channel.isActive, !channel.isWritable else { return stalled = nil }
        let now = taken(channel)
        guard now > left else { return channel.close(promise: nil) }
        left = now
        watch(channel.eventLoop)
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard peer == nil, !isClosing else { return }
        let peer = PeerNetwork(context.channel.remoteAddress)
        guard counts.admit(peer) else {
            isClosing = true
            context.close(promise: nil)
            return
        }
        self.peer = peer
        wait(context)
    }

    private func wait(_ context: ChannelHandlerContext) {
        // None that is gone.
        guard let peer else { return }
        let channel = context.channel
        waiting?.cancel()
        waiting = context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
        counts.rests(ObjectIdentifier(self), of: peer) { channel.close(promise: nil) }
    }

    /// When the answer has had time to arrive: closing at once would take it away from who still sends.
    private func end(_ context: ChannelHandlerContext) {
        isClosing = true
        let channel = context.channel
        waiting?.cancel()
        waiting = context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }
}
