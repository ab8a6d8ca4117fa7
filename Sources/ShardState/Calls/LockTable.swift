import Messages

/// Who was there first: home's time when it recorded the transaction, or the one that it continues; among equals the
/// transaction's identifier (R5). And in which of the two classes it is.
struct CallAge: Hashable, Comparable {
    let since: Timestamp
    let transaction: Digest
    let waitsInOrder: Bool

    init(_ record: CallRecord) {
        (since, transaction, waitsInOrder) = (record.age, record.root.digest, record.waitsInOrder)
    }
    static func < (a: Self, b: Self) -> Bool { (a.since, a.transaction) < (b.since, b.transaction) }
}

/// Who holds and who waits for which key of the state. A function of the call records alone.
struct LockTable: Hashable {
    struct Holder: Hashable {
        let age: CallAge
        let path: CallPath
        var isExclusive: Bool
    }
    struct Waiter: Hashable {
        let age: CallAge
        let path: CallPath
        let isExclusive: Bool
        /// It holds the same for reading: those who wait for that wait for it anyway, so it stands before them.
        let isUpgrade: Bool
        let ordinal: UInt64
    }

    /// Looked up by key only, never iterated.
    private var holders: [[UInt8]: [Holder]] = [:]
    /// Upgrades first, then in order of arrival.
    private var waiters: [[UInt8]: [Waiter]] = [:]
    var isEmpty: Bool { holders.isEmpty && waiters.isEmpty }
    /// Of keys.
    var counts: (held: Int, awaited: Int) { (holders.count, waiters.count) }

    /// Whether somebody holds or waits for it: escrow keeps away from what procedures use (R6).
    func isTouched(_ resource: [UInt8]) -> Bool { holders[resource] != nil || waiters[resource] != nil }

    func holders(of resource: [UInt8]) -> [Holder] { holders[resource] ?? [] }
    func waiters(for resource: [UInt8]) -> [Waiter] { waiters[resource] ?? [] }

    mutating func add(_ record: CallRecord) {
        let age = CallAge(record)
        for frame in record.frames {
            if Mutant.is(.locksReleasedAtResponse), frame.response != nil { continue }
            for lock in frame.locks { hold(lock, age, frame.path) }
            if case .waiting(let resource, let isExclusive, let ordinal) = frame.phase {
                let isUpgrade = record.frames.contains { $0.locks.contains { $0.resource == resource } }
                wait(
                    resource,
                    Waiter(age: age, path: frame.path, isExclusive: isExclusive, isUpgrade: isUpgrade, ordinal: ordinal)
                )
            }
        }
    }

    mutating func remove(_ record: CallRecord) {
        let transaction = record.root.digest
        for frame in record.frames {
            for lock in frame.locks {
                holders[lock.resource]?.removeAll { $0.age.transaction == transaction && $0.path == frame.path }
                if holders[lock.resource]?.isEmpty == true { holders[lock.resource] = nil }
            }
            if case .waiting(let resource, _, _) = frame.phase {
                waiters[resource]?.removeAll { $0.age.transaction == transaction && $0.path == frame.path }
                if waiters[resource]?.isEmpty == true { waiters[resource] = nil }
            }
        }
    }

    private mutating func hold(_ lock: HeldLock, _ age: CallAge, _ path: CallPath) {
        var list = holders[lock.resource] ?? []
        let holder = Holder(age: age, path: path, isExclusive: lock.isExclusive)
        let place = list.firstIndex { ($0.age, $0.path) >= (age, path) } ?? list.count
        if place < list.count, list[place].age == age, list[place].path == path {
            list[place] = holder
        } else {
            list.insert(holder, at: place)
        }
        holders[lock.resource] = list
    }

    private mutating func wait(_ resource: [UInt8], _ waiter: Waiter) {
        var list = waiters[resource] ?? []
        let place =
            list.firstIndex { ($0.isUpgrade ? 0 : 1, $0.ordinal) > (waiter.isUpgrade ? 0 : 1, waiter.ordinal) }
            ?? list.count
        list.insert(waiter, at: place)
        waiters[resource] = list
    }

    /// For whom the transaction would wait, if it asked for the lock now; none if it may have it. Who waits for
    /// somebody in the line waits for all whom that one waits for, so then it is everybody that is there.
    /// - Parameter isUpgrade: it holds the same for reading.
    func rivals(for resource: [UInt8], isExclusive: Bool, isUpgrade: Bool, age: CallAge) -> [CallAge] {
        let holders = holders(of: resource).filter { $0.age.transaction != age.transaction }
        let inTheWay = holders.filter { isExclusive || $0.isExclusive }
        let considersWaiters = !isUpgrade && !Mutant.is(.waitDieAgainstHoldersOnly)
        guard considersWaiters else { return inTheWay.map(\.age) }
        let waiters = waiters(for: resource).filter { $0.age.transaction != age.transaction }
        guard waiters.contains(where: { isExclusive || $0.isExclusive }) else { return inTheWay.map(\.age) }
        return holders.map(\.age) + waiters.map(\.age)
    }

    /// The first waiter, if nobody else holds what it needs.
    func grantable(_ resource: [UInt8]) -> Waiter? {
        guard let first = waiters(for: resource).first else { return nil }
        let isHindered = holders(of: resource).contains { $0.age != first.age && (first.isExclusive || $0.isExclusive) }
        return isHindered ? nil : first
    }
}
