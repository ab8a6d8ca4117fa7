import Messages

/// One line of what a scrape gets, or the lines of one histogram.
public struct MetricPoint: Hashable, Sendable {
    /// What is said.
    public enum Value: Hashable, Sendable {
        case whole(UInt64)
        case real(Double)
        case distribution(HistogramCounts)
    }

    /// As `MetricTable` has it.
    public let name: String
    /// What tells it from others of the same name.
    public let labels: [MetricLabel]
    /// In the unit that the table says.
    public let value: Value

    /// Whether the table has it, and with these labels, is not checked here.
    public init(_ name: String, _ labels: [MetricLabel] = [], _ value: Value) {
        (self.name, self.labels, self.value) = (name, labels, value)
    }

    /// A count.
    public init(_ name: String, _ labels: [MetricLabel] = [], _ value: some BinaryInteger) {
        self.init(name, labels, .whole(UInt64(clamping: value)))
    }

    /// 1 or 0.
    public init(_ name: String, _ labels: [MetricLabel] = [], _ value: Bool) {
        self.init(name, labels, .whole(value ? 1 : 0))
    }
}
