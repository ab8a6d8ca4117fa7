import Gateway

/// Bytes that wait in the connections of one loop, bounded over all of them. Lives on that loop.
package final class ByteRoom {
    private var share: FairShare<UInt64>
    private var lastHolder: UInt64 = 0
    /// Told what is held in all, whenever it has grown.
    private let note: (Int) -> Void

    /// - Parameters:
    ///   - limit: bytes of all connections.
    ///   - connections: how many there may be at once, 1 or more.
    package init(limit: Int, connections: Int, note: @escaping (Int) -> Void) {
        (share, self.note) = (FairShare(limit: limit, holders: connections), note)
    }

    /// One connection's part.
    package final class Part {
        private let room: ByteRoom
        private let holder: UInt64

        package init(of room: ByteRoom) {
            self.room = room
            room.lastHolder += 1
            holder = room.lastHolder
        }

        deinit { room.share.giveBackAll(from: holder) }

        /// False if there is no room.
        package func take(_ bytes: Int) -> Bool {
            defer { room.note(room.share.total) }
            return room.share.take(bytes, for: holder)
        }

        package func giveBack(_ bytes: Int) { room.share.giveBack(bytes, from: holder) }

        /// It holds so many from now on. False if there is no room.
        package func set(_ bytes: Int) -> Bool {
            defer { room.note(room.share.total) }
            return room.share.set(bytes, for: holder)
        }

        /// The connection has ended.
        package func giveBackAll() { room.share.giveBackAll(from: holder) }
    }
}
