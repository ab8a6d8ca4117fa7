import Messages
import Synchronization
import TestSignatures
import TestSamples
import Testing

/// What a certificate must be made of (R1), and that nothing else passes.
@Suite struct VerifierTests {
    private let manifest = VerifierTests.manifest()
    private let leaves = (0..<5).map {
        Leaf(request: Hasher256.hash(.request, [UInt8($0)]), entries: [.init(leg: 0, status: .committed)])
    }

    /// Two shards of four hosts; shard 1's replicas stand on the hosts in another order.
    private static func manifest(cluster: Int = 50, epoch: UInt32 = 3) -> Manifest {
        Manifest(
            cluster: ClusterID(TestSigner(cluster).publicKey.value), epoch: Epoch(epoch),
            hosts: (0..<4).map { .init(address: "test", port: $0, publicKey: TestSigner($0).publicKey) },
            shards: [[0, 1, 2, 3], [1, 2, 3, 0]].map { $0.map { HostID($0) } }, issuer: TestSigner(99).publicKey)
    }

    private func verifier() -> Verifier<TestScheme> {
        Verifier(manifest: manifest, scheme: TestScheme(), remembered: 64)
    }

    private func statement(_ shard: UInt16 = 0, of manifest: Manifest? = nil, root: Digest? = nil)
        -> AttestationStatement
    {
        let manifest = manifest ?? self.manifest
        return AttestationStatement(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: ShardID(shard), sequence: SequenceNumber(9),
            previousHistory: .null, batch: .null, leavesRoot: root ?? MerkleTree(leaves: leaves).root)
    }

    private func sign(
        _ statement: AttestationStatement, _ replica: UInt8, host: Int? = nil, domain: Domain = .attestation
    ) -> ReplicaSignature {
        let host = host ?? (Int(replica) + Int(statement.shard.number)) % 4
        return ReplicaSignature(
            replica: ReplicaIndex(replica), signature: TestSigner(host).sign(signingInput(domain, statement.digest)))
    }

    private func certificate(_ statement: AttestationStatement, _ signatures: [ReplicaSignature], leaf: Int = 2)
        -> Certificate
    {
        Certificate(
            statement: statement, leaf: leaves[leaf], path: MerkleTree(leaves: leaves).path(at: leaf),
            signatures: signatures)
    }

    private func refusal(_ certificate: Certificate) -> Refused? {
        var verifier = verifier()
        do throws(Refused) {
            _ = try verifier.verify(certificate)
            return nil
        } catch { return error }
    }

    @Test func fPlusOneSignaturesProveALeafOfEitherShard() {
        for shard in [UInt16(0), 1] {
            let statement = statement(shard)
            for leaf in leaves.indices {
                #expect(refusal(certificate(statement, [sign(statement, 1), sign(statement, 3)], leaf: leaf)) == nil)
            }
            #expect(refusal(certificate(statement, (0..<4).map { sign(statement, $0) })) == nil)
        }
    }

    @Test func fewerProveNothing() {
        let statement = statement()
        #expect(refusal(certificate(statement, [sign(statement, 1)])) == .tooFewSignatures(got: 1, needed: 2))
        #expect(refusal(certificate(statement, [])) == .tooFewSignatures(got: 0, needed: 2))
    }

    @Test func oneReplicaIsOneReplicaHoweverOftenItSigns() {
        let statement = statement()
        #expect(refusal(certificate(statement, [sign(statement, 1), sign(statement, 1)])) == .badProof)
        #expect(refusal(certificate(statement, [sign(statement, 3), sign(statement, 1)])) == .badProof)
        // The same host under another index.
        #expect(refusal(certificate(statement, [sign(statement, 1), sign(statement, 2, host: 1)])) == .badSignature)
    }

