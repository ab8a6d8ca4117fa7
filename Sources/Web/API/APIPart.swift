import Client
import Hummingbird
import HummingbirdCore
import Logging
import Messages
import NIOCore
import StrictInput
import Transport

/// The HTTP API of a gateway: everything under `/api/`, `/problems/` and `/openapi.json`. It reaches the gateway as every
/// client does, over the gateway's own port, so that all bounds of the core hold (docs/decisions/0044).
public struct APIPart: WebTree {
    let manifest: Manifest
    let procedures: [String]
    let options: APIOptions
    let link: GatewayLink
    let submissions: Submissions
    let logger: Logger
    let pages: StreamPlaces
    let streams: StreamPlaces
    private let limits: AddressLimitsBox

    /// - Parameters:
    ///   - gateway: where the gateway listens for clients, on this machine.
    ///   - procedures: `NAME@VERSION`, those that this program knows: a gateway cannot say which the hosts have.
    public init(
        manifest: Manifest, gateway: GatewayAddress, procedures: [String] = [], options: APIOptions = .init(),
        logger: Logger
    ) {
        self.init(manifest: manifest, procedures: procedures, options: options, logger: logger) {
            try await GatewayConnection.connect(gateway)
        }
    }

    /// - Parameter connect: makes a connection to the gateway.
    public init(
        manifest: Manifest, procedures: [String] = [], options: APIOptions = .init(), logger: Logger,
        connect: @escaping @Sendable () async throws -> GatewayConnection
    ) {
        let link = GatewayLink(connect: connect)
        (self.manifest, self.procedures, self.options, self.link) = (manifest, procedures, options, link)
        submissions = Submissions(options: options) { await link.submit($0) }
        limits = AddressLimitsBox(options)
        pages = StreamPlaces(options.maxPages, each: options.maxPagesPerAddress)
        streams = StreamPlaces(options.maxStreams, each: options.maxStreamsPerAddress)
        self.logger = logger
    }

    /// Nothing: it answers for its paths itself.
    public func add(to router: Router<BasicRequestContext>) {}

    /// Everything under the API's paths, known or not.
    public func owns(_ path: String) -> Bool { APIRoute.owns(path) }

    /// Every answer that is no success is a problem document.
    public func respond(to request: HummingbirdCore.Request, from peer: SocketAddress?) async -> Response {
        let peer = PeerNetwork(peer)
        do {
            switch limits.admit(peer) {
            case .admitted: break
            case .tooMany(let pause):
                throw Problem(
                    .tooManyRequests,
                    "more than \(options.requestsPerSecond) requests a second, or "
                        + "\(options.maxConcurrentPerAddress) at once, come from one address",
                    retryAfterMilliseconds: pause)
            case .busy:
                throw Problem(
                    .busy, "\(options.maxConcurrent) requests are being answered", retryAfterMilliseconds: 1000)
            }
            defer { limits.leave(peer) }
            let response = try await answer(request, for: peer)
            return request.method == .head ? response.createHeadResponse() : response
        } catch let problem as Problem {
            let response = problem.response
            return request.method == .head ? response.createHeadResponse() : response
        } catch {
            // What it was is for the operator: it may say more of this machine than a client should know.
            logger.error("the HTTP API failed: \(Printable.line("\(error)"))")
            return Problem(.internalError, "the gateway's log has more").response
        }
    }

    private func answer(_ request: HummingbirdCore.Request, for peer: PeerNetwork) async throws -> Response {
        try checkSizes(request)
        let path = request.uri.path
        guard let (route, parameter) = APIRoute.find(path) else {
            throw Problem(.notFound, "there is nothing at \(Printable.quoted(path.utf8, limit: 120))")
        }
        let isAllowed = route.isPost ? request.method == .post : request.method == .get || request.method == .head
        guard isAllowed else {
            throw Problem(
                .methodNotAllowed, "\(route.path) takes \(route.allow) and not \(request.method.rawValue)",
                allow: route.allow)
        }
        guard route.isAccepted(by: request.headers[.accept]) else {
            let types = route.types.joined(separator: " or ")
            throw Problem(.notAcceptable, "the answer is \(types), which Accept excludes")
        }
        let query = try APIQuery(request.uri.query, names: route.queryNames)
        switch route {
        case .submit: return try await submit(request)
        case .transaction: return try transaction(parameter)
        case .account: return try await account(parameter, query)
        case .principal: return try await principal(parameter, query)
        case .decisions: return try await decisions(request, query, for: peer)
        case .procedures: return proceduresAnswer
        case .cluster: return clusterAnswer
        case .shards: return shardsAnswer
        case .problem: return try problem(parameter)
        case .openAPI: return .json(OpenAPI.document(options))
        }
    }

    private func checkSizes(_ request: HummingbirdCore.Request) throws {
        let pathBytes = (request.head.path ?? "").utf8.count
        guard pathBytes <= options.maxPathBytes else {
            throw Problem(.headersTooLarge, "\(pathBytes) bytes of path; at most \(options.maxPathBytes) are taken")
        }
        let headerBytes = request.headers.reduce(0) { $0 + $1.name.rawName.utf8.count + $1.value.utf8.count + 4 }
        guard headerBytes <= options.maxHeaderBytes else {
            throw Problem(
                .headersTooLarge, "\(headerBytes) bytes of header fields; at most \(options.maxHeaderBytes) are taken")
        }
    }
}
