import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput

/// A request whose outcome is not known: which, why, and the command that settles it.
struct UnknownOutcome: Error, Sendable {
    let txid: String
    /// "transfer 250 alice -> bob of 11:20:05"
    let label: String
    let problem: String
    /// To be pasted.
    let settle: String
    let abandon: String

    var description: String {
        "\(label): \(problem)\ntxid       \(txid)\nsettle it  \(settle)\ngive it up \(abandon)"
    }
}

/// What became of a request.
struct Reply: Sendable {
    enum When: Sendable {
        case now
        /// It was signed by an earlier command that was interrupted, which wanted the same.
        case interrupted
        /// An earlier command under the same name of the operation has settled it.
        case before
    }
    var entry: OutboxEntry
    /// Nil for one that was settled before.
    let outcome: Outcome?
    let when: When
}

/// The requests of one key: one command at a time, each request in the outbox before it is sent, and none while an
/// earlier one is open. So whatever is interrupted, and repeated, happens once.
struct Sender: Sendable {
    let holder: KeyHolder
    let processes: ClusterProcesses
    let cluster: ClusterOption
    let book: AddressBook
    let outbox: Outbox
    private let signer: Ed25519Signer
    private let lock: KeyLock
    /// How long an old request is asked about before a command gives up.
    static let patience = Duration.seconds(10)

    init(_ holder: KeyHolder, _ processes: ClusterProcesses, _ cluster: ClusterOption) async throws {
        let folder = processes.folder
        try await cluster.requireGateway(processes)
        (self.holder, self.processes, self.cluster) = (holder, processes, cluster)
        (signer, outbox) = (try holder.signer(folder), try holder.outbox(folder))
        lock = try await KeyLock.take(holder.lockPath(folder.path), of: holder.name)
        book = AddressBook(folder)
    }

    // MARK: Sending

    /// Has the operations done, once: if an earlier command wanted the same and was interrupted, its request is settled
    /// instead of another one being signed. Everything else that is open is settled first.
    /// - Parameter operation: its name. What was committed under it is not done again.
    /// - Throws: `UnknownOutcome`; `ToolError`.
    func perform(_ operations: [Messages.Operation], mode: Request.Mode, operation: String? = nil) async throws -> Reply
    {
        if let interrupted = try await settleOpen(butFirst: { $0.isFor(operations, mode, operation: operation) }) {
            if interrupted.outcome?.isCommitted == true { return interrupted }
            // It is certain that it had no effect.
            try conclude(interrupted)
        }
        if let operation {
            let known = try outbox.operation(operation)
            let isCommitted = known?.isCommitted == true
            // What was given up under a name stands in nobody's way but that name's: it may have taken effect.
            let givenUp =
                isCommitted ? [] : try outbox.entries().filter { $0.operation == operation && $0.state != .settled }
            if let other = ((known.map { [$0] } ?? []) + givenUp).first(where: {
                !$0.isFor(operations, mode, operation: operation)
            }) {
                throw ToolError(
                    .failure,
                    "operation \(operation) is another one: \(book.label(other)), \(other.outcome ?? "unknown"). Choose another name; see: quorate tx show \(other.txid)\(cluster.option)"
                )
            }
            if isCommitted, let known { return Reply(entry: known, outcome: nil, when: .before) }
            if let done = try await settle(givenUp: givenUp, operation) { return done }
        }
        return try await send(operations, mode, operation)
    }

    /// A read in order. It changes nothing, so nothing need be settled first.
    func read(_ id: AccountID) async throws -> Outcome {
        let reply = try await send([.read(id)], .atomic, nil)
        try settle(reply, receipt: nil)
        guard let outcome = reply.outcome else { throw ToolError(.noAnswer, "the read has no outcome") }
        return outcome
    }

