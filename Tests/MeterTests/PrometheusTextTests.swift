import Messages
import Meter
import Testing

@Suite struct PrometheusTextTests {
    private static let table = [
        MetricDefinition("sent_total", .counter, .count, ["kind"], on: .both, "What was \"sent\", in C:\\\nor so"),
        MetricDefinition(
            "took_seconds", .histogram(.init(upperBounds: [1000, 5_000_000], divisor: 1e9)), .seconds, ["kind"],
            on: .both, "How long"),
        MetricDefinition("ahead_seconds", .gauge, .seconds, on: .both, "How far"),
    ]

    private func text(_ points: MetricPoint...) -> String { PrometheusText.text(points, table: Self.table) }
    private func kind(_ value: String) -> [MetricLabel] { [MetricLabel(name: "kind", value: value)] }

    @Test func eachMetricHasItsMeaningAndItsKindOnceAndBeforeItsNumbers() {
        let text = text(
            MetricPoint("sent_total", kind("a"), 3), MetricPoint("ahead_seconds", [], .real(-0.25)),
            MetricPoint("sent_total", kind("b"), UInt64.max))
        #expect(
            text == #"""
                # HELP ahead_seconds How far
                # TYPE ahead_seconds gauge
                ahead_seconds -0.25
                # HELP sent_total What was "sent", in C:\\\nor so
                # TYPE sent_total counter
                sent_total{kind="a"} 3
                sent_total{kind="b"} 18446744073709551615

                """#)
    }

    @Test func whatLabelsSayIsEscaped() {
        let text = text(MetricPoint("sent_total", kind("a\"b\\c\nd"), 1))
        #expect(text.hasSuffix("sent_total{kind=\"a\\\"b\\\\c\\nd\"} 1\n"))
    }

    @Test func aHistogramHasCumulativeBucketsASumAndACount() {
        let counts = HistogramCounts(
            buckets: [.init(upperBound: 0.000001, count: 1), .init(upperBound: 0.005, count: 4)], count: 9, sum: 2.5)
        let lines = text(MetricPoint("took_seconds", kind("a"), .distribution(counts))).split(separator: "\n")
        #expect(
            lines.dropFirst(2) == [
                #"took_seconds_bucket{kind="a",le="1e-06"} 1"#, #"took_seconds_bucket{kind="a",le="0.005"} 4"#,
                #"took_seconds_bucket{kind="a",le="+Inf"} 9"#, #"took_seconds_sum{kind="a"} 2.5"#,
                #"took_seconds_count{kind="a"} 9"#,
            ])
        #expect(lines[1] == "# TYPE took_seconds histogram")
    }

    /// Prometheus refuses a scrape that says one thing twice.
    @Test func ofTwoPointsWithTheSameLabelsTheFirstCounts() {
        let text = text(MetricPoint("sent_total", kind("a"), 1), MetricPoint("sent_total", kind("a"), 2))
        #expect(text.contains("} 1\n") && !text.contains("} 2\n"))
    }

    @Test func numbersAreThoseOfGo() {
        let values: [(Double, String)] = [
            (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (3, "3"), (1e12, "1000000000000"),
            (0.1, "0.1"), (1e300, "1e+300"),
        ]
        for (value, said) in values {
            let text = text(MetricPoint("ahead_seconds", [], .real(value)))
            #expect(text.hasSuffix("ahead_seconds \(said)\n"), "\(value)")
        }
    }

    @Test func whatTheTableDoesNotHaveIsSaidWithoutAKind() {
        #expect(text(MetricPoint("other", [], 1)) == "# TYPE other untyped\nother 1\n")
    }
}
