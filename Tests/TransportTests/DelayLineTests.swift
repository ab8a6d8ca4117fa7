import Networks
import NIOCore
import NIOEmbedded
import Testing
import Transport

/// Connections in virtual time: nothing waits for a clock.
@Suite struct DelayLineTests {
    private let loop = EmbeddedEventLoop()

    private func link(
        there: NetworkProfile.Link = .init(delay: 40_000_000), back: NetworkProfile.Link = .init(delay: 60_000_000)
    ) -> DelayedLink { DelayedLink(there: there, back: back, seed: 1) }

    private func channel(_ handlers: [any ChannelHandler]) -> EmbeddedChannel {
        EmbeddedChannel(handlers: handlers, loop: loop)
    }

    private func written(_ channel: EmbeddedChannel) throws -> [String] {
        var texts: [String] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { texts.append(String(buffer: buffer)) }
        return texts
    }

    private func heard(_ channel: EmbeddedChannel) throws -> [String] {
        var texts: [String] = []
        while let buffer = try channel.readInbound(as: ByteBuffer.self) { texts.append(String(buffer: buffer)) }
        return texts
    }

    @Test func whatIsWrittenLeavesAfterTheDelayInItsOrder() throws {
        let channel = channel([DelayLine(link())])
        channel.write(ByteBuffer(string: "a"), promise: nil)
        channel.writeAndFlush(ByteBuffer(string: "b"), promise: nil)
        loop.advanceTime(by: .milliseconds(10))
        channel.writeAndFlush(ByteBuffer(string: "c"), promise: nil)
        loop.advanceTime(by: .milliseconds(29))
        #expect(try written(channel) == [])
        loop.advanceTime(by: .milliseconds(1))
        #expect(try written(channel) == ["a", "b"])
        loop.advanceTime(by: .milliseconds(10))
        #expect(try written(channel) == ["c"])
    }

    @Test func whatIsNotFlushedDoesNotLeave() throws {
        let channel = channel([DelayLine(link())])
        channel.write(ByteBuffer(string: "a"), promise: nil)
        loop.advanceTime(by: .seconds(1))
        #expect(try written(channel) == [])
        // On its way from the flush on.
        channel.flush()
        loop.advanceTime(by: .milliseconds(39))
        #expect(try written(channel) == [])
        loop.advanceTime(by: .milliseconds(1))
        #expect(try written(channel) == ["a"])
    }

    @Test func whatComesIsHeardAfterItsOwnDelay() throws {
        let channel = channel([DelayLine(link())])
        try channel.writeInbound(ByteBuffer(string: "a"))
        loop.advanceTime(by: .milliseconds(20))
        try channel.writeInbound(ByteBuffer(string: "b"))
        loop.advanceTime(by: .milliseconds(39))
        #expect(try heard(channel) == [])
        loop.advanceTime(by: .milliseconds(1))
        #expect(try heard(channel) == ["a"])
        loop.advanceTime(by: .milliseconds(20))
        #expect(try heard(channel) == ["b"])
    }

    @Test func aSlowLinkCarriesOneWriteAfterTheOther() throws {
        let channel = channel([DelayLine(link(there: .init(delay: 10_000_000, bytesPerSecond: 1_000_000)))])
        for _ in 0..<3 {
            channel.writeAndFlush(ByteBuffer(repeating: 0x61, count: 100_000), promise: nil)
        }
        var counts: [Int] = []
        for _ in 0..<4 {
            loop.advanceTime(by: .milliseconds(counts.isEmpty ? 109 : 100))
            counts.append(try written(channel).count)
        }
        #expect(counts == [0, 1, 1, 1])
    }

    @Test func aWriteIsDoneWhenItHasLeft() throws {
        let channel = channel([DelayLine(link())])
        var isDone = false
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { isDone = true }
        channel.writeAndFlush(ByteBuffer(string: "a"), promise: promise)
        loop.advanceTime(by: .milliseconds(39))
        // So that whoever bounds what waits bounds this.
        #expect(!isDone)
        loop.advanceTime(by: .milliseconds(1))
        #expect(isDone)
    }

