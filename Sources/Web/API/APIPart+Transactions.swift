import Client
import Hummingbird
import HummingbirdCore
import Messages
import NIOCore
import StrictInput

extension APIPart {
    /// 200 with the receipt, as a receipt's file has it; 202 if there is none in time; a problem with the receipt if that
    /// decides nothing.
    func submit(_ request: HummingbirdCore.Request) async throws -> Response {
        let wait = Preference.wait(of: request.headers, most: options.maxWait)
        let signed = try await signedRequest(request)
        guard signed.isSignatureValid(Ed25519Scheme()) else {
            throw Problem(.badSignature, "the signature is not by the principal over the request's digest")
                .adding("digest", .string(signed.digest.hex))
        }
        guard signed.request.cluster == manifest.cluster, signed.request.epoch == manifest.epoch else {
            throw Problem(.invalidRequest, "it was signed for another cluster or epoch").adding(
                "txid", .string(signed.transactionID(ofLeg: 0).hex))
        }
        guard let awaited = submissions.begin(signed) else {
            throw Problem(
                .busy, "too many submissions are under way", retryAfterMilliseconds: 1000)
        }
        let txid = signed.transactionID(ofLeg: 0).hex
        let location = "/api/v1/transactions/\(txid)"
        switch await awaited.wait(wait) {
        case .receipt(let receipt):
            if let problem = try undecided(receipt) { throw problem.adding("txid", .string(txid)) }
            var response = Response.json(.written(try receiptText(receipt)))
            response.headers[.location] = location
            return response
        case .problem(let problem): throw problem.adding("txid", .string(txid))
        case nil:
            var response = Response.json(
                ["txid": .string(txid), "request": .string(signed.digest.hex), "state": "pending"], status: .accepted)
            response.headers[.location] = location
            response.headers[.retryAfter] = "1"
            return response
        }
    }

    /// What this gateway knows of a transaction that came over its HTTP side.
    func transaction(_ parameter: String) throws -> Response {
        let id: TransactionID = try APIQuery.bytes32("txid", parameter)
        guard let known = submissions.find(id) else {
            throw Problem(.unknownTransaction, "it did not come over HTTP to this gateway, or was forgotten")
        }
        let answer: WebJSON = ["txid": .string(id.hex), "request": .string(known.digest.hex)]
        switch known.outcome {
        case nil: return .json(answer.adding([("state", "pending")]))
        case .receipt(let receipt):
            if let problem = try undecided(receipt) {
                return .json(answer.adding([("state", "unknown"), ("problem", problem.json)]))
            }
            return .json(answer.adding([("state", "decided"), ("receipt", .written(try receiptText(receipt)))]))
        case .problem(let problem): return .json(answer.adding([("state", "unknown"), ("problem", problem.json)]))
        }
    }

    /// What is said of a receipt that leaves a leg beyond proof (R11): it proves neither a commit nor an abort.
    /// - Returns: nil if every leg is decided.
    func undecided(_ receipt: Receipt) throws -> Problem? {
        let map = manifest.shardMap
        let open = (0..<receipt.request.request.legCount).filter { receipt.decision(ofLeg: $0, in: map) == nil }
        guard let first = open.first else { return nil }
        return Problem(
            .acknowledged,
            "\(open.count) of \(receipt.request.request.legCount) legs have no decision, the first is leg \(first)"
        ).adding("receipt", .written(try receiptText(receipt)))
    }

    private func receiptText(_ receipt: Receipt) throws -> String {
        var text = try ReceiptFile(receipt, map: manifest.shardMap).text()
        if text.last == "\n" { text.removeLast() }
        return text
    }

    // MARK: What came

    private func signedRequest(_ request: HummingbirdCore.Request) async throws -> SignedRequest {
        let type = MediaTypes.base(request.headers[.contentType] ?? "")
        let coding = MediaTypes.base(request.headers[.contentEncoding] ?? "identity")
        guard type == "application/octet-stream" || type == "application/json", coding == "identity" else {
            let shown = Printable.quoted(type.utf8, limit: 80)
            throw Problem(
                .unsupportedMediaType,
                coding == "identity"
                    ? "the body is of type \(shown)"
                    : "the body is encoded as \(Printable.quoted(coding.utf8, limit: 40))")
        }
        let isJSON = type == "application/json"
        let limit = isJSON ? options.maxJSONBody : options.maxBinaryBody
        let bytes = try await body(of: request, limit: limit)
        if isJSON {
            do { return try RequestJSON.decode(bytes, limit: limit) } catch {
                throw Problem(.malformedRequest, error.description)
            }
        }
        do { return try SignedRequest(decoding: bytes) } catch {
            throw Problem(.malformedRequest, "the body is no signed request in canonical bytes: \(error)")
        }
    }

    private func body(of request: HummingbirdCore.Request, limit: Int) async throws -> [UInt8] {
        let tooLarge = Problem(.contentTooLarge, "the body is longer than \(limit) bytes").closing
        if let announced = request.headers[.contentLength].flatMap({ Int($0) }), announced > limit { throw tooLarge }
        let (body, timeout) = (request.body, options.bodyTimeout)
        let collected = try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                do { return Array(try await body.collect(upTo: limit).readableBytesView) } catch is NIOTooManyBytesError
                {
                    throw tooLarge
                } catch {
                    // The client is gone, or was given up: nobody reads this, and no operator need.
                    throw Problem(.malformedRequest, "the body ended before its end").closing
                }
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let collected else {
            throw Problem(.bodyTooSlow, "the body did not arrive within \(timeout)").closing
        }
        return collected
    }
}

/// What the header field Prefer asks for (RFC 7240).
enum Preference {
    /// How long to wait for an outcome: as long as `wait` says, `most` at most, and otherwise not at all for
    /// `respond-async`. What is not understood is ignored, as the standard has it.
    static func wait(of headers: HTTPFields, most: Duration) -> Duration {
        var isAsynchronous = false
        for field in headers where field.name.canonicalName == "prefer" {
            for preference in field.value.split(separator: ",") {
                let text = MediaTypes.base(String(preference))
                if text == "respond-async" { isAsynchronous = true }
                if text.hasPrefix("wait="), let seconds = UInt32(decimalDigits: text.dropFirst(5)) {
                    return min(.seconds(Int64(seconds)), most)
                }
            }
        }
        return isAsynchronous ? .zero : most
    }
}
