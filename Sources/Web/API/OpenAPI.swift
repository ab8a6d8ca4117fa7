import Messages

/// The API's description as OpenAPI 3.1 has it, made of the routes, problems and bounds that the server goes by.
enum OpenAPI {
    static func document(_ options: APIOptions) -> WebJSON {
        [
            "openapi": "3.1.0",
            "info": [
                "title": "Quorate gateway", "version": "1",
                "summary": "Submit signed transactions, and read what a quorum of replicas says.",
                "description": .string(
                    "A gateway is trusted with nothing: clients sign, and verify receipts and reads. Numbers of 64 bits "
                        + "and more are strings. At most \(options.maxHeaderBytes) bytes of header fields and "
                        + "\(options.maxPathBytes) of path are taken; of one address \(options.requestsPerSecond) "
                        + "requests a second on the long run (\(options.burst) at once), and "
                        + "\(options.maxConcurrentPerAddress) that are being answered. Every error is a problem document "
                        + "(RFC 9457). There is no CORS."),
            ],
            "servers": [["url": "/"]],
            "paths": .object(APIRoute.allCases.map { ($0.path, path($0, options)) }),
            "components": [
                "schemas": .object(OpenAPISchemas.all(options)),
                "responses": .object(ProblemKind.allCases.map { ($0.rawValue, problemResponse($0)) }),
            ],
        ]
    }

    static func reference(_ schema: String) -> WebJSON { ["$ref": .string("#/components/schemas/\(schema)")] }

    private static func path(_ route: APIRoute, _ options: APIOptions) -> WebJSON {
        if route.isPost { return ["post": operation(route, options)] }
        return ["get": operation(route, options), "head": operation(route, options, isHead: true)]
    }

    private static func operation(_ route: APIRoute, _ options: APIOptions, isHead: Bool = false) -> WebJSON {
        var members: [(key: String, value: WebJSON)] = [
            ("operationId", .string(isHead ? "\(route)Head" : "\(route)")),
            ("summary", .string(summary(route) + (isHead ? " Without a body." : ""))),
        ]
        let parameters = parameters(route, options)
        if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
        if route.isPost {
            members.append(
                (
                    "requestBody",
                    [
                        "required": true,
                        "description": .string(
                            "Canonical bytes (docs/receipts/README.md): a u32 count, the request's bytes and the "
                                + "signature of 64 bytes, at most \(options.maxBinaryBody) bytes together; or JSON of "
                                + "\(options.maxJSONBody) bytes at most, which is translated into canonical bytes: those "
                                + "are what is signed. The body must arrive within \(options.bodyTimeout)."),
                        "content": [
                            "application/json": ["schema": reference("SignedRequest")],
                            "application/octet-stream": [
                                "schema": ["type": "string", "format": "binary", "minLength": 1]
                            ],
                        ],
                    ]
                ))
        }
        members.append(("responses", .object(responses(route, options, isHead: isHead))))
        return .object(members)
    }

    private static func responses(
        _ route: APIRoute, _ options: APIOptions, isHead: Bool
    ) -> [(key: String, value: WebJSON)] {
        var responses: [(key: String, value: WebJSON)] = [
            (
                "200",
                response(
                    success(route), schema(route), types: route.types, isHead: isHead,
                    headers: route.isPost ? [location] : [])
            )
        ]
        if route.isPost {
            responses.append(
                (
                    "202",
                    response(
                        "There is no outcome yet. Ask at Location, or send the same bytes again.", "Pending",
                        isHead: isHead, headers: [location, retryAfter])
                ))
        }
        let kinds = APIRoute.commonProblems + route.problems
        for status in Set(kinds.map(\.status)).sorted() {
            let same = ProblemKind.allCases.filter { $0.status == status && kinds.contains($0) }
            responses.append((String(status), problemResponse(same, isHead: isHead)))
        }
        return responses
    }

    private static func response(
        _ description: String, _ schema: String, types: [String] = ["application/json"], isHead: Bool,
        headers: [(key: String, value: WebJSON)]
    ) -> WebJSON {
        var members: [(key: String, value: WebJSON)] = [("description", .string(description))]
        if !headers.isEmpty { members.append(("headers", .object(headers))) }
        if !isHead {
            // Lines and events have no schema as a whole.
            let content = types.map { type in
                (key: type, value: type == "application/json" ? ["schema": reference(schema)] : WebJSON.object([]))
            }
            members.append(("content", .object(content)))
        }
        return .object(members)
    }

    private static func problemResponse(_ kind: ProblemKind) -> WebJSON { problemResponse([kind], isHead: false) }

    private static func problemResponse(_ kinds: [ProblemKind], isHead: Bool) -> WebJSON {
        let description = kinds.map { "\($0.rawValue): \($0.title). \($0.advice)" }.joined(separator: "\n\n")
        var members: [(key: String, value: WebJSON)] = [("description", .string(description))]
        if kinds.contains(.methodNotAllowed) { members.append(("headers", .object([allow]))) }
        if kinds.contains(where: { $0.status == 429 || $0.status == 503 }) {
            members.append(("headers", .object([retryAfter])))
        }
        if !isHead {
            let schema: WebJSON = [
                "allOf": [
                    reference("Problem"),
                    [
                        "properties": [
                            "type": ["enum": .array(kinds.map { .string($0.type) })],
                            "status": ["const": .number(kinds.first?.status ?? 0)],
                        ]
                    ],
                ]
            ]
            members.append(("content", ["application/problem+json": ["schema": schema]]))
        }
        return .object(members)
    }