    @Test func everySignatureMustBeGood() {
        let statement = statement()
        let forged = ReplicaSignature(replica: ReplicaIndex(3), signature: Signature())
        #expect(refusal(certificate(statement, [sign(statement, 0), sign(statement, 1), forged])) == .badSignature)
        #expect(
            refusal(certificate(statement, [sign(statement, 1), sign(statement, 2, domain: .viewChange)]))
                == .badSignature)
        #expect(refusal(certificate(statement, [sign(statement, 1), sign(statement, 4, host: 3)])) == .unknownReplica)
    }

    @Test func certificatesOfOtherClustersEpochsAndShardsAreRefused() {
        let foreign = statement(of: Self.manifest(cluster: 51))
        #expect(refusal(certificate(foreign, [sign(foreign, 1), sign(foreign, 2)])) == .wrongCluster)
        let old = statement(of: Self.manifest(epoch: 2))
        #expect(refusal(certificate(old, [sign(old, 1), sign(old, 2)])) == .wrongEpoch)
        let unknown = statement(2)
        #expect(refusal(certificate(unknown, [sign(unknown, 1), sign(unknown, 2)])) == .unknownShard)
        // Signed for shard 1 and shown as shard 0's.
        let (one, zero) = (statement(1), statement(0))
        #expect(refusal(certificate(zero, [sign(one, 1), sign(one, 2)])) == .badSignature)
    }

    @Test func theLeafMustStandUnderTheSignedRoot() {
        let statement = statement()
        let signatures = [sign(statement, 1), sign(statement, 2)]
        let tree = MerkleTree(leaves: leaves)
        let tampered = Leaf(request: leaves[2].request, entries: [.init(leg: 0, status: .noRecordAbort)])
        for (leaf, path) in [
            (tampered, tree.path(at: 2)), (leaves[2], tree.path(at: 3)),
            (leaves[2], MerklePath(index: 0, count: 1, siblings: [])),
            (leaves[2], MerklePath(index: 2, count: 0, siblings: tree.path(at: 2).siblings)),
        ] {
            #expect(
                refusal(Certificate(statement: statement, leaf: leaf, path: path, signatures: signatures)) == .badProof)
        }
    }

    @Test func everyChangedByteOfACertificateIsRefusedOrChangesOnlyItsPath() throws {
        let statement = statement()
        let good = certificate(statement, [sign(statement, 1), sign(statement, 2)])
        let bytes = good.encoded()
        for position in bytes.indices {
            for change in [UInt8(1), 0x80] {
                var changed = bytes
                changed[position] ^= change
                guard let other = try? Certificate(decoding: changed), refusal(other) == nil else { continue }
                // The count of the path is not signed; the leaf and all that is said about it are.
                #expect(
                    other.statement == good.statement && other.leaf == good.leaf && other.signatures == good.signatures)
            }
        }
    }

    @Test func rememberingDoesNotMakeAnotherSignatureGood() throws {
        var verifier = verifier()
        let statement = statement()
        let good = certificate(statement, [sign(statement, 1), sign(statement, 2)])
        for _ in 0..<3 { _ = try verifier.verify(good) }
        let forged = ReplicaSignature(replica: ReplicaIndex(2), signature: Signature())
        #expect(throws: Refused.badSignature) {
            try verifier.verify(certificate(statement, [sign(statement, 1), forged]))
        }
        // A good signature under another replica's name.
        let renamed = ReplicaSignature(replica: ReplicaIndex(3), signature: sign(statement, 2).signature)
        #expect(throws: Refused.badSignature) {
            try verifier.verify(certificate(statement, [sign(statement, 1), renamed]))
        }

        var samples = Samples(seed: 1)
        var request = samples.request()
        (request.cluster, request.epoch, request.principal) = (
            manifest.cluster, manifest.epoch, TestSigner(7).publicKey
        )
        let signed = SignedRequest(request, signedBy: TestSigner(7))
        _ = try verifier.verify(signed)
        let other = SignedRequest(request, signedBy: TestSigner(8))
        #expect(other.digest == signed.digest)
        for _ in 0..<3 { #expect(throws: Refused.badSignature) { try verifier.verify(other) } }
    }

    @Test func whatWasForgottenIsCheckedAgain() throws {
        var verifier = Verifier(manifest: manifest, scheme: TestScheme(), remembered: 2)
        for _ in 0..<3 {
            for shard in [UInt16(0), 1] {
                let statement = statement(shard)
                _ = try verifier.verify(certificate(statement, (0..<4).map { sign(statement, $0) }))
            }
        }
    }

    @Test func whatAnotherVerifierHasCheckedIsRemembered() throws {
        var samples = Samples(seed: 1)
        var request = samples.request()
        (request.cluster, request.epoch, request.principal) = (
            manifest.cluster, manifest.epoch, TestSigner(7).publicKey
        )
        let signed = SignedRequest(request, signedBy: TestSigner(7))
        let forged = SignedRequest(request, signedBy: TestSigner(8))
        let batch = Batch(time: Timestamp(1), items: [.request(signed)])
        var (first, second) = (verifier(), verifier())
        #expect(second.remembers(batch) == false)
        let submitted = try first.verify(GatewayMessage.submit([ShardID(0)], signed)).submitted
        second.remember(try #require(submitted))
        #expect(second.remembers(batch) == true)
        #expect(second.remembers(Batch(time: Timestamp(1), items: [.request(signed), .request(forged)])) == false)
    }

    @Test func requestsOfOtherClustersAndEpochsAreRefused() {
        var verifier = verifier()
        var samples = Samples(seed: 1)
        var request = samples.request()
        (request.cluster, request.epoch, request.principal) = (
            manifest.cluster, manifest.epoch, TestSigner(7).publicKey
        )
        request.epoch = Epoch(2)
        #expect(throws: Refused.wrongEpoch) { try verifier.verify(SignedRequest(request, signedBy: TestSigner(7))) }
        (request.epoch, request.cluster) = (manifest.epoch, ClusterID(FixedBytes32()))
        #expect(throws: Refused.wrongCluster) { try verifier.verify(SignedRequest(request, signedBy: TestSigner(7))) }
    }

    @Test func attestationsCoverAllTheirLeaves() throws {
        var verifier = verifier()
        let statement = statement()
        let signature = sign(statement, 2)
        _ = try verifier.verify(BatchAttestation(statement: statement, signature: signature, leaves: leaves))
        #expect(throws: Refused.badProof) {
            try verifier.verify(
                BatchAttestation(statement: statement, signature: signature, leaves: Array(leaves.dropLast())))
        }
        #expect(throws: Refused.badProof) {
            try verifier.verify(BatchAttestation(statement: statement, signature: signature, leaves: leaves.reversed()))
        }
        let path = MerkleTree(leaves: leaves).path(at: 1)
        _ = try verifier.verify(AttestedLeaf(statement: statement, signature: signature, leaf: leaves[1], path: path))
        #expect(throws: Refused.badProof) {
            try verifier.verify(AttestedLeaf(statement: statement, signature: signature, leaf: leaves[2], path: path))
        }
    }

    /// Of a batch each signature is looked at once, however many of its leaves are certified; and that they were says
    /// nothing of a leaf that is none of the batch's, nor of other signatures.
    @Test func theSignaturesOfABatchAreCheckedOnce() throws {
        let counting = CountingScheme()
        var verifier = Verifier(manifest: manifest, scheme: counting, remembered: 64)
        let statement = statement()
        let signatures = [sign(statement, 1), sign(statement, 2)]
        for leaf in leaves.indices { _ = try verifier.verify(certificate(statement, signatures, leaf: leaf)) }
        #expect(counting.count == 2)
        let tree = MerkleTree(leaves: leaves)
        #expect(throws: Refused.badProof) {
            try verifier.verify(
                Certificate(statement: statement, leaf: leaves[1], path: tree.path(at: 2), signatures: signatures))
        }
        #expect(throws: Refused.badProof) {
            try verifier.verify(
                Certificate(statement: statement, leaf: leaves[1], at: 2, of: tree, signatures: signatures))
        }
        let forged = [signatures[0], sign(statement, 2, host: 0)]
        #expect(throws: Refused.badSignature) { try verifier.verify(certificate(statement, forged)) }
        #expect(throws: Refused.badSignature) { try verifier.verify(certificate(statement, forged)) }
        #expect(throws: Refused.badProof) { try verifier.verify(certificate(statement, signatures.reversed())) }
        #expect(throws: Refused.tooFewSignatures(got: 1, needed: 2)) {
            try verifier.verify(certificate(statement, [signatures[0]]))
        }
    }

    @Test func aDecideAndAReceiptCarryCertificatesOfTheirOwnRequestOnly() throws {
        var verifier = verifier()
        let statement = statement()
        let good = certificate(statement, [sign(statement, 1), sign(statement, 2)])
        let own = TransactionDecide(
            principal: TestSigner(1).publicKey, number: RequestNumber(1), request: good.leaf.request,
            certificates: [good])
        _ = try verifier.verify(own)
        let other = TransactionDecide(
            principal: TestSigner(1).publicKey, number: RequestNumber(1), request: .null, certificates: [good])
        #expect(throws: Refused.badProof) { try verifier.verify(other) }
        let batch = Batch(time: .zero, items: [.decide(other)])
        #expect(throws: Refused.badProof) { try verifier.verify(PBFTMessage.batch(batch), shard: ShardID(0)) }
        // f + 1 claims vouch for it, or it is not used.
        _ = try verifier.verify(PBFTMessage.committedBody(batch), shard: ShardID(0))
    }
}

