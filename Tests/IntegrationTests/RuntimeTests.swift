import Client
import ExampleProcedures
import FoundationEssentials
import Cores
import HostRuntime
import WriteAheadLog
import Messages
import Synchronization
import Testing

/// Four hosts and a gateway in this process, over real sockets and disks.
final class RuntimeCluster {
    let folder: ClusterFolder
    var hosts: [Host?] = []
    let gateway: GatewayHost
    private static let quiet = LineLogHandler.logger("test", level: .critical)

    init(shards: Int, options: GatewayRuntimeOptions = .init()) async throws {
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        folder = try ClusterFolder.create(
            at: path, shards: shards, replicas: 4, basePort: Int.random(in: 20000..<32000))
        for host in 0..<4 { hosts.append(try await Host.start(HostID(UInt16(host)), of: folder, logger: Self.quiet)) }
        gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, options: options, logger: Self.quiet)
    }

    /// Two accounts of one owner on different shards, each with so much money.
    func open(_ amount: UInt128, for owner: Ed25519Signer, firstNumber: RequestNumber? = nil) async throws -> (
        AccountID, AccountID
    ) {
        let accounts = (0..<16).map { AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: $0) }
        let map = folder.manifest.shardMap
        let from = accounts[0]
        let to = try #require(accounts.first { map.shard(of: $0.id) != map.shard(of: from.id) })
        let bank = client(try folder.issuer(), firstNumber: firstNumber)
        let opened = try await bank.submit([.open(from), .open(to)], mode: .independent)
        let issued = try await bank.submit(
            [from, to].map { .issue(to: $0.id, asset: $0.asset, amount: Amount(amount)) }, mode: .independent)
        #expect(opened.isCommitted && issued.isCommitted)
        await bank.close()
        return (from.id, to.id)
    }

    /// - Parameter firstNumber: nil to ask the shards.
    func client(_ signer: Ed25519Signer, firstNumber: RequestNumber? = nil) -> QuorateClient {
        QuorateClient(
            signer: signer, manifest: folder.manifest,
            gateways: [GatewayAddress(host: "127.0.0.1", port: gateway.port)],
            firstNumber: firstNumber)
    }

    func restart(_ host: Int) async throws {
        await hosts[host]?.stop()
        hosts[host] = nil
        hosts[host] = try await Host.start(HostID(UInt16(host)), of: folder, logger: Self.quiet)
    }

    func stop() async {
        await gateway.stop()
        for host in hosts { await host?.stop() }
        hosts = []
        try? FileManager.default.removeItem(atPath: folder.path)
    }
}

private final class Count: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add() { count.add(1, ordering: .relaxed) }
}

