import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import StrictInput
import Transport

/// A part that answers by itself for everything under its paths: for every method, and for what is not there.
public protocol WebTree: WebPart {
    /// Whether a path is its own, unless another part claims it.
    func owns(_ path: String) -> Bool
    /// - Parameter peer: who asks; nil if the connection is gone.
    func respond(to request: HummingbirdCore.Request, from peer: SocketAddress?) async -> Response
}

/// What a request came over.
struct WebContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Gives each request to the part whose path it is. What no part answers is a problem document too: nothing of the
/// library shows.
struct WebResponder: HTTPResponder {
    typealias Context = WebContext

    private let parts: [any WebPart]
    private let names: HostNames
    private let trees: [any WebTree]
    private let limits: AddressLimitsBox
    /// Of events, by where they go: this machine may have all that there are.
    private let streams = ConnectionCounts(maxEach: 4, maxRemote: 28)
    private let others: RouterResponder<BasicRequestContext>

    init(_ parts: [any WebPart], names: HostNames) {
        self.names = names
        var options = APIOptions()
        (options.requestsPerSecond, options.burst) = (50, 100)
        (options.maxConcurrentPerAddress, options.maxConcurrent) = (8, 32)
        limits = AddressLimitsBox(options)
        self.parts = parts
        trees = parts.compactMap { $0 as? any WebTree }
        let router = Router()
        for part in parts { part.add(to: router) }
        others = router.buildResponder()
    }

    /// Probes and scrapers come by whatever name, and what they are told is of no use to a page.
    private static func isForMonitors(_ path: String) -> Bool { path == "/metrics" || path.hasPrefix("/health/") }

    /// When the answer has had time to arrive: otherwise the library would read what is left of a body, however long
    /// that takes.
    private static func end(_ channel: any Channel) {
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }

    private static func nothing(at path: String) -> Response {
        Problem(.notFound, "there is nothing at \(Printable.quoted(path.utf8, limit: 120))").response
    }

    func respond(to request: HummingbirdCore.Request, context: WebContext) async throws -> Response {
        let response = try await answer(request, context: context)
        // Otherwise what is more than a head is read as the next answer.
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(_ request: HummingbirdCore.Request, context: WebContext) async throws -> Response {
        let path = request.uri.path
        if !Self.isForMonitors(path), let problem = names.problem(of: request) { return problem.response }
        if let tree = trees.first(where: { $0.owns(path) }), !parts.contains(where: { $0.claims(path) }) {
            let response = await tree.respond(to: request, from: context.channel.remoteAddress)
            // A stream ends by itself.
            let isStream = response.headers[.contentType] == "text/event-stream"
            if response.headers[.connection] == "close", !isStream { Self.end(context.channel) }
            return response
        }
        let peer = PeerNetwork(context.channel.remoteAddress)
        // What costs something here is asked for by few, and not often.
        if path == "/api/v1/events" {
            guard streams.admit(peer) else {
                return Problem(
                    .tooManyRequests, "as many streams of events go to one address, or to all, as this server has",
                    retryAfterMilliseconds: 10_000
                ).response
            }
            let response: Response
            do { response = try await found(at: path, for: request, context: context) } catch {
                streams.leave(peer)
                throw error
            }
            // One that was refused must not keep a place for as long as its connection lasts.
            guard response.headers[.contentType] == "text/event-stream" else {
                streams.leave(peer)
                return response
            }
            // The connection ends with the stream.
            context.channel.closeFuture.whenComplete { [streams] _ in streams.leave(peer) }
            return response
        }
        let isLimited = path == "/metrics" || path.hasPrefix("/api/v1/trace/")
        if isLimited {
            switch limits.admit(peer) {
            case .admitted: break
            case .tooMany(let pause):
                return Problem(
                    .tooManyRequests, "one address asks for \(Printable.quoted(path.utf8, limit: 120)) too often",
                    retryAfterMilliseconds: pause
                ).response
            case .busy:
                return Problem(.busy, "too many such requests are being answered", retryAfterMilliseconds: 1000)
                    .response
            }
        }
        defer { if isLimited { limits.leave(peer) } }
        return try await found(at: path, for: request, context: context)
    }

    private func found(
        at path: String, for request: HummingbirdCore.Request, context: WebContext
    ) async throws -> Response {
        do {
            let response = try await others.respond(
                to: request,
                context: BasicRequestContext(source: .init(channel: context.channel, logger: context.logger)))
            // A router without any route answers by itself, and says nothing.
            let isBare = response.status == .notFound && response.headers[.contentType] == nil
            return isBare ? Self.nothing(at: path) : response
        } catch let error as any HTTPResponseError {
            if error.status == .notFound { return Self.nothing(at: path) }
            return try error.response(from: request, context: context)
        } catch {
            context.logger.error("a page failed: \(Printable.line("\(error)"))")
            return Problem(.internalError, "the log has more").response
        }
    }
}
