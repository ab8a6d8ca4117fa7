import Client
import FoundationEssentials
import Cores
import HostRuntime
import Messages
import Testing

/// Hosts whose disks lost something, over real sockets and disks: they rejoin by themselves, or say what is to be done
/// (R4).
@Suite(.timeLimit(.minutes(3)), .serialized)
struct LostStorageTests {
    @Test func aHostWithARottenJournalPutsItAsideAndRejoinsInQuarantine() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(20)
        try await cluster.untilLevel()
        await cluster.stop(0)
        await cluster.stop(3)
        // The first of many records.
        try cluster.damage("journal/journal-0000000000000001", of: 3, at: 8192 + 64, count: 1)
        try await cluster.start(3)
        #expect(cluster.exists("journal.damaged-1/journal-0000000000000001", of: 3))
        // Two that vote are no quorum: whoever counts it too forgets that it may have forgotten.
        #expect(try await cluster.status(3).standing.hasPrefix("quarantined"))
        let executed = try await cluster.status(1).lastExecuted
        try await cluster.start(0)
        try await cluster.untilTakesPart(3)
        #expect(try await cluster.status(1).lastExecuted.number >= executed.number + 16)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// With the journal's batches at hand, and with only what a compaction leaves of them.
    @Test(arguments: [64 << 20, 16 << 10])
    func aHostWithADamagedStatePutsItAsideAndHasAWholeOneAgain(compactionBytes: Int) async throws {
        let cluster = try await SmallCluster { $0.core.compactionBytes = compactionBytes }
        try await cluster.order(60)
        try await cluster.untilLevel()
        await cluster.stop(3)
        // Both of LMDB's meta pages.
        try cluster.damage("state/shard-0/data.mdb", of: 3, at: 0, count: 8192)
        try await cluster.start(3)
        #expect(cluster.exists("state/shard-0.damaged-1/data.mdb", of: 3))
        #expect(!cluster.exists("journal.damaged-1", of: 3))
        try await cluster.untilTakesPart(3)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// LMDB takes them for what was written; the digest that was written with the state does not.
    @Test func aHostWithOtherBytesInItsStatePutsItAsideAndHasAWholeOneAgain() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(60)
        try await cluster.untilLevel()
        await cluster.stop(3)
        let damaged = try cluster.damageValues("state/shard-0/data.mdb", of: 3)
        #expect(damaged > 0)
        try await cluster.start(3)
        #expect(cluster.exists("state/shard-0.damaged-1/data.mdb", of: 3))
        #expect(!cluster.exists("journal.damaged-1", of: 3))
        try await cluster.untilTakesPart(3)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// What was cut off might have been its last votes.
    @Test func aHostWithAJournalThatWasCutOffRejoinsInQuarantine() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(20)
        try await cluster.untilLevel()
        await cluster.stop(3)
        try cluster.cut("journal/journal-0000000000000001", of: 3, to: 1 << 20)
        try await cluster.start(3)
        #expect(cluster.exists("journal.damaged-1/journal-0000000000000001", of: 3))
        try await cluster.untilTakesPart(3)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    @Test func aHostThatForgotThatItHasAJournalGoesOnWithIt() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(20)
        try await cluster.untilLevel()
        await cluster.stop(3)
        try cluster.remove("initialised", of: 3)
        try await cluster.start(3)
        #expect(cluster.exists("initialised", of: 3) && !cluster.exists("journal.damaged-1", of: 3))
        try await cluster.untilTakesPart(3)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// Of three witnesses one is enough.
    @Test func aHostThatKeptNothingButItsStateRejoinsInQuarantine() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(40)
        try await cluster.untilLevel()
        await cluster.stop(3)
        for name in ["initialised", "journal"] { try cluster.remove(name, of: 3) }
        try await cluster.start(3)
        try await cluster.untilTakesPart(3)
        #expect(cluster.exists("initialised", of: 3))
        // Not as a host that has never spoken.
        #expect(cluster.exists("journal.damaged-1", of: 3))
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// Nothing is removed, and nothing is fetched for ever onto a disk that does not keep it.
    @Test func aHostWhoseStateIsDamagedAgainAndAgainDoesNotStartAnyMore() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(20)
        try await cluster.untilLevel()
        for number in 1...8 {
            await cluster.stop(3)
            try cluster.cut("state/shard-0/data.mdb", of: 3, to: [1, 5000, 8192, 9000][number % 4])
            try await cluster.start(3)
            #expect(cluster.exists("state/shard-0.damaged-\(number)/data.mdb", of: 3))
        }
        await cluster.stop(3)
        try cluster.cut("state/shard-0/data.mdb", of: 3, to: 5000)
        let refusal = await #expect(throws: ClusterFolderError.self) { try await cluster.start(3) }
        #expect(refusal?.description.contains("move the host to a sound machine") == true)
        await cluster.end()
    }

