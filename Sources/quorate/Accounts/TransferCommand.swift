import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages

struct TransferCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer", abstract: "Move money between two accounts, and keep the proof.",
        discussion: """
            FROM must be an account whose key is in the cluster's folder. The command returns when the outcome is proven \
            by certificates that it has checked, and writes them to a receipt.

              quorate transfer alice bob 250 --cluster demo

            It is safe to interrupt it, and to repeat it: the signed request is on disk before it is sent, and if the outcome of \
            the last one is not known, the same command asks for that instead of paying again. quorate tx list shows what is open.
            """)

    @Argument(help: "The paying account: name or id.") var from: String
    @Argument(help: "The receiving account: name or id.") var to: String
    @Argument(help: "Minor units.") var amount: String
    @OptionGroup var cluster: ClusterOption
    @Option(help: "Where to write the receipt. Default: receipts/TXID.json in the cluster's folder.") var receipt:
        String?
    @Flag(help: "Show where its time went, if the cluster traces it; see quorate trace.") var trace = false
    @Flag(help: "Print one JSON object.") var json = false

    struct Result: Encodable, Sendable {
        var schema = 1
        var committed: Bool
        var outcome: String
        /// Of an abort: who refused it, and why.
        var why: String?
        var txid: String
        var from: String
        var to: String
        var amount: String
        var shards: [Int]
        var latency_ms: Double
        var retries: Int
        /// An earlier command signed it and was interrupted; nothing was paid a second time.
        var earlier: Bool
        var receipt: String?
    }

    func validate() throws {
        _ = try AmountArgument.parse(amount)
        guard trace, json else { return }
        throw ValidationError("--trace goes without --json: quorate trace TXID --json has the trace.")
    }

    func execute() async throws { try await reporting(json: json) { try await pay() } }

    private func pay() async throws {
        let processes = try cluster.open()
        let folder = processes.folder
        let amount = try AmountArgument.parse(amount)
        let to = try AccountFile.id(of: to, cluster: folder.path, manifest: folder.manifest)
        let file = try AccountFile.find(from, cluster: folder.path, manifest: folder.manifest)
        guard let from = AccountID(hex: file.account) else {
            throw ToolError(.missingKeys, "the account file is damaged")
        }
        guard from != to else {
            throw Misuse.error("\(file.name) would pay itself (account \(to.hex)): nothing was sent")
        }
        try ReceiptStore.check(receipt, folder)

        let sender = try await Sender(.account(file), processes, cluster)
        let transfer = Transfer(from: from, to: to, asset: AssetID(file.asset), amount: amount)
        let reply = try await sender.perform([.transfer(transfer)], mode: .atomic)
        guard let outcome = reply.outcome else { throw ToolError(.failure, "a transfer has no outcome") }
        let kept = Kept(reply, folder, at: receipt)
        let request = outcome.receipt.request
        let text = OutcomeText(outcome.receipt, folder.manifest, sender.book)
        let result = Result(
            committed: text.committed, outcome: text.outcome, why: text.why, txid: reply.entry.txid, from: from.hex,
            to: to.hex,
            amount: amount.description,
            shards: request.request.participants(in: folder.manifest.shardMap).map { Int($0.number) },
            latency_ms: Text.milliseconds(outcome.latency), retries: outcome.retries, earlier: reply.when != .now,
            receipt: kept.path)
        if json {
            try Console.json(result)
        } else {
            let shards =
                "\(result.shards.count == 1 ? "shard" : "shards") \(result.shards.map(String.init).joined(separator: " and "))"
            var line = "\(text.committed ? "committed" : "aborted") on \(shards) in \(result.latency_ms) ms"
            if let why = text.why { line += ": \(why)" }
            Console.out(line)
            if result.earlier {
                Console.out(
                    "This is the transfer of \(AddressBook.time(reply.entry)), which was interrupted. Nothing was paid a second time."
                )
            }
            Console.out("txid     \(result.txid)")
            if let path = kept.path { Console.out("receipt  \(path)") }
        }
        try sender.settle(reply, receipt: kept.path)
        try kept.check(reply.entry, cluster)
        if trace { await show(request, result.txid, processes) }
        guard result.committed else { throw ExitCode(ExitReason.aborted.rawValue) }
    }
}

extension TransferCommand {
    /// What the outcome is does not depend on it.
    private func show(_ request: SignedRequest, _ txid: String, _ processes: ClusterProcesses) async {
        do {
            let trace = try await TraceSearch(processes: processes).trace(of: request.digest)
            Console.out("\n" + TraceReport(trace, txid: txid, processes.folder.manifest).text)
        } catch {
            Console.error("no trace: \(ToolError(error).description)")
        }
    }
}

/// A receipt that was written, or why it was not: what it proves has happened either way, and is said first.
struct Kept {
    let path: String?
    private let problem: ToolError?

    init(_ reply: Reply, _ folder: ClusterFolder, at path: String? = nil) {
        do { (self.path, problem) = (try ReceiptStore.save(reply, folder, at: path), nil) } catch {
            (self.path, problem) = (nil, ToolError(error))
        }
    }

    /// - Throws: `ToolError` with what fetches it again.
    func check(_ entry: OutboxEntry, _ cluster: ClusterOption) throws {
        guard let problem else { return }
        throw ToolError(
            .storage,
            "\(problem.description). The outcome above is proven all the same, and the receipt is still to be had: quorate receipt fetch \(entry.txid)\(cluster.option)",
            txid: entry.txid)
    }
}
