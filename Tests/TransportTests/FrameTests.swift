import Messages
import NIOCore
import NIOEmbedded
import Randomness
import Testing
import Transport

private func wire(_ frames: [[UInt8]]) -> [UInt8] {
    frames.flatMap { frame in
        var writer = ByteWriter()
        writer.put(blob: frame)
        return writer.bytes
    }
}

private func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}

/// What a parser makes of a stream that arrives in these pieces, each in a buffer of its own.
private func parse(_ pieces: [ArraySlice<UInt8>], limit: Int = 1 << 20) throws(FrameError) -> [[UInt8]] {
    var parser = FrameParser(limit: limit)
    var frames: [[UInt8]] = []
    for piece in pieces {
        var buffer = ByteBuffer(bytes: piece)
        while let frame = try parser.next(from: &buffer) { frames.append(frame) }
        #expect(buffer.readableBytes == 0)
    }
    return frames
}

@Suite struct FrameParserTests {
    @Test func framesAreTheSameWhereverTheStreamIsCut() throws {
        let frames = [bytes(1), bytes(5), bytes(300), bytes(2)]
        let stream = wire(frames)
        for cut in 0...stream.count {
            #expect(try parse([stream[..<cut], stream[cut...]]) == frames, "cut at \(cut)")
        }
        #expect(try parse(stream.indices.map { stream[$0..<$0 + 1] }) == frames)
    }

    @Test func aLargeFrameInManyPiecesIsWhole() throws {
        let frame = bytes(100_000)
        let stream = wire([frame, [7]])
        let pieces = stride(from: 0, to: stream.count, by: 1460).map { stream[$0..<min(stream.count, $0 + 1460)] }
        #expect(try parse(pieces) == [frame, [7]])
    }

    @Test func aFrameMayBeAsLongAsTheLimitAndNoLonger() throws {
        #expect(try parse([wire([bytes(100)])[...]], limit: 100) == [bytes(100)])
        #expect(throws: FrameError.tooLong(length: 101, limit: 100)) {
            try parse([wire([bytes(101)])[...]], limit: 100)
        }
        #expect(throws: FrameError.empty) { try parse([[0, 0, 0, 0]]) }
    }

    @Test func aLimitHoldsForTheFramesThatComeAfterIt() throws {
        var parser = FrameParser(limit: 4)
        var buffer = ByteBuffer(bytes: wire([[1, 2, 3, 4], [1, 2, 3, 4, 5]]))
        #expect(try parser.next(from: &buffer) == [1, 2, 3, 4])
        parser.limit = 5
        #expect(try parser.next(from: &buffer) == [1, 2, 3, 4, 5])
    }

    @Test func aLengthThatLiesGetsNoMemoryBeforeItsBytesCome() throws {
        var parser = FrameParser(limit: 16 << 20)
        var buffer = ByteBuffer(bytes: [0, 0, 0, 1])
        #expect(try parser.next(from: &buffer) == nil)
        #expect(parser.storage < 64)
        buffer = ByteBuffer(bytes: bytes(1000))
        #expect(try parser.next(from: &buffer) == nil)
        #expect(parser.storage >= 1000 && parser.storage < 8000)
    }

    /// The TLS handler copies its whole buffer at each read for as long as somebody else holds it.
    @Test func whatIsUnfinishedDoesNotHoldTheBufferItCameIn() throws {
        var parser = FrameParser(limit: 1 << 20)
        var buffer = ByteBuffer(bytes: wire([[1, 2, 3]]) + wire([bytes(100)]).prefix(50))
        let storage = buffer.withVeryUnsafeBytes { $0.baseAddress }
        while try parser.next(from: &buffer) != nil {}
        buffer.clear()
        buffer.writeInteger(UInt8(1))
        #expect(buffer.withVeryUnsafeBytes { $0.baseAddress } == storage)
    }

    @Test func nothingIsHeldBetweenTwoFrames() throws {
        var parser = FrameParser(limit: 1 << 20)
        let stream = wire([bytes(50_000)])
        for piece in [stream[..<20_000], stream[20_000...]] {
            var buffer = ByteBuffer(bytes: piece)
            while try parser.next(from: &buffer) != nil {}
        }
        #expect(parser.storage == 0)
        var length = ByteBuffer(bytes: [9, 0])
        #expect(try parser.next(from: &length) == nil)
        #expect(parser.storage > 0)
    }
}

