/// Durations in buckets whose width grows with them, as an HDR histogram has them: from 8 µs on, eight between a number
/// and its double, so that what is read off is off by a sixteenth at most. Memory never grows.
package struct LatencyBuckets: Sendable {
    private static let exponent = 3
    /// Two and a quarter minutes, and what is longer with it: a gateway gives up before that.
    private static let count = index(of: 1 << 27) + 1
    private var counts = [UInt32](repeating: 0, count: count)
    /// How many durations there are.
    package private(set) var total: UInt64 = 0

    /// None yet.
    package init() {}

    /// - Parameter microseconds: of one request.
    package mutating func add(microseconds: UInt64) {
        let place = min(Self.index(of: microseconds), Self.count - 1)
        counts[place] &+= 1
        total += 1
    }

    /// Adds all of another.
    package mutating func add(_ other: LatencyBuckets) {
        for place in counts.indices { counts[place] &+= other.counts[place] }
        total += other.total
    }

    /// Forgets all, and keeps the memory.
    package mutating func removeAll() {
        guard total > 0 else { return }
        for place in counts.indices { counts[place] = 0 }
        total = 0
    }

    /// The middle of the bucket in which the duration lies that so many of a thousand are not above, in microseconds;
    /// nil if there are none.
    package func percentile(perMille: UInt64) -> UInt64? {
        guard total > 0 else { return nil }
        let rank = max(1, (total * min(perMille, 1000) + 999) / 1000)
        var seen: UInt64 = 0
        for place in counts.indices {
            seen += UInt64(counts[place])
            if seen >= rank { return Self.middle(of: place) }
        }
        return Self.middle(of: counts.count - 1)
    }

    private static func index(of value: UInt64) -> Int {
        guard value >= 1 << exponent else { return Int(value) }
        let shift = UInt64.bitWidth - 1 - value.leadingZeroBitCount - exponent
        return ((shift + 1) << exponent) + Int((value >> UInt64(shift)) & 7)
    }

    private static func middle(of place: Int) -> UInt64 {
        guard place >= 1 << exponent else { return UInt64(place) }
        let shift = UInt64((place >> exponent) - 1)
        let low = (UInt64(place & 7) + 8) << shift
        return low + (1 << shift) / 2
    }
}
