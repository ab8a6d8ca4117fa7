import Hummingbird
import Messages
import StrictInput

/// What may be wrong, by the name that the problem's type ends with. docs/HTTP.md lists them.
package enum ProblemKind: String, CaseIterable, Sendable {
    case misdirectedRequest = "misdirected-request"
    case foreignOrigin = "foreign-origin"
    case notFound = "not-found"
    case unknownTransaction = "unknown-transaction"
    case methodNotAllowed = "method-not-allowed"
    case notAcceptable = "not-acceptable"
    case bodyTooSlow = "body-too-slow"
    case contentTooLarge = "content-too-large"
    case unsupportedMediaType = "unsupported-media-type"
    case headersTooLarge = "headers-too-large"
    case tooManyRequests = "too-many-requests"
    case malformedParameter = "malformed-parameter"
    case malformedRequest = "malformed-request"
    case badSignature = "bad-signature"
    case invalidRequest = "invalid-request"
    case wrongAsset = "wrong-asset"
    case refused = "refused"
    case acknowledged = "acknowledged"
    case queueFull = "queue-full"
    case shardUnavailable = "shard-unavailable"
    case noQuorum = "no-quorum"
    case noDecisions = "no-decisions"
    case gatewayUnavailable = "gateway-unavailable"
    case busy = "busy"
    case retriesExhausted = "retries-exhausted"
    case deadlinePassed = "deadline-passed"
    case timeout = "timeout"
    case internalError = "internal-error"

    /// The code of its answers.
    package var status: Int {
        switch self {
        case .malformedParameter, .malformedRequest: 400
        case .foreignOrigin: 403
        case .notFound, .unknownTransaction: 404
        case .methodNotAllowed: 405
        case .notAcceptable: 406
        case .bodyTooSlow: 408
        case .wrongAsset, .refused, .acknowledged: 409
        case .contentTooLarge: 413
        case .unsupportedMediaType: 415
        case .misdirectedRequest: 421
        case .badSignature, .invalidRequest: 422
        case .tooManyRequests: 429
        case .headersTooLarge: 431
        case .internalError: 500
        case .queueFull, .shardUnavailable, .noQuorum, .noDecisions, .gatewayUnavailable, .busy: 503
        case .retriesExhausted, .deadlinePassed, .timeout: 504
        }
    }

    /// In a few words, the same each time.
    package var title: String {
        switch self {
        case .misdirectedRequest: "The request is for another server"
        case .foreignOrigin: "Pages of other origins may send nothing"
        case .notFound: "There is nothing at this path"
        case .unknownTransaction: "This gateway knows no such transaction"
        case .methodNotAllowed: "The path does not take this method"
        case .notAcceptable: "The answer is in no form that is accepted"
        case .bodyTooSlow: "The body did not arrive in time"
        case .contentTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body is of no type that is taken"
        case .headersTooLarge: "The header fields or the path are too long"
        case .tooManyRequests: "Too many requests come from this address"
        case .malformedParameter: "A parameter is malformed"
        case .malformedRequest: "The body is no signed request"
        case .badSignature: "The principal has not signed these bytes"
        case .invalidRequest: "The request is not valid for this cluster"
        case .wrongAsset: "The account holds another asset"
        case .refused: "A shard refuses the request for the time being"
        case .acknowledged: "The outcome can be proven no longer"
        case .queueFull: "The gateway's queue is full"
        case .shardUnavailable: "A shard has certified nothing for long"
        case .noQuorum: "No quorum of replicas says the same"
        case .noDecisions: "The archives cannot be read"
        case .gatewayUnavailable: "The gateway does not answer its HTTP side"
        case .busy: "The HTTP side is busy"
        case .retriesExhausted: "There was no answer within the retry budget"
        case .deadlinePassed: "The deadline passed before the outcome was known"
        case .timeout: "There was no answer in time"
        case .internalError: "An error of the gateway's own"
        }
    }

    /// What it means for the transaction, and what to do.
    package var advice: String {
        switch self {
        case .misdirectedRequest: "Ask by the server's address, or as localhost."
        case .foreignOrigin: "Send it from a program, or from a page that this server serves. Nothing was done."
        case .notFound: "GET /openapi.json lists the paths."
        case .unknownTransaction:
            "That proves nothing: a gateway knows of transactions only what came over its own HTTP side, and forgets. "
                + "POST the same signed bytes again: a transaction has one outcome, however often it is asked for."
        case .methodNotAllowed: "Use a method that the header field Allow lists."
        case .notAcceptable: "Accept the type that the detail names, as application/json."
        case .bodyTooSlow: "Send the whole body within the time that GET /openapi.json names."
        case .contentTooLarge: "Sign fewer operations in one request."
        case .unsupportedMediaType:
            "Send application/octet-stream (canonical bytes) or application/json, with no Content-Encoding."
        case .headersTooLarge: "Send fewer or shorter header fields, or a shorter path."
        case .tooManyRequests, .busy: "Nothing was done. Come back after Retry-After."
        case .malformedParameter: "Mend the parameter that the detail names."
        case .malformedRequest: "Mend the place that the detail names. Nothing was sent to any shard."
        case .badSignature:
            "Sign the canonical bytes (docs/receipts/README.md). The answer names their digest: compare it with the "
                + "one that was signed. Nothing was sent to any shard."
        case .invalidRequest: "Compare cluster and epoch with GET /api/v1/cluster, and deadline with issued_at."
        case .wrongAsset: "Ask without asset, or for the right account."
        case .refused:
            "Its number is too high, or its time is ahead of the shard's. Nothing is recorded: mend it, or send it later."
        case .acknowledged:
            "The principal has acknowledged the number, and a shard may have forgotten what it did. It does nothing from "
                + "now on; what it did is known only from an earlier receipt. What there is of one is the member receipt."
        case .queueFull, .shardUnavailable:
            "Come back after Retry-After with the same signed bytes. They do not happen twice."
        case .noQuorum: "Ask again: undecided transactions hold something of it, or too many replicas do not answer."
        case .noDecisions:
            "Ask again, or ask another gateway. Where hosts have dropped what is asked for, go on behind it (docs/EXPORT.md)."
        case .gatewayUnavailable, .retriesExhausted, .deadlinePassed, .timeout:
            "The transaction may have taken effect, or may yet. Send the same signed bytes again for its outcome: they "
                + "do not happen twice."
        case .internalError: "Please report it with what was sent."
        }
    }

    /// The problem's `type`, relative to the server, which explains it there.
    package var type: String { "/problems/\(rawValue)" }
}

