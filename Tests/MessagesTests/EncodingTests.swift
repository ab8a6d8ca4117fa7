import Messages
import TestSamples
import Testing

/// One value has one encoding, and bytes that are not the encoding of a value are refused, whatever they are.
@Suite struct EncodingTests {
    @Test(arguments: Kind.all)
    func whatIsWrittenIsReadBack(kind: Kind) throws {
        var samples = Samples(seed: 1)
        for _ in 0..<100 {
            let bytes = kind.make(&samples)
            #expect(try kind.reencode(bytes) == bytes)
        }
    }

    @Test(arguments: Kind.all)
    func everyTruncationAndEverythingTrailingIsRefused(kind: Kind) {
        var samples = Samples(seed: 2)
        for _ in 0..<5 {
            let bytes = kind.make(&samples)
            for count in bytes.indices {
                #expect(throws: DecodingFailure.self, "\(kind.name): \(count) of \(bytes.count) bytes") {
                    try kind.reencode(Array(bytes[..<count]))
                }
            }
            #expect(throws: DecodingFailure.trailing(count: 1)) { try kind.reencode(bytes + [0]) }
            #expect(throws: DecodingFailure.trailing(count: bytes.count)) { try kind.reencode(bytes + bytes) }
        }
    }

    /// Otherwise two encodings would mean the same, and a hash of the bytes would not be a hash of the value.
    @Test(arguments: Kind.all)
    func everyChangeOfAByteIsRefusedOrMeansSomethingElse(kind: Kind) {
        var samples = Samples(seed: 3)
        for _ in 0..<3 {
            let bytes = kind.make(&samples)
            let changes = bytes.count <= 160 ? Array(1...UInt8.max) : [1, 2, 4, 0x80, 0xFF]
            for position in bytes.indices {
                for change in changes {
                    var changed = bytes
                    changed[position] ^= change
                    guard let again = try? kind.reencode(changed) else { continue }
                    if again != changed {
                        Issue.record("\(kind.name): byte \(position) ^ \(change) is read as something else")
                    }
                }
            }
        }
    }

    @Test func aHaltReasonThatIsNotUTF8IsRefused() throws {
        var samples = Samples(seed: 3)
        let status = samples.replicaStatus()
        var bytes = status.encoded()
        bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [1, 0, 0, 0, 0xFF])
        #expect(throws: DecodingFailure.self) { try ReplicaStatus(decoding: bytes) }
    }

    /// No count makes a decoder allocate more than the input could hold: these would not fit into memory.
    @Test(arguments: Kind.all)
    func countsLargerThanTheInputAreRefused(kind: Kind) {
        var samples = Samples(seed: 4)
        for _ in 0..<3 {
            let bytes = kind.make(&samples)
            for position in bytes.indices where position + 4 <= bytes.count {
                for count in [UInt32.max, 1 << 30, 1 << 20, 65_536, 4096, 1024] {
                    var changed = bytes
                    for i in 0..<4 { changed[position + i] = UInt8(truncatingIfNeeded: count >> UInt32(8 * i)) }
                    if let again = try? kind.reencode(changed) { #expect(again == changed) }
                }
            }
        }
    }

    @Test func countsAreBoundedByTheirLimitsAndByTheInput() {
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0]
        func read<T>(_ bytes: [UInt8], _ body: (inout ByteReader) throws(DecodingFailure) -> T) throws(DecodingFailure)
            -> T
        {
            var reader = ByteReader(bytes)
            return try body(&reader)
        }
        #expect(throws: DecodingFailure.tooLong(offset: 0, count: 0xFFFF_FFFF, limit: 9)) {
            try read(huge) { (reader) throws(DecodingFailure) in try reader.array(of: Digest.self, limit: 9) }
        }
        #expect(throws: DecodingFailure.truncated(offset: 4, needed: 8, available: 2)) {
            try read(huge) { (reader) throws(DecodingFailure) in try reader.array(of: Digest.self, limit: .max) }
        }
        #expect(throws: DecodingFailure.truncated(offset: 4, needed: 0xFFFF_FFFF, available: 2)) {
            try read(huge) { (reader) throws(DecodingFailure) in try reader.blob(limit: .max) }
        }
        #expect(throws: DecodingFailure.tooLong(offset: 0, count: 0xFFFF_FFFF, limit: 9)) {
            try read(huge) { (reader) throws(DecodingFailure) in try reader.blob(limit: 9) }
        }
        #expect(throws: DecodingFailure.truncated(offset: 0, needed: -1, available: 6)) {
            try read(huge) { (reader) throws(DecodingFailure) in try reader.raw(-1) }
        }
    }

    @Test func aHundredThousandInputsOfGarbageTrapNothing() {
        var samples = Samples(seed: 5)
        for round in 0..<100_000 {
            let kind = Kind.all[round % Kind.all.count]
            var bytes: [UInt8]
            if round.isMultiple(of: 2) {
                // A kind that exists, then noise.
                bytes = (0..<samples.random.below(120)).map { _ in UInt8(truncatingIfNeeded: samples.random.next()) }
                if !bytes.isEmpty { bytes[0] = UInt8(samples.random.below(14)) }
            } else {
                // Something real with a few holes in it.
                bytes = kind.make(&samples)
                for _ in 0..<1 + samples.random.below(4) where !bytes.isEmpty {
                    let position = samples.random.below(bytes.count)
                    switch samples.random.below(3) {
                    case 0: bytes[position] = UInt8(truncatingIfNeeded: samples.random.next())
                    case 1: bytes.remove(at: position)
                    default: bytes.insert(UInt8(samples.random.below(4)), at: position)
                    }
                }
            }
            // Garbage of one kind is read as every kind now and then.
            for other in round.isMultiple(of: 20) ? Kind.all : [kind] {
                if let again = try? other.reencode(bytes), again != bytes {
                    Issue.record("\(other.name) is not canonical: \(Hex.encode(bytes))")
                }
            }
        }
    }

    @Test func unorderedSignaturesAndLegsAreRefused() {
        var samples = Samples(seed: 6)
        let one = ReplicaSignature(replica: ReplicaIndex(1), signature: Signature())
        let two = ReplicaSignature(replica: ReplicaIndex(2), signature: Signature())
        for signatures in [[two, one], [one, one]] {
            let certificate = Certificate(
                statement: samples.statement(), leaf: samples.leaf(), path: samples.path(), signatures: signatures)
            #expect(throws: DecodingFailure.self) { try Certificate(decoding: certificate.encoded()) }
        }
        for legs in [[1, 0], [1, 1]] as [[UInt16]] {
            let leaf = Leaf(request: .null, entries: legs.map { .init(leg: $0, status: .committed) })
            #expect(throws: DecodingFailure.self) { try Leaf(decoding: leaf.encoded()) }
        }
    }

    @Test func hexIsReadStrictly() {
        #expect(Hex.decode("00ffA0") == [0, 255, 160])
        #expect(Hex.decode("0") == nil && Hex.decode("0g") == nil && Hex.decode("é") == nil)
        #expect(Digest(hex: String(repeating: "0", count: 63)) == nil)
        #expect(Digest(hex: String(repeating: "0", count: 64)) == .null)
        #expect(AccountID(hex: "-0000000000000000000000000000001") == nil)
        #expect(AccountID(hex: "000000000000000000000000000000ff") == AccountID(255))
        #expect(AccountID(255).hex == "000000000000000000000000000000ff")
    }

    @Test func bytesCompareInOrder() throws {
        var samples = Samples(seed: 7)
        for _ in 0..<200 {
            let (a, b): (Digest, Digest) = (samples.bytes32(), samples.bytes32())
            #expect((a < b) == a.bytes.lexicographicallyPrecedes(b.bytes))
            #expect(Digest(bytes: a.bytes) == a && Digest(hex: a.hex) == a)
        }
    }
}

