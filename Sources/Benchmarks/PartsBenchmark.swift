import ArgumentParser
import Foundation
import Glibc
import LMDBStore
import Messages
import PBFT
import Randomness
import WriteAheadLog

/// What the small parts of a transfer's way cost, each by itself.
struct PartsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parts", abstract: "Times coding, signatures, Merkle trees, journal, LMDB and an ordered batch.",
        discussion: """
            Each line is the median of several rounds, for one of what it names. CPU time is that of the thread; of \
            what waits for the disk the whole time is shown beside it.
            """)

    @Option(help: "Requests of a batch.") var requests = 64
    @Option(help: "Rounds of which the median is taken.") var rounds = 15
    @Option(help: "Only parts whose names contain this.") var only: String?

    func validate() throws {
        guard requests > 0, rounds > 0 else { throw ValidationError("All counts must be above zero.") }
    }

    func run() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/quorate-benchmarks-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        print("µs for one                              CPU      time")
        try coding()
        try signatures()
        try merkle()
        try journal(folder + "/journal")
        try store(folder + "/store")
        try ordering()
    }

    /// - Parameters:
    ///   - times: repetitions of what is named that one call of `body` makes.
    private func measure(_ name: String, times: Int = 1, _ body: () throws -> Void) throws {
        if let only, !name.contains(only) { return }
        try body()
        var (cpu, time): ([Double], [Double]) = ([], [])
        for _ in 0..<rounds {
            let begin = ContinuousClock.now
            cpu.append(try ThreadTime.microseconds { try body() } / Double(times))
            let passed = ContinuousClock.now - begin
            time.append(Double(passed.components.attoseconds) / 1e12 / Double(times))
        }
        let columns = [cpu, time].map { String(format: "%10.2f", $0.sorted()[$0.count / 2]) }
        print(name.padding(toLength: 34, withPad: " ", startingAt: 0) + columns.joined())
    }

    // MARK: Parts

    private func coding() throws {
        let batch = PartsSamples.batch(requests)
        let request = PartsSamples.request(1)
        let submission = GatewayMessage.submit([ShardID(0)], request).encoded()
        let proposal = HostMessage.pbft(
            ShardID(0), .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)))
        let bytes = proposal.encoded()
        try measure("encode a request", times: 256) { for _ in 0..<256 { _ = request.request.encoded() } }
        try measure("decode a submitted request", times: 256) {
            for _ in 0..<256 { _ = try GatewayMessage(decoding: submission) }
        }
        try measure("encode a PRE-PREPARE", times: 16) { for _ in 0..<16 { _ = proposal.encoded() } }
        try measure("decode a PRE-PREPARE", times: 16) { for _ in 0..<16 { _ = try HostMessage(decoding: bytes) } }
        try measure("make and hash a batch", times: 16) {
            for _ in 0..<16 { _ = Batch(time: batch.time, items: batch.items).digest }
        }
    }

    private func signatures() throws {
        let (signer, scheme, request) = (PartsSamples.signer(1), Ed25519Scheme(), PartsSamples.request(1))
        try measure("sign a request", times: 64) {
            for _ in 0..<64 { _ = SignedRequest(request.request, signedBy: signer) }
        }
        try measure("verify a request", times: 64) {
            for _ in 0..<64 { guard request.isSignatureValid(scheme) else { throw PartFailed("a signature") } }
        }
    }

    private func merkle() throws {
        let leaves = (0..<requests).map {
            Leaf(request: PartsSamples.request(UInt64($0 + 1)).digest, entries: [.init(leg: 0, status: .committed)])
        }
        let tree = MerkleTree(leaves: leaves)
        let path = tree.path(at: requests / 2)
        try measure("Merkle tree of a batch", times: 16) { for _ in 0..<16 { _ = MerkleTree(leaves: leaves).root } }
        try measure("root by a Merkle path", times: 256) {
            for _ in 0..<256 {
                guard path.root(from: leaves[requests / 2].hash) == tree.root else { throw PartFailed("a path") }
            }
        }
    }

    private func journal(_ folder: String) throws {
        var random = SystemRandomNumberGenerator()
        var journal = try Journal.create(PosixJournalStorage(directory: folder), using: &random)
        let proposed = JournalRecord.prePrepared(
            view: View(0), sequence: SequenceNumber(1), PartsSamples.batch(requests))
        let prepared = JournalRecord.prepared(view: View(0), sequence: SequenceNumber(1), .null)
        try measure("journal a batch, unsynced", times: 16) { for _ in 0..<16 { try journal.append(proposed) } }
        try measure("journal a vote and sync", times: 16) {
            for _ in 0..<16 {
                try journal.append(prepared)
                try journal.sync()
            }
        }
    }

    private func store(_ folder: String) throws {
        let environment = try LMDBEnvironment(path: folder)
        let writer = LMDBStoreWriter(environment)
        var generator = SplitMix64(seed: 1)
        let keys = (0..<50_000).map { Hasher256.hash(.stateKey, Array("\($0)".utf8)).bytes }
        let value = [UInt8](repeating: 7, count: 96)
        let all = keys.sorted { $0.lexicographicallyPrecedes($1) }.map { KeyValueWrite(key: $0, value: value) }
        try writer.apply(all, metadata: [], clearing: true)
        let some = stride(from: 0, to: all.count, by: 12).map { all[$0] }
        try measure("write one of 4,167 keys to LMDB", times: some.count) {
            try writer.apply(some, metadata: [], clearing: false)
        }
        let snapshot = try LMDBStore(environment)
        try measure("read a key of LMDB", times: 1024) {
            for _ in 0..<1024 {
                let key = keys[Int.random(in: 0..<keys.count, using: &generator)]
                guard try snapshot.value(forKey: key) != nil else { throw PartFailed("a key") }
            }
        }
    }

    private func ordering() throws {
        var group = BenchmarkedGroup()
        let batch = PartsSamples.batch(requests)
        let empty = Batch(time: batch.time, items: [])
        try measure("order a batch, four replicas", times: 64) { for _ in 0..<64 { try group.order(batch) } }
        try measure("order an empty batch, the same", times: 64) { for _ in 0..<64 { try group.order(empty) } }
    }
}

