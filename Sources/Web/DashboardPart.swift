import Hummingbird
import HummingbirdCore
import NIOCore

/// The dashboard: `/` is the page, `/api/v1/picture` what it shows, `/api/v1/events` the same each second as
/// server-sent events, `/api/v1/trace/…` one request's waterfall. docs/DASHBOARD.md describes them.
///
/// Everything is for looking: nothing is changed by it, and no other origin may read it.
public struct DashboardPart: WebPart {
    private let source: any DashboardSource
    private let feed: PictureFeed

    /// - Parameter source: of all that is shown.
    public init(_ source: any DashboardSource, limits: DashboardLimits = .init()) {
        self.source = source
        feed = PictureFeed(source, limits: limits)
    }

    /// `/` and what it loads, and three paths under `/api/v1`.
    public func add(to router: Router<BasicRequestContext>) {
        let (source, feed) = (source, feed)
        for asset in DashboardAsset.all { router.get("\(asset.path)") { _, _ in asset.response } }
        router.get("/api/v1/picture") { _, _ -> Response in
            guard let picture = await feed.picture() else {
                return Self.problem(Self.noPicture)
            }
            return Self.response("application/json", ByteBuffer(bytes: picture))
        }
        router.get("/api/v1/events") { request, _ -> Response in
            guard let subscription = await feed.subscribe() else {
                return Self.problem(Self.tooMany)
            }
            return Self.events(subscription, of: feed, for: request)
        }
        router.get("/api/v1/trace/:transaction") { _, context -> Response in
            switch await source.trace(context.parameters.get("transaction") ?? "") {
            case .found(let bytes): Self.response("application/json", ByteBuffer(bytes: bytes))
            case .problem(let problem): Self.problem(problem)
            }
        }
    }

    /// Its paths under `/api/v1`, which are beside those of the HTTP API.
    public func claims(_ path: String) -> Bool {
        path == "/api/v1/picture" || path == "/api/v1/events" || path.hasPrefix("/api/v1/trace/")
    }

    /// Ends all streams of events. Before the server is stopped.
    public func stop() async { await feed.stop() }

    private static let noPicture = WebProblem(
        status: 503, title: "no picture", detail: "The gateway is being stopped, or cannot look just now. Try again.")
    private static let tooMany = WebProblem(
        status: 503, title: "too many look",
        detail: "As many dashboards are open as this gateway serves. Close one, or ask for /api/v1/picture instead.")

    private static func response(
        status: HTTPResponse.Status = .ok, _ type: String, _ body: ByteBuffer
    ) -> Response {
        Response(status: status, headers: SafeHeaders.fields(type), body: ResponseBody(byteBuffer: body))
    }

    private static func problem(_ problem: WebProblem) -> Response {
        response(
            status: .init(code: problem.status), "application/problem+json", ByteBuffer(bytes: problem.json))
    }

    /// Ends when the client goes, does not read, or the feed stops. Who comes back gets the present picture: there is
    /// nothing to catch up on, and `Last-Event-ID` is not looked at.
    private static func events(
        _ subscription: PictureFeed.Subscription, of feed: PictureFeed, for request: Request
    ) -> Response {
        var headers = SafeHeaders.fields("text/event-stream")
        headers[.connection] = "close"
        let body = ResponseBody { writer in
            let handed = HandedOver(writer)
            let isRead: Bool
            do {
                isRead = try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await write(subscription, to: handed)
                }
            } catch {
                // The client is gone; there is nobody to tell.
                isRead = false
            }
            await feed.unsubscribe(subscription.number)
            // The end of a stream would wait for a client that does not read. An error closes the connection at once.
            guard isRead else { throw StreamGivenUp() }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    /// A write may wait for ever for a client that does not read; being dropped ends it.
    /// - Returns: false if it was dropped.
    private static func write(
        _ subscription: PictureFeed.Subscription, to handed: HandedOver<any ResponseBodyWriter>
    ) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                var writer = handed.value
                try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
                for await event in subscription.events { try await writer.write(event) }
                return true
            }
            group.addTask {
                for await _ in subscription.dropped {}
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }
}

/// A stream of events to a client that does not take them, or is gone.
struct StreamGivenUp: Error {}

/// From one task to another that runs while the first waits for it: never in two at once.
struct HandedOver<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// Headers of all that a dashboard answers.
enum SafeHeaders {
    /// Nothing runs that did not come from here, nothing is loaded from or sent to elsewhere, and nobody frames the
    /// page or reads it from another origin. Scripts cannot write markup: the page puts all that it shows as text.
    private static let policy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ].joined(separator: "; ")

    static func fields(_ type: String) -> HTTPFields {
        var fields = HTTPFields()
        fields[.contentType] = type
        fields[.cacheControl] = "no-store"
        fields[.contentSecurityPolicy] = policy
        fields[.xContentTypeOptions] = "nosniff"
        for (name, value) in [
            ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"), ("X-Frame-Options", "DENY"),
        ] {
            if let name = HTTPFields.Element.Name(name) { fields[name] = value }
        }
        return fields
    }
}
