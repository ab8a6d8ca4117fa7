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
            by certificates that it has checked, and writes them to a receipt. It is safe to interrupt: a request happens \
            at most once.

              quorate transfer alice bob 250 --cluster demo
            """)

    @Argument(help: "The paying account: name or id.") var from: String
    @Argument(help: "The receiving account: name or id.") var to: String
    @Argument(help: "Minor units.") var amount: String
    @OptionGroup var cluster: ClusterOption
    @Option(help: "Where to write the receipt. Default: receipts/TXID.json in the cluster's folder.") var receipt: String?
    @Flag(help: "Print one JSON object.") var json = false

    struct Result: Encodable, Sendable {
        var schema = 1
        var committed: Bool
        var outcome: String
        var txid: String
        var from: String
        var to: String
        var amount: String
        var shards: [Int]
        var latency_ms: Double
        var retries: Int
        var receipt: String
    }

    func execute() async throws {
        let processes = try cluster.open()
        let folder = processes.folder
        let amount = try AmountArgument.parse(amount)
        let to = try AccountFile.id(of: to, cluster: folder.path, manifest: folder.manifest)
        let name = try AccountFile.find(from, cluster: folder.path, manifest: folder.manifest).name
        let lock = try KeyLock(AccountFile.path(name, folder.path) + ".lock")
        // Read again under the lock: another command may have taken a number.
        var file = try AccountFile.load(name, cluster: folder.path, manifest: folder.manifest)
        guard let signer = file.signer, let from = AccountID(hex: file.account) else { throw ToolError(.missingKeys, "the account file is damaged") }
        guard !processes.gateways.isEmpty else {
            throw ToolError(.notRunning, "no gateway runs; start the cluster with: quorate cluster up \(cluster.directory)")
        }
        let client = try processes.client(signer, firstNumber: try file.takeNumber(folder.path))
        let outcome = try await client.transfer(from: from, to: to, asset: AssetID(file.asset), amount: amount)
        await client.close()
        withExtendedLifetime(lock) {}

        let request = outcome.receipt.request
        let path = try ReceiptStore.save(outcome.receipt, folder, at: receipt)
        let result = Result(
            committed: outcome.isCommitted, outcome: Text.outcome(outcome.decisions.first),
            txid: TransactionID(request: request.digest, mode: request.request.mode, leg: 0).hex, from: from.hex, to: to.hex,
            amount: amount.description, shards: request.request.participants(in: folder.manifest.shardMap).map { Int($0.number) },
            latency_ms: Text.milliseconds(outcome.latency), retries: outcome.retries, receipt: path)
        if json {
            try Console.json(result)
        } else {
            Console.out("\(result.outcome) on \(result.shards.count == 1 ? "shard" : "shards") \(result.shards.map(String.init).joined(separator: " and ")) in \(result.latency_ms) ms")
            Console.out("txid     \(result.txid)")
            Console.out("receipt  \(path)")
        }
        guard result.committed else { throw ExitCode(ExitReason.aborted.rawValue) }
    }
}
