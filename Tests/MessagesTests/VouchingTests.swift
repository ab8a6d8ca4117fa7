import Messages
import TestSignatures
import Testing

/// Who checks which signature (docs/decisions/0040).
@Suite struct VouchingTests {
    private static let manifest = Manifest(
        cluster: ClusterID(TestSigner(50).publicKey.value), epoch: Epoch(3),
        hosts: (0..<4).map { .init(address: "test", port: $0, publicKey: TestSigner($0).publicKey) },
        shards: [(0..<4).map { HostID($0) }], issuer: TestSigner(99).publicKey)
    private static let group = ReplicaGroup(n: 4)
    private static let primary = ReplicaIndex(0)

    private func digest(_ number: Int) -> Digest {
        Hasher256.hash(.request, [UInt8(number % 256), UInt8(number / 256)])
    }

    @Test(arguments: [4, 7, 10])
    func eachRequestIsCheckedByFBackups(n: Int) {
        let group = ReplicaGroup(n: n)
        for primary in 0..<n {
            let primary = ReplicaIndex(UInt8(primary))
            var shares = [Int](repeating: 0, count: n)
            for number in 0..<600 {
                let designated = (0..<n).filter {
                    group.isDesignated(ReplicaIndex(UInt8($0)), for: digest(number), under: primary)
                }
                #expect(designated.count == group.f && !designated.contains(primary.index))
                for backup in designated { shares[backup] += 1 }
            }
            let fair = 600 * group.f / (n - 1)
            for backup in 0..<n where backup != primary.index {
                #expect((fair / 2...fair * 2).contains(shares[backup]), "shares are about equal")
            }
        }
        #expect(!group.isDesignated(ReplicaIndex(UInt8(n)), for: digest(1), under: ReplicaIndex(0)))
    }

    private func request(_ number: UInt64, by signer: Int = 7) -> SignedRequest {
        let account = AccountSpecification(owner: TestSigner(7).publicKey, asset: AssetID(1), index: number)
        let request = Request(
            cluster: Self.manifest.cluster, epoch: Epoch(3), principal: TestSigner(7).publicKey,
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1),
            deadline: Timestamp(2), mode: .atomic, operations: [.open(account)])
        return SignedRequest(request, signedBy: TestSigner(signer))
    }

    /// The first that is this backup's to check.
    private func forgery(for backup: UInt8) throws -> SignedRequest {
        try #require(
            (1..<100).lazy.map { request($0, by: 8) }.first {
                Self.group.isDesignated(ReplicaIndex(backup), for: $0.digest, under: Self.primary)
            })
    }

    private func proposal(_ items: [BatchItem]) -> HostMessage {
        .pbft(
            ShardID(0),
            .prePrepare(
                PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: Batch(time: Timestamp(1), items: items))))
    }

    @Test func aBackupChecksItsShareOfAProposalAndWhoLeadsAllOfIt() throws {
        var verifier = Verifier(manifest: Self.manifest, scheme: TestScheme())
        let genuine = (200..<220).map { BatchItem.request(request($0)) }
        let forged = proposal(genuine + [.request(try forgery(for: 2))])
        #expect(throws: Refused.badSignature) { try verifier.verify(forged, at: HostID(2)) }
        #expect(throws: Refused.badSignature) { try verifier.verify(forged, at: HostID(0)) }
        #expect(throws: Refused.badSignature) { try verifier.verify(forged) }
        for backup in [UInt8(1), 3] {
            let verified = try verifier.verify(forged, at: HostID(UInt16(backup)))
            #expect(verified.pbft?.prePrepare?.share == .of(ReplicaIndex(backup)))
        }
        let sound = proposal(genuine)
        #expect(try verifier.verify(sound, at: HostID(2)).share == .of(ReplicaIndex(2)))
        #expect(try verifier.verify(sound, at: HostID(0)).share == .all)
        #expect(try verifier.verify(sound).share == .all)
    }

    /// Whoever it is from: a certificate that proves nothing is refused by every backup.
    @Test func certificatesAreCheckedByAll() throws {
        var verifier = Verifier(manifest: Self.manifest, scheme: TestScheme())
        let empty = TransactionDecide(
            principal: TestSigner(7).publicKey, number: RequestNumber(1), request: digest(1), certificates: [])
        let evidence = CallEvidence(root: request(1, by: 8), certificates: [])
        for item in [BatchItem.decide(empty), .evidence(evidence)] {
            for host in 0..<4 as Range<UInt16> {
                #expect(throws: Refused.self) { try verifier.verify(proposal([item]), at: HostID(host)) }
            }
            let body = PBFTMessage.batch(Batch(time: Timestamp(1), items: [item]))
            #expect(throws: Refused.self) { try verifier.verify(body, shard: ShardID(0)) }
        }
    }

    /// Otherwise a view change could not go on that selects it.
    @Test func aFetchedBodyMayHoldWhatNobodySigned() throws {
        var verifier = Verifier(manifest: Self.manifest, scheme: TestScheme())
        let batch = Batch(time: Timestamp(1), items: [.request(try forgery(for: 2))])
        let verified = try verifier.verify(PBFTMessage.batch(batch), shard: ShardID(0))
        #expect(verified.batch?.value == batch && verified.batch?.share == .certificates)
    }

    @Test func aCheckNamesWhatIsWrong() throws {
        var verifier = Verifier(manifest: Self.manifest, scheme: TestScheme())
        let batch = Batch(
            time: Timestamp(1),
            items: [
                .request(request(1)), .request(request(2, by: 8)), .request(request(3)), .request(request(4, by: 9)),
            ])
        let all = verifier.check(SignatureCheck(batch: batch, places: [0, 1, 2, 3]))
        #expect(all.batch == batch.digest && all.places == [0, 1, 2, 3] && all.wrong == [1, 3])
        #expect(verifier.check(SignatureCheck(batch: batch, places: [0, 3])).wrong == [3])
    }

    @Test func whatIsSkippedIsLeftOutAndNothingElse() {
        let items = (1..<5).map { BatchItem.request(request($0)) }
        let batch = Batch(time: Timestamp(1), items: items)
        #expect(OrderedBatch(committed: batch, at: SequenceNumber(1)).items == items)
        let some = OrderedBatch(committed: batch, skipping: [0, 2], at: SequenceNumber(1))
        #expect(some.items == [items[1], items[3]])
        // A liar's place leads nowhere.
        #expect(OrderedBatch(claimed: batch, skipping: [9], at: SequenceNumber(1)).items == items)
    }

    @Test func claimsOfSkippedPlacesHaveOneEncoding() throws {
        let digests = [digest(1), digest(2), digest(3)]
        func claims(_ skipped: [SkippedPlaces]) -> CommittedClaims {
            CommittedClaims(from: SequenceNumber(5), digests: digests, skipped: skipped)
        }
        func places(_ sequence: UInt64, _ places: [UInt32]) -> SkippedPlaces {
            SkippedPlaces(sequence: SequenceNumber(sequence), places: places)
        }
        let good = claims([places(5, [0, 4]), places(7, [1])])
        #expect(try CommittedClaims(decoding: good.encoded()) == good)
        for bad in [
            [places(4, [1])], [places(8, [1])], [places(6, [])], [places(6, [2, 1])], [places(6, [1, 1])],
            [places(6, [4096])], [places(7, [1]), places(6, [1])], [places(6, [1]), places(6, [1])],
        ] {
            #expect(throws: DecodingFailure.self) { try CommittedClaims(decoding: claims(bad).encoded()) }
        }
    }
}
