import Messages

/// Who was there first: home's time when it recorded the transaction, or the one that it continues; among equals the
/// transaction's identifier (wait-die, R5).
struct CallAge: Hashable, Comparable {
    let since: Timestamp
    let transaction: Digest

    init(_ record: CallRecord) { (since, transaction) = (record.age, record.root.digest) }
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
        let ordinal: UInt64
    }

    /// Looked up by key only, never iterated.
    private var holders: [[UInt8]: [Holder]] = [:]
    /// In order of arrival.
    private var waiters: [[UInt8]: [Waiter]] = [:]
    var isEmpty: Bool { holders.isEmpty && waiters.isEmpty }

    /// Whether somebody holds or waits for it: escrow keeps away from what procedures use (R6).
    func isTouched(_ resource: [UInt8]) -> Bool { holders[resource] != nil || waiters[resource] != nil }

    func holders(of resource: [UInt8]) -> [Holder] { holders[resource] ?? [] }
    func waiters(for resource: [UInt8]) -> [Waiter] { waiters[resource] ?? [] }

    mutating func add(_ record: CallRecord) {
        let age = CallAge(record)
        for frame in record.frames {
            #if MUTANTS
            if Mutant.is(.locksReleasedAtResponse), frame.response != nil { continue }
            #endif
            for lock in frame.locks { hold(lock, age, frame.path) }
            if case .waiting(let resource, let isExclusive, let ordinal) = frame.phase {
                wait(resource, Waiter(age: age, path: frame.path, isExclusive: isExclusive, ordinal: ordinal))
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
        if place < list.count, list[place].age == age, list[place].path == path { list[place] = holder } else { list.insert(holder, at: place) }
        holders[lock.resource] = list
    }

    private mutating func wait(_ resource: [UInt8], _ waiter: Waiter) {
        var list = waiters[resource] ?? []
        let place = list.firstIndex { $0.ordinal > waiter.ordinal } ?? list.count
        list.insert(waiter, at: place)
        waiters[resource] = list
    }

    enum Verdict {
        case free
        case wait
        case die
    }

    /// Wait-die against every conflicting holder and waiter (R5): whoever waits is older than all of them, so no circle of
    /// waiting can close, whatever the order in which locks are granted.
    func verdict(_ resource: [UInt8], isExclusive: Bool, age: CallAge) -> Verdict {
        var ages: [CallAge] = []
        for holder in holders(of: resource) where holder.age != age && (isExclusive || holder.isExclusive) { ages.append(holder.age) }
        #if MUTANTS
        let considersWaiters = !Mutant.is(.waitDieAgainstHoldersOnly)
        #else
        let considersWaiters = true
        #endif
        for waiter in waiters(for: resource) where waiter.age != age && (isExclusive || waiter.isExclusive) {
            if considersWaiters { ages.append(waiter.age) }
        }
        if ages.isEmpty { return .free }
        return ages.allSatisfy { age < $0 } ? .wait : .die
    }

    /// The first waiter, if nobody else holds what it needs.
    func grantable(_ resource: [UInt8]) -> Waiter? {
        guard let first = waiters(for: resource).first else { return nil }
        let isHindered = holders(of: resource).contains { $0.age != first.age && (first.isExclusive || $0.isExclusive) }
        return isHindered ? nil : first
    }
}
