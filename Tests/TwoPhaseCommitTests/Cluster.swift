import Messages
import Testing

/// A cluster's keys and a verifier: attestations by hand, with real signatures.
struct Cluster {
    let manifest: Manifest
    let hosts: [Ed25519Signer]
    let principal: Ed25519Signer
    var verifier: Verifier<Ed25519Scheme>

    static func signer(_ number: Int) throws -> Ed25519Signer {
        var seed = [UInt8](repeating: 7, count: 32)
        (seed[0], seed[1]) = (UInt8(number & 255), UInt8(number >> 8))
        struct NoKey: Error {}
        guard let signer = Ed25519Signer(seed: seed) else { throw NoKey() }
        return signer
    }

    init(shards: Int = 3, replicas: Int = 4) throws {
        hosts = try (0..<replicas).map { try Self.signer($0) }
        principal = try Self.signer(1000)
        manifest = Manifest(
            cluster: ClusterID(Hasher256.hash(.manifest, [1]).value), epoch: Epoch(1),
            hosts: hosts.map { .init(address: "127.0.0.1", port: 1, publicKey: $0.publicKey) },
            shards: Array(repeating: (0..<replicas).map { HostID(UInt16($0)) }, count: shards),
            issuer: principal.publicKey)
        try manifest.validate()
        verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
    }

    /// An account of the principal on a shard.
    func account(on shard: Int, salt: UInt64 = 0) -> AccountID {
        var index = salt << 32
        while true {
            let id = AccountSpecification(owner: principal.publicKey, asset: AssetID(1), index: index).id
            if manifest.shardMap.shard(of: id).number == UInt16(shard) { return id }
            index += 1
        }
    }

    func transfer(_ from: Int, _ to: Int, salt: UInt64 = 0) -> Operation {
        .transfer(
            Transfer(
                from: account(on: from, salt: salt), to: account(on: to, salt: salt + 1), asset: AssetID(1),
                amount: Amount(5)))
    }

    func request(_ operations: [Operation], _ mode: Request.Mode = .atomic, number: UInt64 = 1) -> SignedRequest {
        SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: principal.publicKey,
                number: RequestNumber(number),
                acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1), deadline: Timestamp(10_000_000),
                mode: mode,
                operations: operations),
            signedBy: principal)
    }

    func leaf(_ request: SignedRequest, _ statuses: [Int: LegStatus]) -> Leaf {
        Leaf(
            request: request.digest,
            entries: statuses.keys.sorted().map { .init(leg: UInt16($0), status: statuses[$0] ?? .votedYes) })
    }

    func statement(_ shard: Int, _ sequence: UInt64, _ leaves: [Leaf], batch: UInt8 = 0) -> AttestationStatement {
        AttestationStatement(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: ShardID(UInt16(shard)),
            sequence: SequenceNumber(sequence),
            previousHistory: .null, batch: Hasher256.hash(.batch, [batch]), leavesRoot: MerkleTree(leaves: leaves).root)
    }

    func sign(_ statement: AttestationStatement, by replica: Int) -> ReplicaSignature {
        ReplicaSignature(replica: ReplicaIndex(UInt8(replica)), signature: hosts[replica].sign(statement.signingBytes))
    }

    mutating func attestation(
        _ shard: Int, _ sequence: UInt64, _ leaves: [Leaf], by replica: Int, batch: UInt8 = 0
    ) throws -> Verified<BatchAttestation> {
        let statement = statement(shard, sequence, leaves, batch: batch)
        return try verifier.verify(
            BatchAttestation(statement: statement, signature: sign(statement, by: replica), leaves: leaves))
    }

    mutating func push(_ request: SignedRequest, _ shard: Int, _ sequence: UInt64, _ leaf: Leaf, by replica: Int) throws
        -> Verified<RecoveryPush>
    {
        let statement = statement(shard, sequence, [leaf])
        let attested = AttestedLeaf(
            statement: statement, signature: sign(statement, by: replica), leaf: leaf,
            path: MerkleTree(leaves: [leaf]).path(at: 0))
        let push = RecoveryPush(request: request, attested: attested, asks: true)
        let verified = try verifier.verify(HostMessage.push(ShardID(0), push))
        return try #require(verified.push)
    }

    /// f + 1 signatures.
    func certificate(_ shard: Int, _ sequence: UInt64, _ leaf: Leaf) -> Certificate {
        let statement = statement(shard, sequence, [leaf])
        let needed = manifest.group(of: ShardID(UInt16(shard))).weakQuorum
        return Certificate(
            statement: statement, leaf: leaf, path: MerkleTree(leaves: [leaf]).path(at: 0),
            signatures: (0..<needed).map { sign(statement, by: $0) })
    }
}