    private static let location: (key: String, value: WebJSON) = (
        "Location", ["description": "Where to ask for it.", "schema": ["type": "string", "format": "uri-reference"]]
    )
    private static let retryAfter: (key: String, value: WebJSON) = (
        "Retry-After", ["description": "Seconds.", "schema": ["type": "integer", "minimum": 1]]
    )
    private static let allow: (key: String, value: WebJSON) = (
        "Allow", ["description": "The methods that the path takes.", "schema": ["type": "string"]]
    )

    private static func parameters(_ route: APIRoute, _ options: APIOptions) -> [WebJSON] {
        func path(_ name: String, _ schema: WebJSON, _ description: String) -> WebJSON {
            [
                "name": .string(name), "in": "path", "required": true, "description": .string(description),
                "schema": schema,
            ]
        }
        func query(_ name: String, _ schema: WebJSON, _ description: String, isRequired: Bool = false) -> WebJSON {
            [
                "name": .string(name), "in": "query", "required": .boolean(isRequired),
                "description": .string(description), "schema": schema,
            ]
        }
        let nonce = query(
            "nonce", reference("Bytes32"),
            "Drawn anew by whoever checks the proof, so that no old answer passes for a new one; without it the gateway "
                + "draws one, and how fresh the answer is has only the gateway's word.")
        switch route {
        case .submit:
            return [
                [
                    "name": "Prefer", "in": "header", "required": false,
                    "description": .string(
                        "RFC 7240: respond-async or wait=SECONDS; without it, and at most, "
                            + "\(options.maxWait) are waited for the outcome. What is not understood is ignored."),
                    "schema": ["type": "string", "examples": ["respond-async", "wait=5"]],
                ]
            ]
        case .transaction:
            return [
                path("txid", reference("Bytes32"), "Of any leg of a request that came over HTTP to this gateway.")
            ]
        case .account:
            return [
                path("account", reference("AccountID"), "The account."),
                query("asset", reference("UInt32Text"), "The asset that it is expected to hold."), nonce,
            ]
        case .principal:
            return [
                path("principal", reference("Bytes32"), "The principal's public key."),
                query("shard", reference("UInt16Text"), "The shard that is asked.", isRequired: true), nonce,
            ]
        case .decisions:
            return [
                query("shard", reference("UInt16Text"), "The shard.", isRequired: true),
                query(
                    "from", reference("UInt64"),
                    "The sequence number of the last batch that is known; 0 or nothing for the beginning."),
            ]
        case .problem:
            return [
                path(
                    "problem", ["enum": .array(ProblemKind.allCases.map { .string($0.rawValue) })],
                    "What the problem's type ends with.")
            ]
        case .procedures, .cluster, .shards, .openAPI: return []
        }
    }

    private static func summary(_ route: APIRoute) -> String {
        switch route {
        case .submit: "Submits a signed request. The same bytes may be sent again at any time; they happen once."
        case .transaction: "What this gateway knows of a transaction that was submitted to it over HTTP."
        case .account: "A quorum read of an account, with its proof."
        case .principal: "A quorum read of the request numbers that a shard has recorded of a principal."
        case .decisions:
            "What a shard has executed, with certificates: a page of lines, or server-sent events that go on."
        case .procedures: "The procedures that this gateway's program knows; hosts may have others."
        case .cluster: "The manifest, and the SHA-256 of the bytes of its cluster.json."
        case .shards: "The shards, their hosts and the accounts that they own."
        case .problem: "What a problem means."
        case .openAPI: "This document."
        }
    }

    private static func success(_ route: APIRoute) -> String {
        switch route {
        case .submit: "The receipt, which proves a commit or an abort, as its file has it (docs/receipts/README.md)."
        case .transaction: "What is known of it."
        case .account, .principal: "What 2f + 1 replicas say alike."
        case .decisions:
            "Lines of JSON as an export has them (docs/EXPORT.md): at most \(APIOptions().decisionsPerPage) batches, and a last line with the cursor to go on from; or the same as events, each batch followed by its cursor."
        case .procedures, .cluster, .shards: "As the manifest and the program have it."
        case .problem: "The problem."
        case .openAPI: "An OpenAPI document."
        }
    }

    private static func schema(_ route: APIRoute) -> String {
        switch route {
        case .submit: "Receipt"
        case .transaction: "Transaction"
        case .account: "AccountRead"
        case .principal: "PrincipalRead"
        case .decisions: "Document"
        case .procedures: "Procedures"
        case .cluster: "Cluster"
        case .shards: "Shards"
        case .problem: "ProblemExplanation"
        case .openAPI: "Document"
        }
    }
}