    @Test func outboundFramesCountWhatIsOnItsWay() throws {
        let channel = channel([DelayLine(link())])
        let outbound = OutboundFrames(limit: 100)
        #expect(outbound.append(EncodedFrame(raw: [UInt8](repeating: 1, count: 90))))
        outbound.flush(to: channel)
        #expect(!outbound.append(EncodedFrame(raw: [UInt8](repeating: 1, count: 90))))
        loop.advanceTime(by: .milliseconds(40))
        #expect(outbound.append(EncodedFrame(raw: [UInt8](repeating: 1, count: 90))))
    }

    @Test func nothingIsReadWhileTooMuchIsOnItsWay() throws {
        let reads = Reads()
        let channel = channel([reads, DelayLine(link(), maxInbound: 10)])
        let before = reads.count
        channel.read()
        #expect(reads.count == before + 1)
        try channel.writeInbound(ByteBuffer(string: "0123456789"))
        channel.read()
        #expect(reads.count == before + 1)
        loop.advanceTime(by: .milliseconds(60))
        #expect(reads.count == before + 2)
        #expect(try heard(channel) == ["0123456789"])
    }

    @Test func aCloseWaitsForWhatWasWrittenBeforeIt() throws {
        let channel = channel([DelayLine(link())])
        var log: [String] = []
        func note(_ name: String) -> EventLoopPromise<Void> {
            let promise = loop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { result in
                if case .success = result { log.append(name) } else { log.append("no " + name) }
            }
            return promise
        }
        channel.writeAndFlush(ByteBuffer(string: "a"), promise: note("a"))
        channel.write(ByteBuffer(string: "b"), promise: note("b"))
        channel.close(promise: note("close"))
        channel.writeAndFlush(ByteBuffer(string: "c"), promise: note("c"))
        // As on a socket: what was not flushed, or comes later, never leaves.
        #expect(log == ["no b", "no c"])
        loop.advanceTime(by: .milliseconds(39))
        #expect(try written(channel) == [])
        loop.advanceTime(by: .milliseconds(1))
        #expect(try written(channel) == ["a"])
        #expect(log == ["no b", "no c", "a", "close"])
    }

    @Test func aCloseWithNothingBeforeItIsAtOnce() {
        let channel = channel([DelayLine(link())])
        var isClosed = false
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { isClosed = true }
        channel.close(promise: promise)
        loop.run()
        #expect(isClosed)
    }

    @Test func whatTheOtherSideSaidBeforeItClosedIsHeard() throws {
        let channel = channel([DelayLine(link())])
        var hasFailed = false
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenFailure { _ in hasFailed = true }
        channel.writeAndFlush(ByteBuffer(string: "too late"), promise: promise)
        try channel.writeInbound(ByteBuffer(string: "goodbye"))
        channel.pipeline.fireChannelInactive()
        #expect(try heard(channel) == ["goodbye"])
        #expect(hasFailed)
        loop.advanceTime(by: .seconds(1))
        #expect(try written(channel) == [])
    }

    @Test func whoIsWhereDecidesAboutTheLink() {
        let profile = NetworkProfile.aws5Regions
        let place = NetworkPlace(.host(0), in: profile)
        #expect(place.link(to: .host(2)).there == profile.link(from: 0, to: 2))
        #expect(place.link(to: .host(5)).there == profile.link(from: 0, to: 0))
        let client = NetworkPlace(.client, in: profile).link(to: .gateway(3))
        #expect(client.there == profile.link(from: 0, to: 3) && client.back == profile.link(from: 3, to: 0))
        // Two connections do not have the same jitter.
        #expect(place.link(to: .host(2)).seed != place.link(to: .host(1)).seed)
        #expect(place.link(to: .host(2)).seed == place.link(to: .host(2)).seed)
    }
}
