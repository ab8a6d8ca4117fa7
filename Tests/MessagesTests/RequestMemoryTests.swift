import Messages
import TestSamples
import TestSignatures
import Testing

/// What was decoded once is not decoded again, and nothing else is taken for it.
@Suite struct RequestMemoryTests {
    private func batch(_ requests: [SignedRequest]) -> Batch {
        Batch(time: Timestamp(5), items: requests.map { .request($0) })
    }

    /// A request of some kilobytes.
    private func large(number: UInt64) -> SignedRequest {
        var samples = Samples(seed: number)
        let transfers = (0..<1024).map { _ in Operation.transfer(samples.transfer()) }
        let request = Request(
            cluster: samples.bytes32(), epoch: samples.number(), principal: samples.bytes32(),
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: .zero, deadline: .zero,
            mode: .independent, operations: transfers)
        return SignedRequest(request, signedBy: TestSigner(1))
    }

    private func address(_ request: SignedRequest) -> UnsafeRawPointer? {
        request.bytes.withUnsafeBytes { $0.baseAddress }
    }

    private func requests(_ batch: Batch) -> [SignedRequest] {
        batch.items.compactMap { if case .request(let request) = $0 { request } else { nil } }
    }

    @Test func aBatchSharesTheRequestsThatWereSubmitted() throws {
        var samples = Samples(seed: 1)
        let (known, other) = (samples.signedRequest(), samples.signedRequest())
        let memory = RequestMemory()
        memory.note(known)
        let sent = batch([other, known])
        let message = HostMessage.pbft(
            ShardID(0), .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: sent)))
        let read = try HostMessage(decoding: message.encoded(), memory: memory)
        #expect(read == message)
        guard case .pbft(_, .prePrepare(let proposal)) = read else { return #expect(Bool(false), "another message") }
        let found = requests(proposal.batch)
        #expect(found.map(\.request) == [other.request, known.request])
        #expect(address(found[1]) == address(known))
        #expect(address(found[0]) != address(other))
        #expect(proposal.batch.digest == sent.digest)
        // Without a memory it is another copy.
        #expect(address(requests(try Batch(bytes: sent.bytes))[1]) != address(known))
    }

    /// Same signature, other bytes; same bytes, other signature; and every byte that an input may end at.
    @Test func onlyTheVeryBytesAreFound() throws {
        var samples = Samples(seed: 2)
        let known = samples.signedRequest()
        let memory = RequestMemory()
        memory.note(known)
        let bytes = known.encoded()
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1
            let plain = Result { try SignedRequest(decoding: changed) }
            let remembered = Result { try SignedRequest(decoding: changed, memory: memory) }
            switch (plain, remembered) {
            case (.success(let a), .success(let b)):
                #expect(a == b && a.request == b.request && a.bytes == b.bytes, "byte \(place)")
                #expect(b != known, "byte \(place)")
            case (.failure, .failure): continue
            default: Issue.record("byte \(place): \(plain) and \(remembered)")
            }
        }
        for count in bytes.indices {
            #expect(throws: DecodingFailure.self) {
                try SignedRequest(decoding: Array(bytes.prefix(count)), memory: memory)
            }
        }
        #expect(throws: DecodingFailure.self) { try SignedRequest(decoding: bytes + [0], memory: memory) }
    }

    @Test func itsRoomIsBounded() throws {
        let memory = RequestMemory()
        let first = large(number: 1)
        memory.note(first)
        var noted = 0
        var number: UInt64 = 2
        // Some take the places of others.
        while noted <= 2 * RequestMemory.maxBytes {
            let next = large(number: number)
            memory.note(next)
            noted += next.bytes.count
            number += 1
        }
        let copy = try SignedRequest(decoding: first.encoded(), memory: memory)
        #expect(copy == first)
        #expect(address(copy) != address(first))
    }
}
