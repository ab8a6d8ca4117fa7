import HeapModule

/// What will happen, by time, and in the order of insertion at equal times. Like the fault simulator's queue, but of one
/// type that is known here: generic code of another module is not specialised, and a forecast has tens of millions of
/// events.
struct Agenda {
    enum Event {
        /// A thread has done its burst.
        case finished(thread: Int, busy: UInt64, blocks: UInt64)
        /// The disk has answered.
        case unblocked(thread: Int)
        case arrived(thread: Int, Job)
        case hostTick(Int)
        case gatewayTick(Int)
        case loadTick
        /// The next request of an open loop is due.
        case due
        /// The processes are looked at.
        case sample
    }

    private struct Entry: Comparable {
        let time: UInt64
        let order: UInt64
        let event: Event

        static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
        static func == (a: Self, b: Self) -> Bool { a.order == b.order }
    }

    private var heap: Heap<Entry> = []
    private(set) var inserted: UInt64 = 0

    mutating func insert(_ event: Event, at time: UInt64) {
        heap.insert(Entry(time: time, order: inserted, event: event))
        inserted += 1
    }

    mutating func popFirst() -> (time: UInt64, event: Event)? { heap.popMin().map { ($0.time, $0.event) } }
}
