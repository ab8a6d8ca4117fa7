import NIOCore

/// One end of a connection that is relayed: what it brings is written to the other end, as bytes. It is read only while
/// the other end takes what it is given, so that a relay keeps no more than the write buffers of its two ends.
///
/// Both ends live on one event loop. An end that is not joined is not read at all.
package final class RelayHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private var context: ChannelHandlerContext?
    private var other: RelayHandler?
    /// It would have been read, if the other end had taken anything.
    private var wantsRead = false

    package init() {}

    /// From now on each end gets what the other one brings.
    package func join(_ other: RelayHandler) {
        (self.other, other.other) = (other, self)
        resume()
        other.resume()
    }

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func handlerRemoved(context: ChannelHandlerContext) {
        (self.context, other) = (nil, nil)
    }

    private var takes: Bool { context?.channel.isWritable ?? false }

    private func resume() {
        guard wantsRead, let context, other?.takes == true else { return }
        wantsRead = false
        context.read()
    }

    package func read(context: ChannelHandlerContext) {
        if other?.takes == true { context.read() } else { wantsRead = true }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let target = other?.context else { return }
        target.write(wrapOutboundOut(unwrapInboundIn(data)), promise: nil)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        other?.context?.flush()
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { other?.resume() }
        context.fireChannelWritabilityChanged()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        other?.end()
        other = nil
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// The other end is gone: this one closes when it has got what came before.
    private func end() {
        other = nil
        guard let channel = context?.channel else { return }
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }
}
