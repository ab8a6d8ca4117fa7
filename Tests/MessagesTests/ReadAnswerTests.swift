import Messages
import TestSignatures
import Testing

/// What proves a quorum read (R6), and that nothing else does.
@Suite struct ReadAnswerTests {
    private static let owner = TestSigner(7).publicKey
    private static func account(_ index: UInt64) -> AccountID {
        AccountSpecification(owner: owner, asset: AssetID(1), index: index).id
    }
    private static let manifest = Manifest(
        cluster: ClusterID(TestSigner(50).publicKey.value), epoch: Epoch(3),
        hosts: (0..<4).map { .init(address: "test", port: $0, publicKey: TestSigner($0).publicKey) },
        shards: [(0..<4).map { HostID($0) }], issuer: TestSigner(99).publicKey)
    private let account = ReadAnswerTests.account(0)
    private let nonce = Hasher256.hash(.request, [1])

    private func statement(
        posted: UInt128? = 5, nonce: Digest? = nil, account: AccountID? = nil, cluster: Int = 50, epoch: UInt32 = 3,
        shard: UInt16 = 0
    ) -> ReadStatement {
        let view = posted.map {
            AccountView(
                owner: Self.owner, asset: AssetID(1), posted: Amount($0), pendingDebits: .zero, pendingCredits: .zero)
        }
        return ReadStatement(
            cluster: ClusterID(TestSigner(cluster).publicKey.value), epoch: Epoch(epoch), shard: ShardID(shard),
            nonce: nonce ?? self.nonce,
            account: account ?? self.account, view: view)
    }

    private func sign(_ statement: ReadStatement, _ replica: UInt8, host: Int? = nil, bytes: [UInt8]? = nil)
        -> ReadAnswer
    {
        let (time, clock) = Self.times(replica)
        let signature = TestSigner(host ?? Int(replica)).sign(
            bytes ?? ReadAnswer.signingBytes(statement, time: time, clock: clock))
        return ReadAnswer(
            statement: statement, time: time, clock: clock,
            signature: ReplicaSignature(replica: ReplicaIndex(replica), signature: signature))
    }

    private static func times(_ replica: UInt8) -> (time: Timestamp, clock: Timestamp) {
        (Timestamp(1000 + UInt64(replica)), Timestamp(2000 - UInt64(replica)))
    }

    private func refusal(_ answers: [ReadAnswer]) -> Refused? {
        let verifier = Verifier(manifest: Self.manifest, scheme: TestScheme(), remembered: 64)
        do throws(Refused) {
            _ = try verifier.verify(answers, of: .account(account), nonce: nonce)
            return nil
        } catch { return error }
    }

    @Test func twoFPlusOneEqualAnswersProveAnAccountOrThatThereIsNone() {
        for said in [statement(), statement(posted: nil)] {
            #expect(refusal((0..<3).map { sign(said, $0) }) == nil)
            #expect(refusal([3, 1, 2, 0].map { sign(said, $0) }) == nil)
        }
    }

    @Test func twoFProveNothing() {
        let said = statement()
        #expect(refusal([sign(said, 0), sign(said, 1)]) == .tooFewSignatures(got: 2, needed: 3))
        #expect(refusal([]) == .tooFewSignatures(got: 0, needed: 3))
    }

