import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages

/// Money that was issued under a name: once.
struct Issuing: Sendable {
    let reply: Reply
    let receipt: String?
    private let sender: Sender
    private let kept: Kept

    /// - Throws: `UnknownOutcome`; `ToolError` with `.aborted` where it was refused, or another one has that name.
    static func perform(
        _ amount: Amount, to id: AccountID, asset: AssetID, operation: String, _ processes: ClusterProcesses,
        _ cluster: ClusterOption
    ) async throws -> Issuing {
        let sender = try await Sender(.issuer, processes, cluster)
        let reply = try await sender.perform(
            [.issue(to: id, asset: asset, amount: amount)], mode: .independent, operation: operation)
        let kept = Kept(reply, processes.folder)
        if let outcome = reply.outcome, !outcome.isCommitted {
            let text = OutcomeText(outcome.receipt, processes.folder.manifest, sender.book)
            try sender.settle(reply, receipt: kept.path)
            throw ToolError(.aborted, "the money was not issued: \(text.why ?? text.outcome)", txid: reply.entry.txid)
        }
        return Issuing(reply: reply, receipt: kept.path, sender: sender, kept: kept)
    }

    /// Once the user has been told.
    func finish() throws {
        try sender.settle(reply, receipt: receipt)
        try kept.check(reply.entry, sender.cluster)
    }
}

struct IssueCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Create money in an account, once for each name of an operation.",
        discussion: """
            Signed with the cluster's issuer key. The name says which issue it is: however often the command is interrupted and \
            repeated, what was committed under that name is not done again, and the same name for another account or amount is an \
            error. quorate account create NAME --issue AMOUNT uses the name account-ID.

              quorate issue alice 1000 --operation salary-2026-11 --cluster demo
            """)
    @Argument(help: "The account: name or id.") var account: String
    @Argument(help: "Minor units.") var amount: String
    @Option(help: "The operation's name: up to 100 letters, digits, dots, dashes and underscores.") var operation:
        String
    @Option(help: "What is created. Default: what the account's file says, otherwise 1.") var asset: UInt32?
    @OptionGroup var cluster: ClusterOption
    @Flag(help: "Print one JSON object.") var json = false

    struct Result: Encodable, Sendable {
        var schema = 1
        var operation: String
        var txid: String
        var account: String
        var asset: UInt32
        var amount: String
        var shard: Int
        /// It was committed by an earlier command under this name; nothing was created now.
        var earlier: Bool
        var receipt: String?
    }

    func validate() throws {
        _ = try AmountArgument.parse(amount)
        do { try Outbox.checkOperation(operation) } catch let error as ToolError {
            throw ValidationError(error.description)
        }
    }

    func execute() async throws { try await reporting(json: json) { try await issue() } }

    private func issue() async throws {
        let processes = try cluster.open()
        let folder = processes.folder
        let amount = try AmountArgument.parse(amount)
        let id = try AccountFile.id(of: account, cluster: folder.path, manifest: folder.manifest)
        let held =
            AccountID(hex: account) == nil
            ? try AccountFile.load(account, cluster: folder.path, manifest: folder.manifest).asset : nil
        let asset = asset ?? held ?? 1
        try ReceiptStore.check(nil, folder)
        let issued = try await Issuing.perform(
            amount, to: id, asset: AssetID(asset), operation: operation, processes, cluster)
        let shard = Int(folder.manifest.shardMap.shard(of: id).number)
        let earlier = issued.reply.when != .now
        if json {
            try Console.json(
                Result(
                    operation: operation, txid: issued.reply.entry.txid, account: id.hex, asset: asset,
                    amount: amount.description, shard: shard,
                    earlier: earlier, receipt: issued.receipt))
        } else {
            Console.out("issued \(amount) of asset \(asset) to \(account) on shard \(shard), operation \(operation)")
            if earlier {
                Console.out(
                    "This was done by a command of \(AddressBook.time(issued.reply.entry)). Nothing was issued a second time."
                )
            }
            Console.out("txid     \(issued.reply.entry.txid)")
            if let receipt = issued.receipt { Console.out("receipt  \(receipt)") }
        }
        try issued.finish()
    }
}
