import FoundationEssentials
import Messages

/// A receipt as people can read it. Everything readable is recomputed when it is verified: the file must be exactly
/// what its signed bytes and certificates say.
package struct ReceiptFile: Encodable, Sendable {
    package struct SignedBytes: Encodable, Sendable {
        /// The signed bytes, and their hash.
        package var bytes: String
        package var digest: String
        package var signature: String
        package var principal: String
        package var number: UInt64
    }
    package struct Statement: Encodable, Sendable {
        package var cluster: String
        package var epoch: UInt32
        package var shard: UInt16
        package var sequence: UInt64
        package var previous_history: String
        package var batch: String
        package var leaves_root: String
    }
    package struct Leg: Encodable, Sendable {
        package var leg: UInt16
        package var status: String
    }
    package struct LeafText: Encodable, Sendable {
        package var bytes: String
        package var request: String
        package var legs: [Leg]
    }
    package struct Path: Encodable, Sendable {
        package var index: UInt32
        package var count: UInt32
        package var siblings: [String]
    }
    package struct SignatureText: Encodable, Sendable {
        package var replica: UInt8
        package var signature: String
    }
    package struct CertificateText: Encodable, Sendable {
        package var shard: UInt16
        package var statement: Statement
        package var leaf: LeafText
        package var path: Path
        package var signatures: [SignatureText]
    }
    package struct Transaction: Encodable, Sendable {
        package var txid: String
        package var operations: [String]
        package var shards: [UInt16]
        package var outcome: String
    }

    package var schema = 1
    package var cluster: String
    package var request: SignedBytes
    package var certificates: [CertificateText]
    package var transactions: [Transaction]

    /// What the file must be for a receipt.
    package init(_ receipt: Receipt, map: ShardMap) {
        let signed = receipt.request
        cluster = signed.request.cluster.hex
        request = SignedBytes(
            bytes: Hex.encode(signed.bytes), digest: signed.digest.hex, signature: Hex.encode(signed.signature.bytes),
            principal: signed.request.principal.hex, number: signed.request.number.number)
        certificates = receipt.certificates.map { certificate in
            let statement = certificate.statement
            return CertificateText(
                shard: certificate.shard.number,
                statement: Statement(
                    cluster: statement.cluster.hex, epoch: statement.epoch.number, shard: statement.shard.number,
                    sequence: statement.sequence.number, previous_history: statement.previousHistory.hex,
                    batch: statement.batch.hex,
                    leaves_root: statement.leavesRoot.hex),
                leaf: LeafText(
                    bytes: Hex.encode(certificate.leaf.encoded()), request: certificate.leaf.request.hex,
                    legs: certificate.leaf.entries.map { Leg(leg: $0.leg, status: $0.status.description) }),
                path: Path(
                    index: certificate.path.index, count: certificate.path.count,
                    siblings: certificate.path.siblings.map(\.hex)),
                signatures: certificate.signatures.map {
                    SignatureText(replica: $0.replica.number, signature: Hex.encode($0.signature.bytes))
                })
        }
        transactions = (0..<signed.request.legCount).map { leg in
            Transaction(
                txid: TransactionID(request: signed.digest, mode: signed.request.mode, leg: UInt16(leg)).hex,
                operations: signed.request.operations(ofLeg: leg).map { Self.describe($0) },
                shards: signed.request.participants(ofLeg: leg, in: map).map(\.number),
                outcome: Self.outcome(receipt.decision(ofLeg: leg, in: map)))
        }
    }

    /// A decision as people read it; nil is one that is not known.
    package static func outcome(_ decision: Decision?) -> String {
        switch decision {
        case .commit: "committed"
        case .abort(let reason): "aborted: \(reason)"
        case nil: "unknown"
        }
    }

    package static func describe(_ operation: Operation) -> String {
        switch operation {
        case .transfer(let transfer):
            "transfer \(transfer.amount) of asset \(transfer.asset) from \(transfer.from) to \(transfer.to)"
        case .open(let specification):
            "open account \(specification.id) of asset \(specification.asset) for \(specification.owner)"
        case .read(let account): "read \(account)"
        case .call(let call, _): "call \(call.procedure) of \(call.target)"
        case .issue(let to, let asset, let amount): "issue \(amount) of asset \(asset) to \(to)"
        case .freeze(let account, let freeze): "freeze \(freeze.direction) of \(account) for reason \(freeze.reason)"
        case .release(let account): "release \(account)"
        }
    }

    package func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
