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

    /// Indexes of `held`, counted from 1, beside some bits of the hash; 0 is free. Twice as many as are held at least.
    private var index: [UInt64] = []
    private(set) var held: [Held] = []

    subscript(place: Int) -> Held {
        _read { yield held[place] }
        _modify { yield &held[place] }
    }

    init(capacity: Int = 0) {
        guard capacity > 0 else { return }
        held.reserveCapacity(capacity)
        grow(to: capacity)
    }

    /// Where it is in here; nil if nothing was said of it.
    func place(of id: AccountID) -> Int? {
        guard !index.isEmpty else { return nil }
        let hash = Self.hash(id)
        let mask = index.count - 1
        var at = Int(truncatingIfNeeded: hash) & mask
        while index[at] != 0 {
            if index[at] >> 32 == hash >> 32 {
                let place = Int(truncatingIfNeeded: index[at] & 0xffff_ffff) - 1
                if held[place].id == id { return place }
            }
            at = (at + 1) & mask
        }
        return nil
    }

    /// Reads where these are, one beside the other, so that memory is waited for once and not for each. Who looks for
    /// them next finds them in the cache.
    /// - Returns: nothing of use; it is made of all that was read, so that it is read.
    func touch(_ ids: [AccountID]) -> UInt64 {
        guard !index.isEmpty else { return 0 }
        let mask = index.count - 1
        var sum: UInt64 = 0
        for id in ids {
            let place = Int(truncatingIfNeeded: index[Int(truncatingIfNeeded: Self.hash(id)) & mask] & 0xffff_ffff) - 1
            // Where two meet, it is the other one.
            guard place >= 0 else { continue }
            // Its first line of memory and its last.
            sum &+= UInt64(truncatingIfNeeded: held[place].id.number)
            sum &+= UInt64(truncatingIfNeeded: held[place].record.pendingCredits)
        }
        return sum
    }

    /// - Precondition: it has no place yet.
    mutating func append(_ id: AccountID, _ record: AccountRecord, isRemoved: Bool, slot: Int32) {
        if 2 * (held.count + 1) > index.count { grow(to: max(64, 2 * (held.count + 1))) }
        held.append(Held(id: id, slot: slot, isRemoved: isRemoved, record: record))
        insert(held.count - 1)
    }

    private mutating func grow(to count: Int) {
        var size = 128
        while size < 2 * count { size *= 2 }
        index = Array(repeating: 0, count: size)
        for place in held.indices { insert(place) }
    }

    private mutating func insert(_ place: Int) {
        let hash = Self.hash(held[place].id)
        let mask = index.count - 1
        var at = Int(truncatingIfNeeded: hash) & mask
        while index[at] != 0 { at = (at + 1) & mask }
        index[at] = (hash & ~0xffff_ffff) | UInt64(place + 1)
    }

    /// Of this process, so that nobody can choose identifiers that all meet in one place. No order comes of it.
    private static let secret: (low: UInt64, high: UInt64) = {
        func word(_ number: Int) -> UInt64 {
            var hasher = Hasher()
            hasher.combine(number)
            return UInt64(bitPattern: Int64(hasher.finalize()))
        }
        return (word(1), word(2))
    }()

    private static func hash(_ id: AccountID) -> UInt64 {
        let low = UInt64(truncatingIfNeeded: id.number) ^ secret.low
        let high = UInt64(truncatingIfNeeded: id.number >> 64) ^ secret.high
        let product = low.multipliedFullWidth(by: high | 1)
        let mixed = (product.high ^ product.low ^ high) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ mixed >> 29
    }
}