    private static func shards(_ operations: [Messages.Operation], _ mode: Request.Mode, _ manifest: Manifest)
        -> [ShardID]
    {
        // Which shards take part depends on nothing else.
        Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: manifest.issuer, number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(1), issuedAt: .zero, deadline: .zero, mode: mode, operations: operations
        ).participants(in: manifest.shardMap)
    }

    private func send(_ operations: [Messages.Operation], _ mode: Request.Mode, _ operation: String?) async throws
        -> Reply
    {
        let start = ContinuousClock.now
        var died: RequestNumber?
        var attempts = 0
        var hasMet = false
        while true {
            let (number, foreign) = try await nextNumber(
                on: Self.shards(operations, mode, processes.folder.manifest), hasMet: hasMet)
            let client = try processes.client(signer, firstNumber: number, keeping: foreign)
            var operations = operations
            if case .call(let invocation, _)? = operations.first { operations = [.call(invocation, continues: died)] }
            let entry = OutboxEntry(try await client.prepare(operations, mode: mode), operation: operation)
            try outbox.add(entry)
            let outcome = try await resolve(entry, with: client, patience: .zero)
            await client.close()
            attempts += 1
            // Another program with this key has used the number for something else, and holds it: this one is certified
            // to do nothing.
            if outcome.decisions.allSatisfy({ $0 == .abort(.superseded) }), attempts < 8 {
                Console.error(
                    "another program used number \(number) of \(holder.name)'s key; trying again under another one")
                hasMet = true
                try settle(Reply(entry: entry, outcome: outcome, when: .now), receipt: nil)
                continue
            }
            // Clocks were set while it was signed: its deadline was past when it came, and it is certified to do
            // nothing.
            if client.isLateByClock(outcome), attempts < 3 {
                try settle(Reply(entry: entry, outcome: outcome, when: .now), receipt: nil)
                continue
            }
            // A call in whose way an older one stood goes on as the same call, as old as it is.
            if case .failed(let failure)? = outcome.callStatus(processes.folder.manifest), failure.isToBeTriedAgain,
                start.duration(to: .now) < ClientOptions().lifetime
            {
                try settle(Reply(entry: entry, outcome: outcome, when: .now), receipt: nil)
                died = RequestNumber(entry.number)
                var random = SystemRandomNumberGenerator()
                try await Task.sleep(for: ClientOptions().callBackoff.pause(attempt: attempts - 1, using: &random))
                continue
            }
            return Reply(entry: entry, outcome: outcome, when: .now)
        }
    }

    /// The number of the next request, above all that any shard has recorded or that may still be recorded; and from
    /// which on outcomes are still wanted.
    /// - Parameter hasMet: another program, which has used the number before.
    private func nextNumber(on shards: [ShardID], hasMet: Bool) async throws -> (
        number: RequestNumber, keeping: RequestNumber
    ) {
        let entries = try outbox.entries()
        let standing = try await NumberSource.standing(of: outbox.principal, on: shards, processes)
        let recorded = standing.nextNumber.number
        // A key that is new here has none.
        let own = entries.map(\.number).max()
        var number = max(1, recorded, own.map { $0 == .max ? $0 : $0 + 1 } ?? 1)
        // Above another program's numbers there is room for its next ones, so that the two do not meet at once.
        if hasMet || own.map({ recorded > $0 && recorded - $0 > 1 }) == true {
            number = number > .max - NumberSource.room ? .max : number + NumberSource.room
        }
        guard number < UInt64.max else {
            throw ToolError(
                .failure,
                "all request numbers of \(holder.name)'s key are used: another program with it signed number \(recorded - min(recorded, 1))"
            )
        }
        // What is lower may be another program's, and is acknowledged only as far as the window makes it necessary: its
        // outcomes, and those that receipts can be fetched of, stay with the shards.
        let keeping = max(standing.acknowledgedBelow.number, number - min(number, RequestWindow.foreignRoom - 1))
        return (RequestNumber(number), RequestNumber(keeping))
    }

    // MARK: Settling

    /// Asks what became of everything that is open, the oldest first.
    /// - Parameter isWanted: the first of which this is true is returned instead of being settled.
    /// - Throws: `UnknownOutcome` for the first of which that cannot be known now.
    @discardableResult
    func settleOpen(butFirst isWanted: (OutboxEntry) -> Bool = { _ in false }) async throws -> Reply? {
        var found: Reply?
        for entry in try outbox.entries() where entry.state == .open {
            if entry.isRead {
                try outbox.remove(entry)
                continue
            }
            let reply = try await settleOne(entry)
            if found == nil, isWanted(entry) {
                found = reply
                continue
            }
            try conclude(reply)
        }
        return found
    }

    /// - Parameter entries: all that was given up under the name.
    /// - Returns: the one that was committed, which is not put down as settled yet.
    /// - Throws: `UnknownOutcome`; `ToolError` if the outcome of one can never be known.
    private func settle(givenUp entries: [OutboxEntry], _ operation: String) async throws -> Reply? {
        if let forgotten = entries.first(where: { $0.state == .forgotten }) {
            throw ToolError(
                .outcomeUnknown,
                "operation \(operation) may have been done: the outcome of \(book.label(forgotten)) cannot be proven, since another program with \(holder.name)'s key has told the shards to forget it. Look at the account; if it did not happen, do it under another name: quorate issue ACCOUNT AMOUNT --operation NAME\(cluster.option)",
                txid: forgotten.txid)
        }
        for entry in entries {
            let reply = try await settleOne(entry)
            if reply.outcome?.isCommitted == true { return reply }
            try conclude(reply)
        }
        return nil
    }

    /// Sends the same signed bytes again until their outcome is proven.
    func settleOne(_ entry: OutboxEntry) async throws -> Reply {
        Console.error("asking what became of: \(book.label(entry))")
        let client = try processes.client(signer)
        let outcome = try await resolve(entry, with: client, patience: Self.patience)
        await client.close()
        return Reply(entry: entry, outcome: outcome, when: .interrupted)
    }

    /// Says what became of a request that the command is not about, and only then puts it down as settled: whoever was
    /// not told would take it for undone, and do it again.
    private func conclude(_ reply: Reply) throws {
        let text = reply.outcome.map { Text.outcome($0.decisions.first) } ?? reply.entry.outcome ?? "settled"
        Console.error("settled: \(book.label(reply.entry)): \(text)")
        try Console.checkDelivery(of: reply.entry.txid, to: STDERR_FILENO)
        try settle(reply, receipt: try? ReceiptStore.save(reply, processes.folder))
    }

    private func resolve(_ entry: OutboxEntry, with client: QuorateClient, patience: Duration) async throws -> Outcome {
        do { return try await client.resolve(entry.request, patience: patience, closes: false) } catch {
            await client.close()
            throw try explain(error, entry)
        }
    }

    /// Puts the outcome down. Whoever is interrupted before finds the request open, and asks once more.
    func settle(_ reply: Reply, receipt: String?) throws {
        var entry = reply.entry
        // Whoever could not be told, because the output takes nothing, is told by the next command.
        try Console.checkDelivery(of: entry.txid)
        try Task.checkCancellation()
        guard let outcome = reply.outcome else { return }
        guard !entry.isRead else { return try outbox.remove(entry) }
        entry.state = .settled
        entry.outcome = Text.outcome(outcome.decisions.first)
        entry.receipt = receipt
        try outbox.replace(entry)
        outbox.prune()
    }

    // MARK: What is not known

    /// What is known by now stays: a proven outcome is never given up for a word that proves nothing.
    func putDown(_ entry: OutboxEntry, as state: OutboxEntry.State) throws {
        guard var now = try outbox.entry(entry.txid), now.state == .open || now.state == .abandoned else { return }
        now.state = state
        try outbox.replace(now)
    }

    private func explain(_ error: any Error, _ entry: OutboxEntry) throws -> any Error {
        if entry.isRead, let error = error as? ClientError {
            // It changes nothing, so nobody has to settle it.
            try outbox.remove(entry)
            try Task.checkCancellation()
            let cause = if case .outcomeUnknown(_, let cause) = error { cause } else { error.description }
            return ToolError(.noAnswer, "the read in order was not answered: \(Printable.line(cause)); ask again")
        }
        switch error {
        case ClientError.outcomeUnknown(_, let cause):
            return unknown(entry, "its outcome is not known: \(Printable.line(cause))")
        case ClientError.acknowledged:
            // Nothing can be proven any more, so it must not stand in the way for ever; but nothing is signed in its
            // place unasked.
            try putDown(entry, as: .forgotten)
            return unknown(
                entry,
                "its outcome cannot be proven: another program with \(holder.name)'s key has told the shards to forget number \(entry.number). It does nothing from now on, and may have done so before; look at the account, then send it again if it did not happen"
            )
        case ClientError.invalid:
            return unknown(entry, "every gateway says that it is not valid for its cluster")
        default: return error
        }
    }

    func unknown(_ entry: OutboxEntry, _ problem: String) -> UnknownOutcome {
        UnknownOutcome(
            txid: entry.txid, label: book.label(entry), problem: problem,
            settle: "quorate tx resolve \(entry.txid)\(cluster.option)",
            abandon: "quorate tx abandon \(entry.txid)\(cluster.option)")
    }
}

