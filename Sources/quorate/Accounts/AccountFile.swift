import Foundation
import ManifestFile
import Messages
import StrictInput

/// `accounts/NAME.json`: one account's key. Readable by its owner only, made once and never written again: the requests
/// that were signed with it are in its outbox.
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

    static func folder(_ cluster: String) -> String { cluster + "/accounts" }
    static func path(_ name: String, _ cluster: String) -> String { "\(folder(cluster))/\(name).json" }

    /// - Parameter shard: the one that its account is to be on; nil for any.
    static func create(
        _ name: String, asset: UInt32, on shard: ShardID? = nil, cluster: String, hint: String, manifest: Manifest
    ) throws -> AccountFile {
        try checkName(name)
        let path = path(name, cluster)
        let exists = ToolError(
            .folderExists,
            "the account \(name) exists already: \(path). If it is not open yet, open it with: quorate account create \(name) --resume\(hint)"
        )
        guard !FileManager.default.fileExists(atPath: path) else { throw exists }
        let (seed, specification) = try key(asset: AssetID(asset), on: shard, manifest)
        let file = AccountFile(
            name: name, cluster: manifest.cluster.hex, seed: Hex.encode(seed), public_key: specification.owner.hex,
            account: specification.id.hex, asset: asset, index: 0)
        try SecretFile.makeFolder(folder(cluster))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard try SecretFile.create(path, Array(try encoder.encode(file)) + [10]) else { throw exists }
        return file
    }

    /// Keys are tried until one has its account there: an account's identifier is a hash.
    private static func key(asset: AssetID, on shard: ShardID?, _ manifest: Manifest) throws -> (
        seed: [UInt8], AccountSpecification
    ) {
        let most = 1000 * manifest.shardCount
        for _ in 0..<most {
            let seed = Ed25519Signer.randomSeed()
            guard let signer = Ed25519Signer(seed: seed) else { throw ToolError(.failure, "cannot make a key") }
            let specification = AccountSpecification(owner: signer.publicKey, asset: asset, index: 0)
            if shard == nil || manifest.shardMap.shard(of: specification.id) == shard { return (seed, specification) }
        }
        throw ToolError(.failure, "none of \(most) keys has its account on shard \(shard.map(\.description) ?? "")")
    }

    private static func checkName(_ name: String) throws {
        guard isValid(name), !name.hasPrefix("-") else {
            throw ToolError(
                .failure,
                "\(Printable.quoted(name.utf8)) cannot be an account's name: use 1 to 64 letters, digits, dots, dashes and underscores, not starting with a dot or a dash"
            )
        }
        // Whoever reads or types the name must not take it for an account, a transaction or a key, nor the other way
        // round.
        guard name.utf8.count < 16 || name.contains(where: { !$0.isHexDigit }) else {
            throw ToolError(
                .failure,
                "\"\(name)\" looks like an identifier, which are hexadecimal digits; choose a name that cannot be taken for one"
            )
        }
        guard !KeyHolder.authorities.contains(name) else {
            let what = name == KeyHolder.issuerName ? "issues money" : "freezes accounts"
            throw ToolError(.failure, "\"\(name)\" is the name of the key that \(what); choose another one")
        }
    }

    private static func isValid(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                    || [45, 46, 95].contains($0)
            }
    }

    static func load(_ name: String, cluster: String, manifest: Manifest) throws -> AccountFile {
        let path = path(name, cluster)
        guard isValid(name), FileManager.default.fileExists(atPath: path) else {
            throw unknown(name, cluster)
        }
        let file: AccountFile
        do {
            file = try read(try JSONReader(try InputFile.read(path), file: path), name: name)
        } catch let problem as InputProblem {
            throw ToolError(.missingKeys, problem.description)
        }
        guard file.cluster == manifest.cluster.hex else {
            throw ToolError(
                .wrongManifest, "\(path) belongs to cluster \(file.cluster.prefix(8)), not to \(manifest.cluster.short)"
            )
        }
        return file
    }

    private static func unknown(_ name: String, _ cluster: String) -> ToolError {
        let close = SimilarNames.of(name, among: names(cluster))
        let known = names(cluster)
        var text = "there is no account \(Printable.line(name)) in \(folder(cluster))"
        if let close {
            text += "; did you mean \(close)?"
        } else if !known.isEmpty, known.count <= 8 {
            text += "; there is \(known.joined(separator: ", "))"
        }
        if isValid(name) { text += " Make it with: quorate account create \(name) --cluster \(Shell.quoted(cluster))" }
        return ToolError(.missingKeys, text)
    }

    /// Everything that follows from the key must be there as it follows: who edits one field must not move another's
    /// money.
    private static func read(_ root: JSONReader, name: String) throws -> AccountFile {
        let schema = try root.peek("schema")
        let number: UInt32 = try schema.integer()
        guard number == 1 else {
            let problem = schema.problem("schema \(number)", expected: "schema 1, which this build reads")
            throw ToolError(.versionMismatch, problem.description)
        }
        let fields = try root.object(
            ["schema", "name", "cluster", "seed", "public_key", "account", "asset", "index"], optional: ["next_number"])
        // Of earlier versions, which counted there. What the shards have recorded counts now.
        _ = try fields.optional("next_number")?.integer(UInt64.self)
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
            public_key: signer.publicKey.hex, account: account.hex, asset: asset, index: index)
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
            .filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }.map { String($0.dropLast(5)) }.sorted()
    }

    var signer: Ed25519Signer? { Hex.decode(seed).flatMap { Ed25519Signer(seed: $0) } }
}

enum SimilarNames {
    /// The one that was probably meant: one letter wrong, missing, too many or exchanged, or two in a longer name.
    static func of(_ name: String, among names: [String]) -> String? {
        let near = names.map { ($0, distance(Array(name.lowercased().utf8), Array($0.lowercased().utf8))) }.min {
            ($0.1, $0.0) < ($1.1, $1.0)
        }
        guard let (close, edits) = near, edits <= max(1, min(2, name.utf8.count / 3)), edits < name.utf8.count else {
            return nil
        }
        return close
    }

    /// How many letters must be put in, taken out, changed or exchanged with their neighbour.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var before: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
                row.append(least)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
