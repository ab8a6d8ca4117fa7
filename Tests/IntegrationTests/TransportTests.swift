import Client
import FoundationEssentials
import Glibc
import Cores
import HostRuntime
import ManifestFile
import Messages
import Networks
import Testing
import Transport

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

private let quiet = LineLogHandler.logger("test", level: .critical)

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

    @Test func whatGoesOverAnEmulatedNetworkTakesItsTime() async throws {
        let manifest = try manifest()
        let text = #"{"name": "far", "regions": ["a"], "one_way_ms": [[25]]}"#
        var options = TransportOptions()
        options.network = NetworkPlace(.host(0), in: try NetworkProfile(bytes: Array(text.utf8), file: "far.json"))
        let a = try await Node(0, manifest: manifest, options: options)
        let b = try await Node(1, manifest: manifest)
        a.transport.connect(to: [a.address, b.address, nowhere, nowhere])
        _ = try await a.events.connected()
        let sent = Clock.uptime()
        for number in 0..<20 {
            a.transport.send([HostReady.Outgoing(to: [HostID(1)], message: fetch(UInt64(number)))])
        }
        for number in 0..<20 { #expect(try await b.events.message() == (HostID(0), fetch(UInt64(number)))) }
        #expect(Clock.uptime() - sent >= 25_000_000)
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
            ShardID(0),
            .bucket(
                sequence: SequenceNumber(1), bucket: 0, part: 0, isLast: true,
                entries: Array(repeating: entry, count: 8)))
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
        while honest.transport.counters.registry.total("quorate_sessions_refused_total") == 0
            || impostor.transport.counters.registry.total("quorate_sessions_refused_total") == 0
        {
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
        while here.transport.counters.registry.total("quorate_sessions_refused_total") < 2 { await Task.yield() }
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
        #expect(b.transport.counters.registry.total("quorate_dropped_total", "undecodable") == 1)
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
    @Test func aToolWithAnyKeyIsAcceptedAndAnswered() async throws {
        let manifest = try manifest()
        let host = try await Node(0, manifest: manifest)
        let connection = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
        let transport = host.transport
        async let status = connection.status()
        let (session, id) = try await host.events.next { event -> (SessionID, UInt64)? in
            if case .gateway(let session, .status(let id)) = event { (session, id) } else { nil }
        }
        transport.send([HostReady.Reply(to: [session], reply: .status(id: id, []))])
        #expect(try await status == [])
        await connection.close()
        #expect(
            try await host.events.next { if case .gatewayClosed(let closed) = $0 { closed } else { nil } } == session)
        await host.stop()
    }

    /// It only waits: all that it sends arrives, in order, also what it sends after it has been let go.
    @Test func aSessionThatBringsTooMuchInVainIsReadALittleAtATimeAndThenFreelyAgain() async throws {
        let manifest = try manifest()
        var options = TransportOptions()
        (options.vainPause, options.vainTurn, options.vainReads, options.vainReadBytes) = (
            .milliseconds(10), .milliseconds(1), 3, 4096
        )
        let host = try await Node(0, manifest: manifest, options: options)
        let connection = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
        let transport = host.transport
        let messages = (0..<4000).map { GatewayMessage.account(id: $0, AccountID(1)) }
        async let posted: Void = {
            for place in stride(from: 0, to: messages.count, by: 500) {
                try await connection.post(HostFrames(Array(messages[place..<place + 500])))
            }
        }()
        for expected in 0..<UInt64(messages.count) {
            let (session, id) = try await host.events.next { event -> (SessionID, UInt64)? in
                if case .gateway(let session, .account(let id, _)) = event { (session, id) } else { nil }
            }
            #expect(id == expected)
            if id < 2000, id % 500 == 0 { transport.pause([session]) }
        }
        try await posted
        #expect(transport.counters.registry.total("quorate_sessions_paused_total") == 4)
        await connection.close()
        await host.stop()
    }

    @Test func aToolRefusesAHostWithAnotherKey() async throws {
        let manifest = try manifest()
        let impostor = try await Node(0, manifest: manifest, seed: 99)
        await #expect(throws: HostConnectionError.self) {
            try await HostConnection.connect(to: HostID(0), of: manifest, at: impostor.address)
        }
        await impostor.stop()
    }

    @Test func gatewaysBeyondTheLimitAreToldSo() async throws {
        let manifest = try manifest()
        var options = TransportOptions()
        (options.maxGateways, options.maxVisitors) = (1, 0)
        let host = try await Node(0, manifest: manifest, options: options)
        let first = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
        do {
            _ = try await HostConnection.connect(to: HostID(0), of: manifest, at: host.address)
            Issue.record("the limit was not kept")
        } catch {
            #expect("\(error)".contains("which is the limit"))
        }
        await first.close()
        await host.stop()
    }

    @Test func aGatewayRejectsARequestOfAnotherClusterAndCarriesOn() async throws {
        let ours = try manifest()
        let gateway = try await GatewayHost.start(
            manifest: ours, port: 0, addresses: Array(repeating: nowhere, count: 4), logger: quiet)
        let address = GatewayAddress(host: "127.0.0.1", port: gateway.port)
        let connection = try await GatewayConnection.connect(address)
        let signer = try #require(Ed25519Signer(seed: seed(50)))
        var stranger = Principal(signer: signer, manifest: try manifest(cluster: 2))
        for _ in 0..<3 {
            let account = AccountSpecification(owner: signer.publicKey, asset: AssetID(1))
            let signed = stranger.sign([.open(account)], mode: .atomic)
            let request = try #require(signed)
            guard case .rejected(.invalid, _) = try await connection.submit(request) else {
                Issue.record("accepted")
                continue
            }
        }
        await gateway.stop()
        await #expect(throws: ConnectionError.self) { try await connection.status() }
    }
}

