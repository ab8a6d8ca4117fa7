import Foundation
import Testing

/// All that a gateway serves over HTTP, with its parts beside each other as a real process has them.
@Suite(.serialized) struct GatewayPagesTests {
    private static func json(_ answer: HTTPAnswer) throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any] else {
            throw Tool.Failure(description: "no JSON object: \(answer.body.prefix(300))")
        }
        return object
    }

    @Test func noPartTakesThePathsOfAnother() throws {
        let cluster = try TestedCluster("--client-tls", "off")
        let port = try cluster.webPort("gateway-0")

        let page = try HTTPAnswer("/", port: port)
        #expect(page.status == 200 && page.headers["content-type"]?.hasPrefix("text/html") == true)
        let picture = try HTTPAnswer("/api/v1/picture", port: port)
        #expect(picture.status == 200 && picture.headers["content-type"] == "application/json", "\(picture.body)")
        #expect(try !Self.json(picture).isEmpty)
        let events = try HTTPAnswer("/api/v1/events", port: port, until: "event: picture\n")
        #expect(events.status == 200 && events.headers["content-type"] == "text/event-stream", "\(events.body)")
        // Of the dashboard too: it knows of a trace that there is none, and the API has no such problem.
        let trace = try HTTPAnswer("/api/v1/trace/nonsense", port: port)
        #expect(try Self.json(trace)["type"] as? String == "about:blank", "\(trace.body)")

        let shards = try HTTPAnswer("/api/v1/shards", port: port)
        #expect(shards.status == 200)
        #expect(try Self.json(shards)["count"] as? Int == 1)
        #expect(try HTTPAnswer("/openapi.json", port: port).status == 200)
        for path in ["/api/v1/nothing", "/api/v1/pictures", "/api/v1/trace", "/api", "/nothing"] {
            let nothing = try HTTPAnswer(path, port: port)
            #expect(nothing.status == 404 && nothing.headers["content-type"] == "application/problem+json", "\(path)")
            #expect(try Self.json(nothing)["type"] as? String == "/problems/not-found", "\(path)")
        }

        #expect(try Scrape(port: port).total("quorate_build_info") == 1)
        #expect(try HTTPAnswer("/health/live", port: port).status == 200)
        let ready = try HTTPAnswer("/health/ready", port: port)
        #expect(ready.status == 200 || ready.status == 503)
    }
}
