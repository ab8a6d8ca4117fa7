import Messages
import StrictInput

extension Receipt {
    /// What a receipt's file has as signed bytes and certificates; what else it says is not looked at, and no signature
    /// is checked.
    /// - Throws: at the first place that is not as it must be.
    package init(reading root: JSONReader) throws(InputProblem) {
        let fields = try root.object(["schema", "cluster", "request", "certificates", "transactions"])
        let request = try fields["request"].object(["bytes", "digest", "signature", "principal", "number"])
        var writer = ByteWriter()
        writer.put(blob: try request["bytes"].hex())
        writer.put(raw: try request["signature"].hex(count: 64))
        let signed: SignedRequest = try Self.decode(writer.bytes, request["bytes"])
        var certificates: [Certificate] = []
        for certificate in try fields["certificates"].elements() {
            certificates.append(try Self.certificate(certificate))
        }
        self.init(request: signed, certificates: certificates)
    }

    private static func certificate(_ value: JSONReader) throws(InputProblem) -> Certificate {
        let fields = try value.object(["shard", "statement", "leaf", "path", "signatures"])
        let statement = try fields["statement"].object(
            ["cluster", "epoch", "shard", "sequence", "previous_history", "batch", "leaves_root"])
        let bytes = try fields["leaf"].object(["bytes", "request", "legs"])["bytes"]
        let path = try fields["path"].object(["index", "count", "siblings"])
        var siblings: [Digest] = []
        for sibling in try path["siblings"].elements() { siblings.append(try digest(sibling)) }
        var signatures: [ReplicaSignature] = []
        for element in try fields["signatures"].elements() {
            let one = try element.object(["replica", "signature"])
            guard let signature = Signature(bytes: try one["signature"].hex(count: 64)) else {
                throw one["signature"].problem("no signature")
            }
            signatures.append(
                ReplicaSignature(replica: ReplicaIndex(try one["replica"].integer()), signature: signature))
        }
        return Certificate(
            statement: AttestationStatement(
                cluster: try digest(statement["cluster"]), epoch: Epoch(try statement["epoch"].integer()),
                shard: ShardID(try statement["shard"].integer()),
                sequence: SequenceNumber(try statement["sequence"].integer()),
                previousHistory: try digest(statement["previous_history"]), batch: try digest(statement["batch"]),
                leavesRoot: try digest(statement["leaves_root"])),
            leaf: try decode(try bytes.hex(), bytes),
            path: MerklePath(
                index: try path["index"].integer(), count: try path["count"].integer(), siblings: siblings),
            signatures: signatures)
    }

    private static func digest<T: Bytes32>(_ value: JSONReader) throws(InputProblem) -> T {
        guard let digest = T(bytes: try value.hex(count: 32)) else { throw value.problem("not 32 bytes") }
        return digest
    }

    private static func decode<T: CanonicalDecodable>(_ bytes: [UInt8], _ value: JSONReader) throws(InputProblem) -> T {
        do { return try T(decoding: bytes) } catch {
            throw value.problem("\(error)", expected: "canonical bytes (docs/receipts)")
        }
    }
}
