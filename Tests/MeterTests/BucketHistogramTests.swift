import CoreMetrics
import Messages
import Meter
import Testing

@Suite struct BucketHistogramTests {
    /// Bounds of 1, 5 and 10 microseconds.
    private static let scale = HistogramScale(upperBounds: [1000, 5000, 10_000], divisor: 1e9)
    private static let table = [
        MetricDefinition("sync_seconds", .histogram(scale), .seconds, on: .hosts, "How long"),
        MetricDefinition("size", .histogram(.items), .count, ["shard"], on: .hosts, "How many"),
    ]

    @Test func aBucketHoldsItsBoundAndAllThatIsBelow() {
        let histogram = BucketHistogram(Self.scale)
        for nanoseconds: Int64 in [0, 1000, 1001, 5000, 5001, 10_000, 10_001, 50_000] {
            histogram.recordNanoseconds(nanoseconds)
        }
        let counts = histogram.counts
        #expect(counts.buckets.map(\.count) == [2, 4, 6])
        #expect(counts.buckets.map(\.upperBound) == [0.000001, 0.000005, 0.00001])
        #expect(counts.count == 8)
        #expect(abs(counts.sum - 0.000082003) < 1e-12)
    }

    @Test func whatIsNegativeIsNothingAndWhatIsHugeHasNoBound() {
        let histogram = BucketHistogram(.items)
        histogram.record(Int64(-5))
        histogram.record(-0.5)
        histogram.record(Double.nan)
        histogram.record(Double.infinity)
        histogram.record(3.4)
        let counts = histogram.counts
        #expect(counts.buckets.first?.count == 3)
        #expect(counts.buckets.first { $0.upperBound == 4 }?.count == 4)
        #expect(counts.buckets.last?.count == 4)
        #expect(counts.count == 5)
    }

    @Test func everyBoundOfTheScalesAscends() {
        for scale in [HistogramScale.storage, .latency, .items] {
            let bounds = scale.upperBounds
            #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
            // Each is a series of every scrape.
            #expect(bounds.count <= 20)
        }
    }

    @Test func manyThreadsLoseNothing() async {
        let histogram = BucketHistogram(.items)
        await withTaskGroup(of: Void.self) { group in
            for value: Int64 in 1...8 {
                group.addTask { for _ in 0..<5000 { histogram.record(value) } }
            }
        }
        let counts = histogram.counts
        #expect(counts.count == 40_000 && counts.sum == 180_000)
        #expect(counts.buckets.prefix(4).map(\.count) == [5000, 10_000, 20_000, 40_000])
    }

    @Test func aTimerThatTheTableHasAsAHistogramIsOneAndTravelsInNoStatus() {
        let registry = MetricsRegistry(Self.table)
        let timer = Timer(label: "sync_seconds", factory: registry)
        timer.recordNanoseconds(2000)
        Timer(label: "sync_seconds", factory: registry).recordNanoseconds(3000)
        let other = Timer(label: "other", factory: registry)
        other.recordNanoseconds(7)
        #expect(registry.samples == [MetricSample(name: "other", value: 7)])
        let points = registry.points
        #expect(points.map(\.name) == ["other", "sync_seconds"])
        guard case .distribution(let counts) = points[1].value else {
            Issue.record("it is no histogram")
            return
        }
        #expect(counts.count == 2 && counts.buckets.map(\.count) == [0, 2, 2])
        timer.destroy()
        #expect(registry.points.map(\.name) == ["other"])
    }

    @Test func recordersAreHistogramsByLabelsAndGaugesAreNot() {
        let registry = MetricsRegistry(Self.table)
        for shard in ["1", "0"] {
            Recorder(label: "size", dimensions: [("shard", shard)], factory: registry).record(5)
        }
        #expect(registry.points.map { $0.labels.map(\.value) } == [["0"], ["1"]])
        Gauge(label: "queued", factory: registry).record(5)
        #expect(registry.samples.map(\.name) == ["queued"])
    }
}
