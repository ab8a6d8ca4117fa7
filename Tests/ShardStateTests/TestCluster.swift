import Randomness
import Messages
import ShardState
import Testing

struct Person: Sendable {
    let signer: Ed25519Signer
    var key: PublicKey { signer.publicKey }

    init(_ number: Int) throws {
        var seed = [UInt8](repeating: 7, count: 32)
        (seed[0], seed[1]) = (UInt8(number & 0xff), UInt8(number >> 8))
        signer = try #require(Ed25519Signer(seed: seed))
    }
}

let gold = AssetID(1)
let silver = AssetID(2)
let start = Timestamp(1_000_000_000)
func seconds(_ count: UInt64) -> Timestamp { start.adding(microseconds: count * 1_000_000) }

/// One replica of a shard with its disk: results become certificates whose signatures nobody made, because execution
/// relies on verification before it.
struct TestShard {
    let shard: ShardID
    let manifest: Manifest
    let procedures: ProcedureRegistry
    var disk = TestDisk()
    var executor: ShardExecutor
    var time = start
    /// Of the executor that the next `restart` makes.
    var ahead = HashingAhead()

    init(_ shard: UInt16, _ manifest: Manifest, limits: ShardLimits = .init(), procedures: ProcedureRegistry = .init())
        throws
    {
        (self.shard, self.manifest, self.procedures) = (ShardID(shard), manifest, procedures)
        executor = try ShardExecutor(
            shard: self.shard, manifest: manifest, store: TestStore(disk), limits: limits, procedures: procedures)
    }

    @discardableResult
    mutating func run(_ items: BatchItem..., at time: Timestamp? = nil) throws -> ExecutedBatch {
        try run(Batch(time: time ?? self.time, items: items))
    }

    @discardableResult
    mutating func run(_ batch: Batch) throws -> ExecutedBatch {
        time = max(time, batch.time)
        return try executor.execute(OrderedBatch(committed: batch, at: executor.lastExecuted.next))
    }

    mutating func submit(_ request: SignedRequest, at time: Timestamp? = nil) throws -> ExecutedBatch {
        try run(.request(request), at: time)
    }

    /// Submits and gives the leaf as a certificate.
    mutating func certify(_ request: SignedRequest, at time: Timestamp? = nil) throws -> Certificate {
        try #require(try submit(request, at: time).certificate(of: request))
    }

    @discardableResult
    mutating func decide(_ request: SignedRequest, _ certificates: [Certificate], at time: Timestamp? = nil) throws
        -> ExecutedBatch
    {
        try run(.decide(.of(request, certificates)), at: time)
    }

    mutating func status(_ request: SignedRequest, leg: UInt16 = 0, at time: Timestamp? = nil) throws -> LegStatus? {
        try submit(request, at: time).leaves.first { $0.request == request.digest }?.status(ofLeg: leg)
    }

    mutating func flush() throws {
        guard let frozen = try executor.freeze() else { return }
        try finish(frozen)
    }

    func write(_ frozen: FrozenState) {
        disk.apply(frozen.writes, moving: frozen.moves, metadata: frozen.metadata, seal: nil, clearing: false)
    }

    mutating func finish(_ frozen: FrozenState) throws {
        write(frozen)
        guard frozen.moves != nil else { return try executor.flushed(frozen.sequence) }
        executor = try ShardExecutor(
            shard: shard, manifest: manifest, store: executor.refreshedStore(), limits: executor.limits,
            procedures: procedures, ahead: ahead)
    }

    /// Stages buckets of another state, and asks what makes the disk hold it.
    mutating func replacement(
        sequence: SequenceNumber, metadata: [UInt8],
        buckets: [(bucket: Int, entries: [StateTransferMessage.StateEntry])], digest: Digest
    ) throws -> FrozenState {
        var staged: [BucketSummary] = []
        for (bucket, entries) in buckets {
            let own = StateDigest.bucketDigest(entries, of: bucket)
            let whole = try #require(StateDigest.bucket(bucket, of: entries, digest: own))
            disk.stage([whole.part])
            staged.append(whole.summary)
        }
        return try executor.replacement(sequence: sequence, metadata: metadata, staged: staged, digest: digest)
    }

    /// As a host does: only the buckets that differ.
    mutating func replacement(
        sequence: SequenceNumber, metadata: [UInt8], all entries: [StateTransferMessage.StateEntry]
    ) throws -> FrozenState {
        var buckets = [[StateTransferMessage.StateEntry]](repeating: [], count: StateDigest.bucketCount)
        for entry in entries {
            if let bucket = StateDigest.bucket(of: entry.key, in: manifest.shardMap) { buckets[bucket].append(entry) }
        }
        let wanted = buckets.indices.map { StateDigest.bucketDigest(buckets[$0], of: $0) }
        let own = try executor.bucketDigests()
        let differing = wanted.indices.filter { wanted[$0] != own[$0] }.map { (bucket: $0, entries: buckets[$0]) }
        let digest = StateDigest.checkpoint(metadata: metadata, bucketDigests: wanted) ?? .null
        return try replacement(sequence: sequence, metadata: metadata, buckets: differing, digest: digest)
    }

    /// A new executor from what is on disk: what was not flushed has to be executed again.
    mutating func restart() throws {
        disk.reopen()
        executor = try ShardExecutor(
            shard: shard, manifest: manifest, store: TestStore(disk), limits: executor.limits, procedures: procedures,
            ahead: ahead)
    }
}

