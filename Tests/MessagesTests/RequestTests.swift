import Randomness
import Messages
import TestSignatures
import TestSamples
import Testing

/// What everyone recomputes from the signed bytes (R8).
@Suite struct RequestTests {
    private let map = ShardMap(shardCount: 4)

    /// An account on this shard of four.
    private func account(on shard: UInt64, _ low: UInt64 = 1) -> AccountID {
        AccountID(UInt128(shard << 62 | 5) << 64 | UInt128(low))
    }

    private func transfer(_ from: AccountID, _ to: AccountID, _ amount: UInt128 = 10) -> Operation {
        .transfer(Transfer(from: from, to: to, asset: AssetID(1), amount: Amount(amount)))
    }

    private func request(_ mode: Request.Mode, _ operations: [Operation]) -> Request {
        Request(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1), principal: TestSigner(1).publicKey,
            number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(1), issuedAt: .zero, deadline: Timestamp(1), mode: mode,
            operations: operations)
    }

    /// One value has one encoding, so a request that announces predecessors has some, within the bound.
    @Test func aRequestHasOneEncodingWhateverItFollows() throws {
        var request = request(.independent, [transfer(account(on: 3), account(on: 1))])
        request.follows = (0..<Request.maxPredecessors).map {
            Predecessor(shard: ShardID(UInt16($0)), number: RequestNumber(7), deadline: Timestamp(9))
        }
        let most = request.encoded()
        #expect(try Request(decoding: most) == request)
        #expect(request.predecessor(on: ShardID(63))?.number == RequestNumber(7))
        #expect(request.predecessor(on: ShardID(64)) == nil)
        request.follows.append(Predecessor(shard: ShardID(64), number: RequestNumber(7), deadline: Timestamp(9)))
        #expect(throws: DecodingFailure.self) { try Request(decoding: request.encoded()) }
        // The mode, then a count of none.
        request.follows = []
        var bytes = request.encoded()
        let mode = 32 + 4 + 32 + 4 * 8
        bytes[mode] |= 2
        bytes.insert(contentsOf: [0, 0, 0, 0], at: mode + 1)
        #expect(throws: DecodingFailure.self) { try Request(decoding: bytes) }
        bytes[mode] = 4
        #expect(throws: DecodingFailure.self) { try Request(decoding: bytes) }
    }

    @Test func theShardMapCoversEveryShardEvenlyAndItsEnds() {
        for count in [1, 2, 3, 16, 4096] {
            let map = ShardMap(shardCount: count)
            #expect(map.shard(of: AccountID(0)) == ShardID(0))
            #expect(map.shard(of: AccountID(.max)) == ShardID(UInt16(count - 1)))
        }
        var counts = Array(repeating: 0, count: 3)
        var random = SplitMix64(seed: 1)
        for _ in 0..<30_000 {
            let id = AccountID(UInt128(random.next()) << 64 | UInt128(random.next()))
            counts[Int(ShardMap(shardCount: 3).shard(of: id).number)] += 1
        }
        #expect(counts.allSatisfy { (9_500...10_500).contains($0) })
    }

    @Test func anAtomicRequestIsOneLegWithAllItsShards() {
        let request = request(
            .atomic, [transfer(account(on: 3), account(on: 1)), transfer(account(on: 1), account(on: 0))])
        #expect(request.legCount == 1)
        #expect(request.participants(ofLeg: 0, in: map) == [ShardID(0), ShardID(1), ShardID(3)])
        #expect(request.participants(in: map) == [ShardID(0), ShardID(1), ShardID(3)])
        let amount = Amount(10)
        #expect(request.effects(ofLeg: 0, on: ShardID(3), in: map) == [.debit(account(on: 3), AssetID(1), amount)])
        #expect(
            request.effects(ofLeg: 0, on: ShardID(1), in: map)
                == [.credit(account(on: 1), AssetID(1), amount), .debit(account(on: 1), AssetID(1), amount)])
        #expect(request.effects(ofLeg: 0, on: ShardID(2), in: map).isEmpty)
    }

    @Test func independentOperationsAreLegsOfTheirOwn() {
        let request = request(
            .independent, [transfer(account(on: 3), account(on: 1)), transfer(account(on: 2), account(on: 2, 9))])
        #expect(request.legCount == 2)
        #expect(request.participants(ofLeg: 0, in: map) == [ShardID(1), ShardID(3)])
        #expect(request.participants(ofLeg: 1, in: map) == [ShardID(2)])
        #expect(request.participants(in: map) == [ShardID(1), ShardID(2), ShardID(3)])
        #expect(
            request.effects(ofLeg: 1, on: ShardID(2), in: map)
                == [.debit(account(on: 2), AssetID(1), Amount(10)), .credit(account(on: 2, 9), AssetID(1), Amount(10))])
        #expect(request.effects(ofLeg: 1, on: ShardID(3), in: map).isEmpty)
    }

    @Test func openingAndIssuingConcernTheAccountsShard() {
        let specification = AccountSpecification(owner: TestSigner(1).publicKey, asset: AssetID(1))
        let shard = map.shard(of: specification.id)
        let request = request(
            .independent, [.open(specification), .issue(to: specification.id, asset: AssetID(1), amount: Amount(7))])
        #expect(request.participants(in: map) == [shard])
        #expect(request.effects(ofLeg: 0, on: shard, in: map) == [.open(specification)])
        #expect(request.effects(ofLeg: 1, on: shard, in: map) == [.issue(specification.id, AssetID(1), Amount(7))])
    }

    @Test func everyEffectHappensOnExactlyOneShard() {
        var samples = Samples(seed: 11)
        for _ in 0..<300 {
            let request = samples.request()
            for leg in 0..<request.legCount {
                let effects = request.participants(ofLeg: leg, in: map).map {
                    request.effects(ofLeg: leg, on: $0, in: map).count
                }
                let operations = request.operations(ofLeg: leg)
                let expected = operations.map { operation in
                    switch operation {
                    case .transfer: 2
                    case .open, .issue: 1
                    case .read, .call, .freeze, .release: 0
                    }
                }.reduce(0, +)
                let reads = operations.contains {
                    switch $0 {
                    case .read, .call, .freeze, .release: true
                    case .transfer, .open, .issue: false
                    }
                }
                #expect((reads || effects.allSatisfy { $0 > 0 }) && effects.reduce(0, +) == expected)
            }
        }
    }

    @Test func aRequestWithoutOperationsIsNotRead() {
        #expect(throws: DecodingFailure.self) { try Request(decoding: request(.atomic, []).encoded()) }
    }

    @Test func aSignatureCoversEveryByte() throws {
        let signed = SignedRequest(
            request(.atomic, [transfer(account(on: 0), account(on: 1))]), signedBy: TestSigner(1))
        #expect(signed.isSignatureValid(TestScheme()))
        let bytes = signed.encoded()
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 1
            guard let other = try? SignedRequest(decoding: changed) else { continue }
            #expect(!other.isSignatureValid(TestScheme()), "byte \(position)")
        }
    }
}

