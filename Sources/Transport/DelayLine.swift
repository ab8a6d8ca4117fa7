import NIOCore
import Networks

/// Delays what a connection carries, in both directions, as a network between its ends would (`LinkClock`). First in the
/// pipeline of the end that opened it, next to the socket: TLS is under way as long as what it carries. A connection that
/// is not delayed has no such handler.
///
/// - The order stays, and at most one task is scheduled for each direction.
/// - What is on its way out keeps its promise until it has left, so that whoever bounds what it has written bounds this
///   too (`OutboundFrames`). What is on its way in is bounded here: beyond, nothing is read from the socket.
/// - A close waits until what was written before it has left. What the other side sent before it closed arrives with
///   the close, sooner than it should have: nobody would hear it afterwards.
///
/// Connecting itself is not delayed.
package final class DelayLine: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum Outgoing {
        case bytes(ByteBuffer, EventLoopPromise<Void>?)
        case close(CloseMode, EventLoopPromise<Void>?)
    }

    /// Ascending by when they are due.
    private struct Lane<Element> {
        private(set) var clock: LinkClock
        private var waiting = CircularBuffer<(due: UInt64, bytes: Int, element: Element)>()
        private(set) var bytes = 0
        var timer: Scheduled<Void>?

        init(_ clock: LinkClock) { self.clock = clock }

        var isEmpty: Bool { waiting.isEmpty }
        var firstDue: UInt64? { waiting.first?.due }

        mutating func append(_ element: Element, bytes count: Int, now: UInt64) {
            waiting.append((clock.arrival(of: count, at: now), count, element))
            bytes += count
        }

        /// Behind what is on its way; it takes no time of its own.
        mutating func append(last element: Element) { waiting.append((waiting.last?.due ?? 0, 0, element)) }

        mutating func next(now: UInt64) -> Element? {
            guard let first = waiting.first, first.due <= now else { return nil }
            waiting.removeFirst()
            bytes -= first.bytes
            return first.element
        }
    }

    private var there: Lane<Outgoing>
    private var back: Lane<ByteBuffer>
    /// Written, and not flushed.
    private var unflushed: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var isClosing = false
    /// Somebody wants to read, and too much is on its way.
    private var isReadDue = false
    private let maxInbound: Int

    /// - Parameter maxInbound: bytes on their way in, beyond which the socket is not read.
    package init(_ link: DelayedLink, maxInbound: Int = 64 << 20) {
        there = Lane(LinkClock(link.there, back: link.back, seed: link.seed))
        // Another stream, or both ways would have the same jitter.
        back = Lane(LinkClock(link.back, back: link.there, seed: ~link.seed))
        self.maxInbound = maxInbound
    }

    private func now(_ context: ChannelHandlerContext) -> UInt64 { context.eventLoop.now.uptimeNanoseconds }

    private func later(
        _ due: UInt64, _ context: ChannelHandlerContext, _ body: @escaping (DelayLine, ChannelHandlerContext) -> Void
    ) -> Scheduled<Void> {
        let bound = NIOLoopBound((self, context, body), eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(due)) {
            let (line, context, body) = bound.value
            body(line, context)
        }
    }

    // MARK: Out

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isClosing else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        unflushed.append((unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        let now = now(context)
        for (bytes, promise) in unflushed { there.append(.bytes(bytes, promise), bytes: bytes.readableBytes, now: now) }
        unflushed.removeAll(keepingCapacity: true)
        send(context)
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if case .input = mode { return context.close(mode: mode, promise: promise) }
        isClosing = true
        failUnflushed()
        guard !there.isEmpty else { return context.close(mode: mode, promise: promise) }
        there.append(last: .close(mode, promise))
    }

    /// What is due.
    private func send(_ context: ChannelHandlerContext) {
        let now = now(context)
        var isWritten = false
        while let outgoing = there.next(now: now) {
            switch outgoing {
            case .bytes(let bytes, let promise):
                context.write(wrapOutboundOut(bytes), promise: promise)
                isWritten = true
            case .close(let mode, let promise):
                if isWritten { context.flush() }
                isWritten = false
                context.close(mode: mode, promise: promise)
            }
        }
        if isWritten { context.flush() }
        guard there.timer == nil, let due = there.firstDue else { return }
        there.timer = later(due, context) { line, context in
            line.there.timer = nil
            line.send(context)
        }
    }

    // MARK: In

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        back.append(bytes, bytes: bytes.readableBytes, now: now(context))
    }

    package func channelReadComplete(context: ChannelHandlerContext) { deliver(context) }

    package func read(context: ChannelHandlerContext) {
        isReadDue = back.bytes >= maxInbound
        if !isReadDue { context.read() }
    }

    /// What is due.
    private func deliver(_ context: ChannelHandlerContext, all: Bool = false) {
        let now = all ? .max : now(context)
        var isDelivered = false
        while let bytes = back.next(now: now) {
            context.fireChannelRead(wrapInboundOut(bytes))
            isDelivered = true
        }
        if isDelivered { context.fireChannelReadComplete() }
        if isReadDue, back.bytes < maxInbound {
            isReadDue = false
            context.read()
        }
        guard back.timer == nil, let due = back.firstDue else { return }
        back.timer = later(due, context) { line, context in
            line.back.timer = nil
            line.deliver(context)
        }
    }

    // MARK: Its end

    package func channelInactive(context: ChannelHandlerContext) {
        isReadDue = false
        deliver(context, all: true)
        fail()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        there.timer?.cancel()
        back.timer?.cancel()
        (there.timer, back.timer) = (nil, nil)
        fail()
    }

    private func failUnflushed() {
        let written = unflushed
        unflushed = []
        for (_, promise) in written { promise?.fail(ChannelError.ioOnClosedChannel) }
    }

    private func fail() {
        failUnflushed()
        while let outgoing = there.next(now: .max) {
            switch outgoing {
            case .bytes(_, let promise): promise?.fail(ChannelError.ioOnClosedChannel)
            // It is closed.
            case .close(_, let promise): promise?.succeed(())
            }
        }
    }
}