extension TransactionDecide {
    static func of(_ request: SignedRequest, _ certificates: [Certificate]) -> TransactionDecide {
        TransactionDecide(
            principal: request.request.principal, number: request.request.number, request: request.digest,
            certificates: certificates)
    }
}

extension ExecutedBatch {
    var certificates: [Certificate] {
        let tree = MerkleTree(leaves: leaves)
        return leaves.enumerated().map {
            Certificate(statement: statement, leaf: $1, path: tree.path(at: $0), signatures: [])
        }
    }
    func certificate(of request: SignedRequest) -> Certificate? {
        certificates.first { $0.leaf.request == request.digest }
    }
}

/// Shards, people, and accounts where a test wants them.
struct TestCluster {
    let manifest: Manifest
    let issuer: Person
    let compliance: Person
    var shards: [TestShard]

    init(
        shards count: Int, limits: ShardLimits = .init(), procedures: ProcedureRegistry = .init(),
        hasCompliance: Bool = true
    ) throws {
        (issuer, compliance) = (try Person(999), try Person(998))
        let hosts = try (0..<4).map {
            Manifest.Host(address: "host\($0)", port: 1, publicKey: try Person(900 + $0).key)
        }
        let cluster = try #require(ClusterID(bytes: [UInt8](repeating: 3, count: 32)))
        manifest = Manifest(
            cluster: cluster, epoch: Epoch(1), hosts: hosts,
            shards: Array(repeating: (0..<4).map { HostID($0) }, count: count),
            issuer: issuer.key, compliance: hasCompliance ? compliance.key : nil)
        try manifest.validate()
        let manifest = manifest
        shards = try (0..<count).map { try TestShard(UInt16($0), manifest, limits: limits, procedures: procedures) }
    }

    /// The `n`th account of a person on a shard.
    func account(_ person: Person, on shard: Int, asset: AssetID = gold, _ n: Int = 0) -> AccountSpecification {
        var (index, left) = (UInt64(0), n)
        while true {
            let specification = AccountSpecification(owner: person.key, asset: asset, index: index)
            if Int(manifest.shardMap.shard(of: specification.id).number) == shard {
                if left == 0 { return specification }
                left -= 1
            }
            index += 1
        }
    }

    func request(
        _ person: Person, _ number: UInt64, acknowledging below: UInt64 = 0, follows: [Predecessor] = [],
        mode: Request.Mode = .atomic, issuedAt: Timestamp = start, deadline: Timestamp = seconds(30),
        _ operations: [Messages.Operation]
    ) -> SignedRequest {
        SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: person.key, number: RequestNumber(number),
                acknowledgedBelow: RequestNumber(below), follows: follows, issuedAt: issuedAt, deadline: deadline,
                mode: mode, operations: operations),
            signedBy: person.signer)
    }

    func transfer(
        _ person: Person, _ number: UInt64, from: AccountID, to: AccountID, _ amount: UInt128, asset: AssetID = gold,
        acknowledging below: UInt64 = 0, issuedAt: Timestamp = start, deadline: Timestamp = seconds(30)
    ) -> SignedRequest {
        request(
            person, number, acknowledging: below, issuedAt: issuedAt, deadline: deadline,
            [.transfer(Transfer(from: from, to: to, asset: asset, amount: Amount(amount)))])
    }

    /// Opens an account and gives it money.
    @discardableResult
    mutating func fund(_ account: AccountSpecification, _ amount: UInt128) throws -> AccountID {
        let shard = Int(manifest.shardMap.shard(of: account.id).number)
        var operations: [Messages.Operation] = [.open(account)]
        if amount > 0 { operations.append(.issue(to: account.id, asset: account.asset, amount: Amount(amount))) }
        // Every funding is acknowledged by the next.
        let number = shards.reduce(0) { $0 + $1.executor.lastExecuted.number }
        let request = request(issuer, number, acknowledging: number, mode: .independent, operations)
        let executed = try shards[shard].submit(request)
        #expect(executed.leaves.first?.entries.allSatisfy { $0.status == .committed } == true)
        return account.id
    }

    /// What becomes of an order of the compliance authority.
    mutating func order(_ operation: Messages.Operation) throws -> LegStatus? {
        let account: AccountID
        switch operation {
        case .freeze(let id, _), .release(let id): account = id
        case .transfer, .open, .issue, .read, .call: return nil
        }
        let number = 1_000 + shards.reduce(0) { $0 + $1.executor.lastExecuted.number }
        let request = request(compliance, number, acknowledging: number, mode: .independent, [operation])
        return try shards[Int(manifest.shardMap.shard(of: account).number)].status(request)
    }

    func view(_ id: AccountID) throws -> AccountView? {
        try shards[Int(manifest.shardMap.shard(of: id).number)].executor.account(id)
    }

    func posted(_ id: AccountID) throws -> UInt128? { try view(id)?.posted.number }

    mutating func checkInvariants() throws {
        for shard in shards.indices { try shards[shard].executor.checkInvariants() }
    }
}

extension FrozenState {
    /// The whole state, if this is the first that is frozen.
    var entries: [StateTransferMessage.StateEntry] {
        writes.compactMap { write in write.value.map { StateTransferMessage.StateEntry(key: write.key, value: $0) } }
    }
}
