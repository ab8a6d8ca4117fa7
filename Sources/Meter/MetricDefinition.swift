/// What one metric is: for whoever scrapes it, and for docs/METRICS.md.
public struct MetricDefinition: Hashable, Sendable {
    /// How its numbers behave.
    public enum Kind: Hashable, Sendable {
        /// Goes up from zero, where the process or the host in it starts.
        case counter
        /// Is what it is now.
        case gauge
        /// How often it was how much.
        case histogram(HistogramScale)

        /// As Prometheus says it.
        public var word: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }

        /// Nil unless it is a histogram.
        public var scale: HistogramScale? {
            if case .histogram(let scale) = self { scale } else { nil }
        }
    }

    /// What one of it is.
    public enum Unit: String, Hashable, Sendable {
        case seconds
        case bytes
        /// Things that are counted; the meaning says which.
        case count
        /// A place in an order: a view, a batch's number.
        case number
        /// 1 for yes, 0 for no.
        case flag = "0 or 1"
    }

    /// Which processes say it.
    public enum Side: String, Hashable, Sendable {
        case hosts
        case gateways
        case both
    }

    /// With its unit at the end where that is seconds or bytes, and `_total` if it is a counter.
    public let name: String
    /// Of its numbers.
    public let kind: Kind
    /// Of its values; of a histogram, of what it tells apart.
    public let unit: Unit
    /// Names of its labels, in the order in which they are said.
    public let labels: [String]
    /// Who says it.
    public let side: Side
    /// A sentence without its full stop; HELP of a scrape.
    public let meaning: String

    /// Of the table, or of a test.
    public init(
        _ name: String, _ kind: Kind, _ unit: Unit, _ labels: [String] = [], on side: Side, _ meaning: String
    ) {
        (self.name, self.kind, self.unit) = (name, kind, unit)
        (self.labels, self.side, self.meaning) = (labels, side, meaning)
    }
}
