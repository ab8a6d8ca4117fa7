import Foundation
import Messages

/// Offline proof of a receipt with the manifest alone.
struct ReceiptVerification: Sendable {
    let receipt: Receipt
    let file: ReceiptFile
    let decisions: [Decision]

    /// - Throws: `ToolError` with `.invalidReceipt`, naming what is wrong.
    init(_ data: Data, manifest: Manifest) throws {
        let decoded: ReceiptFile
        do {
            decoded = try JSONDecoder().decode(ReceiptFile.self, from: data)
        } catch {
            throw ToolError(.invalidReceipt, "not a receipt: \(Self.describe(error))")
        }
        let receipt = try decoded.receipt()
        var verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
        do { _ = try verifier.verify(receipt) } catch { throw ToolError(.invalidReceipt, "the receipt proves nothing: \(Self.describe(error))") }

        // What people read must be what was proven, byte for byte in meaning: no field added, left out or changed.
        let file = ReceiptFile(receipt, map: manifest.shardMap)
        let wanted = try JSONSerialization.jsonObject(with: Data(try file.text().utf8)) as? NSDictionary
        let given = try JSONSerialization.jsonObject(with: data) as? NSDictionary
        guard let wanted, let given, wanted == given else {
            throw ToolError(.invalidReceipt, "the readable part of the receipt is not what its signed bytes and certificates say")
        }
        let decisions = (0..<receipt.request.request.legCount).map { receipt.decision(ofLeg: $0, in: manifest.shardMap) }
        if let open = decisions.firstIndex(where: { $0 == nil }) {
            let why = receipt.isBeyondProof(leg: open, in: manifest.shardMap) ? ": a shard says only that its number was acknowledged" : ""
            throw ToolError(.invalidReceipt, "the certificates are genuine but do not decide transaction \(open) of the request\(why)")
        }
        (self.receipt, self.file, self.decisions) = (receipt, file, decisions.compactMap { $0 })
    }

    private static func describe(_ refused: any Error) -> String {
        switch refused {
        case Refused.wrongCluster: "it is of another cluster"
        case Refused.wrongEpoch: "it is of another epoch"
        case Refused.unknownShard: "it names a shard that the manifest does not have"
        case Refused.unknownReplica: "it names a replica that the manifest does not have"
        case Refused.badSignature: "a signature is not valid"
        case Refused.badProof: "a certificate is not about this request, or its Merkle path does not lead to the signed root"
        case Refused.tooFewSignatures(let got, let needed): "a certificate has \(got) signatures and needs \(needed)"
        case DecodingError.dataCorrupted(let context): context.debugDescription
        case DecodingError.keyNotFound(let key, let context): "\((context.codingPath + [key]).map(\.stringValue).joined(separator: ".")) is missing"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type"
        default: "\(refused)"
        }
    }

    func text() -> String {
        var lines = ["genuine: signed by principal \(receipt.request.request.principal), request number \(receipt.request.request.number)"]
        for transaction in file.transactions {
            lines.append("transaction \(transaction.txid): \(transaction.outcome)")
            for operation in transaction.operations { lines.append("  \(operation)") }
            lines += CallText.arguments(of: receipt.request.request)
        }
        for certificate in receipt.certificates {
            let replicas = certificate.signatures.map { "\($0.replica)" }.joined(separator: ", ")
            let statuses = certificate.leaf.entries.prefix(4).map { "\($0.status)" }.joined(separator: "; ")
            lines.append("  shard \(certificate.shard), batch \(certificate.statement.sequence): \(statuses), signed by replicas \(replicas)")
            lines += CallText.results(in: certificate.leaf)
        }
        return lines.map(Text.printable).joined(separator: "\n")
    }
}
