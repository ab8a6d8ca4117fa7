import Messages

/// How long something lately took, smoothed as TCP smooths round trips (RFC 6298): the mean, and how far from it. What
/// is repeated after a fixed time is repeated in vain as soon as everything takes that long, which makes it take longer.
/// Nanoseconds.
struct ResponseTime: Sendable {
    /// Nil before the first sample.
    private var mean: UInt64?
    private var deviation: UInt64 = 0

    mutating func note(_ sample: UInt64) {
        guard let mean else {
            (self.mean, deviation) = (sample, sample / 2)
            return
        }
        let distance = sample > mean ? sample - mean : mean - sample
        // Differences, so that no sample is too large.
        deviation = deviation - deviation / 4 + distance / 4
        self.mean = mean - mean / 8 + sample / 8
    }

    /// How long to wait before it is taken to be lost: twice the mean, and four times the deviation.
    /// - Parameters:
    ///   - least: also before the first sample.
    ///   - most: whatever was seen; who makes everything slow on purpose gains no more than this.
    func patience(atLeast least: UInt64, atMost most: UInt64) -> UInt64 {
        guard let mean else { return min(least, most) }
        if Mutant.is(.waitsWithoutEnd) { return 3_600_000_000_000 }
        // Nothing is added that could overflow.
        guard mean < most, deviation < most / 4 else { return most }
        return min(max(2 * mean + 4 * deviation, least), most)
    }
}
