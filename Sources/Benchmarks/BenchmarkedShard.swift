import LMDBStore
import Messages
import Randomness
import ShardState

/// One replica's state on LMDB, and payers who own all accounts of it.
final class BenchmarkedShard {
    static let payerCount = 256
    private static let gold = AssetID(1)

    /// Microseconds of CPU of one flush.
    struct Flush {
        let freeze, write, readOn: Double
    }

    private let issuer: Payer
    private let payers: [Payer]
    private var accounts: [AccountID] = []
    private let cluster: ClusterID
    private let writer: LMDBStoreWriter
    private var executor: ShardExecutor
    private var generator = SplitMix64(seed: 1)
    private var time = Timestamp(1_000_000_000)

    private final class Payer {
        let signer: Ed25519Signer
        var accounts: [AccountID] = []
        private(set) var nextNumber: UInt64 = 1

        init(_ signer: Ed25519Signer) { self.signer = signer }

        func request(_ operations: [Operation], in cluster: ClusterID, at time: Timestamp) -> SignedRequest {
            defer { nextNumber += 1 }
            return SignedRequest(
                Request(
                    cluster: cluster, epoch: Epoch(1), principal: signer.publicKey, number: RequestNumber(nextNumber),
                    acknowledgedBelow: RequestNumber(max(nextNumber, 5) - 4), issuedAt: time,
                    deadline: time.adding(microseconds: 30_000_000),
                    mode: operations.count > 1 ? .independent : .atomic, operations: operations),
                signedBy: signer)
        }
    }

    /// Opens and funds the accounts, and writes them down.
    init(_ environment: LMDBEnvironment, accounts count: Int) throws {
        issuer = Payer(Self.signer(0))
        payers = (1...Self.payerCount).map { Payer(Self.signer($0)) }
        cluster = ClusterID(Hasher256.hash(.stateKey, Array("benchmark".utf8)).value)
        let hosts = (0..<4).map {
            Manifest.Host(address: "host\($0)", port: 1, publicKey: Self.signer(1000 + $0).publicKey)
        }
        let manifest = Manifest(
            cluster: cluster, epoch: Epoch(1), hosts: hosts, shards: [(0..<4).map { HostID($0) }],
            issuer: issuer.signer.publicKey)
        writer = LMDBStoreWriter(environment)
        executor = try ShardExecutor(shard: ShardID(0), manifest: manifest, store: try LMDBStore(environment))
        for first in stride(from: 0, to: count, by: 500) {
            let operations = (first..<min(first + 500, count)).flatMap { open($0) }
            try execute([issuer.request(operations, in: cluster, at: time)])
            if changedKeys > 65_536 { _ = try flush() }
        }
        _ = try flush()
    }

    /// The same keys in each run, so that the same accounts lie in the same places.
    private static func signer(_ number: Int) -> Ed25519Signer {
        let seed = Hasher256.hash(.stateKey, Array("benchmark \(number)".utf8)).bytes
        guard let signer = Ed25519Signer(seed: seed) else { preconditionFailure("a digest has the length of a seed") }
        return signer
    }

    private func open(_ index: Int) -> [Operation] {
        let payer = payers[index % payers.count]
        let account = AccountSpecification(
            owner: payer.signer.publicKey, asset: Self.gold, index: UInt64(index / payers.count))
        payer.accounts.append(account.id)
        accounts.append(account.id)
        return [.open(account), .issue(to: account.id, asset: Self.gold, amount: Amount(1_000_000))]
    }

    /// Keys written since the last flush.
    var changedKeys: Int { executor.overlayCount }

    /// Signed transfers from accounts of one payer each.
    func requests(_ count: Int, bundle: Int) -> [SignedRequest] {
        (0..<count).map { _ in
            let payer = payers[Int.random(in: 0..<payers.count, using: &generator)]
            let operations = (0..<bundle).map { _ -> Operation in
                let from = payer.accounts[Int.random(in: 0..<payer.accounts.count, using: &generator)]
                let to = accounts[Int.random(in: 0..<accounts.count, using: &generator)]
                return .transfer(Transfer(from: from, to: to, asset: Self.gold, amount: Amount(1)))
            }
            return payer.request(operations, in: cluster, at: time)
        }
    }

    /// As one batch.
    func execute(_ requests: [SignedRequest]) throws {
        time = time.adding(microseconds: 10_000)
        let batch = Batch(time: time, items: requests.map { .request($0) })
        let executed = try executor.execute(OrderedBatch(committed: batch, at: executor.lastExecuted.next))
        // A payer may pay itself, which is refused; nothing else may be.
        precondition(executed.leaves.count == requests.count, "a request was refused")
    }

    func checkpoint() throws { _ = try executor.checkpointDigest() }

    func flush() throws -> Flush {
        var frozen: FrozenState?
        let freeze = try ThreadTime.microseconds { frozen = try executor.freeze() }
        guard let state = frozen else { preconditionFailure("nothing else is being flushed") }
        let write = try ThreadTime.microseconds {
            try writer.apply(state.writes, metadata: state.metadata, seal: state.digest.encoded(), clearing: false)
        }
        // As in a host, where the store's thread frees it.
        let readOn = try withExtendedLifetime(state) {
            try ThreadTime.microseconds { try executor.flushed(state.sequence) }
        }
        return Flush(freeze: freeze, write: write, readOn: readOn)
    }
}
