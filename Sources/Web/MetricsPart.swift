import Hummingbird
import Meter

/// `/metrics`, as Prometheus reads it.
public struct MetricsPart: WebPart {
    private let text: Recent<String>

    /// - Parameter points: what there is, at most a few times a second, however many ask.
    public init(points: @escaping @Sendable () async -> [MetricPoint]) {
        text = Recent { PrometheusText.text(await points()) }
    }

    /// `GET /metrics`.
    public func add(to router: Router<BasicRequestContext>) {
        let text = text
        router.get("/metrics") { _, _ -> EditedResponse<String> in
            EditedResponse(
                headers: [.contentType: PrometheusText.contentType, .cacheControl: "no-store"],
                response: await text.value())
        }
    }
}
