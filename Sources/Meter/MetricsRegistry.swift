import CoreMetrics
import Messages
import Synchronization

/// Keeps what is counted, for whoever asks (swift-metrics has the interface). Counters are atomics that are found once,
/// when somebody makes a `Counter`; who counts takes no lock and looks nothing up. Every host and gateway has a registry
/// of its own, because one process may have several.
///
/// A counter that nobody has made says nothing; one that was made says 0 until something happens. Making the same name
/// and labels twice gives the same counter. A timer or recorder that `MetricTable` has as a histogram is one; other
/// timers are kept as their longest duration, in nanoseconds.
public final class MetricsRegistry: MetricsFactory {
    private struct Key: Hashable {
        let name: String
        let labels: [MetricLabel]
    }

    private let kept = Mutex<[Key: KeptNumber]>([:])
    private let histograms = Mutex<[Key: BucketHistogram]>([:])
    private let scales: [String: HistogramScale]

    /// Empty.
    /// - Parameter table: says which names are histograms.
    public init(_ table: [MetricDefinition] = MetricTable.all) {
        scales = Dictionary(
            table.compactMap { definition in definition.kind.scale.map { (definition.name, $0) } }
        ) { first, _ in first
        }
    }

    /// What is kept now but for histograms, by name and then by labels. The numbers are not taken at one moment.
    public var samples: [MetricSample] {
        let all = kept.withLock { kept in kept.map { MetricSample(name: $0.name, labels: $0.labels, value: $1.value) } }
        return all.sorted { a, b in
            guard a.name == b.name else { return a.name < b.name }
            return a.labels.map(\.value).lexicographicallyPrecedes(b.labels.map(\.value))
        }
    }

    /// All that is kept, histograms too, for a scrape.
    public var points: [MetricPoint] {
        let all = histograms.withLock { $0.map { MetricPoint($0.name, $0.labels, .distribution($1.counts)) } }
        let sorted = all.sorted { a, b in
            guard a.name == b.name else { return a.name < b.name }
            return a.labels.map(\.value).lexicographicallyPrecedes(b.labels.map(\.value))
        }
        return samples.map { MetricPoint($0.name, $0.labels, .whole($0.value)) } + sorted
    }

    /// The sum of all samples with this name and, if it is given, with a label of this value.
    public func total(_ name: String, _ value: String? = nil) -> UInt64 {
        samples.filter { sample in sample.name == name && (value == nil || sample.labels.contains { $0.value == value })
        }
        .reduce(0) { $0 + $1.value }
    }

    private func number(_ label: String, _ dimensions: [(String, String)], _ kind: KeptNumber.Kind) -> KeptNumber {
        let key = Key(name: label, labels: dimensions.map { MetricLabel(name: $0, value: $1) })
        return kept.withLock { kept in
            if let number = kept[key] { return number }
            let number = KeptNumber(kind)
            kept[key] = number
            return number
        }
    }

    /// Nil if the table does not have it as one.
    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> BucketHistogram? {
        guard let scale = scales[label] else { return nil }
        let key = Key(name: label, labels: dimensions.map { MetricLabel(name: $0, value: $1) })
        return histograms.withLock { histograms in
            if let histogram = histograms[key] { return histogram }
            let histogram = BucketHistogram(scale)
            histograms[key] = histogram
            return histogram
        }
    }

    private func forget(_ handler: AnyObject) {
        kept.withLock { kept in kept = kept.filter { $1 !== handler } }
        histograms.withLock { histograms in histograms = histograms.filter { $1 !== handler } }
    }

    /// Adds up.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        number(label, dimensions, .sum)
    }

    /// - Parameter aggregate: true for a histogram if the table has it as one, or the largest number that was recorded;
    ///   false for the last.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        if aggregate, let histogram = histogram(label, dimensions) { return histogram }
        return number(label, dimensions, aggregate ? .largest : .last)
    }

    /// A histogram if the table has it as one, or the longest duration, in nanoseconds.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        if let histogram = histogram(label, dimensions) { return histogram }
        return number(label, dimensions, .largest)
    }

    /// It is kept no longer.
    public func destroyCounter(_ handler: any CounterHandler) { forget(handler) }
    /// It is kept no longer.
    public func destroyRecorder(_ handler: any RecorderHandler) { forget(handler) }
    /// It is kept no longer.
    public func destroyTimer(_ handler: any TimerHandler) { forget(handler) }
}

/// One number, which any thread may change.
private final class KeptNumber: CounterHandler, RecorderHandler, TimerHandler {
    enum Kind: Sendable { case sum, largest, last }

    private let kind: Kind
    private let number = Atomic<Int64>(0)

    init(_ kind: Kind) { self.kind = kind }

    /// What was counted is never negative.
    var value: UInt64 { UInt64(clamping: number.load(ordering: .relaxed)) }

    func increment(by amount: Int64) { number.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { number.store(0, ordering: .relaxed) }

    func record(_ value: Int64) {
        switch kind {
        case .sum: number.wrappingAdd(value, ordering: .relaxed)
        case .last: number.store(value, ordering: .relaxed)
        case .largest: number.max(value, ordering: .relaxed)
        }
    }

    func record(_ value: Double) { record(Int64(exactly: value.rounded()) ?? (value > 0 ? .max : 0)) }
    func recordNanoseconds(_ duration: Int64) { record(duration) }
}