/// Where request numbers come from.
enum NumberSource {
    /// Between another program's numbers and ours.
    static let room: UInt64 = 64

    /// What the shards that are asked to do something have recorded of a key. Where that changes just now, because
    /// another program uses the key, or too few hosts answer, it is asked again, for five seconds in all.
    /// - Throws: `ToolError`; nothing was signed.
    static func standing(of principal: PublicKey, on shards: [ShardID], _ processes: ClusterProcesses) async throws
        -> PrincipalStanding
    {
        let client = try processes.reader()
        let start = ContinuousClock.now
        var attempts = 0
        while true {
            do {
                let left = patience - start.duration(to: .now)
                let standing = try await client.standing(
                    of: principal, on: shards, attempts: 1, timeout: max(.milliseconds(100), min(.seconds(2), left)))
                await client.close()
                return standing
            } catch ClientError.noQuorum(let shard) {
                guard start.duration(to: .now) < patience else {
                    await client.close()
                    throw ToolError(
                        .noAnswer,
                        "no quorum of shard \(shard) says which request numbers of the key it has recorded, so nothing was sent; see: quorate cluster status \(Shell.quoted(processes.folder.path))"
                    )
                }
            }
            attempts += 1
            var random = SystemRandomNumberGenerator()
            try await Task.sleep(for: Backoff().pause(attempt: attempts, using: &random))
        }
    }

    private static let patience = Duration.seconds(5)
}

extension Outcome {
    /// Of a root call, as its home shard certified it.
    func callStatus(_ manifest: Manifest) -> LegStatus? {
        guard let call = receipt.request.request.rootCall else { return nil }
        return status(at: manifest.shardMap.shard(of: call.target))
    }
}

extension ToolCommand {
    /// For commands that send requests: an unknown outcome is reported with what settles it.
    func reporting(json: Bool, _ body: () async throws -> Void) async throws {
        do { try await body() } catch let unknown as UnknownOutcome {
            if json { Console.failure(.init(unknown)) }
            Console.error("error: \(unknown.description)")
            throw ExitCode(ExitReason.outcomeUnknown.rawValue)
        }
    }
}
