/// What the API answers, each by one path and one method beside HEAD. What `/openapi.json` says of them is made of
/// this.
enum APIRoute: CaseIterable, Sendable {
    case submit, transaction, account, principal, decisions, procedures, cluster, shards, problem, openAPI

    /// A name in braces stands for one segment.
    var path: String {
        switch self {
        case .submit: "/api/v1/transactions"
        case .transaction: "/api/v1/transactions/{txid}"
        case .account: "/api/v1/accounts/{account}"
        case .principal: "/api/v1/principals/{principal}"
        case .decisions: "/api/v1/decisions"
        case .procedures: "/api/v1/procedures"
        case .cluster: "/api/v1/cluster"
        case .shards: "/api/v1/shards"
        case .problem: "/problems/{problem}"
        case .openAPI: "/openapi.json"
        }
    }

    var isPost: Bool { self == .submit }

    /// As the header field Allow has it.
    var allow: String { isPost ? "POST" : "GET, HEAD" }

    /// What an answer that is no problem is, the usual one first.
    var types: [String] {
        switch self {
        case .decisions: ["application/x-ndjson", "text/event-stream"]
        case .submit, .transaction, .account, .principal, .procedures, .cluster, .shards, .problem, .openAPI:
            ["application/json"]
        }
    }

    /// - Parameter accept: the header field.
    func isAccepted(by accept: String?) -> Bool {
        types.contains { MediaTypes.accepts($0, accept) }
    }

    /// The names that its query may have.
    var queryNames: [String] {
        switch self {
        case .account: ["asset", "nonce"]
        case .principal: ["shard", "nonce"]
        case .decisions: ["shard", "from"]
        case .submit, .transaction, .procedures, .cluster, .shards, .problem, .openAPI: []
        }
    }

    /// What may be wrong beside `commonProblems`.
    var problems: [ProblemKind] {
        switch self {
        case .submit:
            [
                .foreignOrigin, .malformedRequest, .bodyTooSlow, .contentTooLarge, .unsupportedMediaType, .badSignature,
                .invalidRequest, .refused, .acknowledged, .queueFull, .shardUnavailable, .gatewayUnavailable,
                .retriesExhausted,
                .deadlinePassed, .timeout,
            ]
        case .transaction: [.unknownTransaction, .notFound]
        case .account: [.wrongAsset, .noQuorum, .gatewayUnavailable, .timeout, .notFound]
        case .principal: [.noQuorum, .gatewayUnavailable, .timeout, .notFound]
        case .decisions: [.noDecisions]
        case .problem: [.notFound]
        case .procedures, .cluster, .shards, .openAPI: []
        }
    }

    /// What may be wrong with every request.
    static let commonProblems: [ProblemKind] = [
        .misdirectedRequest, .malformedParameter, .notAcceptable, .headersTooLarge, .tooManyRequests, .busy,
        .internalError,
    ]

    /// The route of a path, and what stands for the name in braces; nil if there is none.
    static func find(_ path: String) -> (route: APIRoute, parameter: String)? {
        for route in allCases {
            guard let brace = route.path.firstIndex(of: "{") else {
                if path == route.path { return (route, "") }
                continue
            }
            let prefix = route.path[..<brace]
            guard path.hasPrefix(prefix) else { continue }
            let rest = path.dropFirst(prefix.count)
            if !rest.isEmpty, !rest.contains("/") { return (route, String(rest)) }
        }
        return nil
    }

    /// Whether the API answers for a path, be it with a problem.
    static func owns(_ path: String) -> Bool {
        path == "/api" || path.hasPrefix("/api/") || path.hasPrefix("/problems/") || path == "/openapi.json"
    }
}
