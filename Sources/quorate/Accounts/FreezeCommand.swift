import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages

/// Which way money must not go, as it is typed.
enum FreezeWay: String, CaseIterable, ExpressibleByArgument, Sendable {
    case debits, credits, both

    var direction: AccountFreeze.Direction {
        switch self {
        case .debits: .debits
        case .credits: .credits
        case .both: .both
        }
    }
}

struct FreezeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze", abstract: "Keep money from leaving or entering an account.",
        discussion: """
            Signed with the cluster's compliance key, compliance.key. It holds for what is ordered after it: a transfer that the \
            account's shard has voted for, and a call that it has answered, are decided as if there were no freeze. A freeze of an \
            account that is frozen replaces the one before. The receipt proves it; the reason is a code of your own, which everybody \
            can see: keep its meaning, and whatever concerns a person, elsewhere (docs/operations/compliance.md).

              quorate freeze mallory --reason 17 --cluster demo
            """)
    @Argument(help: "The account: name or id.") var account: String
    @Option(help: "Which way money must not go.") var direction = FreezeWay.both
    @Option(help: Whole(0...UInt32.max).help("A code of the authority's own."), transform: Whole(0...UInt32.max).parse)
    var reason: UInt32
    @OptionGroup var cluster: ClusterOption
    @Flag(help: "Print one JSON object.") var json = false

    func execute() async throws {
        try await reporting(json: json) {
            try await FreezeOrder.perform(
                account, AccountFreeze(direction.direction, reason: reason), cluster, json: json)
        }
    }
}

struct ReleaseCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "End the freeze of an account.",
        discussion: """
            Signed with the cluster's compliance key, compliance.key. An account that is not frozen stays as it is.

              quorate release mallory --cluster demo
            """)
    @Argument(help: "The account: name or id.") var account: String
    @OptionGroup var cluster: ClusterOption
    @Flag(help: "Print one JSON object.") var json = false

    func execute() async throws {
        try await reporting(json: json) { try await FreezeOrder.perform(account, nil, cluster, json: json) }
    }
}

/// What the compliance authority orders of an account.
enum FreezeOrder {
    struct Result: Encodable, Sendable {
        var schema = 1
        var txid: String
        var account: String
        var shard: Int
        /// "debits", "credits" or "both"; left out after a release.
        var frozen: String?
        var frozen_reason: UInt32?
        /// An earlier command signed it and was interrupted.
        var earlier: Bool
        var receipt: String?
    }

    /// - Parameter freeze: nil releases it.
    /// - Throws: `UnknownOutcome`; `ToolError` with `.aborted` where it was refused.
    static func perform(
        _ account: String, _ freeze: AccountFreeze?, _ cluster: ClusterOption, json: Bool
    ) async throws {
        let processes = try cluster.open()
        let folder = processes.folder
        let id = try AccountFile.id(of: account, cluster: folder.path, manifest: folder.manifest)
        guard folder.manifest.compliance != nil else {
            throw ToolError(
                .missingKeys,
                "the cluster's manifest names nobody who may freeze accounts: it was made before there was a compliance key"
            )
        }
        try ReceiptStore.check(nil, folder)
        let sender = try await Sender(.compliance, processes, cluster)
        let reply = try await sender.perform([freeze.map { .freeze(id, $0) } ?? .release(id)], mode: .independent)
        guard let outcome = reply.outcome else { throw ToolError(.failure, "a freeze has no outcome") }
        let kept = Kept(reply, folder)
        guard outcome.isCommitted else {
            let text = OutcomeText(outcome.receipt, folder.manifest, sender.book)
            try sender.settle(reply, receipt: kept.path)
            let what = freeze == nil ? "released" : "frozen"
            throw ToolError(
                .aborted, "the account was not \(what): \(text.why ?? text.outcome)", txid: reply.entry.txid)
        }
        let shard = Int(folder.manifest.shardMap.shard(of: id).number)
        if json {
            try Console.json(
                Result(
                    txid: reply.entry.txid, account: id.hex, shard: shard, frozen: freeze?.direction.description,
                    frozen_reason: freeze?.reason, earlier: reply.when != .now, receipt: kept.path))
        } else {
            let what = freeze.map { "frozen for \($0.direction), reason \($0.reason)" } ?? "released"
            Console.out("\(account) on shard \(shard): \(what)")
            if reply.when != .now {
                Console.out("This is the order of \(AddressBook.time(reply.entry)), which was interrupted.")
            }
            Console.out("txid     \(reply.entry.txid)")
            if let path = kept.path { Console.out("receipt  \(path)") }
        }
        try sender.settle(reply, receipt: kept.path)
        try kept.check(reply.entry, cluster)
    }
}
