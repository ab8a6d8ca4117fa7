import Client
import Glibc
import Cores
import HostRuntime
import Messages
import Testing

private let quiet = LineLogHandler.logger("test", level: .critical)
private func seed(_ byte: Int) -> [UInt8] { [UInt8](repeating: UInt8(byte), count: 32) }
/// Ports on which nobody listens.
private let nowhere = Array(repeating: HostAddress(address: "127.0.0.1", port: 1), count: 4)

private func manifest() throws -> Manifest {
    let keys = try (0...4).map { try #require(Ed25519Signer(seed: seed($0))).publicKey }
    return Manifest(
        cluster: try #require(ClusterID(bytes: seed(1))), epoch: Epoch(1),
        hosts: (0..<4).map { .init(address: "127.0.0.1", port: 0, publicKey: keys[$0]) },
        shards: [(0..<4).map { HostID(UInt16($0)) }], issuer: keys[4])
}

/// A socket of somebody who does not behave. Blocks, because the other side never stops reading.
final class RawSocket {
    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0)
    }

    deinit { close(descriptor) }

    /// False if the other side has closed.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Waits until the other side closes.
    func waitForEnd() {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while recv(descriptor, &bytes, bytes.count, 0) > 0 {}
    }
}

private func frame(_ bytes: [UInt8]) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
}

/// A gateway whose hosts do not answer.
private func startGateway(_ options: GatewayRuntimeOptions) async throws -> GatewayHost {
    try await GatewayHost.start(manifest: try manifest(), port: 0, addresses: nowhere, options: options, logger: quiet)
}

/// A host's transport that answers what tools ask, with an empty status.
private struct Node {
    let transport: PeerTransport
    let threads = RuntimeThreads(verifiers: 1, storage: false)
    let connected: AsyncStream<HostID>
    private let continuation: AsyncStream<HostID>.Continuation
    private let answering: Task<Void, Never>
    var address: HostAddress { HostAddress(address: "127.0.0.1", port: transport.port) }

    init(_ host: Int, _ manifest: Manifest, port: Int = 0, options: TransportOptions = .init()) async throws {
        let (connected, continuation) = AsyncStream.makeStream(of: HostID.self)
        let (questions, asked) = AsyncStream.makeStream(of: (SessionID, UInt64).self)
        (self.connected, self.continuation) = (connected, continuation)
        let transport = try await PeerTransport.listen(
            manifest: manifest, host: HostID(UInt16(host)), seed: seed(host),
            at: HostAddress(address: "127.0.0.1", port: port),
            options: options, logger: quiet, on: threads.io
        ) { events in
            for event in events {
                switch event {
                case .gateway(let session, .status(let id)): asked.yield((session, id))
                case .peerConnected(let peer): continuation.yield(peer)
                case .gateway, .gatewayClosed, .peer, .peerDisconnected: break
                }
            }
        }
        self.transport = transport
        answering = Task {
            for await (session, id) in questions {
                transport.send([HostReady.Reply(to: [session], reply: .status(id: id, []))])
            }
        }
    }

    func stop() async {
        answering.cancel()
        await transport.stop()
        await threads.stop()
    }
}

