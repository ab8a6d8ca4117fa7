import HostCore
import HostRuntime
import Logging
import Messages
import Testing

/// Receives a transport's events and lets a test await the next one that matters.
private struct Events: Sendable {
    let stream: AsyncStream<TransportEvent>
    let continuation: AsyncStream<TransportEvent>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    var sink: @Sendable ([TransportEvent]) -> Void {
        { [continuation] events in for event in events { continuation.yield(event) } }
    }

    /// The next event for which `pick` gives a value.
    func next<T: Sendable>(_ pick: @Sendable (TransportEvent) -> T?) async throws -> T {
        for await event in stream {
            if let value = pick(event) { return value }
        }
        throw CancellationError()
    }

    func connected() async throws -> HostID {
        try await next { if case .peerConnected(let host) = $0 { host } else { nil } }
    }
    func disconnected() async throws -> HostID {
        try await next { if case .peerDisconnected(let host) = $0 { host } else { nil } }
    }
    func message() async throws -> (HostID, HostMessage) {
        try await next { if case .peer(let host, let message) = $0 { (host, message) } else { nil } }
    }
}

private let quiet = Logger(label: "test") { _ in LineLogHandler(label: "test", level: .critical) }

private func seed(_ byte: Int) -> [UInt8] { [UInt8](repeating: UInt8(byte), count: 32) }