/// Counts what is checked.
private final class CountingScheme: SignatureScheme {
    private let checked = Mutex(0)
    var count: Int { checked.withLock { $0 } }

    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        checked.withLock { $0 += 1 }
        return TestScheme().isValid(signature, of: message, by: key)
    }
}

@Suite struct ManifestTests {
    private func manifest(hosts: Int = 4, shards: [[UInt16]] = [[0, 1, 2, 3]]) -> Manifest {
        Manifest(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1),
            hosts: (0..<hosts).map { .init(address: "test", port: $0, publicKey: TestSigner($0).publicKey) },
            shards: shards.map { $0.map { HostID($0) } }, issuer: TestSigner(99).publicKey)
    }

    @Test func goodManifestsAreGood() throws {
        try manifest().validate()
        try manifest(shards: [[3, 2, 1, 0], [1, 2, 3, 0]]).validate()
        for n in [7, 10, 64] { try manifest(hosts: n, shards: [(0..<UInt16(n)).map { $0 }]).validate() }
    }

    @Test func everyProblemHasItsName() {
        var wrongVersion = manifest()
        wrongVersion.version = 2
        #expect(throws: Manifest.Problem.version(2)) { try wrongVersion.validate() }
        #expect(throws: Manifest.Problem.shardCount(0)) { try manifest(shards: []).validate() }
        for count in [0, 1, 3, 5, 6, 8, 67] {
            let shard = (0..<UInt16(count)).map { $0 }
            #expect(throws: Manifest.Problem.replicas(shard: 1, count: count)) {
                try manifest(hosts: 80, shards: [[0, 1, 2, 3], shard]).validate()
            }
        }
        #expect(throws: Manifest.Problem.unknownHost(shard: 0, host: HostID(4))) {
            try manifest(shards: [[0, 1, 2, 4]]).validate()
        }
        #expect(throws: Manifest.Problem.hostTwice(shard: 0, host: HostID(1))) {
            try manifest(shards: [[0, 1, 2, 1]]).validate()
        }
        var sameKey = manifest()
        sameKey.hosts[3].publicKey = sameKey.hosts[1].publicKey
        #expect(throws: Manifest.Problem.keyTwice(HostID(1), HostID(3))) { try sameKey.validate() }
    }

    @Test func replicasAreFoundByShardAndHost() {
        let manifest = manifest(hosts: 5, shards: [[0, 1, 2, 3], [4, 3, 2, 1]])
        #expect(manifest.replica(of: ShardID(1), on: HostID(3)) == ReplicaIndex(1))
        #expect(manifest.replica(of: ShardID(1), on: HostID(0)) == nil)
        #expect(manifest.replica(of: ShardID(2), on: HostID(0)) == nil)
        #expect(manifest.key(of: ReplicaIndex(0), in: ShardID(1)) == TestSigner(4).publicKey)
        #expect(manifest.key(of: ReplicaIndex(4), in: ShardID(1)) == nil)
        #expect(manifest.key(of: ReplicaIndex(0), in: ShardID(2)) == nil)
        #expect(manifest.shards(of: HostID(0)) == [ShardID(0)])
        #expect(manifest.shards(of: HostID(3)) == [ShardID(0), ShardID(1)])
    }

    @Test func primariesRotateByViewAndStartByShard() {
        let group = ReplicaGroup(n: 4)
        #expect((0..<5).map { group.primary(of: View($0), in: ShardID(0)).number } == [0, 1, 2, 3, 0])
        #expect((0..<5).map { group.primary(of: View(0), in: ShardID($0)).number } == [0, 1, 2, 3, 0])
        #expect(group.primary(of: View(.max), in: ShardID(.max)).index < 4)
        for (n, f) in [(4, 1), (7, 2), (10, 3)] {
            let group = ReplicaGroup(n: n)
            #expect((group.f, group.quorum, group.weakQuorum) == (f, 2 * f + 1, f + 1))
        }
    }
}
