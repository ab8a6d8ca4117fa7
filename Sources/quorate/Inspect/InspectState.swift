import ArgumentParser
import Foundation
import HostRuntime
import LMDBStore
import Messages
import ShardState
import StrictInput

struct InspectState: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "state",
        abstract: "Say what a stopped host's states hold, and whether they are whole.",
        discussion: """
            The state is what was last written down; what was committed since is in the journal. Its file is checked page \
            by page. With --verify every entry is held against the digest that 2f + 1 replicas had agreed on.

              quorate inspect state demo/hosts/2
              quorate inspect state demo/hosts/2 --shard 0 --verify
              quorate inspect state demo/hosts/2 --account 0ac4111d912e6309caf7d028c1a8c45d
              quorate inspect state demo/hosts/2/state/shard-0.damaged-1

            The exit code is 0 if all is whole; \(ExitReason.storage.rawValue) if something is damaged; \
            \(ExitReason.versionMismatch.rawValue) if it is another version's; \(ExitReason.alreadyRunning.rawValue) if \
            the host runs.
            """)
    @Argument(help: "A host's folder, or a state's.") var folder: String
    @Option(name: .shortAndLong, help: ArgumentHelp("The cluster's folder. Default: the one that FOLDER is in."))
    var cluster: String?
    @Option(help: Whole(0...4095).help("Only this shard."), transform: Whole(0...4095).parse) var shard: Int?
    @Flag(help: "Read every entry, and hold it against the stored digest.") var verify = false
    @Option(help: "Show this account, named by its identifier in hexadecimal.") var account: String?
    @Option(
        help: Whole(0...1000).help("Show so many open records of a shard, those with the earliest deadline."),
        transform: Whole(0...1000).parse) var open = 5
    @Flag(help: "Print one JSON object.") var json = false

    func execute() async throws {
        let wanted = try account.map { text in
            guard let id = AccountID(hex: text) else {
                throw ValidationError(
                    "\(Printable.quoted(text.utf8)) is no account: 32 hexadecimal digits are wanted, as quorate account list shows them."
                )
            }
            return id
        }
        let inspected = try InspectedFolder(folder, what: "state") { $0.contains("data.mdb") }
        defer { withExtendedLifetime(inspected) {} }
        let manifest = try inspected.manifest(cluster)
        if let shard, shard >= manifest.shardCount {
            throw ValidationError("there is no shard \(shard); shards are 0 to \(manifest.shardCount - 1).")
        }
        var states: [StateContents] = []
        for (path, expected) in try places(inspected, manifest, wanted) {
            states.append(
                StateContents(
                    at: path, shard: expected, manifest: manifest, verify: verify, account: wanted, open: open))
            try Task.checkCancellation()
        }
        if json {
            try Console.json(StateContents.Document(title: inspected.title, states: states))
        } else {
            Console.out("state of \(inspected.title)")
            for state in states { Console.out(state.text) }
        }
        guard let bad = states.first(where: { $0.problem != nil }), let problem = bad.problem else { return }
        throw ToolError(problem.reason, "\(bad.path): \(problem.text)")
    }

    /// - Returns: folders, and the shard that each is of; nil where the state itself has to say.
    private func places(
        _ inspected: InspectedFolder, _ manifest: Manifest, _ account: AccountID?
    ) throws -> [(String, ShardID?)] {
        guard inspected.isHost else { return [(inspected.path, nil)] }
        guard let host = inspected.host, host < manifest.hosts.count else {
            throw ToolError(
                .wrongManifest,
                "\(inspected.path)/host.json does not name a host of this cluster.json, which has hosts 0 to \(manifest.hosts.count - 1)"
            )
        }
        let shards = manifest.shards(of: HostID(UInt16(host))).filter { own in
            if let shard { return Int(own.number) == shard }
            // An account is on one shard alone.
            return account.map { manifest.shardMap.shard(of: $0) == own } ?? true
        }
        return shards.map { ("\(inspected.path)/state/shard-\($0)", $0) }
    }
}
