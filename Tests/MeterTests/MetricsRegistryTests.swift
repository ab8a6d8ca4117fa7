import CoreMetrics
import Messages
import Meter
import Testing

@Suite struct MetricsRegistryTests {
    private func sample(_ name: String, _ value: UInt64, reason: String? = nil) -> MetricSample {
        MetricSample(name: name, labels: reason.map { [MetricLabel(name: "reason", value: $0)] } ?? [], value: value)
    }

    @Test func aCounterAddsUpUnderItsNameAndLabels() {
        let registry = MetricsRegistry()
        let full = Counter(label: "dropped_total", dimensions: [("reason", "full")], factory: registry)
        let late = Counter(label: "dropped_total", dimensions: [("reason", "late")], factory: registry)
        full.increment()
        full.increment(by: 4)
        #expect(
            registry.samples == [
                sample("dropped_total", 5, reason: "full"), sample("dropped_total", 0, reason: "late"),
            ])
        late.increment()
        #expect(registry.samples.map(\.value) == [5, 1])
    }

    @Test func whoMakesTheSameCounterTwiceGetsTheSame() {
        let registry = MetricsRegistry()
        for _ in 0..<3 { Counter(label: "syncs_total", factory: registry).increment() }
        #expect(registry.samples == [sample("syncs_total", 3)])
    }

    @Test func recordersKeepTheLargestAndGaugesTheLast() {
        let registry = MetricsRegistry()
        let most = Recorder(label: "bytes_max", factory: registry)
        let gauge = Gauge(label: "queued", factory: registry)
        for value in [3, 9, 4] {
            most.record(value)
            gauge.record(value)
        }
        #expect(registry.samples == [sample("bytes_max", 9), sample("queued", 4)])
    }

    @Test func whatIsDestroyedIsKeptNoLonger() {
        let registry = MetricsRegistry()
        let counter = Counter(label: "syncs_total", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(registry.samples.isEmpty)
    }

    @Test func manyThreadsLoseNothing() async {
        let registry = MetricsRegistry()
        let counter = Counter(label: "syncs_total", factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.increment() } } }
        }
        #expect(registry.samples == [sample("syncs_total", 80_000)])
    }
}