@Suite struct OutboundFramesTests {
    private struct Raw: CanonicalEncodable {
        let bytes: [UInt8]
        func encode(into writer: inout ByteWriter) { writer.put(raw: bytes) }
    }

    private func written(_ channel: EmbeddedChannel) throws -> [ByteBuffer] {
        var buffers: [ByteBuffer] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { buffers.append(buffer) }
        return buffers
    }

    @Test func smallFramesLeaveInOneWriteAndLargeOnesInTheirOwnInOrder() throws {
        let channel = EmbeddedChannel()
        let outbound = OutboundFrames(limit: 1 << 20)
        var encoder = FrameEncoder()
        let frames = [bytes(10), bytes(20), bytes(40_000), bytes(5)]
        for frame in frames { #expect(outbound.append(encoder.frame(Raw(bytes: frame)))) }
        outbound.flush(to: channel)
        let buffers = try written(channel)
        #expect(buffers.map(\.readableBytes) == [38, 40_004, 9])
        #expect(try parse(buffers.map { ArraySlice($0.readableBytesView) }) == frames)
        #expect(outbound.isEmpty)
    }

    @Test func aLargeFrameIsOneMemoryForAllConnections() throws {
        var encoder = FrameEncoder()
        let frame = encoder.frame(Raw(bytes: bytes(40_000)))
        let storages = try (0..<3).map { _ in
            let channel = EmbeddedChannel()
            let outbound = OutboundFrames(limit: 1 << 20)
            #expect(outbound.append(frame))
            outbound.flush(to: channel)
            return try #require(try written(channel).first).withVeryUnsafeBytes { $0.baseAddress }
        }
        #expect(Set(storages).count == 1)
    }

    @Test func aFrameKeepsItsBytesWhenTheEncoderGoesOn() throws {
        var encoder = FrameEncoder()
        let first = encoder.frame(Raw(bytes: [1, 2, 3]))
        let second = encoder.frame(Raw(bytes: [4]))
        var buffer = ByteBuffer()
        buffer.write(first)
        buffer.write(second)
        buffer.write(EncodedFrame(raw: [5]))
        #expect(try parse([ArraySlice(buffer.readableBytesView)]) == [[1, 2, 3], [4], [5]])
    }

    @Test func whatIsFullRefusesTheNewestUntilTheSocketHasTakenSome() throws {
        let channel = EmbeddedChannel()
        let outbound = OutboundFrames(limit: 100)
        #expect(outbound.append(EncodedFrame(raw: bytes(200))), "a first frame may be larger")
        #expect(!outbound.append(EncodedFrame(raw: [1])))
        outbound.flush(to: channel)
        #expect(outbound.append(EncodedFrame(raw: bytes(90))))
        #expect(!outbound.append(EncodedFrame(raw: bytes(3))))
        #expect(outbound.append(EncodedFrame(raw: bytes(2))))
    }

    @Test func anUnwritableChannelGetsNothing() throws {
        let channel = EmbeddedChannel()
        let outbound = OutboundFrames(limit: 100)
        #expect(outbound.append(EncodedFrame(raw: [1])))
        channel.isWritable = false
        outbound.flush(to: channel)
        #expect(try written(channel).isEmpty && !outbound.isEmpty)
        channel.isWritable = true
        outbound.flush(to: channel)
        #expect(try written(channel).count == 1)
    }

    @Test func connectionsShareOneBoundAndOneAloneDoesNotGetAll() {
        var most = 0
        let room = ByteRoom(limit: 1000, connections: 5) { most = max(most, $0) }
        let greedy = OutboundFrames(limit: .max, part: ByteRoom.Part(of: room))
        var taken = 0
        while greedy.append(EncodedFrame(raw: [UInt8](repeating: 0, count: 6))) { taken += 10 }
        #expect(taken == 350, "a tenth is its own, and of the half that is for all it leaves as much as it has")
        let others = (0..<4).map { _ in OutboundFrames(limit: .max, part: ByteRoom.Part(of: room)) }
        for other in others { #expect(other.append(EncodedFrame(raw: [UInt8](repeating: 0, count: 96)))) }
        #expect(most == 750)
        greedy.part = nil
        #expect(others[0].append(EncodedFrame(raw: [UInt8](repeating: 0, count: 96))), "who is gone gives all back")
    }
}
