import Messages
import TestSignatures
import Testing

/// Decides that travel together: what their certificates share stands once, and there is one way to write them.
@Suite struct CertificateTableTests {
    private static func leaf(_ number: Int) -> Leaf {
        Leaf(request: Hasher256.hash(.request, [UInt8(number)]), entries: [.init(leg: 0, status: .votedYes)])
    }

    /// Certificates of all leaves of a batch with so many.
    private static func batch(_ count: Int, sequence: UInt64 = 1, signatures: Int = 2) -> [Certificate] {
        let leaves = (0..<count).map(leaf)
        let tree = MerkleTree(leaves: leaves)
        let statement = AttestationStatement(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1), shard: ShardID(0), sequence: SequenceNumber(sequence),
            previousHistory: .null, batch: .null, leavesRoot: tree.root)
        let signed = (0..<signatures).map {
            ReplicaSignature(
                replica: ReplicaIndex(UInt8($0)), signature: TestSigner($0).sign(statement.signingBytes))
        }
        return leaves.indices.map {
            Certificate(statement: statement, leaf: leaves[$0], at: $0, of: tree, signatures: signed)
        }
    }

    private static func decide(_ certificates: [Certificate]) -> TransactionDecide {
        TransactionDecide(
            principal: TestSigner(1).publicKey, number: RequestNumber(1),
            request: certificates.first?.leaf.request ?? .null, certificates: certificates)
    }

    private static func batch(_ decides: [TransactionDecide]) -> Batch {
        Batch(time: Timestamp(1), items: decides.map { .decide($0) })
    }

    private static func read(_ batch: Batch) throws -> [TransactionDecide] {
        try Batch(bytes: batch.bytes).items.compactMap { if case .decide(let decide) = $0 { decide } else { nil } }
    }

    @Test(arguments: 1...9)
    func everyChoiceOfLeavesOfATreeIsReadBackWithItsPaths(count: Int) throws {
        let certificates = Self.batch(count)
        for choice in 1..<1 << count {
            let chosen = certificates.indices.filter { choice & 1 << $0 != 0 }.map { certificates[$0] }
            // Each a decide of its own, in another order than that of the leaves.
            let decides = chosen.reversed().map { Self.decide([$0]) }
            let got = try Self.read(Self.batch(decides))
            #expect(got == decides)
            let areProven = got.allSatisfy { $0.certificates.allSatisfy { $0.isInBatch } }
            #expect(areProven)
        }
    }

    @Test func whatTheyShareStandsOnce() {
        let certificates = Self.batch(64)
        let alone = Self.batch([Self.decide([certificates[0]])]).bytes.count
        let together = Self.batch(certificates.map { Self.decide([$0]) }).bytes.count
        // Principal, number, place and leaf; and once the statement, the signatures and no node of the tree.
        #expect(alone > 500 && together < 64 * 110 + 400, "\(alone), \(together)")
        // Of every second leaf one node each is missing.
        let half = Self.batch(stride(from: 0, to: 64, by: 2).map { Self.decide([certificates[$0]]) }).bytes.count
        #expect(half < 32 * 142 + 400, "\(half)")
    }

    @Test func aLeafThatTwoDecidesHaveStandsTwiceAndOtherSignaturesAreAnotherGroup() throws {
        let (few, more, later) = (Self.batch(3), Self.batch(3, signatures: 3), Self.batch(3, sequence: 2))
        let decides = [
            Self.decide([few[0]]), Self.decide([few[0], more[0]]), Self.decide([few[1], later[1]]),
            Self.decide([more[1], few[0]]), Self.decide([]),
        ]
        #expect(try Self.read(Self.batch(decides)) == decides)
    }

    /// It is written whole, so that it is the verifier that refuses it, and no one else in the same message is lost to
    /// it unread.
    @Test func whatLeadsToAnotherRootIsReadAsItIs() throws {
        let good = Self.batch(3)
        let wrong = Certificate(
            statement: good[0].statement, leaf: good[1].leaf, path: good[0].path, signatures: good[0].signatures)
        #expect(!wrong.isInBatch)
        let decides = [Self.decide([good[0]]), Self.decide([wrong]), Self.decide([good[2]])]
        let got = try Self.read(Self.batch(decides))
        #expect(got == decides)
        #expect(got.map { $0.certificates[0].isInBatch } == [true, false, true])
    }

    /// Any other leaf, place or node leads to another root.
    @Test func noByteOfAGroupCanBeAnother() throws {
        let certificates = Self.batch(7)
        let batch = Self.batch([Self.decide([certificates[1]]), Self.decide([certificates[4]])])
        var bytes = Array(batch.bytes)
        var read = 0
        for place in bytes.indices {
            bytes[place] ^= 1
            if let other = try? Batch(bytes: bytes[...]) {
                read += 1
                #expect(other.digest != batch.digest)
                for case .decide(let decide) in other.items {
                    let areProven = decide.certificates.allSatisfy { $0.isInBatch }
                    #expect(areProven, "byte \(place)")
                }
            }
            bytes[place] ^= 1
        }
        #expect(read > 0)
    }

    @Test func decidesOfAMessageAscendByRequestEachOnce() throws {
        let sorted = Self.batch(4).map { Self.decide([$0]) }.sorted { $0.request < $1.request }
        func message(_ decides: [TransactionDecide]) -> GatewayMessage { .decides([ShardID(1)], decides) }
        #expect(try GatewayMessage(decoding: message(sorted).encoded()) == message(sorted))
        for wrong in [[], sorted.reversed(), [sorted[0], sorted[0]]] {
            #expect(throws: DecodingFailure.self) { try GatewayMessage(decoding: message(wrong).encoded()) }
        }
        let many = (0..<TransactionDecide.maxTogether + 1).map { number in
            TransactionDecide(
                principal: TestSigner(1).publicKey, number: RequestNumber(1),
                request: Hasher256.hash(.request, [UInt8(number & 255), UInt8(number >> 8)]), certificates: [])
        }
        #expect(throws: DecodingFailure.self) {
            try GatewayMessage(decoding: message(many.sorted { $0.request < $1.request }).encoded())
        }
    }

    @Test func whatAShardHasCertifiedItselfIsLeftOut() {
        let (first, second) = (Self.batch(3), Self.batch(3, sequence: 2))
        let decide = Self.decide([first[0], second[0]])
        #expect(decide.withoutCertificates(of: ShardID(1)) == decide)
        #expect(decide.withoutCertificates(of: ShardID(0)).certificates.isEmpty)
        #expect(decide.withoutCertificates(of: ShardID(0)).digest != decide.digest)
        #expect(Self.batch([decide]).bytes.count <= 16 + decide.maxSize)
    }
}
