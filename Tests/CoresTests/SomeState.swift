import Cores
import Messages
import PBFT
import ShardState
import Simulator

/// A state as one of four replicas has written it down, with what its peers would be sent of it.
struct SomeState {
    static let issuer = StandInSigner(999)
    static let manifest = Manifest(
        cluster: ClusterID(StandInSigner(4711).publicKey.value), epoch: Epoch(1),
        hosts: (0..<4).map { .init(address: "nowhere", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey) },
        shards: [(0..<4).map { HostID($0) }], issuer: issuer.publicKey)
    static let group = manifest.group(of: ShardID(0))
    /// Of a replica that has executed nothing.
    static let emptyBuckets = [Digest](repeating: StateDigest.emptyBucketDigest, count: StateDigest.bucketCount)

    let checkpoint: Checkpoint
    let metadata: [UInt8]
    let buckets: [Digest]
    let snapshot: MemorySnapshot

    /// After batches that open one account each.
    init(batches: UInt64) throws {
        let store = MemoryStore()
        var executor = try ShardExecutor(shard: ShardID(0), manifest: Self.manifest, store: store)
        for number in 1...batches {
            _ = try executor.execute(OrderedBatch(committed: Self.batch(number), at: SequenceNumber(number)))
        }
        let digest = try executor.checkpointDigest()
        guard let frozen = try executor.freeze() else { throw ShardStateError.corruptMetadata("nothing to freeze") }
        try store.apply(frozen.writes, metadata: frozen.metadata, seal: nil, clearing: false)
        store.refresh()
        checkpoint = Checkpoint(sequence: SequenceNumber(batches), digest: digest)
        (metadata, buckets, snapshot) = (frozen.metadata, try StateDigest.bucketDigests(of: store), store.snapshot())
    }

    static func batch(_ number: UInt64) -> Batch {
        let time = Timestamp(1_700_000_000_000_000 + number)
        let account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: number)
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: issuer.publicKey,
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: time,
            deadline: time.adding(microseconds: 1_000_000), mode: .independent, operations: [.open(account)])
        return Batch(time: time, items: [.request(SignedRequest(request, signedBy: issuer))])
    }

    /// Those that a replica without any state lacks.
    var filled: [Int] { buckets.indices.filter { buckets[$0] != Self.emptyBuckets[$0] } }

    func entries(of bucket: Int) throws -> [StateTransferMessage.StateEntry] {
        try StateDigest.entries(ofBucket: bucket, in: snapshot)
    }
}

func moment(_ milliseconds: UInt64) -> Instant {
    Instant(
        uptime: 1_000_000_000 + milliseconds * 1_000_000, wall: Timestamp(1_700_000_000_000_000 + milliseconds * 1000))
}