/// Who holds connections, says half a thing, or does not listen, keeps nobody out and grows nobody.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct CrowdTests {
    @Test func silentSocketsAndSessionsWithoutAKeyKeepNeitherPeersNorStatusFromAHost() async throws {
        let manifest = try manifest()
        var options = TransportOptions()
        // Nobody's time runs out during the test.
        options.handshakeTimeout = .minutes(10)
        options.gatewayQuiet = .minutes(10)
        let host = try await Node(0, manifest, options: options)
        var strangers: [HostConnection] = []
        for _ in 0..<options.maxGateways {
            strangers.append(
                try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address, options: options))
        }
        let silent = try (0..<options.maxUnidentified + 64).map { _ in try RawSocket(port: host.address.port) }
        // A host that is started again has its sessions in both directions.
        let peer = try await Node(1, manifest, options: options)
        host.transport.connect(to: [host.address, peer.address] + nowhere.prefix(2))
        peer.transport.connect(to: [host.address, peer.address] + nowhere.prefix(2))
        var sessions = [peer.connected.makeAsyncIterator(), host.connected.makeAsyncIterator()]
        #expect(await sessions[0].next() == HostID(0))
        #expect(await sessions[1].next() == HostID(1))
        // More visitors than there are places, all of whom stay.
        for _ in 0..<options.maxVisitors + 4 {
            let tool = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address, options: options)
            #expect(try await tool.status() == [])
            strangers.append(tool)
        }
        #expect(host.transport.counters.registry.total("quorate_sessions_displaced_total") >= 64)
        // The first sessions are not in anybody's way.
        #expect(try await strangers[0].status() == [])
        for stranger in strangers { await stranger.close() }
        withExtendedLifetime(silent) {}
        await host.stop()
        await peer.stop()
    }

    @Test func aSessionThatIsQuietGivesItsPlaceToTheNextAndAVisitGoesByInTime() async throws {
        let manifest = try manifest()
        var options = TransportOptions()
        (options.maxGateways, options.gatewayQuiet) = (1, .nanoseconds(0))
        let host = try await Node(0, manifest, options: options)
        let first = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
        let second = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
        await #expect(throws: HostConnectionError.self) { while true { _ = try await first.status() } }
        #expect(try await second.status() == [])
        await host.stop()

        (options.gatewayQuiet, options.visit) = (.minutes(10), .milliseconds(50))
        let strict = try await Node(0, manifest, options: options)
        let guest = try await HostConnection.connect(to: HostID(0), of: manifest, at: strict.address)
        let visitor = try await HostConnection.connect(to: HostID(0), of: manifest, at: strict.address)
        await #expect(throws: HostConnectionError.self) { while true { _ = try await visitor.status() } }
        #expect(try await guest.status() == [])
        await strict.stop()
    }

    @Test func unfinishedFramesOfManyClientsAreBoundedAndASmallClientIsServed() async throws {
        var options = GatewayRuntimeOptions()
        options.clients.maxFrame = 1 << 20
        options.clients.maxUnfinished = 16 << 20
        let gateway = try await startGateway(options)
        let start = frame([UInt8](repeating: 1, count: options.clients.maxFrame)).dropLast()
        let client = try await GatewayConnection.connect(GatewayAddress(host: "127.0.0.1", port: gateway.port))
        var open: [RawSocket] = []
        for i in 0..<1000 {
            let stranger = try RawSocket(port: gateway.port)
            stranger.write(Array(start))
            open.append(stranger)
            if open.count == 250 { open.removeFirst(125) }
            if i % 100 == 99 { _ = try await client.status() }
        }
        let most = gateway.metrics.total("quorate_unfinished_bytes_max")
        #expect(most > 4 << 20 && most <= options.clients.maxUnfinished)
        #expect(gateway.metrics.total("quorate_dropped_total", "unfinished") > 500)
        await client.close()
        await gateway.stop()
    }

    @Test func aFrameThatNeverEndsIsNotWaitedForForEver() async throws {
        var options = GatewayRuntimeOptions()
        options.clients.frameTimeout = .milliseconds(1)
        let gateway = try await startGateway(options)
        let stranger = try RawSocket(port: gateway.port)
        stranger.write([9, 0, 0, 0, 1])
        stranger.waitForEnd()
        #expect(gateway.metrics.total("quorate_dropped_total", "unfinished") == 1)
        await gateway.stop()
    }

    @Test func whoDoesNotReadItsAnswersIsDisconnectedBeforeTheyPileUp() async throws {
        var options = GatewayRuntimeOptions()
        options.clients.maxOutboundOfAll = 1 << 20
        let gateway = try await startGateway(options)
        let question = Array(repeating: frame(ClientMessage.status(id: 1).encoded()), count: 1000).flatMap { $0 }
        let deaf = try RawSocket(port: gateway.port)
        while deaf.write(question) {}
        let most = gateway.metrics.total("quorate_outbound_bytes_max")
        #expect(gateway.metrics.total("quorate_dropped_total", "outbound_full") >= 1 && most > 0 && most <= 1 << 20)
        let client = try await GatewayConnection.connect(GatewayAddress(host: "127.0.0.1", port: gateway.port))
        _ = try await client.status()
        await client.close()
        await gateway.stop()
    }

    @Test func idleClientsGoForNewOnesOldestFirst() async throws {
        var options = GatewayRuntimeOptions()
        (options.clients.maxClients, options.clients.quiet) = (32, .nanoseconds(0))
        let gateway = try await startGateway(options)
        let address = GatewayAddress(host: "127.0.0.1", port: gateway.port)
        let idle = try (0..<40).map { _ in try RawSocket(port: gateway.port) }
        let client = try await GatewayConnection.connect(address)
        _ = try await client.status()
        idle[0].waitForEnd()
        // Whoever was heard last stays for longest.
        let others = try (0..<31).map { _ in try RawSocket(port: gateway.port) }
        let late = try await GatewayConnection.connect(address)
        _ = try await late.status()
        await #expect(throws: ConnectionError.self) { try await client.status() }
        withExtendedLifetime(others) {}
        await gateway.stop()
    }
}
