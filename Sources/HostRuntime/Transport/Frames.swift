import Gateway
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
        guard let length = buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self) else {
            return nil
        }
        guard length > 0 else { throw .empty }
        guard Int(length) <= limit else { throw .tooLong(length: Int(length), limit: limit) }
        guard buffer.readableBytes >= 4 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        return buffer.readBytes(length: Int(length))
    }

    /// Bytes of memory that an unfinished frame holds.
    var storage: Int { buffer.storageCapacity }

    /// After the last whole frame: what is left does not hold the memory of all that arrived with it.
    mutating func settle() {
        if buffer.readableBytes == 0 {
            buffer = ByteBuffer()
        } else if buffer.storageCapacity > 4 * buffer.readableBytes {
            buffer = ByteBuffer(bytes: buffer.readableBytesView)
        }
    }
}

/// Bytes that wait in the connections of one loop, bounded over all of them. Lives on that loop.
final class ByteRoom {
    private var share: FairShare<UInt64>
    private var lastHolder: UInt64 = 0
    /// Told what is held in all, whenever it has grown.
    private let note: (Int) -> Void

    init(limit: Int, connections: Int, note: @escaping (Int) -> Void) {
        (share, self.note) = (FairShare(limit: limit, holders: connections), note)
    }

    /// One connection's part.
    final class Part {
        private let room: ByteRoom
        private let holder: UInt64

        init(of room: ByteRoom) {
            self.room = room
            room.lastHolder += 1
            holder = room.lastHolder
        }

        deinit { room.share.giveBackAll(from: holder) }

        /// False if there is no room.
        func take(_ bytes: Int) -> Bool {
            defer { room.note(room.share.total) }
            return room.share.take(bytes, for: holder)
        }

        func giveBack(_ bytes: Int) { room.share.giveBack(bytes, from: holder) }

        /// It holds so many from now on. False if there is no room.
        func set(_ bytes: Int) -> Bool {
            defer { room.note(room.share.total) }
            return room.share.set(bytes, for: holder)
        }

        /// The connection has ended.
        func giveBackAll() { room.share.giveBackAll(from: holder) }
    }
}

/// Frames on their way out over one channel: coalesced into one write a flush, and bounded. A full buffer refuses
/// the newest frame: the protocol repairs loss, and what is oldest is what the other side misses most.
/// While the channel is unwritable nothing is written; the owner calls `flush` again on channelWritabilityChanged.
struct OutboundFrames {
    let limit: Int
    /// What it shares with other connections; nil where `limit` is all.
    var part: ByteRoom.Part?
    private var pending = ByteBuffer()
    /// Given to the channel, which has not given it to the socket.
    private var inChannel = 0

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { pending.readableBytes == 0 }

    /// False if the frame was refused.
    mutating func append(_ frame: [UInt8]) -> Bool {
        let size = frame.count + 4
        let held = pending.readableBytes + inChannel
        guard held + size <= limit || held == 0, part?.take(size) != false else { return false }
        pending.writeInteger(UInt32(frame.count), endianness: .little)
        pending.writeBytes(frame)
        return true
    }

    /// What is to be written now, if the channel takes it. The owner writes it after this returns: a write may call
    /// channelWritabilityChanged, and so the owner's `flush`, before it comes back.
    mutating func take(for channel: any Channel) -> ByteBuffer? {
        guard !isEmpty, channel.isWritable else { return nil }
        let bytes = pending
        inChannel += bytes.readableBytes
        pending = channel.allocator.buffer(capacity: min(bytes.readableBytes, 65536))
        return bytes
    }

    /// The channel has written them, or never will.
    mutating func written(_ bytes: Int) {
        inChannel -= bytes
        part?.giveBack(bytes)
    }
}
