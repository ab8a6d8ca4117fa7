import Messages
import TestSignatures
import Testing

/// Hashes and encodings computed by another implementation (Python's hashlib). A change here is a change of the wire
/// format or of what is signed: existing clusters would no longer understand each other.
@Suite struct GoldenTests {
    private func filled<T: Bytes32>(_ byte: UInt8) throws -> T {
        try #require(T(bytes: [UInt8](repeating: byte, count: 32)))
    }

    private func request() throws -> Request {
        Request(
            cluster: try filled(0x11), epoch: Epoch(7), principal: try filled(0x22), number: RequestNumber(5),
            acknowledgedBelow: RequestNumber(3), issuedAt: Timestamp(1000), deadline: Timestamp(2000), mode: .atomic,
            operations: [
                .transfer(Transfer(from: AccountID(1), to: AccountID(2), asset: AssetID(9), amount: Amount(100)))
            ])
    }

    @Test func aRequestsBytesAndDigestAreFixed() throws {
        let signed = SignedRequest(try request(), signedBy: TestSigner(1))
        let cluster = String(repeating: "11", count: 32)
        let principal = String(repeating: "22", count: 32)
        let numbers = "05000000000000000300000000000000e803000000000000d007000000000000"
        let transfer =
            "0101000000000000000000000000000000" + "02000000000000000000000000000000" + "09000000"
            + "64000000000000000000000000000000"
        #expect(Hex.encode(signed.bytes) == cluster + "07000000" + principal + numbers + "00" + "01000000" + transfer)
        #expect(signed.digest.hex == "b9df9ae050a74111c10dea877b4e3e98384d11c94d7e85b12bed80f3da3bb54f")
        #expect(
            Hex.encode(signingInput(.request, signed.digest))
                == "1171756f726174652f312f72657175657374b9df9ae050a74111c10dea877b4e3e98384d11c94d7e85b12bed80f3da3bb54f"
        )
    }

    /// Without predecessors a request has the bytes above; with them the mode's byte says so.
    @Test func theBytesOfWhatARequestFollowsAreFixed() throws {
        var request = try request()
        let plain = Hex.encode(request.encoded())
        request.follows = [
            Predecessor(shard: ShardID(1), number: RequestNumber(4), deadline: Timestamp(1900)),
            Predecessor(shard: ShardID(258), number: RequestNumber(2), deadline: Timestamp(1800)),
        ]
        // Cluster, epoch, principal, two numbers and two times stand before the mode.
        let head = 2 * (32 + 4 + 32 + 8 + 8 + 8 + 8)
        let follows = "02000000" + "010004000000000000006c07000000000000" + "020102000000000000000807000000000000"
        let withPredecessors = plain.prefix(head) + "02" + follows + plain.dropFirst(head + 2)
        #expect(Hex.encode(request.encoded()) == withPredecessors)
        #expect(
            SignedRequest(request, signedBy: TestSigner(1)).digest.hex
                == "cd6b89390cb3a683990bdafabcede49019b5e311b42e5c51c383e923ef4f38b5")
        request.mode = .independent
        #expect(Hex.encode(request.encoded()) == plain.prefix(head) + "03" + follows + plain.dropFirst(head + 2))
    }

    @Test func aTransactionsIdentifierIsFixed() throws {
        let digest = SignedRequest(try request(), signedBy: TestSigner(1)).digest
        #expect(TransactionID(request: digest, mode: .atomic, leg: 0).hex == digest.hex)
        #expect(
            TransactionID(request: digest, mode: .independent, leg: 2).hex
                == "7dc4335f78d68a8595dfeee488a1218a8f33b3dca3df01aa8cf00fe8c3f9e25d")
    }

    @Test func anAccountsIdentifierIsFixed() throws {
        let account = AccountSpecification(owner: try filled(0x22), asset: AssetID(9), index: 4)
        #expect(account.id.hex == "afe844962000ec20d1e30556d0a4e5ee")
    }

    @Test func aBatchsDigestIsFixedAndTheNullRequestHasNone() throws {
        #expect(
            Batch(time: Timestamp(123), items: []).digest.hex
                == "d2536cc8649b0137c10b14d87eb30e9c78ddc8fb62c5b7d55a0423ac8d2dc334")
        #expect(Batch.null.digest == .null && Batch.null.bytes.isEmpty && Batch.null.isNull)
        #expect(try Batch(bytes: []) == .null)
    }

    @Test func whatReplicasSignIsFixed() throws {
        let statement = AttestationStatement(
            cluster: try filled(0x11), epoch: Epoch(7), shard: ShardID(1), sequence: SequenceNumber(42),
            previousHistory: try filled(0x33), batch: try filled(0x44), leavesRoot: try filled(0x55))
        #expect(statement.digest.hex == "a0a78eb4122d1c950806431d4dafb2651c3c45d135e3ec115fbfcab0f8e5a70a")
        #expect(statement.history.hex == "73c0474b93770f72d2aaf5ef282cf5dc4d60282e28768ff1398c7fc0764ca2ba")
        let digest = SignedRequest(try request(), signedBy: TestSigner(1)).digest
        let leaf = Leaf(
            request: digest,
            entries: [.init(leg: 0, status: .votedYes), .init(leg: 3, status: .votedNo(.insufficientFunds))])
        #expect(leaf.hash.hex == "139af3aef687aa74e0592b9d3d3f6483247313e7eb59875829fad42f87b60e20")
    }
}
