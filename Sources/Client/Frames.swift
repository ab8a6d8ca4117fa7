import NIOCore

/// Cuts a byte stream into frames: a little-endian UInt32 length and as many bytes.
struct FrameParser {
    /// A receipt of the largest bundle is far below it.
    static let maxFrame = 16 << 20

    private var buffer = ByteBuffer()

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
    mutating func next() throws(ConnectionError) -> [UInt8]? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self) else {
            return nil
        }
        guard length > 0, Int(length) <= Self.maxFrame else { throw .garbage("a frame of \(length) bytes") }
        guard buffer.readableBytes >= 4 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        return buffer.readBytes(length: Int(length))
    }
}

extension ByteBuffer {
    mutating func writeFrame(_ frame: [UInt8]) {
        writeInteger(UInt32(frame.count), endianness: .little)
        writeBytes(frame)
    }
}