/// An error as RFC 9457 has it.
struct Problem: Error, Sendable {
    let kind: ProblemKind
    /// What was wrong this time; printable.
    let detail: String
    /// When to come back.
    var retryAfterMilliseconds: UInt64?
    /// The methods that the path takes.
    var allow: String?
    /// Members beside those that every problem has.
    var members: [(key: String, value: WebJSON)] = []
    /// What comes on the connection after this cannot be told from what was to come before.
    var closes = false

    init(_ kind: ProblemKind, _ detail: String, retryAfterMilliseconds: UInt64? = nil, allow: String? = nil) {
        (self.kind, self.detail) = (kind, Printable.line(detail))
        (self.retryAfterMilliseconds, self.allow) = (retryAfterMilliseconds, allow)
    }

    /// What a gateway's word for giving up is over HTTP.
    init(_ rejection: GatewayRejection, retryAfterMicroseconds: UInt64) {
        let kind: ProblemKind =
            switch rejection {
            case .queueFull: .queueFull
            case .invalid: .invalidRequest
            case .retriesExhausted: .retriesExhausted
            case .deadlinePassed: .deadlinePassed
            case .refused: .refused
            case .shuttingDown: .gatewayUnavailable
            case .shardUnavailable: .shardUnavailable
            }
        let pause = retryAfterMicroseconds / 1000 + (retryAfterMicroseconds % 1000 == 0 ? 0 : 1)
        self.init(kind, "\(rejection)", retryAfterMilliseconds: pause > 0 ? pause : nil)
    }

    func adding(_ key: String, _ value: WebJSON) -> Problem {
        var other = self
        other.members.append((key, value))
        return other
    }

    /// The same, after which the connection ends.
    var closing: Problem {
        var other = self
        other.closes = true
        return other
    }

    var json: WebJSON {
        var members: [(key: String, value: WebJSON)] = [
            ("type", .string(kind.type)), ("title", .string(kind.title)), ("status", .number(kind.status)),
            ("detail", .string(detail)), ("advice", .string(kind.advice)),
        ]
        if let retryAfterMilliseconds {
            members.append(("retry_after_ms", .number(Int(clamping: retryAfterMilliseconds))))
        }
        return .object(members + self.members)
    }

    var response: Response {
        var response = Response.json(json, status: .init(code: kind.status), type: "application/problem+json")
        // In whole seconds, as the field is defined; the member has it exactly.
        if let retryAfterMilliseconds {
            response.headers[.retryAfter] = String(max(1, (retryAfterMilliseconds + 999) / 1000))
        }
        if let allow { response.headers[.allow] = allow }
        if closes { response.headers[.connection] = "close" }
        return response
    }
}

extension Response {
    /// - Parameter type: the document's media type.
    static func json(
        _ json: WebJSON, status: HTTPResponse.Status = .ok, type: String = "application/json"
    ) -> Response {
        var response = Response(
            status: status, body: ResponseBody(byteBuffer: ByteBuffer(string: json.text + "\n")))
        response.headers[.contentType] = type
        // Everything here is as of now, and a receipt is a principal's own.
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }
}