/// The decision is the AND of the certified votes: a pure function (R8, R10, R11).
@Suite struct DecisionTests {
    @Test(arguments: [
        ([LegStatus?.some(.votedYes), .some(.votedYes)], Decision?.some(.commit)),
        ([.votedYes, nil], nil),
        ([nil, nil], nil),
        ([.votedYes, .votedNo(.insufficientFunds)], .abort(.insufficientFunds)),
        ([.votedNo(.wrongAsset), .votedNo(.insufficientFunds)], .abort(.wrongAsset)),
        ([nil, .votedNo(.overflow)], .abort(.overflow)),
        ([.votedYes, .noRecordAbort], .abort(.participantAborted)),
        ([nil, .acknowledged], .abort(.participantAborted)),
        ([.aborted(.participantAborted), .votedYes], .abort(.participantAborted)),
        // A shard commits only with every yes vote in hand: what it answers now does not take them back.
        ([.committed, .noRecordAbort], .commit),
        ([.acknowledged, .committed], .commit),
        ([.committed, nil], .commit),
        ([.committed], .commit),
        ([.votedYes], .commit),
    ])
    func aDecisionIsTheAndOfTheVotes(statuses: [LegStatus?], decision: Decision?) {
        #expect(Decision(statuses) == decision)
    }