@Suite struct ClusterFolderTests {
    /// A new cluster in the folder for temporary files, for the length of `body`.
    private func withCluster(shards: Int = 1, _ body: (ClusterFolder) throws -> Void) throws {
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(try ClusterFolder.create(at: path, shards: shards, replicas: 4, basePort: 7100))
    }

    @Test func aCreatedFolderOpensWithTheSameManifestAndKeys() throws {
        try withCluster(shards: 3) { created in
            let opened = try ClusterFolder(opening: created.path)
            #expect(opened.manifest == created.manifest)
            #expect(opened.manifest.shardCount == 3)
            #expect(try opened.issuer().publicKey == opened.manifest.issuer)
            #expect(try opened.compliance().publicKey == opened.manifest.compliance)
            for host in 0..<4 {
                #expect(
                    try opened.host(HostID(UInt16(host))).signer().publicKey == opened.manifest.hosts[host].publicKey)
            }
            #expect(throws: ClusterFolderError.exists(created.path)) {
                try ClusterFolder.create(at: created.path, shards: 3, replicas: 4, basePort: 7100)
            }
        }
    }

    @Test func aKeyThatOthersMayReadIsRefused() throws {
        try withCluster { folder in
            let file = folder.path + "/hosts/2/host.key"
            #expect(chmod(file, 0o640) == 0)
            #expect(throws: KeyFileError.tooOpen(path: file, mode: 0o640)) { try folder.host(HostID(2)).signer() }
        }
    }

    @Test func foldersOfTwoHostsCannotBeSwapped() throws {
        try withCluster { folder in
            let hosts = folder.path + "/hosts"
            #expect(rename(hosts + "/0", hosts + "/x") == 0 && rename(hosts + "/1", hosts + "/0") == 0)
            #expect(throws: ClusterFolderError.belongsElsewhere(path: hosts + "/0", what: "host 1")) {
                try folder.host(HostID(0))
            }
        }
    }

    @Test(arguments: [
        ("", "", "the file is empty"),
        ("{", "", "the file ends here"),
        ("{}{}", "", "\"{\""),
        ("\u{feff}{}", "", "a byte order mark"),
        (#"{"version": 1, "version": 1}"#, "version", "the key stands here a second time"),
        (#"{"version": 1.0}"#, "version", "the number 1.0"),
        (#"{"version": 1, "Version": 1}"#, "Version", "unknown key"),
        (#"{"version": 2}"#, "version", "version 2, and this build reads version 1"),
        (#"{"version": 1, "extra": 0}"#, "extra", "unknown key"),
        (#"{"version": 1}"#, "cluster", "the key is missing"),
        (#"{"version": "1"}"#, "version", "a string"),
    ])
    func aBadManifestIsRefusedWithThePlace(text: String, place: String, problem: String) {
        do throws(ManifestFileError) {
            _ = try ManifestJSON.decode(Array(text.utf8))
            Issue.record("decoded")
        } catch {
            #expect((error.location, error.problem) == (place, problem))
        }
    }

    @Test func aManifestOfBeforeThereWasAComplianceKeyIsRead() throws {
        try withCluster { folder in
            var old = folder.manifest
            old.compliance = nil
            let text = ManifestJSON.encode(old)
            #expect(!text.contains("compliance"))
            let read = try ManifestJSON.decode(Array(text.utf8))
            #expect(read == old)
            let whole = try ManifestJSON.decode(Array(ManifestJSON.encode(folder.manifest).utf8))
            #expect(whole == folder.manifest)
        }
    }

    @Test(arguments: [
        ("\"port\": 7102", "\"port\": 70000", "hosts[2].port"),
        ("\"port\": 7101,", "", "hosts[1].port"),
        ("[0, 1, 2, 3]", "[0, 1, 2]", ""),
        ("[0, 1, 2, 3]", "[0, 1, 2, \"3\"]", "shards[0][3]"),
        ("127.0.0.1", "bad name", "hosts[0].address"),
        ("\"port\": 7102", "\"port\": 7102, \"port\": 7102", "hosts[2].port"),
        ("\"port\": 7102", "\"port\": 7102.0", "hosts[2].port"),
        ("\"port\": 7102", "\"port\": 7102, \"note\": 0", "hosts[2].note"),
        ("\"epoch\": 1", "\"epoch\": 4294967296", "epoch"),
    ])
    func aChangedManifestIsRefusedWithThePlace(old: String, new: String, place: String) throws {
        try withCluster { folder in
            let text = ManifestJSON.encode(folder.manifest).replacing(old, with: new, maxReplacements: 1)
            do throws(ManifestFileError) {
                _ = try ManifestJSON.decode(Array(text.utf8))
                Issue.record("decoded")
            } catch {
                #expect(error.location == place, "\(error)")
            }
        }
    }
}

@Suite struct RequestOrderTests {
    private let map = ShardMap(shardCount: 4)

    private func pay(_ from: UInt64, _ to: UInt64 = 3) -> Messages.Operation {
        let (from, to) = (UInt128(from << 62 | 5) << 64, UInt128(to << 62 | 6) << 64)
        return .transfer(Transfer(from: AccountID(from), to: AccountID(to), asset: AssetID(1), amount: Amount(1)))
    }

    private func request(_ number: UInt64, _ operations: [Messages.Operation]) -> Request {
        Request(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1), principal: PublicKey(FixedBytes32()),
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: .zero,
            deadline: Timestamp(100 + number), mode: .atomic, operations: operations)
    }

    @Test func aRequestFollowsTheNewestUnderWayOnEachShardThatItDebits() {
        var order = RequestOrder()
        #expect(order.predecessors(of: [pay(0)], in: map).isEmpty)
        order.begin(request(1, [pay(0), pay(2)]), in: map)
        order.begin(request(2, [pay(1)]), in: map)
        order.begin(request(3, [pay(0)]), in: map)
        let names = order.predecessors(of: [pay(2), pay(0), pay(0), pay(3)], in: map)
        #expect(names.map(\.shard) == [ShardID(0), ShardID(2)], "ascending; nothing that debits shard 3 is under way")
        #expect(names.map(\.number) == [RequestNumber(3), RequestNumber(1)])
        #expect(names.map(\.deadline) == [Timestamp(103), Timestamp(101)])
        // What is over leaves what was before it, and that is still under way.
        order.end(RequestNumber(3))
        #expect(order.predecessors(of: [pay(0)], in: map).map(\.number) == [RequestNumber(1)])
        order.end(RequestNumber(1))
        order.end(RequestNumber(1))
        #expect(order.predecessors(of: [pay(0)], in: map).isEmpty && order.count == 1)
    }
}

@Suite struct RequestWindowTests {
    @Test func acknowledgesOnlyBelowTheOldestUnknownOutcome() {
        // R11.
        var window = RequestWindow(first: RequestNumber(10))
        let numbers = (0..<3).map { _ in window.open() }
        #expect(numbers == [RequestNumber(10), RequestNumber(11), RequestNumber(12)])
        window.close(RequestNumber(11))
        #expect(window.acknowledgedBelow == RequestNumber(10))
        window.close(RequestNumber(10))
        #expect(window.acknowledgedBelow == RequestNumber(12))
        #expect(window.outstanding == 1)
    }

    @Test func opensNoMoreThanAShardAccepts() {
        var window = RequestWindow(first: RequestNumber(1))
        for _ in 0..<RequestWindow.width { #expect(window.open() != nil) }
        #expect(window.open() == nil)
        window.close(RequestNumber(2))
        #expect(window.open() == nil)
        window.close(RequestNumber(1))
        #expect(window.open() == RequestNumber(1025))
    }

    /// Numbers below the first may be another program's with the same key: it asks for their outcomes still.
    @Test func whatOthersMayHaveOpenIsAcknowledgedOnlyWhenTheWindowMustMove() {
        var window = RequestWindow(first: RequestNumber(100), keeping: RequestNumber(90))
        var acknowledged: [UInt64] = []
        for _ in 0..<600 {
            guard let number = window.open() else { break }
            acknowledged.append(window.acknowledgement(with: number).number)
            window.close(number)
        }
        #expect(acknowledged.count == 600)
        let moves = acknowledged.firstIndex { $0 > 90 }
        #expect(moves == Int(RequestWindow.foreignRoom) && acknowledged.last == 699)
        // Nothing to keep: as before.
        var alone = RequestWindow(first: RequestNumber(100), keeping: RequestNumber(100))
        for _ in 0..<3 { if let number = alone.open() { alone.close(number) } }
        #expect(alone.open().map { alone.acknowledgement(with: $0) } == RequestNumber(103))
    }

    /// Other programs keep their last requests open: here of as many as a key may have used before.
    @Test func whatOthersMayHaveOpenIsKeptHoweverFarTheirNumbersReach() throws {
        for (next, kept) in [(513, 1), (512, 1), (600, 0), (1000, 1), (100_000, 3), (65, 1), (UInt64.max - 1, 5)]
            as [(UInt64, UInt64)]
        {
            var raised = RequestWindow(first: RequestNumber(1))
            raised.raise(to: RequestNumber(next), keeping: RequestNumber(kept))
            for var window in [raised, RequestWindow(first: RequestNumber(next), keeping: RequestNumber(kept))] {
                for _ in 0..<RequestWindow.foreignRoom {
                    guard let number = window.open() else { break }
                    let acknowledged = window.acknowledgement(with: number).number
                    // The tool's last 64 stay with the shards, and these take the number.
                    #expect(
                        acknowledged <= next - min(next, 64) && number.number - acknowledged < RequestWindow.width,
                        "\(next) \(kept) \(number)")
                    window.close(number)
                }
            }
        }
    }

    /// This window may be far above another program's numbers, of which it hears only when it comes to another shard.
    @Test func whatOthersHaveOpenBelowThisWindowIsKeptToo() {
        var window = RequestWindow(first: RequestNumber(100))
        window.raise(to: RequestNumber(60), keeping: RequestNumber(50))
        #expect(window.acknowledgement(with: RequestNumber(100)) == RequestNumber(50))
        // Of two the one that is further behind.
        window.raise(to: RequestNumber(60), keeping: RequestNumber(55))
        window.raise(to: RequestNumber(200), keeping: RequestNumber(150))
        #expect(window.open() == RequestNumber(200))
        #expect(window.acknowledgement(with: RequestNumber(200)) == RequestNumber(50))
        // A shard that has never heard of the key, or for which nothing is open, keeps nothing.
        for (next, foreign) in [(0, 0), (50, 50)] as [(UInt64, UInt64)] {
            var alone = RequestWindow(first: RequestNumber(100))
            alone.raise(to: RequestNumber(next), keeping: RequestNumber(foreign))
            #expect(alone.acknowledgement(with: RequestNumber(100)) == RequestNumber(100))
        }
    }

    @Test func numbersThatOthersUsedAreLeftOutAndAnOpenOneIsNotAcknowledged() {
        var window = RequestWindow(first: RequestNumber(1))
        let first = window.open()
        window.raise(to: RequestNumber(500), keeping: RequestNumber(400))
        #expect(window.open() == RequestNumber(500))
        #expect(window.acknowledgement(with: RequestNumber(500)) == first)
        if let first { window.close(first) }
        #expect(window.acknowledgement(with: RequestNumber(500)) == RequestNumber(400))
        #expect(window.acknowledgedBelow == RequestNumber(500))
        // Never back, and never beyond the last number there is.
        window.raise(to: RequestNumber(7), keeping: RequestNumber(7))
        #expect(window.open() == RequestNumber(501))
        window.close(RequestNumber(500))
        window.close(RequestNumber(501))
        window.raise(to: RequestNumber(.max - 1), keeping: RequestNumber(0))
        #expect(window.open() == RequestNumber(.max - 1) && window.open() == nil)
    }
}
