import Messages

/// Accounts by their identifiers, found in one or two steps; a dictionary takes some ten times as long for a key that is
/// an array of bytes. Nothing is taken out again, and nothing is gone through.
struct AccountTable {
    /// An account as it was written last.
    struct Held {
        let id: AccountID
        /// Of the layer's slots, the one with its key.
        let slot: Int32
        /// The account is gone; `record` is what it was.
        var isRemoved: Bool
        /// As in its slot, which is elsewhere in memory.
        var isChanged = false
        var record: AccountRecord
    }

    private var index: PlaceIndex
    private(set) var held: [Held] = []

    subscript(place: Int) -> Held {
        _read { yield held[place] }
        _modify { yield &held[place] }
    }

    init(capacity: Int = 0) {
        index = PlaceIndex(capacity: capacity)
        held.reserveCapacity(capacity)
    }

    /// Where it is in here; nil if nothing was said of it.
    func place(of id: AccountID) -> Int? { index.place(Self.hash(id)) { held[$0].id == id } }

    /// Reads where these are, one beside the other, so that memory is waited for once and not for each. Who looks for
    /// them next finds them in the cache.
    /// - Returns: nothing of use; it is made of all that was read, so that it is read.
    func touch(_ ids: [AccountID]) -> UInt64 {
        guard !held.isEmpty else { return 0 }
        var sum: UInt64 = 0
        for id in ids {
            // Where two meet, it may be the other one.
            guard let place = index.first(Self.hash(id)) else { continue }
            // Its first line of memory and its last.
            sum &+= UInt64(truncatingIfNeeded: held[place].id.number)
            sum &+= UInt64(truncatingIfNeeded: held[place].record.pendingCredits)
        }
        return sum
    }

    /// - Precondition: it has no place yet.
    mutating func append(_ id: AccountID, _ record: AccountRecord, isRemoved: Bool, slot: Int32) {
        held.append(Held(id: id, slot: slot, isRemoved: isRemoved, record: record))
        index.insert(held.count - 1) { Self.hash(held[$0].id) }
    }

    private static func hash(_ id: AccountID) -> UInt64 {
        PlaceIndex.hash(UInt64(truncatingIfNeeded: id.number), UInt64(truncatingIfNeeded: id.number >> 64))
    }
}
