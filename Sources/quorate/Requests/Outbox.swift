import Foundation
import HostRuntime
import Messages
import StrictInput

/// The signed requests of one key: each is here, on disk, before it is sent, and stays until its outcome is known.
/// Whoever is interrupted sends the same signed bytes again, which happen once (R11), instead of signing others.
///
/// `accounts/NAME.outbox/TXID.json`, or `issuer.outbox/TXID.json`. Used under the key's lock.
struct Outbox: Sendable {
    /// So many settled ones stay, and the shards are not told to forget them: their receipts can be fetched again.
    static let kept = 64

    let folder: String
    let principal: PublicKey
    let cluster: ClusterID
    private var named: String { folder + "/operations" }

    /// Ascending by number.
    /// - Throws: `ToolError` that names a file that is damaged: what it kept may be under way.
    func entries() throws -> [OutboxEntry] {
        try Self.names(in: folder).map { name in
            let entry = try read(folder + "/" + name)
            return try Self.check(entry, file: folder + "/" + name, isNamed: entry.txid)
        }.sorted { ($0.number, $0.txid) < ($1.number, $1.txid) }
    }

    /// As it is on disk now; nil if it is not there.
    func entry(_ txid: String) throws -> OutboxEntry? {
        let path = "\(folder)/\(txid).json"
        guard try Self.isThere(path) else { return nil }
        return try Self.check(try read(path), file: path, isNamed: txid)
    }

    /// - Throws: `ToolError` where that cannot be found out: what cannot be seen may be there all the same, and was
    ///   perhaps paid.
    private static func isThere(_ path: String) throws -> Bool {
        var information = stat()
        guard stat(path, &information) != 0 else { return true }
        let code = errno
        guard code == ENOENT else {
            throw ToolError(.storage, "cannot look at \(path): \(String(cString: strerror(code)))")
        }
        return false
    }

    /// The files of requests in a folder, which need not be there.
    private static func names(in folder: String) throws -> [String] {
        guard try isThere(folder) else { return [] }
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
            throw ToolError(.storage, ToolError(error).description)
        }
        return names.filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
    }

    /// What is settled is written to the file that has its name: another one would stay as it is, and be taken for
    /// open.
    private static func check(_ entry: OutboxEntry, file: String, isNamed name: String) throws -> OutboxEntry {
        let place = URL(fileURLWithPath: file)
        guard place.lastPathComponent != name + ".json" else { return entry }
        let right = place.deletingLastPathComponent().path + "/\(name).json"
        throw ToolError(
            .storage,
            "\(Printable.line(file)) keeps a request that belongs into \(right); rename it, or, if that is there, move it away",
            txid: entry.txid)
    }

    private func read(_ path: String) throws -> OutboxEntry {
        do {
            return try OutboxEntry(try InputFile.read(path), file: path, principal: principal, cluster: cluster)
        } catch {
            throw ToolError(
                .storage,
                "\(error). It keeps a request that may be under way: restore it, or move it away if you know what became of that"
            )
        }
    }

    /// All that were settled under a name.
    func operations() throws -> [OutboxEntry] {
        try Self.names(in: named).sorted().compactMap { try operation(String($0.dropLast(5))) }
    }

    /// What was settled under this name.
    func operation(_ name: String) throws -> OutboxEntry? {
        let path = named + "/\(name).json"
        guard try Self.isThere(path) else { return nil }
        let entry = try read(path)
        return try Self.check(entry, file: path, isNamed: entry.operation ?? "")
    }

    /// On disk when this returns, and not before may it be sent.
    func add(_ entry: OutboxEntry) throws {
        try SecretFile.makeFolder(folder)
        guard try SecretFile.create(path(entry), try entry.bytes()) else {
            throw ToolError(.storage, "\(path(entry)) is there already")
        }
    }

    func replace(_ entry: OutboxEntry) throws {
        // First where its name is looked up: between the two it is settled, and asked about once more.
        if entry.state == .settled, let name = entry.operation,
            try entry.isCommitted || operation(name)?.isCommitted != true
        {
            // What was committed under the name stays, whatever became of other attempts.
            try SecretFile.makeFolder(named)
            try SecretFile.replace(named + "/\(name).json", try entry.bytes())
        }
        try SecretFile.replace(path(entry), try entry.bytes())
    }

    func remove(_ entry: OutboxEntry) throws { try SecretFile.remove(path(entry)) }

    /// Lets the oldest of the settled ones go. One that cannot be removed now stays until the next time, and harms
    /// nobody.
    func prune() {
        guard let settled = try? entries().filter({ $0.state == .settled }) else { return }
        for entry in settled.dropLast(Self.kept) { try? remove(entry) }
    }

    private func path(_ entry: OutboxEntry) -> String { "\(folder)/\(entry.txid).json" }

    static func checkOperation(_ name: String) throws {
        let isPlain = name.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0)
        }
        guard (1...100).contains(name.utf8.count), isPlain, !name.hasPrefix(".") else {
            throw ToolError(
                .failure,
                "\(Printable.quoted(name.utf8)) cannot be an operation's name: use 1 to 100 letters, digits, dots, dashes and underscores, not starting with a dot"
            )
        }
    }
}
