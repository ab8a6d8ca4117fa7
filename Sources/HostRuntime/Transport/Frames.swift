import NIOCore

/// Bytes that are no frame of this protocol.
enum FrameError: Error, Hashable, CustomStringConvertible {
    case empty
    case tooLong(length: Int, limit: Int)

    var description: String {
        switch self {
        case .empty: "an empty frame"
        case .tooLong(let length, let limit): "a frame of \(length) bytes, above the limit of \(limit)"
        }
    }
}

/// Cuts a byte stream into frames: a little-endian UInt32 length and as many bytes. Buffers only what has arrived,
/// whatever a length claims.
struct FrameParser {
    /// The longest frame that is accepted.
    var limit: Int
    private var buffer = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    mutating func append(_ bytes: inout ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            // Moves what is left to the front once the part already read is the larger one: a copy a byte at most.
            if buffer.readerIndex > buffer.readableBytes { buffer.discardReadBytes() }
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next whole frame; nil until more has arrived.
    mutating func next() throws(FrameError) -> [UInt8]? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self) else { return nil }
        guard length > 0 else { throw .empty }
        guard Int(length) <= limit else { throw .tooLong(length: Int(length), limit: limit) }
        guard buffer.readableBytes >= 4 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        return buffer.readBytes(length: Int(length))
    }
}

/// Frames on their way out over one channel: coalesced into one write a flush, and bounded. A full buffer refuses
/// the newest frame: the protocol repairs loss, and what is oldest is what the other side misses most.
/// While the channel is unwritable nothing is written; the owner calls `flush` again on channelWritabilityChanged.
struct OutboundFrames {
    let limit: Int
    private var pending = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { pending.readableBytes == 0 }

    /// False if the frame was refused.
    mutating func append(_ frame: [UInt8]) -> Bool {
        guard pending.readableBytes + frame.count + 4 <= limit || isEmpty else { return false }
        pending.writeInteger(UInt32(frame.count), endianness: .little)
        pending.writeBytes(frame)
        return true
    }

    /// What is to be written now, if the channel takes it. The owner writes it after this returns: a write may call
    /// channelWritabilityChanged, and so the owner's `flush`, before it comes back.
    mutating func take(for channel: any Channel) -> ByteBuffer? {
        guard !isEmpty, channel.isWritable else { return nil }
        let bytes = pending
        pending = channel.allocator.buffer(capacity: min(bytes.readableBytes, 65536))
        return bytes
    }
}
