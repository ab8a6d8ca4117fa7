/// Sessions that have brought too much in vain: they are read a little at a time and in turn, until they have been read
/// often enough without bringing anything in vain. What reading, decoding and checking for all of them costs is
/// bounded, however many they are.
struct Debtors<ID: Hashable & Sendable>: Sendable {
    enum Turn: Equatable {
        case read(ID)
        case release(ID)
    }

    private struct Debtor: Sendable {
        let id: ID
        var readableAt: UInt64
        /// Since it has last brought something in vain.
        var reads = 0
    }

    /// Ascending by `readableAt`.
    private var debtors: [Debtor] = []
    private let pause: UInt64
    private let reads: Int

    /// - Parameters:
    ///   - pause: nanoseconds from something in vain, and from one turn of a session, to its next.
    ///   - reads: after so many with nothing in vain it is let go.
    init(pause: UInt64, reads: Int) { (self.pause, self.reads) = (pause, reads) }

    var isEmpty: Bool { debtors.isEmpty }

    /// It has brought something in vain.
    /// - Returns: whether it was none of them.
    mutating func add(_ id: ID, now: UInt64) -> Bool {
        let isNew = !remove(id)
        debtors.append(Debtor(id: id, readableAt: now + pause))
        return isNew
    }

    @discardableResult
    mutating func remove(_ id: ID) -> Bool {
        guard let place = debtors.firstIndex(where: { $0.id == id }) else { return false }
        debtors.remove(at: place)
        return true
    }

    /// Whose turn it is; nil while all have to wait.
    mutating func next(now: UInt64) -> Turn? {
        guard var debtor = debtors.first, debtor.readableAt <= now else { return nil }
        debtors.removeFirst()
        guard debtor.reads < reads else { return .release(debtor.id) }
        debtor.reads += 1
        debtor.readableAt = now + pause
        debtors.append(debtor)
        return .read(debtor.id)
    }
}
