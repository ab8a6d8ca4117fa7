import HeapModule

/// Due times. Equal due times keep the order in which they were set. A timer is not cancelled but outlived: whoever
/// owns the key compares the serial number with that of the timer it set last.
struct TimerHeap<Key: Sendable>: Sendable {
    struct Timer: Comparable, Sendable {
        let due: UInt64
        let serial: UInt64
        let key: Key

        static func < (a: Self, b: Self) -> Bool { (a.due, a.serial) < (b.due, b.serial) }
        static func == (a: Self, b: Self) -> Bool { a.serial == b.serial }
    }

    private var heap: Heap<Timer> = []
    private var lastSerial: UInt64 = 0

    var count: Int { heap.count }

    /// Returns the timer's serial number, which is never 0.
    mutating func set(_ key: Key, due: UInt64) -> UInt64 {
        lastSerial += 1
        heap.insert(Timer(due: due, serial: lastSerial, key: key))
        return lastSerial
    }

    mutating func popDue(_ now: UInt64) -> Timer? {
        guard let first = heap.min, first.due <= now else { return nil }
        return heap.removeMin()
    }

    /// Drops what its owner has outlived.
    mutating func keep(where isKept: (Timer) -> Bool) {
        heap = Heap(heap.unordered.filter(isKept))
    }
}