    @Test func twoViewsAreNoAgreement() {
        let (old, new) = (statement(posted: 4), statement())
        #expect(refusal([sign(new, 0), sign(new, 1), sign(old, 2)]) == .badProof)
        #expect(refusal([sign(new, 0), sign(new, 1), sign(statement(posted: nil), 2)]) == .badProof)
        // What was signed is not what is shown.
        #expect(
            refusal([
                sign(new, 0), sign(new, 1),
                sign(new, 2, bytes: ReadAnswer.signingBytes(old, time: Self.times(2).time, clock: Self.times(2).clock)),
            ]) == .badSignature)
    }

    @Test func anAnswerToAnotherQuestionProvesNothing() {
        let other = statement(nonce: Hasher256.hash(.request, [2]))
        #expect(refusal((0..<3).map { sign(other, $0) }) == .badProof)
        let neighbour = statement(account: Self.account(1))
        #expect(refusal((0..<3).map { sign(neighbour, $0) }) == .badProof)
    }

    @Test func oneReplicaIsOneReplicaHoweverOftenItAnswers() {
        let said = statement()
        #expect(refusal([sign(said, 0), sign(said, 1), sign(said, 1)]) == .badProof)
        // The same host under another index, and one that does not exist.
        #expect(refusal([sign(said, 0), sign(said, 1), sign(said, 2, host: 1)]) == .badSignature)
        #expect(refusal([sign(said, 0), sign(said, 1), sign(said, 4, host: 1)]) == .unknownReplica)
        #expect(refusal([sign(said, 0), sign(said, 1), sign(said, 2), sign(said, 3), sign(said, 3)]) == .badProof)
    }

    @Test func answersOfOtherClustersEpochsAndShardsAreRefused() {
        for (said, why) in [
            (statement(cluster: 51), Refused.wrongCluster), (statement(epoch: 2), .wrongEpoch),
            (statement(shard: 1), .unknownShard),
        ] { #expect(refusal((0..<3).map { sign(said, $0) }) == why) }
    }

    /// Each replica's times are its own: they need not be equal, and nobody else can change them.
    @Test func timesAreSignedAndTheirMediansLieBetweenThoseOfCorrectReplicas() throws {
        let said = statement()
        let verifier = Verifier(manifest: Self.manifest, scheme: TestScheme(), remembered: 64)
        let proof = try verifier.verify((0..<4).map { sign(said, $0) }, of: .account(account), nonce: nonce).value
        #expect(proof.times.time == Timestamp(1001) && proof.times.clock == Timestamp(1998))
        let honest = sign(said, 2)
        for forged in [
            ReadAnswer(statement: said, time: .zero, clock: honest.clock, signature: honest.signature),
            ReadAnswer(statement: said, time: honest.time, clock: .zero, signature: honest.signature),
        ] { #expect(refusal([sign(said, 0), sign(said, 1), forged]) == .badSignature) }
        // f liars at either end move a median no further than to the next correct one.
        for lie in [UInt64.min, .max] {
            let (time, clock) = (Timestamp(lie), Timestamp(lie))
            let signature = TestSigner(3).sign(ReadAnswer.signingBytes(said, time: time, clock: clock))
            let liar = ReadAnswer(
                statement: said, time: time, clock: clock,
                signature: ReplicaSignature(replica: ReplicaIndex(3), signature: signature))
            let times = try verifier.verify([liar, sign(said, 0), sign(said, 1)], of: .account(account), nonce: nonce)
                .value.times
            #expect(
                (Timestamp(1000)...Timestamp(1001)).contains(times.time)
                    && (Timestamp(1999)...Timestamp(2000)).contains(times.clock))
        }
    }

    /// What is said of a principal is no word about an account, nor about the principal on another shard.
    @Test func aPrincipalsStandingIsProvenForOneShard() {
        let verifier = Verifier(manifest: Self.manifest, scheme: TestScheme(), remembered: 64)
        let said = ReadStatement(
            cluster: Self.manifest.cluster, epoch: Self.manifest.epoch, shard: ShardID(0), nonce: nonce,
            principal: Self.owner,
            standing: PrincipalStanding(acknowledgedBelow: RequestNumber(3), nextNumber: RequestNumber(7)))
        let answers = (0..<3).map { sign(said, $0) }
        #expect(throws: Never.self) {
            try verifier.verify(answers, of: .principal(Self.owner, at: ShardID(0)), nonce: nonce)
        }
        #expect(throws: Refused.badProof) { try verifier.verify(answers, of: .account(account), nonce: nonce) }
        #expect(throws: Refused.unknownShard) {
            try verifier.verify(answers, of: .principal(Self.owner, at: ShardID(1)), nonce: nonce)
        }
        #expect(throws: Refused.badProof) {
            try verifier.verify(answers, of: .principal(TestSigner(8).publicKey, at: ShardID(0)), nonce: nonce)
        }
    }

    /// A signature for a result is none for a read, and the other way round (R1).
    @Test func noOtherSignaturePasses() {
        let said = statement()
        let bytes = signingInput(.attestation, Hasher256.hash(.read, said.encoded()))
        #expect(refusal([sign(said, 0), sign(said, 1), sign(said, 2, bytes: bytes)]) == .badSignature)
    }

    /// A gateway drops what its sender did not sign, so that one liar cannot spoil what the others say.
    @Test func aGatewayLetsNoAnswerPassThatIsNotSigned() {
        var verifier = Verifier(manifest: Self.manifest, scheme: TestScheme(), remembered: 64)
        let said = statement()
        #expect(throws: Never.self) { try verifier.verify(HostReply.read(id: 1, sign(said, 2))) }
        #expect(throws: Never.self) { try verifier.verify(HostReply.read(id: 1, nil)) }
        #expect(throws: Refused.badSignature) { try verifier.verify(HostReply.read(id: 1, sign(said, 2, host: 1))) }
    }
}
