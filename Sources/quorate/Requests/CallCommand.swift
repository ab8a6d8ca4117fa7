import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput

struct CallCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", abstract: "Call a procedure, all of it or nothing, and keep the proof.",
        discussion: """
            Signed with the key of the account that --as names. The procedures that the tool knows take their arguments as JSON, in which \
            accounts are names or ids, and run where they belong:

            \(KnownProcedure.all.map { "  quorate call \($0.name) '\($0.usage)' --as alice" }.joined(separator: "\n"))

            Any other takes the canonical bytes of its arguments, and what it is about, which says on which shard it runs:

              quorate call vote '{"hex": "0400000079657321"}' --target key:poll --as alice

            As with a transfer, the request is on disk before it is sent. Repeated after an interruption, the same command asks what became of \
            it instead of calling again.
            """)
    @Argument(help: "Its name.") var procedure: String
    @Argument(help: "Its arguments: one JSON object.") var arguments: String
    @Option(name: .customLong("as"), help: "The account whose key signs.") var signer: String
    @Option(help: "For a procedure that the tool does not know: key:TEXT or account:NAME.") var target: String?
    @Option(
        name: .customLong("procedure-version"),
        help: "Its version. Default: of a procedure that the tool knows its own, otherwise 1.")
    var version: UInt16?
    @OptionGroup var cluster: ClusterOption
    @Option(help: "Where to write the receipt. Default: receipts/TXID.json in the cluster's folder.") var receipt:
        String?
    @Flag(help: "Print one JSON object.") var json = false

    struct Result: Encodable, Sendable {
        var schema = 1
        var committed: Bool
        var outcome: String
        var why: String?
        var txid: String
        var procedure: String
        /// What it gave: as JSON if the tool knows the procedure, otherwise the bytes in hexadecimal.
        var result: CallValue?
        /// An earlier command signed it and was interrupted; it was not called a second time.
        var earlier: Bool
        var receipt: String?
    }

    func execute() async throws { try await reporting(json: json) { try await call() } }

    private func call() async throws {
        let processes = try cluster.open()
        let folder = processes.folder
        let known = target == nil ? KnownProcedure.find(procedure, version: version) : nil
        let invocation = try invocation(known, folder)
        let file = try AccountFile.find(signer, cluster: folder.path, manifest: folder.manifest)
        try ReceiptStore.check(receipt, folder)
        let sender = try await Sender(.account(file), processes, cluster)
        let reply = try await sender.perform([.call(invocation)], mode: .atomic)
        guard let outcome = reply.outcome else { throw ToolError(.failure, "a call has no outcome") }
        let kept = Kept(reply, folder, at: receipt)
        let text = OutcomeText(outcome.receipt, folder.manifest, sender.book)
        var value: CallValue?
        if case .returned(let bytes, _)? = outcome.callStatus(folder.manifest) {
            value = (try? known?.result(bytes)) ?? .text(Hex.encode(bytes))
        }
        if json {
            try Console.json(
                Result(
                    committed: text.committed, outcome: text.outcome, why: text.why, txid: reply.entry.txid,
                    procedure: procedure, result: value,
                    earlier: reply.when != .now, receipt: kept.path))
        } else {
            Console.out(
                text.committed
                    ? "committed in \(Text.milliseconds(outcome.latency)) ms" : "aborted: \(text.why ?? text.outcome)")
            if reply.when != .now {
                Console.out(
                    "This is the call of \(AddressBook.time(reply.entry)), which was interrupted. Nothing was called a second time."
                )
            }
            if let value { Console.out("result   \(try Self.text(value))") }
            Console.out("txid     \(reply.entry.txid)")
            if let path = kept.path { Console.out("receipt  \(path)") }
        }
        try sender.settle(reply, receipt: kept.path)
        try kept.check(reply.entry, cluster)
        guard text.committed else { throw ExitCode(ExitReason.aborted.rawValue) }
    }

    private static func text(_ value: CallValue) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Printable.line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    private func invocation(_ known: KnownProcedure?, _ folder: ClusterFolder) throws -> Invocation {
        do {
            let json = try JSONReader(Array(arguments.utf8), file: "the arguments")
            if let known { return try known.invocation(json, KnownProcedure.Accounts(folder: folder)) }
            guard let target else {
                let names = KnownProcedure.all.map(\.name)
                let close = SimilarNames.of(procedure, among: names).map { "; did you mean \($0)?" } ?? ""
                throw Misuse.error(
                    "the tool does not know the procedure \(Printable.line(procedure))\(close) It knows \(names.joined(separator: ", ")); of another one give --target, and the arguments as {\"hex\": …}"
                )
            }
            guard (1...Invocation.maxNameBytes).contains(procedure.utf8.count) else {
                throw Misuse.error("a procedure's name has 1 to \(Invocation.maxNameBytes) bytes")
            }
            return Invocation(
                target: try Self.target(target, folder), procedure: procedure, version: version ?? 1,
                arguments: try Self.bounded(try json.object(["hex"])["hex"]))
        } catch let problem as InputProblem {
            throw Misuse.error(
                problem.description
                    + (known.map { "\nFor example: quorate call \($0.name) '\($0.usage)' --as \(Shell.quoted(signer))" }
                        ?? ""))
        }
    }

    private static func bounded(_ value: JSONReader) throws -> [UInt8] {
        let bytes = try value.hex()
        guard bytes.count <= Invocation.maxValueBytes else {
            throw value.problem("\(bytes.count) bytes", expected: "at most \(Invocation.maxValueBytes)")
        }
        return bytes
    }

    private static func target(_ text: String, _ folder: ClusterFolder) throws -> CallTarget {
        if text.hasPrefix("key:"), (1...CallTarget.maxKeyBytes).contains(text.dropFirst(4).utf8.count) {
            return .key(String(text.dropFirst(4)))
        }
        if text.hasPrefix("account:") {
            return .account(
                try AccountFile.id(of: String(text.dropFirst(8)), cluster: folder.path, manifest: folder.manifest))
        }
        throw Misuse.error(
            "--target \(Printable.quoted(text.utf8)): expected key:TEXT, of 1 to \(CallTarget.maxKeyBytes) bytes, or account:NAME"
        )
    }
}
