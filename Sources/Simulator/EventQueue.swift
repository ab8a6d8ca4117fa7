import HeapModule

/// Events by time, and by order of insertion at equal times.
struct EventQueue<Event> {
    private struct Entry: Comparable {
        let time: UInt64
        let order: UInt64
        let event: Event

        static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
        static func == (a: Self, b: Self) -> Bool { a.order == b.order }
    }

    private var heap: Heap<Entry> = []
    private var inserted: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }

    mutating func insert(_ event: Event, at time: UInt64) {
        heap.insert(Entry(time: time, order: inserted, event: event))
        inserted += 1
    }

    mutating func popFirst() -> (time: UInt64, event: Event)? {
        heap.popMin().map { ($0.time, $0.event) }
    }
}
