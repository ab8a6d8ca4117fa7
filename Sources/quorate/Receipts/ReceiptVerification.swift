import Client
import Messages

/// Offline proof of a receipt with the manifest alone.
struct ReceiptVerification: Sendable {
    private let document: ReceiptDocument
    let receipt: Receipt
    let file: ReceiptFile
    let decisions: [Decision]

    /// - Parameter file: the name that errors carry.
    /// - Throws: `ToolError` with `.invalidReceipt`, naming what is wrong.
    init(_ bytes: [UInt8], file: String, manifest: Manifest) throws {
        let document = try ReceiptDocument(bytes, file: file)
        let receipt = document.receipt
        var verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
        do { _ = try verifier.verify(receipt) } catch {
            throw document.refusal("the receipt proves nothing: \(Self.describe(error))")
        }
        // What people read must be what was proven.
        let recomputed = try document.file(in: manifest.shardMap)
        let decisions = (0..<receipt.request.request.legCount).map {
            receipt.decision(ofLeg: $0, in: manifest.shardMap)
        }
        if let open = decisions.firstIndex(where: { $0 == nil }) {
            let why =
                receipt.isBeyondProof(leg: open, in: manifest.shardMap)
                ? ": a shard says only that its number was acknowledged" : ""
            throw document.refusal(
                "the certificates are genuine but do not decide transaction \(open) of the request\(why)")
        }
        (self.document, self.receipt, self.file, self.decisions) = (
            document, receipt, recomputed, decisions.compactMap { $0 }
        )
    }

    private static func describe(_ refused: any Error) -> String {
        switch refused {
        case Refused.wrongCluster: "it is of another cluster"
        case Refused.wrongEpoch: "it is of another epoch"
        case Refused.unknownShard: "it names a shard that the manifest does not have"
        case Refused.unknownReplica: "it names a replica that the manifest does not have"
        case Refused.badSignature: "a signature is not valid"
        case Refused.badProof:
            "a certificate is not about this request, or its Merkle path does not lead to the signed root"
        case Refused.tooFewSignatures(let got, let needed): "a certificate has \(got) signatures and needs \(needed)"
        default: "\(refused)"
        }
    }

    func text() -> String {
        let request = receipt.request.request
        let lines = ["genuine: signed by principal \(request.principal), request number \(request.number)"]
        return (lines + document.lines(file, signatures: "signed by replicas")).joined(separator: "\n")
    }
}
