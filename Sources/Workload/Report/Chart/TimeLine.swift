/// Commits over time, and what was done meanwhile.
struct TimeLine {
    private let timeline: RunResult.Timeline
    private let events: [RunResult.Event]

    /// Seconds at the beginning that no figure counts.
    private let warmup: Double

    init(_ timeline: RunResult.Timeline, events: [RunResult.Event], warmup: Double = 0) {
        (self.timeline, self.events, self.warmup) = (timeline, events, warmup)
    }

    func chart(title: String, style: String) -> Chart {
        let interval = Double(timeline.interval_ms) / 1000
        var buckets = timeline.committed
        var seconds = interval
        // More points than pixels say nothing: join neighbours.
        while buckets.count > 280 {
            buckets = stride(from: 0, to: buckets.count, by: 2).map {
                buckets[$0] + ($0 + 1 < buckets.count ? buckets[$0 + 1] : 0)
            }
            seconds *= 2
        }
        // The last one is not full.
        if buckets.count > 2 { buckets.removeLast() }
        let points = buckets.enumerated().map {
            (x: (Double($0.offset) + 0.5) * seconds, y: Double($0.element) / seconds)
        }
        let end = max(seconds, Double(buckets.count) * seconds)
        let step = Chart.niceStep(end / 6)
        let ticks = stride(from: 0.0, through: end + step * 1e-6, by: step).map {
            Chart.Tick(position: $0, label: HTML.number($0))
        }
        return Chart(
            title: title, xTitle: "seconds", yTitle: "committed / s", xTicks: ticks,
            series: [Chart.Series(name: "throughput", points: points, style: style)],
            marks: events.map { Chart.Tick(position: $0.at_s, label: "\(decimal($0.at_s, 1)) s: \($0.what)") },
            bands: warmup > 0 ? [.init(range: 0...min(warmup, end), label: "warm-up")] : [], fillsArea: true,
            isWide: true)
    }
}
