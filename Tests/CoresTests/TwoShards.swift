import Cores
import Messages
import PBFT
import ShardState
import Simulator

/// Two shards on the same four hosts, with an account on each, and the executors of one replica of either.
struct TwoShards {
    static let issuer = StandInSigner(999)
    static let options = HostOptions()
    static let manifest = Manifest(
        cluster: ClusterID(StandInSigner(4712).publicKey.value), epoch: Epoch(1),
        hosts: (0..<4).map { .init(address: "nowhere", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey) },
        shards: [(0..<4).map { HostID($0) }, (0..<4).map { HostID($0) }], issuer: issuer.publicKey)

    /// By shard.
    var executors: [ShardExecutor]

    /// Accounts are open, and that of shard 0 has 1,000.
    init() throws {
        executors = try (0..<2).map {
            try ShardExecutor(shard: ShardID($0), manifest: Self.manifest, store: MemoryStore())
        }
        for shard in 0..<2 {
            _ = try execute(Self.request(UInt64(shard) + 1, .open(Self.account(on: shard))), on: shard)
        }
        let rich = Self.account(on: 0)
        _ = try execute(Self.request(3, .issue(to: rich.id, asset: rich.asset, amount: Amount(1000))), on: 0)
    }

    static func setting(host: UInt16, shard: UInt16 = 0) -> ShardSetting {
        ShardSetting(
            shard: ShardID(shard), me: ReplicaIndex(UInt8(host)), host: HostID(host), manifest: manifest,
            options: options, signer: StandInSigner(UInt64(host)))
    }

    static func account(on shard: Int) -> AccountSpecification {
        var index: UInt64 = 0
        while true {
            let account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: index)
            if Int(manifest.shardMap.shard(of: account.id).number) == shard { return account }
            index += 1
        }
    }

    static func request(_ number: UInt64, deadline milliseconds: UInt64 = 60_000, _ operations: Operation...)
        -> SignedRequest
    {
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: issuer.publicKey,
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: moment(0).wall,
            deadline: moment(milliseconds).wall, mode: .independent, operations: operations)
        return SignedRequest(request, signedBy: issuer)
    }

    /// From shard 0 to shard 1.
    static func across(_ number: UInt64) -> SignedRequest {
        let (from, to) = (account(on: 0), account(on: 1))
        let transfer = Transfer(from: from.id, to: to.id, asset: from.asset, amount: Amount(10))
        return request(number, .transfer(transfer))
    }

    mutating func execute(_ request: SignedRequest, on shard: Int) throws -> ExecutedBatch {
        try execute([.request(request)], on: shard)
    }

    mutating func execute(_ items: [BatchItem], on shard: Int) throws -> ExecutedBatch {
        let sequence = executors[shard].lastExecuted.next
        let batch = Batch(time: moment(0).wall, items: items)
        return try executors[shard].execute(OrderedBatch(committed: batch, at: sequence))
    }
}

extension ExecutedBatch {
    /// The batch's leaf of a request, as the replica on a host attests it.
    func attested(_ request: SignedRequest, by host: UInt64) -> AttestedLeaf? {
        guard let index = leaves.firstIndex(where: { $0.request == request.digest }) else { return nil }
        let signature = ReplicaSignature(
            replica: ReplicaIndex(UInt8(host)), signature: StandInSigner(host).sign(statement.signingBytes))
        return AttestedLeaf(
            statement: statement, signature: signature, leaf: leaves[index],
            path: MerkleTree(leaves: leaves).path(at: index))
    }
}
