/// When a host writes down a state that all hosts of its shard write down: each has its own part of the time from one
/// flush to the next. While one writes, its journal's syncs wait behind the flush's pages; the others' do not, and a
/// quorum goes on as before.
package struct FlushTurn {
    /// The last host does not wait longer, however seldom states are flushed. In nanoseconds.
    package static let longest: UInt64 = 1_000_000_000

    /// Hosts of the shard before this one, and all.
    private let place, hosts: UInt64
    /// When the last flush was asked for.
    private var last: UInt64?

    /// - Parameter place: counted from zero, below `hosts`.
    package init(place: Int, of hosts: Int) { (self.place, self.hosts) = (UInt64(place), UInt64(hosts)) }

    /// A flush was asked for.
    /// - Returns: nanoseconds to wait. All have begun when half of the time that passed between this flush and the one
    ///   before has passed again.
    package mutating func wait(now: UInt64) -> UInt64 {
        defer { last = now }
        guard let last, now > last else { return 0 }
        return place * min((now - last) / 2, Self.longest) / hosts
    }
}
