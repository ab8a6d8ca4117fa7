import Client
import Foundation
import HostRuntime
import Messages
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Synchronization
import Testing
import Transport
import Web

/// As a gateway has them.
private struct ArchivedBatches: DecisionSource {
    let client: ArchiveClient

    func batches(
        of shard: ShardID, after: SequenceNumber, history: Digest?, count: Int
    ) async throws -> [ExportedBatch] {
        try await client.batches(of: shard, after: after, history: history, count: count)
    }
}

/// The HTTP API of a gateway, in this process.
private final class ServedAPI {
    let folder: ClusterFolder
    let server: WebServer
    private let cluster: RuntimeCluster?

    /// With a cluster of real sockets and disks.
    init(shards: Int) async throws {
        let cluster = try await RuntimeCluster(shards: shards)
        (self.cluster, folder) = (cluster, cluster.folder)
        var options = APIOptions()
        options.decisions = ArchivedBatches(client: ArchiveClient(cluster.folder.manifest))
        options.streamTime = .seconds(1)
        let logger = LineLogHandler.logger("test", level: .critical)
        let api = APIPart(
            manifest: folder.manifest, gateway: GatewayAddress(host: "127.0.0.1", port: cluster.gateway.port),
            procedures: ["credit@1"], options: options, logger: logger)
        server = try await WebServer.start([api], logger: logger)
    }

    /// Without a gateway, for what is answered before it is asked.
    init(options: APIOptions = .init()) async throws {
        cluster = nil
        folder = try ClusterFolder.create(
            at: "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))", shards: 1, replicas: 4, basePort: 20000)
        let logger = LineLogHandler.logger("test", level: .critical)
        let api = APIPart(manifest: folder.manifest, options: options, logger: logger) {
            throw ConnectionError.lost("there is none")
        }
        server = try await WebServer.start([api], logger: logger)
    }

    var manifest: Manifest { folder.manifest }

    func stop() async {
        await server.stop()
        await cluster?.stop()
        try? FileManager.default.removeItem(atPath: folder.path)
    }

    func send(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil, raw: [UInt8] = [],
        host: String = "127.0.0.1", keeps: Bool = false
    ) async throws -> HTTPExchange {
        try await HTTPExchange.run(
            method, path, port: server.port, headers: headers, body: body, raw: raw, host: host, keeps: keeps)
    }

    func post(_ body: [UInt8], type: String, prefer: String? = nil) async throws -> HTTPExchange {
        var headers = ["Content-Type": type]
        headers["Prefer"] = prefer
        return try await send("POST", "/api/v1/transactions", headers: headers, body: body)
    }

    /// The file's receipt as the tool judges it: its exit code and what it says.
    func verify(_ receipt: HTTPExchange) throws -> (status: Int32, output: String) {
        let path = folder.path + "/receipt-\(UInt64.random(in: .min ... .max)).json"
        try Data(receipt.body).write(to: URL(fileURLWithPath: path))
        return try Tool.run(["receipt", "verify", path, "--manifest", folder.path + "/cluster.json"])
    }
}

/// The next request of a principal.
private func signed(
    by principal: inout Principal, _ operations: [Messages.Operation], _ mode: Request.Mode
) throws -> SignedRequest {
    guard let signed = principal.sign(operations, mode: mode) else {
        throw Tool.Failure(description: "no number is free")
    }
    return signed
}

/// A request in the API's JSON form, as somebody else would write it.
private func json(_ signed: SignedRequest) -> String {
    let request = signed.request
    let operations = request.operations.map { operation in
        switch operation {
        case .transfer(let one):
            #"{"kind":"transfer","from":"\#(one.from)","to":"\#(one.to)","asset":\#(one.asset),"amount":"\#(one.amount)"}"#
        case .open(let one):
            #"{"kind":"open","owner":"\#(one.owner.hex)","asset":\#(one.asset),"index":"\#(one.index)"}"#
        case .issue(let to, let asset, let amount):
            #"{"kind":"issue","to":"\#(to)","asset":\#(asset),"amount":"\#(amount)"}"#
        case .read(let account): #"{"kind":"read","account":"\#(account)"}"#
        case .freeze(let account, let freeze):
            #"{"kind":"freeze","account":"\#(account)","direction":"\#(freeze.direction)","reason":\#(freeze.reason)}"#
        case .release(let account): #"{"kind":"release","account":"\#(account)"}"#
        case .call: "null"
        }
    }
    return """
        {"request": {"cluster": "\(request.cluster.hex)", "epoch": \(request.epoch),
          "principal": "\(request.principal.hex)", "number": "\(request.number)",
          "acknowledged_below": "\(request.acknowledgedBelow)", "issued_at": "\(request.issuedAt)",
          "deadline": "\(request.deadline)", "mode": "\(request.mode == .atomic ? "atomic" : "independent")",
          "operations": [\(operations.joined(separator: ", "))]},
         "signature": "\(Hex.encode(signed.signature.bytes))"}
        """
}

