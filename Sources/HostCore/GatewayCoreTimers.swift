/// Due times in a binary heap. Equal due times keep the order in which they were set. A timer is not cancelled but
/// outlived: whoever owns the key compares the serial number with that of the timer it set last.
struct TimerHeap<Key: Sendable>: Sendable {
    struct Timer: Sendable {
        let due: UInt64
        let serial: UInt64
        let key: Key
    }

    private var heap: [Timer] = []
    private var lastSerial: UInt64 = 0

    var count: Int { heap.count }

    /// Returns the timer's serial number, which is never 0.
    mutating func set(_ key: Key, due: UInt64) -> UInt64 {
        lastSerial += 1
        heap.append(Timer(due: due, serial: lastSerial, key: key))
        siftUp(heap.count - 1)
        return lastSerial
    }

    mutating func popDue(_ now: UInt64) -> Timer? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
        return first
    }

    /// Drops what its owner has outlived.
    mutating func keep(where isKept: (Timer) -> Bool) {
        heap = heap.filter(isKept)
        for i in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(i) }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].due, heap[a].serial) < (heap[b].due, heap[b].serial) }

    private mutating func siftUp(_ start: Int) {
        var i = start
        while i > 0, isBefore(i, (i - 1) / 2) {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var i = start
        while true {
            var least = i
            if 2 * i + 1 < heap.count, isBefore(2 * i + 1, least) { least = 2 * i + 1 }
            if 2 * i + 2 < heap.count, isBefore(2 * i + 2, least) { least = 2 * i + 2 }
            if least == i { return }
            heap.swapAt(i, least)
            i = least
        }
    }
}
