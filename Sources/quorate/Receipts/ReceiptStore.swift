import Client
import Foundation
import HostRuntime
import Messages

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
