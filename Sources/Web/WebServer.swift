import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// Where a process listens for HTTP, and how much it takes.
public struct WebOptions: Sendable {
    /// By name or number.
    public var address = "127.0.0.1"
    /// 0 for any free one.
    public var port = 0
    /// Names by which it may be spoken to, beside addresses, `localhost` and `address` itself.
    public var names: [String] = []
    /// More wait to be accepted. Before that, connections on which nothing is asked are closed for new ones.
    public var maxConnections = 256
    /// Of one address of another machine.
    public var maxConnectionsPerAddress = 64
    /// Of `maxConnections`, those that only this machine gets.
    public var reservedForLoopback = 16
    /// A connection on which nothing came for so long is closed, one on which no whole head of a request did, and one
    /// that took nothing of its answer.
    public var idleTimeout = TimeAmount.seconds(60)

    /// Gives what each connection's TLS is made with; nil for plain HTTP.
    public var tls: (@Sendable () -> NIOSSLContext)?
    /// TLS handshakes that one address of another machine (of IPv6, one /64) begins in a second; two and a half times as
    /// many at once.
    public var maxHandshakesPerSecond = 20
    /// Called for each connection that is closed before TLS for that.
    package var onRefusedHandshake: @Sendable () -> Void = {}
    /// A TLS handshake has so long.
    public var handshakeTimeout = TimeAmount.seconds(10)

    /// On loopback, on any free port.
    public init() {}

    /// `PORT`, `ADDRESS:PORT` or `[IPv6]:PORT`; nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else {
            guard let port = Self.port(text) else { return nil }
            self.port = port
            return
        }
        var address = text[..<colon]
        let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
        if isBracketed { address = address.dropFirst().dropLast() }
        guard let port = Self.port(text[text.index(after: colon)...]), !address.isEmpty,
            isBracketed == address.contains(":")
        else { return nil }
        (self.address, self.port) = (String(address), port)
    }

    private static func port(_ text: some StringProtocol) -> Int? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(text), port <= 65535 else { return nil }
        return port
    }

    /// What its addresses begin with: `https` or `http`.
    public var scheme: String { tls == nil ? "http" : "https" }

    /// As it is written down.
    public func text(port: Int) -> String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }
}

/// What a server says under some of its paths.
public protocol WebPart: Sendable {
    /// Once, before the server starts.
    func add(to router: Router<BasicRequestContext>)
    /// Whether a path is its own although it lies under those of a `WebTree`.
    func claims(_ path: String) -> Bool
}

extension WebPart {
    /// No path: its routes lie beside all trees.
    public func claims(_ path: String) -> Bool { false }
}

/// Why a server did not start.
public struct WebServerError: Error, CustomStringConvertible, Sendable {
    /// Where it was to listen, and what the system said.
    public let description: String
}

/// HTTP beside a host or a gateway, for those who look at it. It has a thread of its own, so that no request for a
/// page holds up what the process is there for.
public final class WebServer: Sendable {
    /// Where it listens.
    public let port: Int
    private let running: Task<Void, any Error>
    private let group: MultiThreadedEventLoopGroup

    private init(port: Int, running: Task<Void, any Error>, group: MultiThreadedEventLoopGroup) {
        (self.port, self.running, self.group) = (port, running, group)
    }

    /// Returns when it accepts connections.
    /// - Throws: `WebServerError`.
    public static func start(
        _ parts: [any WebPart], options: WebOptions = .init(), logger: Logger
    ) async throws -> WebServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        // Its own log says what every server of this library says; only what is wrong concerns an operator.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let counts = ConnectionCounts(
            maxEach: options.maxConnectionsPerAddress,
            maxRemote: max(1, options.maxConnections - options.reservedForLoopback),
            // A few less than are accepted: at that bound nothing more is accepted, and nobody would make room.
            max: max(1, options.maxConnections - 8))
        let handshakes = HandshakeGate.Rates(options.maxHandshakesPerSecond, onRefused: options.onRefusedHandshake)
        let application = Application(
            responder: WebResponder(parts, names: HostNames(options.names + [options.address])),
            server: HTTPServerBuilder { responder in
                WebChannel(
                    HTTP1Channel(
                        responder: responder,
                        configuration: .init(
                            additionalChannelHandlers: [ConnectionGuard(counts, patience: options.idleTimeout)],
                            idleTimeout: options.idleTimeout)),
                    options, handshakes)
            },
            configuration: ApplicationConfiguration(
                address: .hostname(options.address, port: options.port), serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(options.maxConnections)),
            onServerRunning: { bound.yield($0.localAddress?.port ?? options.port) },
            eventLoopGroupProvider: .shared(group), logger: quiet)
        let running = Task {
            defer { bound.finish() }
            try await application.run()
        }
        for await port in ports {
            logger.info("\(options.scheme.uppercased()) on \(options.text(port: port))")
            return WebServer(port: port, running: running, group: group)
        }
        let result = await running.result
        try? await group.shutdownGracefully()
        let why = if case .failure(let error) = result { "\(error)" } else { "it was stopped" }
        throw WebServerError(description: "cannot listen for HTTP on \(options.text(port: options.port)): \(why)")
    }

    /// Closes all connections; what is being answered is not.
    public func stop() async {
        running.cancel()
        _ = await running.result
        try? await group.shutdownGracefully()
    }
}