@Suite(.timeLimit(.minutes(3)), .serialized)
struct APITests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func requestsInBothFormsGetReceiptsThatTheToolVerifies() async throws {
        let served = try await ServedAPI(shards: 2)
        var issuer = Principal(signer: try served.folder.issuer(), manifest: served.manifest)
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 71, count: 32)))
        let map = served.manifest.shardMap
        let accounts = (0..<32).map { AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: $0) }
        let from = accounts[0]
        let to = try #require(accounts.first { map.shard(of: $0.id) != map.shard(of: from.id) })

        let opening = try signed(by: &issuer, [.open(from), .open(to)], .independent)
        let opened = try await served.post(Array(json(opening).utf8), type: "application/json; charset=utf-8")
        #expect(opened.status == 200 && opened.headers["content-type"] == "application/json", "\(opened.text)")
        #expect(try served.verify(opened).status == 0)
        let issuing = try signed(
            by: &issuer, [.issue(to: from.id, asset: AssetID(1), amount: Amount(1000))], .independent)
        #expect(try await served.post(issuing.encoded(), type: "application/octet-stream").status == 200)

        // Across shards.
        var payer = Principal(signer: owner, manifest: served.manifest)
        let transfer = try signed(
            by: &payer,
            [.transfer(Transfer(from: from.id, to: to.id, asset: AssetID(1), amount: Amount(250)))], .atomic)
        let paid = try await served.post(transfer.encoded(), type: "application/octet-stream")
        let location = try #require(paid.headers["location"])
        #expect(paid.status == 200 && location == "/api/v1/transactions/\(transfer.digest.hex)")
        let verdict = try served.verify(paid)
        #expect(verdict.status == 0 && verdict.output.contains("committed"), "\(verdict.output)")

        // Again, and in the other form: nothing happens twice.
        let again = try await served.post(Array(json(transfer).utf8), type: "application/json")
        #expect(again.status == 200 && again.body == paid.body)
        let known = try await served.send("GET", location).object()
        #expect(known["state"] as? String == "decided" && known["txid"] as? String == transfer.digest.hex)
        let receipt = try #require(known["receipt"] as? [String: Any])
        #expect(NSDictionary(dictionary: receipt) == NSDictionary(dictionary: try paid.object()))

        // More than there is: an abort is a receipt too.
        let tooMuch = try signed(
            by: &payer,
            [.transfer(Transfer(from: from.id, to: to.id, asset: AssetID(1), amount: Amount(100_000)))],
            .atomic)
        let refused = try await served.post(tooMuch.encoded(), type: "application/octet-stream")
        #expect(refused.status == 200)
        #expect(try served.verify(refused).output.contains("aborted: insufficient funds"))

        try await checkReads(served, from: from.id, owner: owner.publicKey)
        try await checkAcknowledged(served, after: tooMuch.request, from: from.id, signer: owner)
        await served.stop()
    }

    /// A receipt that decides nothing is no 200: the number was acknowledged, and who asks later cannot know of what.
    private func checkAcknowledged(
        _ served: ServedAPI, after last: Request, from: AccountID, signer: Ed25519Signer
    ) async throws {
        var request = last
        request.operations = [.read(from)]
        let number = last.number.number
        (request.number, request.acknowledgedBelow) = (RequestNumber(number + 1), RequestNumber(number + 1))
        let binary = "application/octet-stream"
        let next = SignedRequest(request, signedBy: signer)
        #expect(try await served.post(next.encoded(), type: binary).status == 200)
        (request.number, request.acknowledgedBelow) = (RequestNumber(number), RequestNumber(number))
        let old = SignedRequest(request, signedBy: signer)
        let answer = try await served.post(old.encoded(), type: binary)
        #expect(answer.status == 409 && answer.problem == "acknowledged", "\(answer.status) \(answer.text)")
        #expect(try answer.object()["receipt"] is [String: Any])
        let known = try await served.send("GET", "/api/v1/transactions/\(old.digest.hex)").object()
        #expect(known["state"] as? String == "unknown" && known["receipt"] == nil)
        #expect((known["problem"] as? [String: Any])?["type"] as? String == "/problems/acknowledged")
    }

    /// What the API says of an account is what its answers prove, for the nonce of whoever asks.
    private func checkReads(_ served: ServedAPI, from: AccountID, owner: PublicKey) async throws {
        let nonce = try #require(Digest(bytes: (0..<32).map { UInt8($0) }))
        let path = "/api/v1/accounts/\(from)"
        let read = try await served.send("GET", "\(path)?asset=1&nonce=\(nonce.hex)").object()
        #expect(read["posted"] as? String == "750" && read["exists"] as? Bool == true)
        #expect(read["owner"] as? String == owner.hex && read["nonce"] as? String == nonce.hex)
        func bytes(_ members: [String: Any], _ key: String) throws -> [UInt8] {
            try #require(Hex.decode(members[key] as? String ?? "-"), "\(key)")
        }
        func time(_ members: [String: Any], _ key: String) throws -> Timestamp {
            Timestamp(try #require(UInt64(members[key] as? String ?? ""), "\(key)"))
        }
        let statement = try ReadStatement(decoding: bytes(read, "statement"))
        let said = try #require(read["answers"] as? [[String: Any]])
        let answers = try said.map { one in
            let replica = try #require(one["replica"] as? Int)
            let encoded = try bytes(one, "signature")
            let signature = try #require(Signature(bytes: encoded))
            return ReadAnswer(
                statement: statement, time: try time(one, "time"), clock: try time(one, "clock"),
                signature: ReplicaSignature(replica: ReplicaIndex(UInt8(replica)), signature: signature))
        }
        let verifier = Verifier(manifest: served.manifest, scheme: Ed25519Scheme())
        let proof = try verifier.verify(answers, of: .account(from), nonce: nonce).value
        #expect(proof.statement.view?.posted == Amount(750))

        #expect(try await served.send("GET", "\(path)?asset=2").problem == "wrong-asset")
        let nobody = try await served.send("GET", "/api/v1/accounts/\(AccountID(7))")
        #expect(try nobody.object()["exists"] as? Bool == false)
        let shard = served.manifest.shardMap.shard(of: from)
        let standing = try await served.send("GET", "/api/v1/principals/\(owner.hex)?shard=\(shard)").object()
        #expect(standing["next_number"] as? String == "3")
    }

    @Test func whoDoesNotWaitIsToldWhereToAsk() async throws {
        let served = try await ServedAPI(shards: 1)
        var issuer = Principal(signer: try served.folder.issuer(), manifest: served.manifest)
        let specification = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1))
        let opening = try signed(by: &issuer, [.open(specification)], .independent)
        let early = try await served.post(
            opening.encoded(), type: "application/octet-stream", prefer: "respond-async")
        #expect(early.status == 202 && early.headers["retry-after"] == "1")
        let txid = TransactionID(request: opening.digest, mode: .independent, leg: 0).hex
        #expect(try early.object()["txid"] as? String == txid)
        let location = try #require(early.headers["location"])
        #expect(location == "/api/v1/transactions/\(txid)")
        // The same bytes are the same submission, which this one waits for.
        #expect(try await served.post(opening.encoded(), type: "application/octet-stream").status == 200)
        #expect(try await served.send("GET", location).object()["state"] as? String == "decided")
        // By the request's digest as well.
        #expect(try await served.send("GET", "/api/v1/transactions/\(opening.digest.hex)").status == 200)
        await served.stop()
    }

    @Test func everyRefusalIsAProblemWithItsStatus() async throws {
        var options = APIOptions()
        options.bodyTimeout = .milliseconds(200)
        let served = try await ServedAPI(options: options)
        let (binary, form) = ("application/octet-stream", "application/json")
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 72, count: 32)))
        var principal = Principal(signer: signer, manifest: served.manifest)
        let signed = try IntegrationTests.signed(by: &principal, [.read(AccountID(7))], .atomic)
        let good = json(signed)
        func expect(
            _ status: Int, _ problem: String, _ answer: HTTPExchange, sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(
                answer.status == status && answer.problem == problem, "\(answer.status) \(answer.text)",
                sourceLocation: sourceLocation)
        }

        let wrong: [String] = [
            "", "garbage", "[]", "{}", good + "x", good.replacing("\"mode\"", with: "\"MODE\""),
            good.replacing("\"epoch\": 1", with: "\"epoch\": 1, \"epoch\": 1"),
            good.replacing("\"epoch\": 1", with: "\"epoch\": 1.0"),
            good.replacing("\"number\": \"1\"", with: "\"number\": 1"),
            good.replacing("\"number\": \"1\"", with: "\"number\": \"01\""),
            good.replacing("\"number\": \"1\"", with: "\"number\": \"18446744073709551616\""),
            good.replacing("\"atomic\"", with: "\"Atomic\""),
            good.replacing("\"kind\":\"read\"", with: "\"kind\":\"x\""),
            good.replacing("\"signature\": \"", with: "\"signature\": \"00"),
            good.replacing("\"operations\": [", with: "\"follows\": [], \"operations\": ["),
        ]
        for text in wrong {
            #expect(text != good)
            let answer = try await served.post(Array(text.utf8), type: form)
            #expect(answer.status == 400 && answer.problem == "malformed-request", "\(text): \(answer.text)")
        }
        expect(400, "malformed-request", try await served.post([1, 2, 3], type: binary))
        expect(400, "malformed-request", try await served.post(signed.encoded() + [0], type: binary))

        let forged = try await served.post(
            Array(good.replacing("\"number\": \"1\"", with: "\"number\": \"2\"").utf8), type: form)
        expect(422, "bad-signature", forged)
        #expect(try forged.object()["digest"] as? String != signed.digest.hex)
        var foreign = signed.request
        foreign.epoch = Epoch(9)
        expect(
            422, "invalid-request",
            try await served.post(SignedRequest(foreign, signedBy: signer).encoded(), type: binary))

        let long = [UInt8](repeating: 0x20, count: options.maxBinaryBody + 1)
        expect(413, "content-too-large", try await served.post(long, type: binary))
        // Without its length, so that the server has to count.
        let chunk = Array("\(String(long.count, radix: 16))\r\n".utf8) + long + Array("\r\n0\r\n\r\n".utf8)
        expect(
            413, "content-too-large",
            try await served.send(
                "POST", "/api/v1/transactions",
                headers: ["Content-Type": binary, "Transfer-Encoding": "chunked"], raw: chunk))
        expect(
            408, "body-too-slow",
            try await served.send(
                "POST", "/api/v1/transactions", headers: ["Content-Type": binary, "Content-Length": "100"], body: [1]))
        expect(415, "unsupported-media-type", try await served.post(Array(good.utf8), type: "text/plain"))
        expect(
            415, "unsupported-media-type",
            try await served.send(
                "POST", "/api/v1/transactions", headers: ["Content-Type": form, "Content-Encoding": "gzip"],
                body: Array(good.utf8)))
        expect(
            431, "headers-too-large",
            try await served.send(
                "GET", "/api/v1/cluster", headers: ["X-Long": String(repeating: "a", count: options.maxHeaderBytes)]))

        expect(404, "not-found", try await served.send("GET", "/api/v1/nothing"))
        expect(404, "not-found", try await served.send("GET", "/nothing"))
        expect(404, "unknown-transaction", try await served.send("GET", "/api/v1/transactions/\(signed.digest.hex)"))
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "GET", "TRACE"] {
            let answer = try await served.send(method, "/api/v1/transactions")
            expect(405, "method-not-allowed", answer)
            #expect(answer.headers["allow"] == "POST" && answer.headers["access-control-allow-origin"] == nil)
        }
        let posted = try await served.send("POST", "/api/v1/cluster", body: [])
        expect(405, "method-not-allowed", posted)
        #expect(posted.headers["allow"] == "GET, HEAD")
        expect(
            406, "not-acceptable",
            try await served.send("GET", "/api/v1/cluster", headers: ["Accept": "text/html, application/json;q=0"]))
        for path in [
            "/api/v1/accounts/7", "/api/v1/accounts/\(String(repeating: "A", count: 32))",
            "/api/v1/accounts/\(AccountID(7))?asset=-1", "/api/v1/accounts/\(AccountID(7))?nonce=1",
            "/api/v1/accounts/\(AccountID(7))?asset=1&asset=1", "/api/v1/accounts/\(AccountID(7))?x=1",
            "/api/v1/principals/\(signer.publicKey.hex)", "/api/v1/principals/\(signer.publicKey.hex)?shard=1",
            "/api/v1/transactions/xyz", "/api/v1/cluster?pretty",
        ] {
            let answer = try await served.send("GET", path)
            #expect(answer.status == 400 && answer.problem == "malformed-parameter", "\(path): \(answer.text)")
        }
        await served.stop()
    }

    @Test func decisionsComeAsLinesAndAsEventsAndAreAnExport() async throws {
        let served = try await ServedAPI(shards: 1)
        var issuer = Principal(signer: try served.folder.issuer(), manifest: served.manifest)
        let account = AccountSpecification(owner: issuer.signer.publicKey, asset: AssetID(1), index: 0)
        let opened = try signed(by: &issuer, [.open(account)], .independent)
        #expect(try await served.post(Array(opened.encoded()), type: "application/octet-stream").status == 200)
        // It is archived within some milliseconds.
        var lines: [Substring] = []
        for _ in 0..<200 where !lines.contains(where: { $0.contains(opened.digest.hex) }) {
            let page = try await served.send("GET", "/api/v1/decisions?shard=0")
            #expect(page.status == 200 && page.headers["content-type"] == "application/x-ndjson")
            lines = page.text.split(separator: "\n")
            try await Task.sleep(for: .milliseconds(20))
        }
        var verifier = ExportVerifier(served.manifest, file: "page")
        for line in lines { try verifier.take(Array(line.utf8)) }
        let summary = try verifier.finish()
        #expect(summary.batches >= 1 && summary.isEnded)
        let cursor = summary.cursor[ShardID(0)]
        // From there on there is nothing yet.
        let rest = try await served.send("GET", "/api/v1/decisions?shard=0&from=\(cursor)")
        #expect(rest.text.split(separator: "\n").count == 2)
        let events = try await served.send(
            "GET", "/api/v1/decisions?shard=0", headers: ["Accept": "text/event-stream"])
        #expect(events.headers["content-type"] == "text/event-stream")
        #expect(
            events.text.contains(
                #"event: decision\ndata: {"type":"batch","shard":0,"sequence":"1""#.replacing(#"\n"#, with: "\n")))
        #expect(events.text.contains("id: 0:\(cursor)\nevent: cursor\n"))
        for path in ["/api/v1/decisions", "/api/v1/decisions?shard=1", "/api/v1/decisions?shard=0&from=x"] {
            #expect(try await served.send("GET", path).problem == "malformed-parameter", "\(path)")
        }
        await served.stop()
    }

    @Test func whoAsksTooOftenIsToldWhenToComeBack() async throws {
        var options = APIOptions()
        (options.requestsPerSecond, options.burst) = (1, 2)
        let served = try await ServedAPI(options: options)
        for _ in 0..<2 { #expect(try await served.send("GET", "/api/v1/shards").status == 200) }
        let third = try await served.send("GET", "/api/v1/shards")
        #expect(third.status == 429 && third.problem == "too-many-requests" && third.headers["retry-after"] == "1")
        await served.stop()
    }

    @Test func aGatewayThatIsGoneIsAProblem() async throws {
        let served = try await ServedAPI()
        let answer = try await served.send("GET", "/api/v1/accounts/\(AccountID(7))")
        #expect(answer.status == 503 && answer.problem == "gateway-unavailable" && answer.headers["retry-after"] == "1")
        await served.stop()
    }

    @Test func theDescriptionIsServedAndSaysWhatIsThere() async throws {
        let served = try await ServedAPI()
        let described = try await served.send("GET", "/openapi.json").object()
        #expect(described["openapi"] as? String == "3.1.0")
        let paths = try #require(described["paths"] as? [String: [String: Any]])
        #expect(paths.count == 10)
        // Decisions need a shard, and archives.
        for (path, methods) in paths
        where !path.contains("{") && methods["get"] != nil && path != "/api/v1/decisions" {
            let answer = try await served.send("GET", path)
            let head = try await served.send("HEAD", path)
            #expect(answer.status == 200 && head.status == 200 && head.body.isEmpty && !answer.body.isEmpty, "\(path)")
            #expect(head.headers["content-length"] == "\(answer.body.count)", "\(path)")
        }
        // Every reference leads somewhere.
        let schemas = try #require((described["components"] as? [String: Any])?["schemas"] as? [String: Any])
        for reference in references(in: described) {
            #expect(schemas[reference.replacing("#/components/schemas/", with: "")] != nil, "\(reference)")
        }
        // Every problem is explained by the server and in docs/HTTP.md.
        let page = try String(contentsOf: Self.root.appending(path: "docs/HTTP.md"), encoding: .utf8)
        for kind in ProblemKind.allCases {
            let explained = try await served.send("GET", kind.type).object()
            #expect(explained["status"] as? Int == kind.status && explained["title"] as? String == kind.title)
            #expect(page.contains("| `\(kind.rawValue)` | \(kind.status) |"), "docs/HTTP.md has no row for \(kind)")
        }
        let cluster = try await served.send("GET", "/api/v1/cluster").object()
        let text = try Data(contentsOf: URL(fileURLWithPath: served.folder.path + "/cluster.json"))
        let manifest = try JSONSerialization.jsonObject(with: text) as? NSDictionary
        #expect(cluster["manifest"] as? NSDictionary == manifest)
        await served.stop()
    }

    private func references(in value: Any) -> [String] {
        switch value {
        case let object as [String: Any]:
            object.flatMap { $0.key == "$ref" ? [$0.value as? String ?? ""] : references(in: $0.value) }
        case let array as [Any]: array.flatMap(references)
        default: []
        }
    }

    /// Those of the Python client, whose signing shares no code with this one.
    @Test func signingVectorsAreReadAlike() throws {
        let file = Self.root.appending(path: "deploy/clients/python/tests/signing_vectors.json")
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let vectors = try #require(document["vectors"] as? [[String: Any]])
        #expect(vectors.count >= 13)
        for vector in vectors {
            func text(_ key: String) throws -> String { try #require(vector[key] as? String, "\(key)") }
            func bytes(_ key: String) throws -> [UInt8] {
                let digits = try text(key)
                return try #require(Hex.decode(digits), "\(key)")
            }
            let name = try text("name")
            let body = try SignedRequest(decoding: bytes("body"))
            let members = try #require(vector["json"])
            let form = Array(try JSONSerialization.data(withJSONObject: members))
            let decoded = try RequestJSON.decode(form, limit: 1 << 20)
            #expect(decoded == body && decoded.request == body.request, "\(name)")
            #expect(try decoded.bytes == bytes("bytes"), "\(name)")
            #expect(try decoded.digest.hex == text("digest"), "\(name)")
            #expect(decoded.isSignatureValid(Ed25519Scheme()), "\(name)")
            let seed = try bytes("seed")
            let signer = try #require(Ed25519Signer(seed: seed))
            #expect(SignedRequest(body.request, signedBy: signer) == body, "\(name)")
            let ids = (0..<body.request.legCount).map {
                TransactionID(request: body.digest, mode: body.request.mode, leg: UInt16($0)).hex
            }
            #expect(ids == vector["txids"] as? [String], "\(name)")
        }
    }

    @Test func acceptIsReadAsTheStandardHasIt() {
        for accept in [nil, "", "*/*", "application/json", "text/html, application/*;q=0.1", "APPLICATION/JSON ;q=1"] {
            #expect(MediaTypes.acceptsJSON(accept), "\(accept ?? "nothing")")
        }
        for accept in ["text/html", "application/json;q=0", "*/*, application/json; q=0.0", "application/xml, image/*"]
        {
            #expect(!MediaTypes.acceptsJSON(accept), "\(accept)")
        }
    }

    @Test func noNameOfAnotherSiteIsThisServer() {
        let names = HostNames(["bank.example", "0.0.0.0"])
        for host in [nil, "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080", "LocalHost:1", "Bank.example:8080"] {
            #expect(names.accepts(host), "\(host ?? "nothing")")
        }
        for host in [
            "", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "[evil]:80",
            "[127.0.0.1]", "::1", "localhost:x", "bank.example.", "localhost:80:80",
        ] {
            #expect(!names.accepts(host), "\(host)")
        }
        #expect(HostNames.isOwn(nil, authority: "a:1") && HostNames.isOwn("http://a:1", authority: "A:1"))
        #expect(HostNames.isOwn("https://a", authority: "a"))
        for origin in ["null", "http://b", "http://a:2", "a:1", ""] {
            #expect(!HostNames.isOwn(origin, authority: "a:1"), "\(origin)")
        }
    }

    @Test func othersGetTheirShareOfConnectionsAndThisMachineAll() throws {
        let counts = ConnectionCounts(maxEach: 2, maxRemote: 3)
        let (a, b) = (PeerNetwork([192, 0, 2, 1]), PeerNetwork([192, 0, 2, 2]))
        #expect(counts.admit(a) && counts.admit(a) && !counts.admit(a), "its share")
        #expect(counts.admit(b) && !counts.admit(b), "that of all others")
        for _ in 0..<10 { #expect(counts.admit(PeerNetwork([127, 0, 0, 1]))) }
        counts.leave(a)
        #expect(counts.admit(b) && !counts.admit(a))
        for peer in [a, b, b, b] { counts.leave(peer) }
        #expect(counts.admit(a) && counts.admit(a) && counts.admit(b), "who leaves twice leaves once")
    }

    /// Held connections keep nobody out, wherever they come from.
    @Test func aConnectionOnWhichNothingIsAskedGoesForANewOne() {
        let counts = ConnectionCounts(maxEach: 9, maxRemote: 9, max: 2)
        let closed = Mutex<[Int]>([])
        let names = (0..<4).map { _ in NSObject() }
        let here = PeerNetwork([127, 0, 0, 1])
        func come(_ number: Int) {
            #expect(counts.admit(here))
            counts.rests(ObjectIdentifier(names[number]), of: here) { closed.withLock { $0.append(number) } }
        }
        come(0)
        come(1)
        #expect(closed.withLock { $0 }.isEmpty)
        counts.wakes(ObjectIdentifier(names[0]))
        come(2)
        #expect(closed.withLock { $0 } == [1], "the first is at work")
        counts.leave(here)
        counts.rests(ObjectIdentifier(names[0]), of: here) { closed.withLock { $0.append(0) } }
        come(3)
        #expect(closed.withLock { $0 } == [1, 2], "who has rested longest")
    }

    /// Those of other machines too: who holds all that others may have loses his own for them.
    @Test func whoHoldsMostOfOthersConnectionsMakesRoomForOthers() {
        let counts = ConnectionCounts(maxEach: 3, maxRemote: 4, max: 9)
        let closed = Mutex<[Int]>([])
        let names = (0..<9).map { _ in NSObject() }
        let (a, b, c) = (PeerNetwork([192, 0, 2, 1]), PeerNetwork([192, 0, 2, 2]), PeerNetwork([192, 0, 2, 3]))
        func rest(_ number: Int, _ peer: PeerNetwork) {
            counts.rests(ObjectIdentifier(names[number]), of: peer) {
                closed.withLock { $0.append(number) }
                counts.leave(peer)
            }
        }
        func come(_ number: Int, _ peer: PeerNetwork) -> Bool {
            guard counts.admit(peer) else { return false }
            rest(number, peer)
            return true
        }
        #expect(come(0, b) && come(1, a) && come(2, a) && come(3, a))
        #expect(!counts.admit(a), "its share")
        #expect(come(4, c))
        #expect(closed.withLock { $0 } == [1], "not the one that rests longest, but of who has most")
        // This machine's are not touched, and need nobody else's.
        #expect(come(5, PeerNetwork([127, 0, 0, 1])))
        // At work: who has three of them pushes out nobody who has fewer.
        for number in [2, 3] { counts.wakes(ObjectIdentifier(names[number])) }
        #expect(!counts.admit(a) && closed.withLock { $0 } == [1])
        #expect(come(6, c) && closed.withLock { $0 } == [1, 0], "b's, which rested longer than c's")
        rest(2, a)
        #expect(come(7, b) && closed.withLock { $0 } == [1, 0, 4])
    }

    /// A client on this machine too, which may have every place.
    @Test func whoeverTakesNothingOfHisAnswerIsClosed() throws {
        let channel = EmbeddedChannel()
        let counts = ConnectionCounts(maxEach: 9, maxRemote: 9)
        try channel.pipeline.syncOperations.addHandler(ConnectionGuard(counts, patience: .seconds(10)))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(HTTPRequestPart.head(.init(method: .get, scheme: "http", authority: "a", path: "/")))
        try channel.writeInbound(HTTPRequestPart.end(nil))
        channel.isWritable = false
        func answer() throws {
            try channel.writeOutbound(HTTPResponsePart.body(ByteBuffer(repeating: 0, count: 1000)))
        }
        try answer()
        channel.pipeline.fireChannelWritabilityChanged()
        // Something left meanwhile: it may go on.
        try answer()
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!channel.isActive)
        _ = try? channel.finish()
    }

    /// Nobody holds a connection by the rest of a body that was answered without it.
    @Test func whoeverIsAnsweredEarlyIsClosed() async throws {
        let served = try await ServedAPI()
        for (path, status) in [("/nothing", 404), ("/api/v1/cluster", 405), ("/api/v1/transactions", 415)] {
            let start = ContinuousClock.now
            // Without `Connection: close`, and with a body that never comes.
            let answer = try await served.send(
                "POST", path, headers: ["Content-Type": "text/plain", "Content-Length": "1000"], body: [1], keeps: true)
            #expect(answer.status == status && answer.headers["connection"] == "close", "\(path): \(answer.status)")
            #expect(start.duration(to: .now) < .seconds(30), "\(path)")
        }
        await served.stop()
    }

    @Test func whatIsForOthersOrFromTheirPagesIsRefused() async throws {
        let served = try await ServedAPI()
        let misdirected = try await served.send("GET", "/api/v1/shards", host: "evil.example:80")
        #expect(misdirected.status == 421 && misdirected.problem == "misdirected-request", "\(misdirected.text)")
        #expect(try await served.send("GET", "/api/v1/shards", host: "localhost").status == 200)
        let foreign = try await served.send(
            "POST", "/api/v1/transactions",
            headers: ["Content-Type": "application/json", "Origin": "http://evil.example"], body: [0x7b])
        #expect(foreign.status == 403 && foreign.problem == "foreign-origin", "\(foreign.text)")
        let own = try await served.send(
            "POST", "/api/v1/transactions",
            headers: ["Content-Type": "application/json", "Origin": "http://127.0.0.1"], body: [0x7b])
        #expect(own.problem == "malformed-request", "\(own.text)")
        await served.stop()
    }

    @Test func mappedAddressesAreWhatIsMappedAndOthersTheirNetwork() throws {
        func peer(_ address: String) throws -> PeerNetwork {
            PeerNetwork(try SocketAddress(ipAddress: address, port: 1))
        }
        #expect(try peer("::ffff:192.0.2.1") == peer("192.0.2.1"))
        #expect(try peer("::ffff:192.0.2.1") != peer("::ffff:192.0.2.2"))
        #expect(try peer("2001:db8::1") == peer("2001:db8::2") && peer("2001:db8::1") != peer("2001:db8:0:1::1"))
        #expect(try peer("::1") != peer("::2") && peer("::1") != peer("::ffff:127.0.0.1"))
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            #expect(try peer(address).isLoopback, "\(address)")
        }
        for address in ["192.0.2.1", "::2", "7f00::1"] { #expect(try !peer(address).isLoopback, "\(address)") }
    }

    @Test func anAddressHasItsRateAndItsShareAndTheTableIsBounded() {
        var options = APIOptions()
        (options.requestsPerSecond, options.burst, options.maxConcurrentPerAddress) = (10, 3, 2)
        (options.maxConcurrent, options.maxAddresses) = (3, 3)
        var limits = AddressLimits(options)
        func admit(_ peer: PeerNetwork, now: UInt64) -> AddressLimits.Verdict { limits.admit(peer, now: now) }
        let (a, b, c) = (PeerNetwork([1]), PeerNetwork([2]), PeerNetwork([3]))
        #expect(admit(a, now: 0) == .admitted && admit(a, now: 0) == .admitted)
        #expect(admit(a, now: 0) == .tooMany(retryAfterMilliseconds: 100), "two are being answered")
        #expect(admit(b, now: 0) == .admitted)
        #expect(admit(c, now: 0) == .busy, "three are being answered")
        for peer in [a, a, b] { limits.leave(peer) }
        #expect(limits.inFlight == 0)
        #expect(admit(a, now: 0) == .admitted)
        limits.leave(a)
        #expect(admit(a, now: 0) == .tooMany(retryAfterMilliseconds: 100), "its rate is used up")
        #expect(admit(a, now: 99_000_000) == .tooMany(retryAfterMilliseconds: 1))
        #expect(admit(a, now: 100_000_000) == .admitted)
        limits.leave(a)
        // A third address fits, a fourth does not before one is as if it had never come.
        #expect(admit(b, now: 100_000_000) == .admitted)
        limits.leave(b)
        #expect(admit(c, now: 100_000_000) == .admitted)
        limits.leave(c)
        #expect(admit(PeerNetwork([4]), now: 100_000_000) == .busy)
        #expect(admit(PeerNetwork([4]), now: 1_000_000_000) == .admitted)
    }
}
