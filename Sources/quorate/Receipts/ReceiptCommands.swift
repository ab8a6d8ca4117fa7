import ArgumentParser
import Client
import ManifestFile
import Messages
import StrictInput

struct ReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt", abstract: "Check and show receipts, offline.",
        discussion: """
            A receipt holds what was signed and, for each shard involved, a certificate: the shard's vote or outcome, its \
            place in the executed batch, and the signatures of f + 1 replicas, at least one of which is honest.

              quorate receipt verify demo/receipts/TXID.json --manifest demo/cluster.json

            One that was lost, or could not be written, is fetched again while the shards keep the outcome, which they do for the last \
            \(Outbox.kept) requests of a key at least:

              quorate receipt fetch TXID --cluster demo
            """,
        subcommands: [Verify.self, Show.self, Fetch.self])

    struct ManifestOption: ParsableArguments {
        @Option(name: [.customLong("cluster"), .customShort("c")], help: ArgumentHelp(ClusterDirectory.help))
        var directory: String?
        @Option(help: "The manifest, where the rest of the folder is not at hand.") var manifest: String?

        func validate() throws {
            guard directory == nil || manifest == nil else {
                throw ValidationError("Give either --cluster or --manifest.")
            }
        }

        func load() throws -> Manifest {
            try Manifest(contentsOf: try manifest ?? ClusterDirectory.find(directory) + "/cluster.json")
        }
    }

    struct Result: Encodable, Sendable {
        var schema = 1
        var file: String
        var valid: Bool
        var problem: String?
        var transactions: [ReceiptFile.Transaction]
    }

    struct Verify: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check receipts with the manifest alone, and print what they prove.",
            discussion: """
                The exit code is 0 if every receipt is genuine, whether it proves a commit or an abort, and \
                \(ExitReason.invalidReceipt.rawValue) if one proves nothing. Of several receipts each is judged; the exit code is the worst.
                """)
        @Argument(help: "The receipts.") var files: [String]
        @OptionGroup var manifest: ManifestOption
        @Flag(help: "Print one JSON object for each receipt, on a line of its own.") var json = false

        func execute() async throws {
            let manifest = try manifest.load()
            var refused: Set<ExitReason> = []
            for file in files {
                do {
                    let verification = try ReceiptVerification(try Self.read(file), file: file, manifest: manifest)
                    if json {
                        try Console.json(
                            Result(file: file, valid: true, problem: nil, transactions: verification.file.transactions))
                    } else {
                        Console.out((files.count > 1 ? "\(Printable.line(file)): " : "") + verification.text())
                    }
                } catch let error as ToolError {
                    refused.insert(error.reason)
                    if json {
                        try Console.json(Result(file: file, valid: false, problem: error.description, transactions: []))
                    } else {
                        Console.error("error: \(error.description)")
                    }
                }
            }
            // From the worst: what could not be read may be anything.
            if let worst = [.failure, .invalidReceipt, .versionMismatch].first(where: refused.contains) {
                throw ExitCode(worst.rawValue)
            }
        }

        fileprivate static func read(_ file: String) throws -> [UInt8] {
            do { return try InputFile.read(file) } catch { throw ToolError(.failure, error.description) }
        }
    }

    struct Show: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what a receipt says, without checking its signatures.",
            discussion: """
                What is printed is read from the bytes that were signed. A file whose readable part says something else is refused \
                with exit code \(ExitReason.invalidReceipt.rawValue).
                """)
        @Argument(help: "The receipt.") var file: String
        @Flag(help: "Print one JSON object.") var json = false

        /// What is shown is not checked, so it is not called valid.
        struct Shown: Encodable, Sendable {
            var schema = 1
            var file: String
            var checked = false
            var transactions: [ReceiptFile.Transaction]
        }

        func execute() async throws {
            let document = try ReceiptDocument(try Verify.read(file), file: file)
            if json {
                let shown = try document.file(in: try document.possibleMap())
                return try Console.json(Shown(file: file, transactions: shown.transactions))
            }
            let request = document.receipt.request.request
            let lines = document.lines(try document.file(in: try document.possibleMap()), signatures: "replicas")
            Console.out("not checked: request \(request.number) of principal \(request.principal)")
            for line in lines { Console.out(line) }
        }
    }

    struct Fetch: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Get the receipt of a request that was signed here from the shards again.",
            discussion: "The same signed bytes are submitted once more, which changes nothing: their outcome is proven."
        )
        @OptionGroup var transaction: TransactionCommand.TransactionArgument
        @OptionGroup var cluster: ClusterOption
        @Option(help: "Where to write it. Default: receipts/TXID.json in the cluster's folder.") var output: String?
        @Flag(help: "Print one JSON object.") var json = false

        struct Fetched: Encodable, Sendable {
            var schema = 1
            var txid: String
            var outcome: String
            var receipt: String
        }

        func execute() async throws { try await reporting(json: json) { try await fetch() } }

        private func fetch() async throws {
            let processes = try cluster.open()
            let folder = processes.folder
            let (holder, entry) = try transaction.find(folder, hint: cluster.option)
            guard entry.state == .settled else {
                throw ToolError(
                    .outcomeUnknown,
                    "the outcome of \(AddressBook(folder).label(entry)) is not known; settle it, which brings the receipt too, with: quorate tx resolve \(entry.txid)\(cluster.option)",
                    txid: entry.txid)
            }
            try await cluster.requireGateway(processes)
            try ReceiptStore.check(output, folder)
            let client = try processes.reader()
            let receipt: Receipt
            do {
                receipt = try await client.resolve(entry.request, patience: Sender.patience).receipt
            } catch ClientError.acknowledged {
                throw ToolError(
                    .noAnswer,
                    "the shards no longer keep the outcome of \(AddressBook(folder).label(entry)), which was: \(entry.outcome ?? ""). The key of \(holder.name) has signed many others since",
                    txid: entry.txid)
            } catch ClientError.outcomeUnknown(_, let cause) {
                await client.close()
                throw ToolError(
                    .noAnswer,
                    "the receipt of \(AddressBook(folder).label(entry)) is not to be had just now: \(Printable.line(cause)). Its outcome is known: \(entry.outcome ?? "it was proven"); ask again",
                    txid: entry.txid)
            }
            await client.close()
            let path = try ReceiptStore.save(receipt, folder, at: output)
            let outcome = Text.outcome(receipt.decision(ofLeg: 0, in: folder.manifest.shardMap))
            if json { return try Console.json(Fetched(txid: entry.txid, outcome: outcome, receipt: path)) }
            Console.out("\(outcome)")
            Console.out("receipt  \(path)")
        }
    }
}