private func manifest(hosts: Int = 4, cluster: UInt8 = 1) throws -> Manifest {
    let keys = try (0...hosts).map { try #require(Ed25519Signer(seed: seed($0))).publicKey }
    return Manifest(
        cluster: try #require(ClusterID(bytes: [UInt8](repeating: cluster, count: 32))), epoch: Epoch(1),
        hosts: (0..<hosts).map { .init(address: "127.0.0.1", port: 0, publicKey: keys[$0]) },
        shards: [(0..<hosts).map { HostID(UInt16($0)) }], issuer: keys[hosts])
}

private func fetch(_ number: UInt64) -> HostMessage {
    .stateTransfer(ShardID(0), .fetchCheckpoint(minimum: SequenceNumber(number)))
}

/// A host's transport on a port of its own, with its threads.
private struct Node {
    let transport: PeerTransport
    let events: Events
    let threads: RuntimeThreads
    var address: HostAddress { HostAddress(address: "127.0.0.1", port: transport.port) }

    init(
        _ host: Int, manifest: Manifest, seed key: Int? = nil, port: Int = 0, options: TransportOptions = .init()
    ) async throws {
        events = Events()
        threads = RuntimeThreads(verifiers: 1, storage: false)
        transport = try await PeerTransport.listen(
            manifest: manifest, host: HostID(UInt16(host)), seed: seed(key ?? host),
            at: HostAddress(address: "127.0.0.1", port: port), options: options, logger: quiet, on: threads.io,
            events: events.sink)
    }

    func stop() async {
        await transport.stop()
        await threads.stop()
    }
}

/// A port on which nobody listens.
private let nowhere = HostAddress(address: "127.0.0.1", port: 1)

@Suite(.timeLimit(.minutes(1)))
struct TransportTests {
    @Test func twoHostsExchangeMessagesAndEachKnowsWhoSpoke() async throws {
        let manifest = try manifest()
        let a = try await Node(0, manifest: manifest)
        let b = try await Node(1, manifest: manifest)
        let addresses = [a.address, b.address, nowhere, nowhere]
        a.transport.connect(to: addresses)
        b.transport.connect(to: addresses)
        #expect(try await a.events.connected() == HostID(1))
        #expect(try await b.events.connected() == HostID(0))
        a.transport.send([.init(to: [HostID(1)], message: fetch(7)), .init(to: [HostID(1)], message: fetch(8))])
        b.transport.send([HostReady.Outgoing(to: [HostID(0)], message: fetch(9))])
        #expect(try await b.events.message() == (HostID(0), fetch(7)))
        #expect(try await b.events.message() == (HostID(0), fetch(8)))
        #expect(try await a.events.message() == (HostID(1), fetch(9)))
        await a.stop()
        await b.stop()
    }

    @Test func aLargeMessageArrivesWhole() async throws {
        let manifest = try manifest()
        let a = try await Node(0, manifest: manifest)
        let b = try await Node(1, manifest: manifest)
        a.transport.connect(to: [a.address, b.address, nowhere, nowhere])
        _ = try await a.events.connected()
        let entry = StateTransferMessage.StateEntry(key: [1], value: [UInt8](repeating: 7, count: 1 << 20))
        let message = HostMessage.stateTransfer(
            ShardID(0), .bucket(sequence: SequenceNumber(1), bucket: 0, entries: Array(repeating: entry, count: 8)))
        a.transport.send([HostReady.Outgoing(to: [HostID(1)], message: message)])
        #expect(try await b.events.message() == (HostID(0), message))
        await a.stop()
        await b.stop()
    }

    @Test func aHostWithAnotherKeyIsNeverListenedTo() async throws {
        let manifest = try manifest()
        let honest = try await Node(0, manifest: manifest)
        // Says that it is host 1, with a key that the manifest does not have: as a listener, and as a caller.
        let impostor = try await Node(1, manifest: manifest, seed: 99)
        honest.transport.connect(to: [honest.address, impostor.address, nowhere, nowhere])
        impostor.transport.connect(to: [honest.address, impostor.address, nowhere, nowhere])
        while honest.transport.counters.now.refusedSessions == 0 || impostor.transport.counters.now.refusedSessions == 0 {
            await Task.yield()
        }
        let real = try await Node(1, manifest: manifest)
        real.transport.connect(to: [honest.address, real.address, nowhere, nowhere])
        _ = try await real.events.connected()
        real.transport.send([HostReady.Outgoing(to: [HostID(0)], message: fetch(3))])
        #expect(try await honest.events.message() == (HostID(1), fetch(3)))
        impostor.events.continuation.finish()
        for await event in impostor.events.stream {
            if case .peerConnected = event { Issue.record("the impostor has a session") }
        }
        await honest.stop()
        await impostor.stop()
        await real.stop()
    }

    @Test func aHostOfAnotherClusterIsRefusedInTheGreeting() async throws {
        let here = try await Node(0, manifest: try manifest(cluster: 1))
        let there = try await Node(1, manifest: try manifest(cluster: 2))
        there.transport.connect(to: [here.address, there.address, nowhere, nowhere])
        while here.transport.counters.now.refusedSessions < 2 { await Task.yield() }
        there.events.continuation.finish()
        for await event in there.events.stream {
            if case .peerConnected = event { Issue.record("a session between two clusters") }
        }
        await here.stop()
        await there.stop()
    }

    @Test func garbageAndOversizedFramesCloseTheSessionAndTheHostCarriesOn() async throws {
        let manifest = try manifest()
        var options = TransportOptions()
        options.maxHostFrame = 1 << 16
        let a = try await Node(0, manifest: manifest)
        let b = try await Node(1, manifest: manifest, options: options)
        a.transport.connect(to: [a.address, b.address, nowhere, nowhere])
        _ = try await a.events.connected()
        a.transport.send(raw: [0xff, 0xff, 0xff], to: HostID(1))
        #expect(try await a.events.disconnected() == HostID(1))
        #expect(b.transport.counters.now.undecodable == 1)
        _ = try await a.events.connected()
        a.transport.send(raw: [UInt8](repeating: 1, count: (1 << 16) + 1), to: HostID(1))
        #expect(try await a.events.disconnected() == HostID(1))
        _ = try await a.events.connected()
        a.transport.send([HostReady.Outgoing(to: [HostID(1)], message: fetch(5))])
        #expect(try await b.events.message() == (HostID(0), fetch(5)))
        await a.stop()
        await b.stop()
    }

    @Test func aSessionComesBackAfterThePeerRestarts() async throws {
        let manifest = try manifest()
        let a = try await Node(0, manifest: manifest)
        let first = try await Node(1, manifest: manifest)
        let addresses = [a.address, first.address, nowhere, nowhere]
        a.transport.connect(to: addresses)
        _ = try await a.events.connected()
        await first.stop()
        #expect(try await a.events.disconnected() == HostID(1))
        let second = try await Node(1, manifest: manifest, port: first.transport.port)
        _ = try await a.events.connected()
        a.transport.send([HostReady.Outgoing(to: [HostID(1)], message: fetch(11))])
        #expect(try await second.events.message() == (HostID(0), fetch(11)))
        await a.stop()
        await second.stop()
    }
}
