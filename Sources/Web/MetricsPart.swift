import Hummingbird
import Meter

/// `/metrics`, as Prometheus reads it.
public struct MetricsPart: WebPart {
    private let points: @Sendable () async -> [MetricPoint]

    /// - Parameter points: what there is, each time that somebody asks.
    public init(points: @escaping @Sendable () async -> [MetricPoint]) { self.points = points }

    /// `GET /metrics`.
    public func add(to router: Router<BasicRequestContext>) {
        let points = points
        router.get("/metrics") { _, _ -> EditedResponse<String> in
            EditedResponse(
                headers: [.contentType: PrometheusText.contentType, .cacheControl: "no-store"],
                response: PrometheusText.text(await points()))
        }
    }
}
