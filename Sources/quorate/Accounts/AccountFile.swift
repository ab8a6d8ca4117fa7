import Foundation
import ManifestFile
import Messages
import StrictInput

/// `accounts/NAME.json`: one account's key and the number of its next request. Readable by its owner only.
struct AccountFile: Encodable, Sendable {
    var schema = 1
    var name: String
    var cluster: String
    /// 32 bytes as hexadecimal digits. Whoever has it can spend.
    var seed: String
    var public_key: String
    var account: String
    var asset: UInt32
    var index: UInt64
    /// Written before a number is used, so that a crash never leads to using one twice.
    var next_number: UInt64

    static func folder(_ cluster: String) -> String { cluster + "/accounts" }
    static func path(_ name: String, _ cluster: String) -> String { "\(folder(cluster))/\(name).json" }

    static func create(_ name: String, asset: UInt32, cluster: String, manifest: Manifest) throws -> AccountFile {
        guard isValid(name) else {
            throw ToolError(.failure, "\"\(name)\" cannot be an account's name: use 1 to 64 letters, digits, dots, dashes and underscores, not starting with a dot")
        }
        let path = path(name, cluster)
        guard !FileManager.default.fileExists(atPath: path) else { throw ToolError(.folderExists, "the account \(name) exists already: \(path)") }
        var random = SystemRandomNumberGenerator()
        let seed = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        guard let signer = Ed25519Signer(seed: seed) else { throw ToolError(.failure, "cannot make a key") }
        let specification = AccountSpecification(owner: signer.publicKey, asset: AssetID(asset), index: 0)
        let file = AccountFile(
            name: name, cluster: manifest.cluster.hex, seed: Hex.encode(seed), public_key: signer.publicKey.hex,
            account: specification.id.hex, asset: asset, index: 0, next_number: 1)
        try FileManager.default.createDirectory(
            atPath: folder(cluster), withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try file.save(cluster)
        return file
    }

    private static func isValid(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0) }
    }

    static func load(_ name: String, cluster: String, manifest: Manifest) throws -> AccountFile {
        let path = path(name, cluster)
        guard isValid(name), FileManager.default.fileExists(atPath: path) else {
            throw ToolError(
                .missingKeys, "there is no account \(Printable.line(name)) in \(folder(cluster)); create it with: quorate account create NAME")
        }
        let file: AccountFile
        do {
            file = try read(try JSONReader(try InputFile.read(path), file: path), name: name)
        } catch let problem as InputProblem {
            throw ToolError(.missingKeys, problem.description)
        }
        guard file.cluster == manifest.cluster.hex else {
            throw ToolError(.wrongManifest, "\(path) belongs to cluster \(file.cluster.prefix(8)), not to \(manifest.cluster.short)")
        }
        return file
    }

    /// Everything that follows from the key must be there as it follows: who edits one field must not move another's money.
    private static func read(_ root: JSONReader, name: String) throws -> AccountFile {
        let schema = try root.peek("schema")
        let number: UInt32 = try schema.integer()
        guard number == 1 else {
            let problem = schema.problem("schema \(number)", expected: "schema 1, which this build reads")
            throw ToolError(.versionMismatch, problem.description)
        }
        let fields = try root.object(["schema", "name", "cluster", "seed", "public_key", "account", "asset", "index", "next_number"])
        guard try fields["name"].string().utf8.elementsEqual(name.utf8) else {
            throw fields["name"].problem("another name than the file's", expected: name)
        }
        let seed = try fields["seed"].hex(count: 32)
        guard let signer = Ed25519Signer(seed: seed) else { throw fields["seed"].problem("no key") }
        guard try fields["public_key"].bytes32(PublicKey.self) == signer.publicKey else {
            throw fields["public_key"].problem("another key", expected: "the public key of the seed")
        }
        let (asset, index): (UInt32, UInt64) = (try fields["asset"].integer(), try fields["index"].integer())
        let account = AccountSpecification(owner: signer.publicKey, asset: AssetID(asset), index: index).id
        guard try fields["account"].string().utf8.elementsEqual(account.hex.utf8) else {
            throw fields["account"].problem("another account", expected: "\(account.hex), which is that of the key")
        }
        return AccountFile(
            name: name, cluster: try fields["cluster"].bytes32(ClusterID.self).hex, seed: Hex.encode(seed),
            public_key: signer.publicKey.hex, account: account.hex, asset: asset, index: index,
            // One is left for the number after the last.
            next_number: try fields["next_number"].integer(in: 1...UInt64.max - 1))
    }

    /// By name, or by account id where the key of the account is here.
    static func find(_ nameOrID: String, cluster: String, manifest: Manifest) throws -> AccountFile {
        if let id = AccountID(hex: nameOrID) {
            for name in names(cluster) {
                do {
                    let file = try load(name, cluster: cluster, manifest: manifest)
                    if AccountID(hex: file.account) == id { return file }
                } catch {
                    // It may be the one.
                    Console.error("warning: passed over: \(ToolError(error).description)")
                }
            }
            throw ToolError(.missingKeys, "no account file in \(folder(cluster)) has the key of account \(nameOrID)")
        }
        return try load(nameOrID, cluster: cluster, manifest: manifest)
    }

    /// A name, or any account's id.
    static func id(of nameOrID: String, cluster: String, manifest: Manifest) throws -> AccountID {
        if let id = AccountID(hex: nameOrID) { return id }
        guard let id = AccountID(hex: try load(nameOrID, cluster: cluster, manifest: manifest).account) else {
            throw ToolError(.missingKeys, "\(path(nameOrID, cluster)) has no valid account id")
        }
        return id
    }

    static func names(_ cluster: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder(cluster))) ?? [])
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
    }

    var signer: Ed25519Signer? { Hex.decode(seed).flatMap { Ed25519Signer(seed: $0) } }

    /// Replaces the file by one that is whole and on disk.
    func save(_ cluster: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try SecretFile.replace(Self.path(name, cluster), Array(try encoder.encode(self)) + [10])
    }

    /// Takes a number for a request; it is on disk before this returns.
    mutating func takeNumber(_ cluster: String) throws -> RequestNumber {
        let number = next_number
        next_number += 1
        try save(cluster)
        return RequestNumber(number)
    }
}

enum SecretFile {
    /// Mode 0600; written beside its place, synced and renamed.
    static func replace(_ path: String, _ bytes: [UInt8]) throws {
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create", temporary) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset) }
            guard count > 0 else {
                close(descriptor)
                throw failure("write", temporary)
            }
            offset += count
        }
        let isSynced = fsync(descriptor) == 0
        close(descriptor)
        guard isSynced, rename(temporary, path) == 0 else { throw failure("replace", path) }
        let folder = open(URL(fileURLWithPath: path).deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open the folder of", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("sync the folder of", path) }
    }

    private static func failure(_ what: String, _ path: String) -> ToolError {
        ToolError(.storage, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}

/// Keeps two commands from using one key at once: the later one would acknowledge the earlier one's number, and so
/// refuse its request for ever. Goes with the value, or with the process.
final class KeyLock: Sendable {
    private let descriptor: Int32

    /// Waits for its turn.
    init(_ path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ToolError(.storage, "cannot open \(path): \(String(cString: strerror(errno)))") }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw ToolError(.storage, "cannot lock \(path): \(String(cString: strerror(errno)))") }
        }
    }

    deinit { close(descriptor) }
}
