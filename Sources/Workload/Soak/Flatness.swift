/// Whether a figure stays where it is: a line through its samples by least squares, over the last two thirds of a run.
/// What a process takes while it warms up is in the first third.
public struct Flatness: Codable, Sendable, Equatable {
    /// What a figure may grow within the time that is looked at: whichever is more.
    public struct Allowance: Sendable, Equatable {
        /// Of the mean.
        public var share: Double
        /// In the figure's own unit.
        public var amount: Double
        /// - Parameter share: 0.1 for a tenth.
        public init(share: Double, amount: Double) { (self.share, self.amount) = (share, amount) }
    }

    /// Of the line, in the figure's unit.
    public var slope_per_hour: Double
    /// What the line rises within the time that was looked at; below zero if it falls.
    public var growth: Double
    /// Of the samples.
    public var mean: Double
    /// From the first sample to the last.
    public var seconds: Double
    /// It does not grow by more than it may. One that falls is flat.
    public var is_flat: Bool

    /// - Parameters:
    ///   - samples: at ascending seconds since the run began.
    ///   - end: of the run, in seconds.
    ///   - least: seconds from the first sample to the last; less says nothing.
    /// - Returns: nil if there are too few samples, or too short a time, to say anything.
    public init?(
        _ samples: [(at: Double, value: Double)], ofRunUntil end: Double, allowance: Allowance, least: Double = 30
    ) {
        let late = samples.filter { $0.at >= end / 3 }
        guard late.count >= 5, let first = late.first?.at, let last = late.last?.at, last - first >= least, last > first
        else { return nil }
        let count = Double(late.count)
        let meanAt = late.reduce(0) { $0 + $1.at } / count
        let meanValue = late.reduce(0) { $0 + $1.value } / count
        let spread = late.reduce(0) { $0 + ($1.at - meanAt) * ($1.at - meanAt) }
        guard spread > 0 else { return nil }
        let slope = late.reduce(0) { $0 + ($1.at - meanAt) * ($1.value - meanValue) } / spread
        slope_per_hour = slope * 3600
        growth = slope * (last - first)
        mean = meanValue
        seconds = last - first
        is_flat = growth <= max(allowance.share * abs(meanValue), allowance.amount)
    }
}
