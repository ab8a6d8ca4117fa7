import ArgumentParser
import Foundation
import ManifestFile
import Messages

struct ReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt", abstract: "Check and show receipts, offline.",
        discussion: """
            A receipt holds what was signed and, for each shard involved, a certificate: the shard's vote or outcome, its \
            place in the executed batch, and the signatures of f + 1 replicas, at least one of which is honest.

              quorate receipt verify demo/receipts/<txid>.json --manifest demo/cluster.json
            """,
        subcommands: [Verify.self, Show.self])

    struct ManifestOption: ParsableArguments {
        @Option(name: [.customLong("cluster"), .customShort("c")], help: "The cluster's folder.") var directory: String?
        @Option(help: "The manifest, where the rest of the folder is not at hand.") var manifest: String?

        func validate() throws {
            guard (directory == nil) != (manifest == nil) else { throw ValidationError("Give either --cluster or --manifest.") }
        }

        func load() throws -> Manifest {
            try Manifest(contentsOf: manifest ?? (directory ?? ".") + "/cluster.json")
        }
    }

    struct Result: Codable, Sendable {
        var schema = 1
        var valid: Bool
        var problem: String?
        var transactions: [ReceiptFile.Transaction]
    }

    struct Verify: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a receipt with the manifest alone, and print what it proves.",
            discussion: "The exit code is 0 if the receipt is genuine, whether it proves a commit or an abort, and \(ExitReason.invalidReceipt.rawValue) if it proves nothing.")
        @Argument(help: "The receipt.") var file: String
        @OptionGroup var manifest: ManifestOption
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let manifest = try manifest.load()
            guard let data = FileManager.default.contents(atPath: file) else { throw ToolError(.failure, "cannot read \(file)") }
            do {
                let verification = try ReceiptVerification(data, manifest: manifest)
                if json {
                    try Console.json(Result(valid: true, problem: nil, transactions: verification.file.transactions))
                } else {
                    Console.out(verification.text())
                }
            } catch let error as ToolError where json {
                try Console.json(Result(valid: false, problem: error.description, transactions: []))
                throw ExitCode(error.reason.rawValue)
            }
        }
    }

    struct Show: ToolCommand {
        static let configuration = CommandConfiguration(abstract: "Print what a receipt says, without checking it.")
        @Argument(help: "The receipt.") var file: String

        func execute() async throws {
            guard let data = FileManager.default.contents(atPath: file) else { throw ToolError(.failure, "cannot read \(file)") }
            guard let receipt = try? JSONDecoder().decode(ReceiptFile.self, from: data) else { throw ToolError(.invalidReceipt, "\(file) is not a receipt") }
            func say(_ line: String) { Console.out(Text.printable(line)) }
            say("not checked: request \(receipt.request.number) of principal \(receipt.request.principal)")
            for transaction in receipt.transactions {
                say("transaction \(transaction.txid): \(transaction.outcome)")
                for operation in transaction.operations { say("  \(operation)") }
                CallText.arguments(of: Hex.decode(receipt.request.bytes).flatMap { try? Request(decoding: $0) }).forEach(say)
            }
            for certificate in receipt.certificates {
                let statuses = certificate.leaf.legs.prefix(4).map(\.status).joined(separator: "; ")
                let replicas = certificate.signatures.map { "\($0.replica)" }.joined(separator: ", ")
                say("  shard \(certificate.shard), batch \(certificate.statement.sequence): \(statuses), replicas \(replicas)")
                CallText.results(in: Hex.decode(certificate.leaf.bytes).flatMap { try? Leaf(decoding: $0) }).forEach(say)
            }
        }
    }
}