/// A part did not do what it is there for, so that what it costs says nothing.
struct PartFailed: Error, CustomStringConvertible {
    let description: String
    init(_ what: String) { description = "\(what) is not what it should be" }
}

enum PartsSamples {
    static let cluster = ClusterID(Hasher256.hash(.stateKey, Array("parts".utf8)).value)
    static let wall = Timestamp(1_700_000_000_000_000)

    static func signer(_ number: Int) -> Ed25519Signer {
        let seed = Hasher256.hash(.stateKey, Array("parts \(number)".utf8)).bytes
        guard let signer = Ed25519Signer(seed: seed) else { preconditionFailure("a digest has the length of a seed") }
        return signer
    }

    /// A transfer within a shard.
    static func request(_ number: UInt64) -> SignedRequest {
        let signer = signer(1)
        let accounts = (0..<2).map {
            AccountSpecification(owner: signer.publicKey, asset: AssetID(1), index: $0).id
        }
        let transfer = Transfer(from: accounts[0], to: accounts[1], asset: AssetID(1), amount: Amount(5))
        return SignedRequest(
            Request(
                cluster: cluster, epoch: Epoch(1), principal: signer.publicKey, number: RequestNumber(number),
                acknowledgedBelow: RequestNumber(1), issuedAt: wall, deadline: wall.adding(microseconds: 30_000_000),
                mode: .atomic, operations: [.transfer(transfer)]),
            signedBy: signer)
    }

    static func batch(_ count: Int) -> Batch {
        Batch(time: wall, items: (1...count).map { .request(request(UInt64($0))) })
    }
}