@Suite struct SharedBlobTests {
    private func blob(_ size: Int, in padding: Int) throws -> (shared: ArraySlice<UInt8>, whole: [UInt8]) {
        var writer = ByteWriter()
        writer.put(blob: [UInt8](repeating: 7, count: size))
        writer.put(raw: [UInt8](repeating: 0, count: padding))
        var reader = ByteReader(writer.bytes)
        return (try reader.sharedBlob(limit: 1 << 20), writer.bytes)
    }

    private func address(_ bytes: ArraySlice<UInt8>) -> UnsafeRawPointer? { bytes.withUnsafeBytes { $0.baseAddress } }

    @Test func whatIsMostOfAFrameIsNotCopied() throws {
        let (shared, whole) = try blob(10_000, in: 100)
        #expect(shared == [UInt8](repeating: 7, count: 10_000)[...])
        #expect(address(shared) == address(whole[4...]))
    }

    @Test func aSmallPartOfALargeFrameDoesNotKeepIt() throws {
        let (shared, whole) = try blob(1000, in: 10_000)
        #expect(shared.count == 1000 && address(shared) != address(whole[4...]))
    }

    @Test func aPartOfAnArrayIsReadFromItsOwnBeginning() throws {
        var reader = ByteReader([9, 9, 1, 2, 0, 0, 0, 5, 6, 9][2..<9])
        #expect(try reader.uint8() == 1 && reader.offset == 1)
        #expect(try reader.blob(limit: 2) == [5, 6])
        try reader.finish()
    }
}
