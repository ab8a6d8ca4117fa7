import Foundation
import HostRuntime
import Messages
import Workload

/// A way to treat a server's ports badly.
enum AbuseKind: String, CaseIterable, Codable, Sendable {
    case idle
    case halfFrames = "half-frames"
    case hugeFrames = "huge-frames"
    case garbage
    case wrongProtocol = "wrong-protocol"
    case certificates
    case replayedSession = "replayed-session"
    case halfHandshakes = "half-handshakes"
    case slow
    case largeHTTP = "large-http"
    case unread
    case badSignatures = "bad-signatures"

    /// For the help.
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// One kind of connection to one port: what is sent, and what has to become of it.
struct Assault: Sendable {
    enum Pace: Sendable {
        /// So many are opened at the beginning, and held.
        case held(Int)
        /// So many are opened a second; each is given up when it is over.
        case repeated(Double)
    }

    var port: HostilePort
    /// What is special about it, for people.
    var what: String
    var pace: Pace
    /// Nil for bytes as they are.
    var identity: HostileIdentity?
    /// At once.
    var opening: [UInt8] = []
    /// Each in its turn, and then from the first again, `every` so often.
    var further: [[UInt8]] = []
    var every = Duration.seconds(1)
    var reads = true
    /// Seconds in which the other side must have ended it; nil where it may go on, within bounds.
    var limit: Double?
    /// Whether a session that is let in is a failure.
    var mustNotBeLetIn = false
}

/// What all assaults need of the cluster.
struct Arsenal: Sendable {
    let manifest: Manifest
    let connections: Int
    let rate: Double
    let flood: Double
    /// A session's bytes as they left, from the first on, and those of its first message.
    let session: [UInt8]
    let clientHello: [UInt8]

    /// The longest that a gateway waits for the rest of a frame, with the second in which it looks.
    private static let framePatience = 23.0
    /// That a host waits for a greeting, and some more.
    private static let greetingPatience = 7.0
    /// That HTTP waits for a head, or for somebody to read.
    private static let httpPatience = 63.0
    /// What is wrong at once.
    private static let atOnce = 3.0

    static func frame(_ bytes: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { Array($0) } + bytes
    }

    private func hello(_ sender: Hello.Sender) -> [UInt8] {
        Self.frame(Hello(cluster: manifest.cluster, epoch: manifest.epoch, sender: sender).encoded())
    }

    /// The length of a frame, and not all of it.
    private static func claim(_ length: UInt32, sent: Int) -> [UInt8] {
        withUnsafeBytes(of: length.littleEndian) { Array($0) } + [UInt8](repeating: 1, count: sent)
    }

