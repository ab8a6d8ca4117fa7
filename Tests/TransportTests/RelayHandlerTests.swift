import NIOCore
import NIOEmbedded
import Testing
import Transport

@Suite struct RelayHandlerTests {
    private let loop = EmbeddedEventLoop()

    /// A connection's end whose handler is joined to none.
    private func end() throws -> (channel: EmbeddedChannel, relay: RelayHandler, reads: Reads) {
        let (relay, reads) = (RelayHandler(), Reads())
        let channel = EmbeddedChannel(handlers: [reads, relay], loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return (channel, relay, reads)
    }

    private func written(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
        return text
    }

    @Test func eachEndGetsWhatTheOtherBrings() throws {
        let (one, other) = (try end(), try end())
        one.relay.join(other.relay)
        try one.channel.writeInbound(ByteBuffer(string: "hello"))
        try other.channel.writeInbound(ByteBuffer(string: "welcome"))
        #expect(try written(other.channel) == "hello")
        #expect(try written(one.channel) == "welcome")
    }

    @Test func anEndThatIsNotJoinedIsNotRead() throws {
        let (one, other) = (try end(), try end())
        one.channel.read()
        #expect(one.reads.count == 0)
        one.relay.join(other.relay)
        #expect(one.reads.count == 1)
    }

    @Test func nothingIsReadWhileTheOtherEndTakesNothing() throws {
        let (one, other) = (try end(), try end())
        one.relay.join(other.relay)
        let before = one.reads.count
        other.channel.isWritable = false
        other.channel.pipeline.fireChannelWritabilityChanged()
        one.channel.read()
        one.channel.read()
        #expect(one.reads.count == before)
        other.channel.isWritable = true
        other.channel.pipeline.fireChannelWritabilityChanged()
        #expect(one.reads.count == before + 1)
    }

    @Test func whereOneEndClosesTheOtherDoesWhenItHasGotAll() throws {
        let (one, other) = (try end(), try end())
        one.relay.join(other.relay)
        try one.channel.writeInbound(ByteBuffer(string: "last words"))
        _ = try one.channel.finish()
        loop.run()
        #expect(try written(other.channel) == "last words")
        #expect(!other.channel.isActive)
    }
}
