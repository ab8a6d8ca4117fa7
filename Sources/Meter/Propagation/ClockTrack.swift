import Messages

/// How far another process's monotonic clock is ahead of this one's, from questions and answers: the answer's time lies
/// between that of the question and that of its arrival (F. Cristian, Probabilistic clock synchronization, 1989). So the
/// middle is wrong by half of the round trip at most, and the shortest round trip tells it best.
///
/// Processes of one machine have one monotonic clock: where the two may be the same they are taken for it, and the error
/// is zero. Two machines whose clocks agree by chance within half of a round trip lose no more than that.
public struct ClockTrack: Sendable {
    /// Nanoseconds of the asker's monotonic clock, but for `there`.
    private struct Look: Sendable {
        let at: UInt64
        let offset: Int128
        let error: UInt64
    }

    /// Quartz clocks of two machines drift apart by so many nanoseconds a second at most: 100 ppm.
    public static let drift: UInt64 = 100_000
    /// Looks that are kept.
    private static let maxLooks = 16
    private var looks: [Look] = []
    /// Some look says that the clocks cannot be the same.
    private var isOther = false

    /// Nothing is known.
    public init() {}

    /// - Parameters:
    ///   - asked, answered: by the own clock.
    ///   - there: what the other said, by its clock.
    public mutating func note(asked: UInt64, there: UInt64, answered: UInt64) {
        guard answered >= asked else { return }
        let half = (answered - asked + 1) / 2
        let offset = Int128(there) - Int128(asked) - Int128(half)
        if offset.magnitude > UInt128(half) { isOther = true }
        looks.append(Look(at: answered, offset: offset, error: half))
        if looks.count > Self.maxLooks { looks.removeFirst() }
    }

    /// The clock is that of this machine, as far as is known.
    public var isSame: Bool { !isOther }

    /// Of the best look, with what the clocks may have drifted since; nil if there was none.
    /// - Parameter now: by the own clock.
    public func estimate(at now: UInt64) -> ClockEstimate? {
        guard !looks.isEmpty else { return nil }
        if isSame { return ClockEstimate(ahead: 0, error: 0) }
        let all = looks.map { look in
            let drifted = Double(now - min(now, look.at)) * Double(Self.drift) / 1e9
            return ClockEstimate(ahead: look.offset, error: look.error + UInt64(drifted))
        }
        return all.min { $0.error < $1.error }
    }
}

/// How far a clock is ahead, and how wrong that may be.
public struct ClockEstimate: Sendable, Equatable {
    /// Nanoseconds; negative if it is behind.
    public let ahead: Int128
    /// Nanoseconds, to either side.
    public let error: UInt64

    /// A clock that is known so well.
    public init(ahead: Int128, error: UInt64) { (self.ahead, self.error) = (ahead, error) }

    /// A moment of that clock by the own one.
    public func own(_ at: UInt64) -> UInt64 { UInt64(clamping: Int128(at) - ahead) }
}