    @Test func moreKnowledgeNeverChangesADecision() {
        // Over all combinations of votes that shards may really give for one transaction: the first and only vote of
        // each, then what it becomes.
        let votes: [LegStatus] = [.votedYes, .votedNo(.insufficientFunds), .noRecordAbort, .acknowledged]
        for a in votes {
            for b in votes {
                for c in votes {
                    let all: [LegStatus?] = [a, b, c]
                    let final = Decision(all)
                    #expect(final != nil)
                    for mask in 0..<8 {
                        let known = (0..<3).map { mask >> $0 & 1 == 1 ? all[$0] : nil }
                        guard let early = Decision(known) else { continue }
                        #expect((early == .commit) == (final == .commit))
                    }
                }
            }
        }
    }

    @Test func aReceiptDecidesByTheRequestsOwnParticipants() {
        let map = ShardMap(shardCount: 2)
        let (here, there) = (AccountID(1), AccountID(UInt128.max))
        let request = SignedRequest(
            Request(
                cluster: ClusterID(FixedBytes32()), epoch: Epoch(1), principal: TestSigner(1).publicKey,
                number: RequestNumber(1),
                acknowledgedBelow: RequestNumber(1), issuedAt: .zero, deadline: Timestamp(1), mode: .atomic,
                operations: [.transfer(Transfer(from: here, to: there, asset: AssetID(1), amount: Amount(1)))]),
            signedBy: TestSigner(1))
        func certificate(_ shard: UInt16, _ digest: Digest, leg: UInt16 = 0, status: LegStatus = .votedYes)
            -> Certificate
        {
            let leaf = Leaf(request: digest, entries: [.init(leg: leg, status: status)])
            let statement = AttestationStatement(
                cluster: ClusterID(FixedBytes32()), epoch: Epoch(1), shard: ShardID(shard), sequence: SequenceNumber(1),
                previousHistory: .null, batch: .null, leavesRoot: leaf.hash)
            return Certificate(
                statement: statement, leaf: leaf, path: MerklePath(index: 0, count: 1, siblings: []), signatures: [])
        }
        func decision(_ certificates: [Certificate]) -> Decision? {
            Receipt(request: request, certificates: certificates).decision(ofLeg: 0, in: map)
        }
        #expect(decision([certificate(0, request.digest), certificate(1, request.digest)]) == .commit)
        #expect(decision([certificate(0, request.digest)]) == nil)
        #expect(decision([certificate(0, request.digest), certificate(0, request.digest)]) == nil)
        #expect(decision([certificate(0, request.digest), certificate(1, .null)]) == nil)
        #expect(decision([certificate(0, request.digest), certificate(1, request.digest, leg: 1)]) == nil)

        // What was forgotten after it was acknowledged may have committed: the word for that proves nothing, whatever
        // else is there.
        let acknowledged = certificate(1, request.digest, status: .acknowledged)
        for certificates in [[acknowledged], [certificate(0, request.digest), acknowledged]] {
            #expect(decision(certificates) == nil)
            #expect(Receipt(request: request, certificates: certificates).isBeyondProof(leg: 0, in: map))
        }
        #expect(
            !Receipt(request: request, certificates: [certificate(0, request.digest)]).isBeyondProof(leg: 0, in: map))
        #expect(decision([certificate(0, request.digest, status: .committed), acknowledged]) == .commit)
        #expect(
            decision([certificate(0, request.digest, status: .noRecordAbort), acknowledged])
                == .abort(.participantAborted))
    }
}