    private static func noise(_ count: Int) -> [UInt8] {
        var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max) }
        // No length that a frame may have, and no record of TLS.
        bytes[0] = 0xff
        bytes[3] = 0xff
        return bytes
    }

    private static let page = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
    private static let status = frame(ClientMessage.status(id: 1).encoded())

    func assaults(_ kind: AbuseKind) -> [Assault] {
        let some = Assault.Pace.held(min(100, connections))
        switch kind {
        case .idle:
            return [
                .init(port: .gateway, what: "says nothing", pace: .held(connections / 2)),
                .init(port: .host, what: "says nothing", pace: .held(connections / 4), limit: Self.greetingPatience),
                .init(port: .http, what: "says nothing", pace: .held(connections / 4), limit: Self.httpPatience),
            ]
        case .halfFrames:
            return [
                .init(
                    port: .gateway, what: "half a frame", pace: some, opening: Self.claim(1000, sent: 500),
                    limit: Self.framePatience),
                .init(
                    port: .host, what: "half a frame in a session", pace: some, identity: .stranger,
                    opening: hello(.gateway) + Self.claim(1000, sent: 500)),
            ]
        case .hugeFrames:
            let claim = Self.claim(0x7fff_ffff, sent: 1000)
            return [
                .init(
                    port: .gateway, what: "2 GB announced", pace: .repeated(rate), opening: claim, limit: Self.atOnce),
                .init(
                    port: .host, what: "2 GB announced as greeting", pace: .repeated(rate / 4), identity: .stranger,
                    opening: claim, limit: Self.atOnce),
                .init(
                    port: .host, what: "2 GB announced in a session", pace: .repeated(rate / 4), identity: .stranger,
                    opening: hello(.gateway) + claim, limit: Self.atOnce),
            ]
        case .garbage:
            return [HostilePort.gateway, .host, .http].map { port in
                .init(
                    port: port, what: "noise", pace: .repeated(rate / 2), opening: Self.noise(512), limit: Self.atOnce)
            }
        case .wrongProtocol:
            return [
                .init(port: .gateway, what: "HTTP", pace: .repeated(rate / 4), opening: Self.page, limit: Self.atOnce),
                .init(port: .gateway, what: "TLS", pace: .repeated(rate / 4), opening: clientHello, limit: Self.atOnce),
                .init(port: .host, what: "HTTP", pace: .repeated(rate / 4), opening: Self.page, limit: Self.atOnce),
                .init(
                    port: .host, what: "frames without TLS", pace: .repeated(rate / 4), opening: Self.status,
                    // Its first bytes may still become a record.
                    limit: Self.greetingPatience),
                .init(port: .http, what: "TLS", pace: .repeated(rate / 4), opening: clientHello, limit: Self.atOnce),
                .init(
                    port: .http, what: "frames", pace: .repeated(rate / 4),
                    opening: Self.status + Self.frame([UInt8](repeating: 0, count: 64)), limit: Self.atOnce),
            ]
        case .certificates:
            let asHost = hello(.host(HostID(1), procedures: Digest(FixedBytes32())))
            return HostileIdentity.allCases.map { identity in
                .init(
                    port: .host, what: identity == .stranger ? "unknown key as host 1" : identity.rawValue,
                    pace: .repeated(rate / 5), identity: identity,
                    // With a key that nobody knows one may be a tool, and no host.
                    opening: identity == .stranger ? asHost : hello(.gateway), limit: Self.greetingPatience,
                    mustNotBeLetIn: true)
            }
        case .replayedSession:
            return [
                .init(
                    port: .host, what: "an earlier session's bytes", pace: .repeated(rate / 2), opening: session,
                    limit: Self.greetingPatience, mustNotBeLetIn: true)
            ]
        case .halfHandshakes:
            return [
                .init(
                    port: .host, what: "half a first message", pace: some,
                    opening: Array(clientHello.prefix(clientHello.count / 2)), limit: Self.greetingPatience),
                .init(
                    port: .host, what: "no second message", pace: some, opening: clientHello,
                    limit: Self.greetingPatience),
            ]
        case .slow:
            let few = Assault.Pace.held(min(50, connections))
            func byByte(_ bytes: [UInt8]) -> [[UInt8]] { bytes.map { [$0] } }
            return [
                .init(
                    port: .gateway, what: "a byte a second", pace: few,
                    further: byByte(Self.claim(1000, sent: 1000)), limit: Self.framePatience + 1),
                .init(
                    port: .host, what: "a byte a second", pace: few, further: byByte(clientHello),
                    limit: Self.greetingPatience),
                .init(
                    port: .http, what: "a byte a second", pace: few,
                    further: byByte(
                        Array("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".utf8) + [UInt8](repeating: 97, count: 500)
                    ),
                    limit: Self.httpPatience),
            ]
        case .largeHTTP:
            let megabyte = [UInt8](repeating: 97, count: 1 << 20)
            let head =
                "POST /api/v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
            return [
                .init(
                    port: .http, what: "a header of 1 MB", pace: .repeated(min(10, rate)),
                    opening: Array("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ".utf8) + megabyte,
                    limit: Self.atOnce),
                .init(
                    port: .http, what: "a body of 2 GB", pace: .repeated(min(10, rate)),
                    opening: Array((head + "Content-Length: 2147483648\r\n\r\n").utf8) + megabyte, limit: Self.atOnce),
                .init(
                    port: .http, what: "a body without end", pace: .repeated(min(10, rate)),
                    opening: Array((head + "Transfer-Encoding: chunked\r\n\r\n100000\r\n").utf8) + megabyte,
                    limit: Self.atOnce),
            ]
        case .unread:
            let few = Assault.Pace.held(min(20, connections))
            return [
                .init(
                    port: .gateway, what: "takes no answer", pace: few,
                    further: [Array(repeatElement(Self.status, count: 40).joined())], every: .milliseconds(100),
                    reads: false),
                .init(
                    port: .http, what: "takes no answer", pace: few,
                    further: [Array(repeatElement(Self.page, count: 20).joined())], every: .milliseconds(100),
                    reads: false, limit: Self.httpPatience + 60),
            ]
        case .badSignatures:
            // Of one address, over a few connections.
            let connections = 4
            let each = max(1, Int(flood / Double(connections) / 20))
            return [
                .init(
                    port: .gateway, what: "requests with bad signatures", pace: .held(connections),
                    further: forgeries(40, each: each), every: .milliseconds(50))
            ]
        }
    }

    /// - Returns: so many bunches of as many requests, each with another one's signature.
    private func forgeries(_ bunches: Int, each: Int) -> [[UInt8]] {
        guard let signer = Ed25519Signer(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max) }) else { return [] }
        let now = Instant.current().wall
        var number: UInt64 = 0
        return (0..<bunches).map { _ in
            var bytes: [UInt8] = []
            for _ in 0..<each {
                number += 1
                let specification = AccountSpecification(
                    owner: signer.publicKey, asset: AssetID(1), index: number)
                let request = Request(
                    cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey,
                    number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), follows: [], issuedAt: now,
                    deadline: now.adding(microseconds: 60_000_000), mode: .independent,
                    operations: [.open(specification)])
                var message = ClientMessage.submit(id: number, SignedRequest(request, signedBy: signer)).encoded()
                // The signature stands last.
                message[message.count - 1] ^= 1
                bytes += Self.frame(message)
            }
            return bytes
        }
    }
}