    /// The map of a state's database is full at its first checkpoint: the host starts again by itself, with larger
    /// ones, until one is large enough.
    @Test func aHostWhoseDatabaseHasNoRoomStartsAgainWithMore() async throws {
        let cluster = try await SmallCluster(kept: 3) { $0.stores.mapSize = 64 << 10 }
        try await cluster.order(120)
        try await cluster.untilLevel()
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    /// As with a state that is too large to be checked before the host serves.
    @Test func aHostWhoseStateIsFoundDamagedWhileItRunsHaltsAndFetchesItAtItsNextStart() async throws {
        let cluster = try await SmallCluster { $0.stores.checkedAtOpening = 0 }
        try await cluster.order(40)
        try await cluster.untilLevel()
        await cluster.stop(3)
        #expect(try cluster.miscountEntries("state/shard-0/data.mdb", of: 3) > 0)
        try await cluster.start(3)
        #expect(!cluster.exists("state/shard-0.damaged-1", of: 3))
        var halted = ""
        while halted.isEmpty {
            halted = try await cluster.status(3).halted
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(halted.contains("not what its root says") && halted.contains("Restart the host"), "\(halted)")
        await cluster.stop(3)
        try await cluster.start(3)
        #expect(cluster.exists("state/shard-0.damaged-1/opened.died", of: 3))
        try await cluster.untilTakesPart(3)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }

    @Test func anOlderBackupIsRefusedUntilItIsDeclared() async throws {
        let cluster = try await SmallCluster()
        try await cluster.order(5)
        try await cluster.untilLevel()
        await cluster.stop(3)
        try cluster.backUp(3)
        try await cluster.start(3)
        // Its votes are needed, so that they are heard.
        await cluster.stop(2)
        try await cluster.order(20)
        try await cluster.start(2)
        await cluster.stop(3)
        try cluster.restoreBackup(3)
        try await cluster.start(3)
        var halted = ""
        while halted.isEmpty {
            halted = try await cluster.status(3).halted
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(halted.contains("quorate cluster restore-host"))
        await cluster.stop(3)
        try cluster.folder.host(HostID(3)).declareLostRecords()
        try await cluster.start(3)
        #expect(cluster.exists("journal.damaged-1", of: 3))
        try await cluster.untilTakesPart(3)
        #expect(try !cluster.folder.host(HostID(3)).hasLostRecords)
        try await cluster.expectVotes(of: 3)
        await cluster.end()
    }
}

/// Four hosts and a gateway in this process, with a window that is soon passed.
private final class SmallCluster {
    let folder: ClusterFolder
    private var hosts: [Host?] = []
    /// One that starts again by itself, with options of its own.
    private let kept: Int?
    private var keeper: HostKeeper?
    private let gateway: GatewayHost
    private let issuer: Ed25519Signer
    private let bank: QuorateClient
    private var options = HostRuntimeOptions()
    private var opened: UInt64 = 0
    private static let quiet = LineLogHandler.logger("test", level: .critical)

    /// - Parameters:
    ///   - kept: this host starts again by itself when its disk was full.
    ///   - change: of its options; or without one, of all.
    init(kept: Int? = nil, _ change: (inout HostRuntimeOptions) -> Void = { _ in }) async throws {
        self.kept = kept
        (options.core.replica.checkpointInterval, options.core.replica.window, options.core.checkpointsPerFlush) = (
            8, 16, 1
        )
        var changed = options
        change(&changed)
        if kept == nil { options = changed }
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        folder = try ClusterFolder.create(at: path, shards: 1, replicas: 4, basePort: Int.random(in: 20000..<32000))
        gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, logger: Self.quiet)
        issuer = try folder.issuer()
        bank = QuorateClient(
            signer: issuer, manifest: folder.manifest, gateways: [GatewayAddress(host: "127.0.0.1", port: gateway.port)]
        )
        hosts = Array(repeating: nil, count: 4)
        for host in 0..<4 where host != kept { try await start(host) }
        if let kept {
            keeper = try await HostKeeper.start(HostID(UInt16(kept)), of: folder, options: changed, logger: Self.quiet)
        }
    }

    func start(_ host: Int) async throws {
        hosts[host] = try await Host.start(HostID(UInt16(host)), of: folder, options: options, logger: Self.quiet)
    }

    func stop(_ host: Int) async {
        await hosts[host]?.stop()
        hosts[host] = nil
    }

    func end() async {
        await bank.close()
        await gateway.stop()
        for host in 0..<4 { await stop(host) }
        await keeper?.stop()
        try? FileManager.default.removeItem(atPath: folder.path)
    }

    /// So many requests, one after the other.
    func order(_ count: Int) async throws {
        for _ in 0..<count {
            let account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: opened)
            opened += 1
            #expect(try await bank.submit([.open(account)], mode: .independent).isCommitted)
        }
    }

    func status(_ host: Int) async throws -> ReplicaStatus {
        let tool = try await HostConnection.connect(to: HostID(UInt16(host)), of: folder.manifest)
        let status = try await tool.status()
        await tool.close()
        return try #require(status.first)
    }

    /// Three hosts are enough to order: until all have executed the same.
    func untilLevel() async throws {
        while true {
            var executed: Set<SequenceNumber> = []
            for host in 0..<4 where hosts[host] != nil || host == kept {
                // One that starts again does not answer meanwhile.
                guard let status = host == kept ? try? await status(host) : try await status(host) else { continue }
                executed.insert(status.halted.isEmpty ? status.lastExecuted : .zero)
            }
            if executed.count == 1 { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func untilTakesPart(_ host: Int) async throws {
        while true {
            let status = try await status(host)
            try #require(status.halted.isEmpty)
            if status.standing.isEmpty { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Without another one, nothing is ordered but with this host's votes; and its state is the others'.
    func expectVotes(of host: Int) async throws {
        await stop(0)
        try await order(3)
        var digests: [[Digest]] = []
        repeat {
            digests = []
            for other in [1, host] {
                let tool = try await HostConnection.connect(to: HostID(UInt16(other)), of: folder.manifest)
                digests.append(try await tool.audit().map(\.stateDigest))
                await tool.close()
            }
        } while digests[0] != digests[1]
    }

    // MARK: Disks

    private func path(_ name: String, of host: Int) -> String { "\(folder.path)/hosts/\(host)/\(name)" }

    func exists(_ name: String, of host: Int) -> Bool { FileManager.default.fileExists(atPath: path(name, of: host)) }

    /// Flips every bit of some bytes.
    func damage(_ name: String, of host: Int, at offset: Int, count: Int) throws {
        let file = URL(filePath: path(name, of: host))
        var bytes = try Data(contentsOf: file)
        for i in offset..<offset + count { bytes[i] ^= 0xff }
        try bytes.write(to: file)
    }

    /// The last value but one byte of every leaf.
    /// - Returns: of how many.
    func damageValues(_ name: String, of host: Int) throws -> Int {
        let file = URL(filePath: path(name, of: host))
        var bytes = try Data(contentsOf: file)
        var count = 0
        for page in stride(from: 8192, to: bytes.count, by: 4096) where bytes[page + 10] == 2 && bytes[page + 11] == 0 {
            bytes[page + 4094] ^= 1
            count += 1
        }
        try bytes.write(to: file)
        return count
    }

    /// How many entries there are, as the root of their tree says: nobody who reads them looks at that.
    /// - Returns: in how many places.
    func miscountEntries(_ name: String, of host: Int) throws -> Int {
        let file = URL(filePath: path(name, of: host))
        var bytes = try Data(contentsOf: file)
        let key = Data("entries".utf8)
        let places = bytes.indices.filter { $0 + 55 <= bytes.count && bytes[$0..<$0 + 7] == key }
        for place in places { bytes[place + key.count + 32] ^= 1 }
        try bytes.write(to: file)
        return places.count
    }

    func cut(_ name: String, of host: Int, to length: Int) throws {
        let file = URL(filePath: path(name, of: host))
        try Data(contentsOf: file).prefix(length).write(to: file)
    }

    func remove(_ name: String, of host: Int) throws {
        try FileManager.default.removeItem(atPath: path(name, of: host))
    }

    func backUp(_ host: Int) throws {
        try FileManager.default.copyItem(atPath: "\(folder.path)/hosts/\(host)", toPath: "\(folder.path)/backup")
    }

    func restoreBackup(_ host: Int) throws {
        try FileManager.default.removeItem(atPath: "\(folder.path)/hosts/\(host)")
        try FileManager.default.moveItem(atPath: "\(folder.path)/backup", toPath: "\(folder.path)/hosts/\(host)")
    }
}
