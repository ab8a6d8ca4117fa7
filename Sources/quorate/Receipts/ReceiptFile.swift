import Foundation
import HostRuntime
import Messages

/// A receipt as people can read it. Everything readable is recomputed when it is verified: the file must be exactly
/// what its signed bytes and certificates say.
struct ReceiptFile: Encodable, Sendable {
    struct SignedBytes: Encodable, Sendable {
        /// The signed bytes, and their hash.
        var bytes: String
        var digest: String
        var signature: String
        var principal: String
        var number: UInt64
    }
    struct Statement: Encodable, Sendable {
        var cluster: String
        var epoch: UInt32
        var shard: UInt16
        var sequence: UInt64
        var previous_history: String
        var batch: String
        var leaves_root: String
    }
    struct Leg: Encodable, Sendable {
        var leg: UInt16
        var status: String
    }
    struct LeafText: Encodable, Sendable {
        var bytes: String
        var request: String
        var legs: [Leg]
    }
    struct Path: Encodable, Sendable {
        var index: UInt32
        var count: UInt32
        var siblings: [String]
    }
    struct SignatureText: Encodable, Sendable {
        var replica: UInt8
        var signature: String
    }
    struct CertificateText: Encodable, Sendable {
        var shard: UInt16
        var statement: Statement
        var leaf: LeafText
        var path: Path
        var signatures: [SignatureText]
    }
    struct Transaction: Encodable, Sendable {
        var txid: String
        var operations: [String]
        var shards: [UInt16]
        var outcome: String
    }

    var schema = 1
    var cluster: String
    var request: SignedBytes
    var certificates: [CertificateText]
    var transactions: [Transaction]

    /// What the file must be for a receipt.
    init(_ receipt: Receipt, map: ShardMap) {
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
                outcome: Text.outcome(receipt.decision(ofLeg: leg, in: map)))
        }
    }

    static func describe(_ operation: Messages.Operation) -> String {
        switch operation {
        case .transfer(let transfer):
            "transfer \(transfer.amount) of asset \(transfer.asset) from \(transfer.from) to \(transfer.to)"
        case .open(let specification):
            "open account \(specification.id) of asset \(specification.asset) for \(specification.owner)"
        case .read(let account): "read \(account)"
        case .call(let call, _): "call \(call.procedure) of \(call.target)"
        case .issue(let to, let asset, let amount): "issue \(amount) of asset \(asset) to \(to)"
        }
    }

    func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

enum ReceiptStore {
    static func txid(_ request: SignedRequest) -> String {
        TransactionID(request: request.digest, mode: request.request.mode, leg: 0).hex
    }

    private static func defaultFolder(_ folder: ClusterFolder) -> String { folder.path + "/receipts" }

    /// Whether a receipt can be written there, before what it is to prove is done.
    /// - Parameter path: nil for `receipts/TXID.json` in the cluster's folder.
    static func check(_ path: String?, _ folder: ClusterFolder) throws {
        let place = path ?? defaultFolder(folder) + "/receipt"
        let above = URL(fileURLWithPath: place).deletingLastPathComponent().path
        do {
            try SecretFile.makeFolder(above, mode: 0o755)
            if let path { try requireReplaceable(path) }
            let probe = above + "/.probe.\(getpid()).\(UInt32.random(in: 0 ... .max)).tmp"
            guard try SecretFile.create(probe, [10]) else { throw ToolError(.failure, "\(probe) is there already") }
            try SecretFile.remove(probe)
        } catch {
            throw ToolError(
                .failure, "the receipt could not be written, so nothing was sent: \(ToolError(error).description)")
        }
    }

    private static func requireReplaceable(_ path: String) throws {
        var information = stat()
        guard stat(path, &information) == 0 else { return }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw ToolError(.failure, "\(path) is there and is not a file")
        }
    }

    /// Whole and on disk when this returns.
    /// - Parameter path: nil for `receipts/TXID.json` in the cluster's folder.
    /// - Returns: where it is.
    static func save(_ receipt: Receipt, _ folder: ClusterFolder, at path: String? = nil) throws -> String {
        let path = path ?? "\(defaultFolder(folder))/\(txid(receipt.request)).json"
        try SecretFile.makeFolder(URL(fileURLWithPath: path).deletingLastPathComponent().path, mode: 0o755)
        try requireReplaceable(path)
        try SecretFile.replace(
            path, Array(try ReceiptFile(receipt, map: folder.manifest.shardMap).text().utf8), mode: 0o644)
        return path
    }

    /// Nil for one that was settled before.
    static func save(_ reply: Reply, _ folder: ClusterFolder, at path: String? = nil) throws -> String? {
        try reply.outcome.map { try save($0.receipt, folder, at: path) } ?? reply.entry.receipt
    }
}
