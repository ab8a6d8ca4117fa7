import Client
import Messages
import Synchronization

/// An outcome that several may wait for, none of them longer than he likes.
final class AwaitedOutcome: Sendable {
    private struct State {
        var outcome: SubmissionOutcome?
        var waiters: [UInt64: CheckedContinuation<SubmissionOutcome?, Never>] = [:]
        /// Those whose time was over before they waited.
        var late: Set<UInt64> = []
        var lastWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    var outcome: SubmissionOutcome? { state.withLock { $0.outcome } }

    func finish(_ outcome: SubmissionOutcome) {
        let waiters = state.withLock { state in
            state.outcome = outcome
            defer { state.waiters = [:] }
            return state.waiters.values.map { $0 }
        }
        for waiter in waiters { waiter.resume(returning: outcome) }
    }

    /// - Returns: nil when the time is over, or the task was cancelled.
    func wait(_ limit: Duration) async -> SubmissionOutcome? {
        if limit <= .zero { return outcome }
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let timer = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            giveUp(id)
        }
        defer {
            timer.cancel()
            _ = state.withLock { $0.late.remove(id) }
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early: SubmissionOutcome?? = state.withLock { state in
                    if let outcome = state.outcome { return .some(outcome) }
                    if state.late.contains(id) { return .some(nil) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            giveUp(id)
        }
    }

    private func giveUp(_ id: UInt64) {
        let waiter = state.withLock { state in
            if let waiter = state.waiters.removeValue(forKey: id) { return Optional(waiter) }
            state.late.insert(id)
            return nil
        }
        waiter?.resume(returning: nil)
    }
}

/// What became of a submission, as far as the gateway said.
enum SubmissionOutcome: Sendable {
    /// Decided; the receipt is the gateway's word, and is for the client to verify.
    case receipt(Receipt)
    /// The gateway gave up. The request may take effect all the same.
    case problem(Problem)
}

/// The requests that came over HTTP, by the identifiers of their transactions: those that are under way, and some of
/// those that were answered. No part of what is certified: who has lost track sends the same bytes again.
final class Submissions: Sendable {
    struct Known: Sendable {
        let digest: Digest
        /// Nil while it is under way.
        let outcome: SubmissionOutcome?
    }

    private struct Entry {
        let request: SignedRequest
        let awaited: AwaitedOutcome
        let serial: UInt64
    }

    private struct Table {
        var entries: [Digest: Entry] = [:]
        var transactions: [TransactionID: Digest] = [:]
        /// Answered ones, the oldest first; some of them were sent again since.
        var answered: [(digest: Digest, serial: UInt64, cost: Int)] = []
        var answeredBytes = 0
        var pending = 0
        /// Of the requests, encoded.
        var pendingBytes = 0
        var lastSerial: UInt64 = 0
    }

    private let options: APIOptions
    private let table = Mutex(Table())
    private let submit: @Sendable (SignedRequest) async -> SubmissionOutcome

    /// - Parameter submit: hands a request to the gateway, and returns when that has given its answer.
    init(options: APIOptions, submit: @escaping @Sendable (SignedRequest) async -> SubmissionOutcome) {
        (self.options, self.submit) = (options, submit)
    }

    /// Goes on when nobody waits any more. The same signed bytes are one submission while they are under way.
    /// - Returns: nil if too many are under way.
    func begin(_ request: SignedRequest) -> AwaitedOutcome? {
        let (awaited, serial): (AwaitedOutcome?, UInt64?) = table.withLock { table in
            if let known = table.entries[request.digest], known.request == request {
                switch known.awaited.outcome {
                case nil, .receipt: return (known.awaited, nil)
                case .problem: break
                }
            }
            guard table.pending < options.maxPending,
                table.pendingBytes + request.bytes.count <= options.maxPendingBytes
            else { return (nil, nil) }
            table.pending += 1
            table.pendingBytes += request.bytes.count
            table.lastSerial += 1
            let entry = Entry(request: request, awaited: AwaitedOutcome(), serial: table.lastSerial)
            table.entries[request.digest] = entry
            for id in request.transactionIDs { table.transactions[id] = request.digest }
            return (entry.awaited, entry.serial)
        }
        guard let awaited, let serial else { return awaited }
        Task {
            let outcome = await submit(request)
            awaited.finish(outcome)
            noteAnswered(request, serial, Self.cost(of: request, outcome))
        }
        return awaited
    }

    func find(_ transaction: TransactionID) -> Known? {
        table.withLock { table in
            guard let digest = table.transactions[transaction], let entry = table.entries[digest] else { return nil }
            return Known(digest: digest, outcome: entry.awaited.outcome)
        }
    }

    /// What is kept of an answered one, roughly, in bytes: encoded values take about twice the room in memory.
    private static func cost(of request: SignedRequest, _ outcome: SubmissionOutcome) -> Int {
        let encoded: Int
        switch outcome {
        case .receipt(let receipt): encoded = receipt.encoded().count
        case .problem: encoded = request.bytes.count
        }
        return 1024 + encoded * 2 + request.request.legCount * 96
    }

    private func noteAnswered(_ request: SignedRequest, _ serial: UInt64, _ cost: Int) {
        table.withLock { table in
            table.pending -= 1
            table.pendingBytes -= request.bytes.count
            guard table.entries[request.digest]?.serial == serial else { return }
            table.answered.append((request.digest, serial, cost))
            table.answeredBytes += cost
            while table.answered.count > options.maxRemembered || table.answeredBytes > options.maxRememberedBytes,
                !table.answered.isEmpty
            {
                let oldest = table.answered.removeFirst()
                table.answeredBytes -= oldest.cost
                forget(oldest.digest, oldest.serial, in: &table)
            }
        }
    }

    /// Nothing if it was sent again: then it is another entry.
    private func forget(_ digest: Digest, _ serial: UInt64, in table: inout Table) {
        guard let entry = table.entries[digest], entry.serial == serial else { return }
        table.entries[digest] = nil
        for id in entry.request.transactionIDs where table.transactions[id] == digest { table.transactions[id] = nil }
    }
}

extension SignedRequest {
    /// Of every leg, and the request's own digest.
    var transactionIDs: [TransactionID] {
        [TransactionID(digest.value)]
            + (request.mode == .atomic
                ? [] : (0..<request.legCount).map { transactionID(ofLeg: $0) })
    }

    /// - Parameter leg: below `legCount`.
    func transactionID(ofLeg leg: Int) -> TransactionID {
        TransactionID(request: digest, mode: request.mode, leg: UInt16(leg))
    }
}
