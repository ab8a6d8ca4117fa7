import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput

struct TransactionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tx", abstract: "Requests that were signed here: what is open, and what became of it.",
        discussion: """
            Every request is on disk before it is sent, in the outbox of its key (accounts/NAME.outbox, issuer.outbox). While the \
            outcome of one is not known, nothing else is sent with that key: the next command asks for it first. The same is done by hand:

              quorate tx list --cluster demo
              quorate tx resolve TXID --cluster demo    # send the same signed bytes again, until the outcome is proven
              quorate tx abandon TXID --cluster demo    # do not send them again, and find out whether they took effect

            TXID may be shortened to its first digits.
            """,
        subcommands: [List.self, Show.self, Resolve.self, Abandon.self])

    struct TransactionArgument: ParsableArguments {
        @Argument(help: "The transaction, or its first digits (6 at least).") var txid: String

        func validate() throws {
            guard (6...64).contains(txid.utf8.count), txid.allSatisfy({ $0.isHexDigit && !$0.isUppercase }) else {
                throw ValidationError(
                    "\(Printable.quoted(txid.utf8)) is no txid: 64 hexadecimal digits in lower case, or the first 6 at least."
                )
            }
        }

        func find(_ folder: ClusterFolder, hint: String) throws -> (holder: KeyHolder, entry: OutboxEntry) {
            let (found, problem) = KeyHolder.each(folder) { holder -> [(KeyHolder, OutboxEntry)] in
                let outbox = try holder.outbox(folder)
                return try (outbox.entries() + outbox.operations()).filter { $0.txid.hasPrefix(txid) }.map {
                    (holder, $0)
                }
            }
            guard let first = found.first else {
                // It may be there.
                if let problem { throw problem }
                throw ToolError(
                    .failure, "no request \(txid) is in an outbox of \(folder.path); see: quorate tx list --all\(hint)")
            }
            // One that was settled under a name is there twice.
            guard found.allSatisfy({ $0.1.txid == first.1.txid }) else {
                throw ToolError(
                    .failure, "\(Set(found.map(\.1.txid)).count) requests begin with \(txid); give more digits")
            }
            return first
        }
    }

    struct Line: Encodable, Sendable {
        var key: String
        var txid: String
        var number: UInt64
        var purpose: String
        var operation: String?
        /// Microseconds since 1970.
        var signed_at_us: UInt64
        var deadline_us: UInt64
        /// "open", "abandoned", "forgotten" or "settled".
        var state: String
        var outcome: String?
        var receipt: String?

        init(_ holder: KeyHolder, _ entry: OutboxEntry, _ book: AddressBook) {
            (key, txid, number, purpose) = (holder.name, entry.txid, entry.number, book.purpose(entry))
            (operation, state, outcome, receipt) = (entry.operation, entry.state.rawValue, entry.outcome, entry.receipt)
            (signed_at_us, deadline_us) = (entry.request.request.issuedAt.number, entry.request.request.deadline.number)
        }
    }

    struct Listing: Encodable, Sendable {
        var schema = 1
        var transactions: [Line]
    }

    struct List: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Requests whose outcome is not known.",
            discussion: "The last \(Outbox.kept) settled ones of each key are kept too: --all.")
        @Argument(help: "Only of this account, or of: issuer, compliance.") var name: String?
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "The settled ones too.") var all = false
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let folder = try cluster.open().folder
            let book = AddressBook(folder)
            func entries(_ holder: KeyHolder) throws -> [(KeyHolder, OutboxEntry)] {
                try holder.outbox(folder).entries().filter { all || $0.state != .settled }.map { (holder, $0) }
            }
            let (found, problem) =
                try name.map { (try entries(try KeyHolder.named($0, folder)), nil) } ?? KeyHolder.each(folder, entries)
            // Nothing that can be read is not the same as nothing.
            if found.isEmpty, let problem { throw problem }
            let lines = found.map { Line($0, $1, book) }
            if json { return try Console.json(Listing(transactions: lines)) }
            for (holder, entry) in found {
                Console.out(
                    "\(entry.txid)  \(holder.name)  \(book.label(entry)): \(entry.outcome ?? entry.state.rawValue)")
            }
            if lines.isEmpty { Console.out(all ? "no request is kept here" : "nothing is open") }
            guard let open = lines.first(where: { $0.state == OutboxEntry.State.open.rawValue }) else { return }
            Console.out("settle one with: quorate tx resolve \(open.txid)\(cluster.option)")
        }
    }

    struct Show: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "One request: what was signed, and what is known of it.")
        @OptionGroup var transaction: TransactionArgument
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let folder = try cluster.open().folder
            let (holder, entry) = try transaction.find(folder, hint: cluster.option)
            let book = AddressBook(folder)
            if json { return try Console.json(Listing(transactions: [Line(holder, entry, book)])) }
            Console.out("txid      \(entry.txid)")
            Console.out(
                "signed    with the key of \(holder.name), number \(entry.number), at \(AddressBook.time(entry))")
            for operation in entry.operations { Console.out("          \(ReceiptFile.describe(operation))") }
            if let operation = entry.operation { Console.out("operation \(operation)") }
            Console.out("outcome   \(entry.outcome ?? Self.meaning(entry))")
            if let receipt = entry.receipt { Console.out("receipt   \(receipt)") }
            switch entry.state {
            case .settled: Console.out("again     quorate receipt fetch \(entry.txid)\(cluster.option)")
            case .open, .abandoned, .forgotten:
                Console.out("settle it quorate tx resolve \(entry.txid)\(cluster.option)")
            }
        }

        private static func meaning(_ entry: OutboxEntry) -> String {
            switch entry.state {
            case .open: "not known: it may have been sent"
            case .abandoned: "not known: given up"
            case .forgotten: "cannot be proven: another program with the key has told the shards to forget it"
            case .settled: "settled"
            }
        }
    }

    struct Settled: Encodable, Sendable {
        var schema = 1
        var txid: String
        var purpose: String
        var committed: Bool
        var outcome: String
        var why: String?
        var receipt: String?
    }

    struct Resolve: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send the same signed bytes again, until their outcome is proven.",
            discussion: """
                It happens once, however often it is sent; after its deadline it is only asked what became of it. The exit code is 0 for a \
                commit, \(ExitReason.aborted.rawValue) for an abort and \(ExitReason.outcomeUnknown.rawValue) where it is not known still.
                """)
        @OptionGroup var transaction: TransactionArgument
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            try await reporting(json: json) {
                let processes = try cluster.open()
                let (holder, found) = try transaction.find(processes.folder, hint: cluster.option)
                if found.state == .settled {
                    return try Self.report(settled: found, AddressBook(processes.folder), json: json)
                }
                let sender = try await Sender(holder, processes, cluster)
                // Read again under the lock: another command may have settled it.
                let (_, entry) = try transaction.find(processes.folder, hint: cluster.option)
                if entry.state == .settled { return try Self.report(settled: entry, sender.book, json: json) }
                try ReceiptStore.check(nil, processes.folder)
                try await Self.settle(entry, sender, json: json)
            }
        }

        fileprivate static func settle(_ entry: OutboxEntry, _ sender: Sender, json: Bool) async throws {
            let folder = sender.processes.folder
            let reply = try await sender.settleOne(entry)
            guard let outcome = reply.outcome else { throw ToolError(.outcomeUnknown, "no outcome", txid: entry.txid) }
            let kept = Kept(reply, folder)
            let text = OutcomeText(outcome.receipt, folder.manifest, sender.book)
            try say(
                entry, sender.book, json: json,
                Settled(
                    txid: entry.txid, purpose: sender.book.purpose(entry), committed: text.committed,
                    outcome: text.outcome, why: text.why,
                    receipt: kept.path))
            try sender.settle(reply, receipt: kept.path)
            try kept.check(entry, sender.cluster)
            guard text.committed else { throw ExitCode(ExitReason.aborted.rawValue) }
        }

        /// Of one that is settled nobody is asked: its outcome was proven, and the shards may have forgotten it since.
        private static func report(settled entry: OutboxEntry, _ book: AddressBook, json: Bool) throws {
            try say(
                entry, book, json: json,
                Settled(
                    txid: entry.txid, purpose: book.purpose(entry), committed: entry.isCommitted,
                    outcome: entry.outcome ?? "settled",
                    why: nil, receipt: entry.receipt))
            guard entry.isCommitted else { throw ExitCode(ExitReason.aborted.rawValue) }
        }

        private static func say(_ entry: OutboxEntry, _ book: AddressBook, json: Bool, _ settled: Settled) throws {
            if json { return try Console.json(settled) }
            Console.out("\(book.label(entry)): \(settled.why.map { "aborted: \($0)" } ?? settled.outcome)")
            Console.out("txid     \(entry.txid)")
            if let path = settled.receipt { Console.out("receipt  \(path)") }
        }
    }

    struct Abandon: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Do not send a request again, and find out whether it took effect.",
            discussion: """
                Somebody may have it still, and bring it before its deadline, \(Int(ClientOptions().lifetime / .seconds(1))) s after it was \
                signed. So this waits until that has passed: from then on no shard votes for it. Then it asks what became of it, and says so: it \
                took effect (exit code 0), or it is certified that it never will (\(ExitReason.aborted.rawValue)).

                Where the cluster does not say (\(ExitReason.outcomeUnknown.rawValue)), the request is put aside: the key can be used for \
                others, and quorate tx resolve goes on asking. What had been voted for before may still turn out to have taken effect.
                """)
        @OptionGroup var transaction: TransactionArgument
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "Print one JSON object.") var json = false

        /// How far a shard's primary may be behind the clocks of the others (a slower one is replaced), in
        /// microseconds.
        private static let margin: UInt64 = 3_000_000
        /// Longer than any request may live, in microseconds.
        private static let longest: UInt64 = 150_000_000

        /// Until the deadline has passed by the clocks of the shards, which judge it: ours may be wrong.
        /// - Returns: false, at once, where that would take longer than a request lives.
        private static func waitUntilOver(_ entry: OutboxEntry, _ sender: Sender) async throws -> Bool {
            let over = entry.request.request.deadline.adding(microseconds: margin)
            let shards = entry.request.request.participants(in: sender.processes.folder.manifest.shardMap)
            let client = try sender.processes.reader()
            var isSaid = false
            while true {
                // A shard's time never goes back, so what it has passed is passed.
                let times = (try? await client.times(of: shards)) ?? []
                let now = times.map { max($0.time, $0.clock) }.min() ?? WallClock.now()
                let wait = over.microseconds(since: now)
                guard wait > 0, wait <= longest else {
                    await client.close()
                    return wait == 0
                }
                if !isSaid {
                    Console.error(
                        "waiting \((wait + 999_999) / 1_000_000) s until the deadline of \(sender.book.label(entry)) has passed: then no shard votes for it any more"
                    )
                }
                isSaid = true
                try await Task.sleep(for: .microseconds(Int64(min(wait, 2_000_000))))
            }
        }

        func execute() async throws {
            try await reporting(json: json) {
                let processes = try cluster.open()
                let (holder, _) = try transaction.find(processes.folder, hint: cluster.option)
                let sender = try await Sender(holder, processes, cluster)
                let (_, entry) = try transaction.find(processes.folder, hint: cluster.option)
                guard entry.state != .settled else {
                    throw ToolError(
                        .failure, "\(sender.book.label(entry)) is settled: \(entry.outcome ?? "")", txid: entry.txid)
                }
                try ReceiptStore.check(nil, processes.folder)
                guard try await Self.waitUntilOver(entry, sender) else {
                    try sender.putDown(entry, as: .abandoned)
                    throw sender.unknown(
                        entry,
                        "put aside, and no longer in the way of others. The clock was ahead when it was signed: whoever has it may still bring it, until the shards' clocks have passed its deadline. Ask then"
                    )
                }
                do {
                    try await Resolve.settle(entry, sender, json: json)
                } catch let unknown as UnknownOutcome {
                    try Task.checkCancellation()
                    // That it never can be proven was put down, and says more.
                    if try sender.outbox.entry(entry.txid)?.state == .forgotten { throw unknown }
                    try sender.putDown(entry, as: .abandoned)
                    throw sender.unknown(
                        entry,
                        "given up, and no longer in the way of others. Whether it took effect is not known yet: no proof was to be had"
                    )
                }
            }
        }
    }
}
