import Messages
import NIOCore

/// Bytes that are no frame of this protocol.
package enum FrameError: Error, Hashable, CustomStringConvertible {
    case empty
    /// In bytes.
    case tooLong(length: Int, limit: Int)

    package var description: String {
        switch self {
        case .empty: "an empty frame"
        case .tooLong(let length, let limit): "a frame of \(length) bytes, above the limit of \(limit)"
        }
    }
}

/// Cuts a byte stream into frames: a little-endian UInt32 length and as many bytes. Each frame becomes an array of its
/// own, which is the one copy that is made of it here. What is unfinished is copied out of the buffer that it came in,
/// so that whoever reads from the socket can use that buffer again, and nothing is allocated for a length before its
/// bytes arrive.
package struct FrameParser {
    /// The longest frame that is accepted, in bytes without its length.
    package var limit: Int
    /// The bytes of a length that has not wholly arrived, or that of the frame that is being read.
    private var header: UInt32 = 0
    private var headerBytes = 0
    private var body: [UInt8] = []

    private static let headerSize = 4

    package init(limit: Int) { self.limit = limit }

    /// The next whole frame; nil once all of `bytes` is read.
    /// - Throws: `FrameError`; then the stream cannot be read any further.
    package mutating func next(from bytes: inout ByteBuffer) throws(FrameError) -> [UInt8]? {
        guard let length = try length(from: &bytes) else { return nil }
        if body.isEmpty, let whole = bytes.readBytes(length: length) {
            headerBytes = 0
            return whole
        }
        take(min(length - body.count, bytes.readableBytes), of: length, from: &bytes)
        return body.count == length ? finish() : nil
    }

    private mutating func length(from bytes: inout ByteBuffer) throws(FrameError) -> Int? {
        while headerBytes < Self.headerSize {
            guard let byte = bytes.readInteger(as: UInt8.self) else { return nil }
            header = header >> 8 | UInt32(byte) << 24
            headerBytes += 1
        }
        guard header > 0 else { throw .empty }
        guard Int(header) <= limit else { throw .tooLong(length: Int(header), limit: limit) }
        return Int(header)
    }

    /// Memory grows fourfold with what has arrived, so that a frame in many pieces is moved by less than the whole of it.
    private mutating func take(_ count: Int, of length: Int, from bytes: inout ByteBuffer) {
        let needed = body.count + count
        if needed > body.capacity { body.reserveCapacity(min(length, 4 * needed)) }
        body.append(contentsOf: bytes.readableBytesView.prefix(count))
        bytes.moveReaderIndex(forwardBy: count)
    }

    private mutating func finish() -> [UInt8] {
        defer { (headerBytes, body) = (0, []) }
        return body
    }

    /// Bytes of memory that an unfinished frame holds; 0 between two frames.
    package var storage: Int { headerBytes + body.capacity }
}

/// A message as it leaves, with its length before it. Encoded once, whatever the number of connections that get it.
package struct EncodedFrame {
    fileprivate enum Storage {
        /// Is copied to what else leaves on a connection.
        case small([UInt8])
        /// Leaves as it is; all connections share it.
        case large(ByteBuffer)
    }

    /// From so many bytes on a copy for each connection costs more than a write of its own.
    static let largeSize = 16 << 10

    fileprivate let storage: Storage

    fileprivate init(_ bytes: [UInt8]) {
        storage = bytes.count < Self.largeSize ? .small(bytes) : .large(ByteBuffer(bytes: bytes))
    }

    /// Any bytes as one frame.
    package init(raw bytes: [UInt8]) {
        var writer = ByteWriter(reserving: bytes.count + 4)
        writer.put(blob: bytes)
        self.init(writer.bytes)
    }

    /// Bytes on the wire, the length included.
    package var size: Int {
        switch storage {
        case .small(let bytes): bytes.count
        case .large(let bytes): bytes.readableBytes
        }
    }
}

/// Encodes messages as frames, in memory that is used again as soon as the frame before is gone.
package struct FrameEncoder {
    private var writer = ByteWriter(reserving: 1024)
    private static let keptCapacity = 256 << 10

    package init() {}

    /// The message with its length before it.
    package mutating func frame(_ message: some CanonicalEncodable) -> EncodedFrame {
        writer.removeAll(keepingCapacity: writer.bytes.count <= Self.keptCapacity)
        writer.put(UInt32(0))
        writer.put(message)
        writer.replace(at: 0, with: UInt32(writer.bytes.count - 4))
        return EncodedFrame(writer.bytes)
    }
}

extension ByteBuffer {
    /// Appends the frame.
    package mutating func write(_ frame: EncodedFrame) {
        switch frame.storage {
        case .small(let bytes): writeBytes(bytes)
        case .large(let bytes): writeImmutableBuffer(bytes)
        }
    }
}

/// Frames on their way out over one channel: small ones coalesced, large ones as they are, and bounded. A full buffer
/// refuses the newest frame: the protocol repairs loss, and what is oldest is what the other side misses most.
/// While the channel is unwritable nothing is written; the owner calls `flush` again on channelWritabilityChanged.
/// Lives on the channel's loop.
package final class OutboundFrames {
    /// Bytes that wait here and in the channel; a first frame may be larger.
    package let limit: Int
    /// What it shares with other connections; nil where `limit` is all.
    package var part: ByteRoom.Part?
    /// What leaves before `pending`.
    private var whole = CircularBuffer<ByteBuffer>()
    private var pending = ByteBuffer()
    /// Not given to the channel yet.
    private var waiting = 0
    /// Given to the channel, which has not given it to the socket.
    private var inChannel = 0

    package init(limit: Int, part: ByteRoom.Part? = nil) { (self.limit, self.part) = (limit, part) }

    /// Nothing waits for `flush`.
    package var isEmpty: Bool { waiting == 0 }

    /// False if the frame was refused.
    package func append(_ frame: EncodedFrame) -> Bool {
        let (size, held) = (frame.size, waiting + inChannel)
        guard held + size <= limit || held == 0, part?.take(size) != false else { return false }
        waiting += size
        switch frame.storage {
        case .small(let bytes): pending.writeBytes(bytes)
        case .large(let bytes):
            closePending()
            whole.append(bytes)
        }
        return true
    }

    private func closePending() {
        guard pending.readableBytes > 0 else { return }
        let size = pending.readableBytes
        whole.append(pending)
        pending = ByteBufferAllocator().buffer(capacity: min(size, 64 << 10))
    }

    /// Writes what waits, if the channel takes it.
    /// - Returns: how many bytes it took.
    @discardableResult
    package func flush(to channel: any Channel) -> Int {
        guard !isEmpty, channel.isWritable else { return 0 }
        var taken = 0
        closePending()
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        // A write may call channelWritabilityChanged, and so this function, before it comes back.
        while let bytes = whole.popFirst() {
            let count = bytes.readableBytes
            waiting -= count
            inChannel += count
            taken += count
            channel.write(bytes).whenComplete { _ in bound.value.written(count) }
        }
        channel.flush()
        return taken
    }

    /// The channel has written them, or never will.
    private func written(_ bytes: Int) {
        inChannel -= bytes
        part?.giveBack(bytes)
    }
}