@Suite(.timeLimit(.minutes(2)), .serialized)
struct RuntimeTests {
    @Test func anAccountIsOpenedOnceHoweverOftenItIsAskedFor() async throws {
        let cluster = try await RuntimeCluster(shards: 2)
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 21, count: 32)))
        let client = cluster.client(owner)
        let first = try await client.openAccount(AssetID(1))
        #expect(
            first.isNew && first.outcome.isCommitted
                && first.id == AccountSpecification(owner: owner.publicKey, asset: AssetID(1)).id)
        let again = try await client.openAccount(AssetID(1))
        #expect(!again.isNew && again.id == first.id && !again.outcome.receipt.certificates.isEmpty)
        #expect(try await client.openAccount(AssetID(1), index: 1).id != first.id)
        // Of a procedure: nobody has its key, and anybody opens it.
        let vault = AccountSpecification(procedure: ReleaseDelivery.name, asset: AssetID(1))
        #expect(try await client.openAccount(vault).isNew)
        #expect(try await client.read(vault.id)?.owner == .procedure(ReleaseDelivery.name))
        await client.close()
        await cluster.stop()
    }

    /// Every shard would certify that they are malformed, and not say how. Without a gateway nothing can have been
    /// sent.
    @Test func whatEveryShardWouldRefuseIsNotSentAndTheErrorSaysWhatIsWrong() async throws {
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 22, count: 32)))
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        let folder = try ClusterFolder.create(at: path, shards: 2, replicas: 4, basePort: 20000)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let client = QuorateClient(
            signer: signer, manifest: folder.manifest, gateways: [GatewayAddress(host: "127.0.0.1", port: 1)])
        let own = AccountSpecification(owner: signer.publicKey, asset: AssetID(1))
        let (a, b) = (own.id, AccountID(7))
        func transfer(_ from: AccountID, _ to: AccountID, _ amount: UInt128) -> Messages.Operation {
            .transfer(Transfer(from: from, to: to, asset: AssetID(1), amount: Amount(amount)))
        }
        let call = Messages.Operation.call(Invocation(target: .account(a), procedure: "x", version: 1, arguments: []))
        let cases: [([Messages.Operation], Request.Mode, String)] = [
            (
                [.open(own)], .atomic,
                "opening an account is a transaction of its own: submit it with mode: .independent, or call openAccount"
            ),
            ([transfer(a, b, 1), .open(own)], .atomic, "operation 2 of 2: opening an account"),
            (
                [.issue(to: a, asset: AssetID(1), amount: Amount(5))], .atomic,
                "issuing money is a transaction of its own"
            ),
            ([.issue(to: a, asset: AssetID(1), amount: .zero)], .independent, "an amount of zero"),
            ([transfer(a, a, 1)], .atomic, "to itself"),
            ([transfer(a, b, 0)], .independent, "an amount of zero"),
            ([transfer(a, b, Amount.limit.number + 1)], .atomic, "above the limit of"),
            ([.read(a), transfer(a, b, 1)], .atomic, "operation 1 of 2: a read is a transaction of its own"),
            ([call], .independent, "a call stands alone"),
            ([call, call], .atomic, "operation 1 of 2: a call stands alone"),
            ([], .atomic, "without operations"),
            (
                Array(repeating: transfer(a, b, 1), count: 1025), .independent,
                "1025 operations in one request, of which 1024 are allowed"
            ),
        ]
        for (operations, mode, words) in cases {
            do {
                _ = try await client.submit(operations, mode: mode)
                Issue.record("sent: \(words)")
            } catch ClientError.malformed(let problem) {
                #expect(problem.contains(words))
                #expect("\(ClientError.malformed(problem))".hasPrefix("the request was not sent: "))
            }
        }
    }

    @Test func moneyIsIssuedAndMovedAcrossShardsAndSurvivesARestartOfEveryHost() async throws {
        let cluster = try await RuntimeCluster(shards: 2)
        let issuer = try cluster.folder.issuer()
        let bank = cluster.client(issuer)
        let alice = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let accounts = (0..<8).map { AccountSpecification(owner: alice.publicKey, asset: AssetID(1), index: $0) }
        let opened = try await bank.submit(accounts.map { .open($0) }, mode: .independent)
        #expect(opened.isCommitted)
        let issued = try await bank.submit(
            accounts.map { .issue(to: $0.id, asset: AssetID(1), amount: Amount(100)) }, mode: .independent)
        #expect(issued.isCommitted)

        let wallet = cluster.client(alice)
        let map = cluster.folder.manifest.shardMap
        let from = accounts[0].id
        let to = try #require(accounts.first { map.shard(of: $0.id) != map.shard(of: from) }).id
        let moved = try await wallet.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(30))
        #expect(moved.decisions == [.commit])
        let refused = try await wallet.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(71))
        #expect(refused.decisions == [.abort(.insufficientFunds)])

        for host in 0..<4 { try await cluster.restart(host) }
        let again = try await wallet.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(70))
        #expect(again.decisions == [.commit])
        let tool = try await HostConnection.connect(to: HostID(1), of: cluster.folder.manifest)
        let status = try await tool.status()
        #expect(status.count == 2)
        #expect(status.allSatisfy { $0.halted.isEmpty })
        // The client is answered when the votes decide; the shards apply the decision a moment later.
        var audits = try await tool.audit()
        while audits.contains(where: { $0.undecided > 0 }) { audits = try await tool.audit() }
        #expect(audits.flatMap(\.assets).reduce(0) { $0 + $1.posted } == 800)
        await tool.close()
        await wallet.close()
        await bank.close()
        await cluster.stop()
    }

    @Test func aReadSeesEveryTransferThatWasAnswered() async throws {
        // R6.
        let cluster = try await RuntimeCluster(shards: 2)
        let alice = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let (from, to) = try await cluster.open(100, for: alice)
        let wallet = cluster.client(alice)
        for moved in 1...20 as ClosedRange<UInt128> {
            #expect(try await wallet.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(1)).isCommitted)
            #expect(try await wallet.read(from)?.posted == Amount(100 - moved))
            #expect(try await wallet.read(to)?.posted == Amount(100 + moved))
        }
        // Anybody may ask, of what there is and of what there is not, and one host may be missing.
        await cluster.hosts[2]?.stop()
        cluster.hosts[2] = nil
        let stranger = cluster.client(try #require(Ed25519Signer(seed: [UInt8](repeating: 8, count: 32))))
        #expect(try await stranger.quorumRead(from)?.view?.posted == Amount(80))
        let nothing = AccountSpecification(owner: alice.publicKey, asset: AssetID(9), index: 0).id
        let statement = try #require(try await stranger.quorumRead(nothing))
        #expect(statement.view == nil)
        await stranger.close()
        await wallet.close()
        await cluster.stop()
    }

    @Test func aReadThatFindsNoAgreementIsOrdered() async throws {
        var options = GatewayRuntimeOptions()
        // No quorum read is taken, so nobody can ask which numbers are free either.
        options.core.maxQueries = 0
        let cluster = try await RuntimeCluster(shards: 2, options: options)
        let alice = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let (from, to) = try await cluster.open(100, for: alice, firstNumber: RequestNumber(1))
        let wallet = cluster.client(alice, firstNumber: RequestNumber(1))
        #expect(try await wallet.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(30)).isCommitted)
        let statement = try await wallet.quorumRead(from)
        #expect(statement == nil)
        #expect(try await wallet.read(from)?.posted == Amount(70))
        #expect(try await wallet.read(to)?.posted == Amount(130))
        // Only its owner may.
        let stranger = cluster.client(
            try #require(Ed25519Signer(seed: [UInt8](repeating: 8, count: 32))), firstNumber: RequestNumber(1))
        await #expect(throws: ClientError.self) { try await stranger.read(from) }
        // Whoever has to ask for a number signs nothing before there is an answer.
        let asking = cluster.client(alice)
        await #expect { try await asking.transfer(from: from, to: to, asset: AssetID(1), amount: Amount(1)) } throws: {
            error in
            if case ClientError.noQuorum = error { true } else { false }
        }
        await asking.close()
        await stranger.close()
        await wallet.close()
        await cluster.stop()
    }

    @Test func aReadPassesThousandsOfAnotherConnection() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        let address = GatewayAddress(host: "127.0.0.1", port: cluster.gateway.port)
        let (greedy, other) = (
            try await GatewayConnection.connect(address), try await GatewayConnection.connect(address)
        )
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let account = AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: 0).id
        let answered = Count()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2500 {
                group.addTask {
                    if try await !greedy.read(.account(account), nonce: .null, timeout: nil).isEmpty { answered.add() }
                }
            }
            // The flood has begun, and most of it waits: it is as many as one session may have.
            while answered.value < 10 { await Task.yield() }
            let before = answered.value
            #expect(try await other.read(.account(account), nonce: .null).count >= 3)
            let passed = answered.value - before
            try await group.waitForAll()
            let all = answered.value
            #expect(all > 1000 && passed < all / 3, "\(passed) of \(all) reads came first")
        }
        await greedy.close()
        await other.close()
        await cluster.stop()
    }

    @Test func aSecondProcessCannotRunTheSameHost() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        await #expect(throws: ClusterFolderError.self) {
            try await Host.start(HostID(0), of: cluster.folder, logger: LineLogHandler.logger("test", level: .critical))
        }
        await cluster.stop()
    }

    @Test func aHostWithOtherProceduresDoesNotStartOnAFolderThatHasNoStateYet() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        await cluster.hosts[3]?.stop()
        cluster.hosts[3] = nil
        let refusal = ClusterFolderError.otherProcedures(
            path: cluster.folder.path + "/hosts/3", known: [], ours: ExampleProcedures.registry.names)
        await #expect(throws: refusal) {
            var options = HostRuntimeOptions()
            options.core.procedures = ExampleProcedures.registry
            _ = try await Host.start(
                HostID(3), of: cluster.folder, options: options, logger: LineLogHandler.logger("test", level: .critical)
            )
        }
        try await cluster.restart(3)
        await cluster.stop()
    }

    /// What the journal holds is known only when it was read.
    @Test func theFolderStaysBoundWhileItIsNotKnownWhetherTheJournalHasRecords() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        let client = cluster.client(try cluster.folder.issuer())
        try await client.openAccount(AssetID(1))
        await client.close()
        // The others may have answered alone: this one's journal has records when it has executed too.
        let tool = try await HostConnection.connect(to: HostID(3), of: cluster.folder.manifest)
        while try await tool.status(timeout: .seconds(5)).first?.lastExecuted ?? .zero == .zero {
            try await Task.sleep(for: .milliseconds(20))
        }
        await tool.close()
        await cluster.hosts[3]?.stop()
        cluster.hosts[3] = nil
        let path = cluster.folder.path + "/hosts/3"
        try FileManager.default.removeItem(atPath: path + "/initialised")
        let before =
            try FileManager.default.attributesOfItem(atPath: path + "/procedures")[.systemFileNumber] as? UInt64
        await #expect(
            throws: ClusterFolderError.otherProcedures(path: path, known: [], ours: ExampleProcedures.registry.names)
        ) {
            var options = HostRuntimeOptions()
            options.core.procedures = ExampleProcedures.registry
            _ = try await Host.start(
                HostID(3), of: cluster.folder, options: options, logger: LineLogHandler.logger("test", level: .critical)
            )
        }
        let after = try FileManager.default.attributesOfItem(atPath: path + "/procedures")[.systemFileNumber] as? UInt64
        #expect(before != nil && before == after)
        #expect(!FileManager.default.fileExists(atPath: path + "/initialised"))
        try await cluster.restart(3)
        await cluster.stop()
    }

    @Test func aHostWhoseJournalIsGoneStartsInQuarantine() async throws {
        // R4.
        let cluster = try await RuntimeCluster(shards: 1)
        let path = cluster.folder.path + "/hosts/3"
        await cluster.hosts[3]?.stop()
        cluster.hosts[3] = nil
        try FileManager.default.removeItem(atPath: path + "/journal")
        let host = try await Host.start(
            HostID(3), of: cluster.folder, logger: LineLogHandler.logger("test", level: .critical))
        // The declaration goes when the new journal holds it.
        while try cluster.folder.host(HostID(3)).hasLostRecords { try await Task.sleep(for: .milliseconds(10)) }
        await host.stop()
        let storage = PosixJournalStorage(directory: path + "/journal")
        let records = try Journal.open(storage).records
        #expect(records.count == 1)
        await cluster.stop()
    }
}
