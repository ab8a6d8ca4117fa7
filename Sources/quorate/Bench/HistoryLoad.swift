import Randomness
import Client
import ExampleProcedures
import Foundation
import Histories
import Messages
import Synchronization
import Workload

/// Ends a load from outside.
final class StopSwitch: Sendable {
    private let flag = Atomic<Bool>(false)
    var isOn: Bool { flag.load(ordering: .acquiring) }
    func turnOn() { flag.store(true, ordering: .releasing) }
}

/// Clients, each with a key of its own, that do a workload through the gateways, in calls over several shards, and note
/// all that they ask for and hear.
struct HistoryLoad<Workload: HistoryWorkload>: Sendable {
    let manifest: Manifest
    let gateways: [GatewayAddress]
    let recorder: HistoryRecorder<Workload.Value>
    let figures: HistoryFigures
    let clients: Int
    /// From one start to the next of a client; nil: as soon as the last one is over.
    let pace: Duration?
    private let shared: Shared

    /// What the clients draw from.
    private final class Shared: Sendable {
        struct State {
            var workload: Workload
            var random: SplitMix64
            var processes: Int
        }
        let state: Mutex<State>
        init(_ state: State) { self.state = Mutex(state) }
    }

    private enum Ending {
        case committed
        /// An older transaction was in the way.
        case died
        case failed
        case unknown
    }

    init(
        _ workload: Workload, manifest: Manifest, gateways: [GatewayAddress], recorder: HistoryRecorder<Workload.Value>,
        figures: HistoryFigures, clients: Int, pace: Duration? = nil, seed: UInt64
    ) {
        (self.manifest, self.gateways, self.recorder, self.figures) = (manifest, gateways, recorder, figures)
        (self.clients, self.pace) = (clients, pace)
        shared = Shared(.init(workload: workload, random: SplitMix64(seed: seed, stream: "lists"), processes: clients))
    }

    /// As far as it has come.
    var workload: Workload { shared.state.withLock { $0.workload } }

    /// A process whose transaction may still happen is not used again.
    private func newProcess() -> Int {
        shared.state.withLock { state in
            state.processes += 1
            return state.processes - 1
        }
    }

    private func newClient() -> QuorateClient? {
        guard let signer = Ed25519Signer(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max) }) else {
            return nil
        }
        var options = ClientOptions()
        (options.lifetime, options.grace) = (.seconds(15), .seconds(15))
        return QuorateClient(
            signer: signer, manifest: manifest, gateways: gateways, options: options, firstNumber: RequestNumber(1))
    }

    // MARK: The load

    /// Returns when every client's last transaction is over: after the switch is turned on, or when the history is
    /// full.
    func run(until stop: StopSwitch) async {
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<clients { group.addTask { await drive(index, until: stop) } }
        }
    }

    private func drive(_ index: Int, until stop: StopSwitch) async {
        guard let client = newClient() else { return }
        let start = ContinuousClock.now
        var process = index
        var rounds = 0
        var died: (step: Workload.Step, since: UInt64, attempts: Int, number: RequestNumber?)?
        while !stop.isOn, !Task.isCancelled {
            // All at the same moments, so that even a slow load has transactions that meet.
            if let pace {
                try? await Task.sleep(until: max(.now, start + pace * rounds))
                rounds = max(rounds, Int((ContinuousClock.now - start) / pace)) + 1
                guard !stop.isOn else { break }
            }
            let step = shared.state.withLock { state in
                died.map { state.workload.again($0.step) } ?? state.workload.next(using: &state.random)
            }
            guard
                let (ending, began, number) = await perform(
                    step, as: process, client, since: died?.since, continues: died?.number)
            else {
                stop.turnOn()
                break
            }
            switch ending {
            case .committed: died = nil
            case .died:
                died = (step, died?.since ?? began, (died?.attempts ?? 0) + 1, number)
                await pause(died?.attempts ?? 1)
            case .failed:
                died = nil
                await pause(4)
            case .unknown:
                died = nil
                process = newProcess()
            }
        }
        await client.close()
    }

    private func pause(_ attempts: Int) async {
        guard pace == nil else { return }
        var random = SystemRandomNumberGenerator()
        let delay = ClientOptions().callBackoff.pause(attempt: attempts, using: &random)
        figures.paused(delay)
        try? await Task.sleep(for: delay)
    }

    /// One transaction, noted before and after.
    /// - Parameters:
    ///   - since: when its first attempt began, if this is not the first.
    ///   - continues: the attempt before, whose age it takes over.
    /// - Returns: nil if the history is full.
    private func perform(
        _ step: Workload.Step, as process: Int, _ client: QuorateClient, since: UInt64? = nil,
        continues: RequestNumber? = nil,
        isExtra: Bool = false
    ) async -> (Ending, began: UInt64, number: RequestNumber?)? {
        let workload = workload
        let unread = workload.value(of: step, found: nil)
        let operations = workload.operations(of: step)
        typealias Transaction = KeyedTransaction<Workload.Operation>
        guard let home = Transaction.home(of: operations, in: manifest.shardMap),
            let began = recorder.invoke(process, unread, isExtra: isExtra)
        else { return nil }
        let invocation = Invocation(
            target: home, procedure: Transaction.name, version: Transaction.version, arguments: operations.encoded())
        var (ending, read, why, isElsewhere) = (Ending.unknown, [Workload.Operation.Held]?.none, "", false)
        var number: RequestNumber?
        do {
            let outcome = try await client.attempt(invocation, continues: continues)
            number = outcome.receipt.request.request.number
            (ending, read, why, isElsewhere) = Self.judge(outcome, count: operations.count)
            figures.note(outcome)
        } catch {
            why = "\(error)"
            // It may have happened; its number is given up, so that the next ones can be used.
            if case ClientError.outcomeUnknown(let request, _) = error { await client.abandon(request.request.number) }
        }
        let outcome: HistoryOutcome =
            switch ending {
            case .committed: .ok
            case .died, .failed: .failed
            case .unknown: .unknown
            }
        let ended = recorder.end(process, outcome, workload.value(of: step, found: read))
        if ending == .died { figures.died(busy: isExtra ? 0 : ended - began, isElsewhere: isElsewhere) }
        if !isExtra {
            let map = manifest.shardMap
            let isCross = Set(operations.map { map.shard(ofKey: Array($0.key.utf8)) }).count > 1
            switch ending {
            case .died: break
            case .committed:
                figures.record(.committed, isCross: isCross, since: since ?? began, busy: ended - began, now: ended)
            case .failed:
                figures.record(
                    .aborted(.callFailed), isCross: isCross, since: since ?? began, busy: ended - began, now: ended,
                    why: why)
            case .unknown:
                figures.record(.unknown(why), isCross: isCross, since: since ?? began, busy: ended - began, now: ended)
            }
        }
        return (ending, began, number)
    }

    /// What a proven outcome says.
    private static func judge(_ outcome: Outcome, count: Int) -> (
        Ending, read: [Workload.Operation.Held]?, why: String, isElsewhere: Bool
    ) {
        for certificate in outcome.receipt.certificates {
            switch certificate.leaf.status(ofLeg: 0) {
            case .returned(let bytes, _)?:
                guard let read = try? [Workload.Operation.Held](decoding: bytes), read.count == count else {
                    return (.unknown, nil, "a result that cannot be read", false)
                }
                return (.committed, read, "", false)
            case .failed(let failure)?:
                return (
                    failure.isToBeTriedAgain ? .died : .failed, nil, "\(failure)", failure.shard != certificate.shard
                )
            default: continue
            }
        }
        guard case .abort(let reason)? = outcome.decisions.first else {
            return (.unknown, nil, "a receipt without a result", false)
        }
        return (.failed, nil, "\(reason)", false)
    }

    // MARK: The end

    /// Reads everything once more.
    /// - Returns: how many things could not be read in time.
    func readAll(limit: Duration = .seconds(30)) async -> Int {
        let end = ContinuousClock.now + limit
        let unread = UnreadQueue(workload.lastReads)
        return await withTaskGroup(of: Int.self) { group in
            for _ in 0..<min(8, clients) { group.addTask { await read(unread, until: end) } }
            return await group.reduce(0, +)
        }
    }

    private final class UnreadQueue: Sendable {
        private let steps: Mutex<[Workload.Step]>
        init(_ steps: [Workload.Step]) { self.steps = Mutex(steps.reversed()) }
        func take() -> Workload.Step? { steps.withLock { $0.popLast() } }
    }

    private func read(_ queue: UnreadQueue, until end: ContinuousClock.Instant) async -> Int {
        // Whoever cannot ask has not read.
        let client = newClient()
        var process = newProcess()
        var missing = 0
        while let step = queue.take() {
            var isRead = false
            var died: RequestNumber?
            while !isRead, !Task.isCancelled, ContinuousClock.now < end {
                guard let client,
                    let (ending, _, number) = await perform(
                        step, as: process, client, continues: died, isExtra: true)
                else { break }
                died = ending == .died ? number : nil
                switch ending {
                case .committed: isRead = true
                case .died, .failed: try? await Task.sleep(for: .milliseconds(20))
                case .unknown: process = newProcess()
                }
            }
            if !isRead { missing += workload.operations(of: step).count }
        }
        await client?.close()
        return missing
    }
}

/// What the clients of a `HistoryLoad` measured.
final class HistoryFigures: Sendable {
    struct Values: Sendable {
        var measurements: Measurements
        var died = 0
        var diedElsewhere = 0
        var pausedNanoseconds: UInt64 = 0
        var busyNanoseconds: UInt64 = 0
        var resent = 0
        var gatewayRetries = 0
        var gatewayConflicts = 0
        var firstFailure: String?

        /// What contention cost, for people.
        var deaths: String {
            let attempts = died + measurements.committed
            return """
                \(died) of \(attempts) attempts died (\(attempts == 0 ? 0 : died * 100 / attempts) %), \(diedElsewhere) of them on a shard \
                that was called; clients paused \(pausedNanoseconds / 1_000_000_000) s after deaths
                """
        }
    }

    private let state: Mutex<Values>

    init(start: UInt64, warmup: UInt64 = 0) {
        state = Mutex(Values(measurements: Measurements(start: start, warmup: warmup)))
    }

    var values: Values { state.withLock { $0 } }

    /// - Parameters:
    ///   - since: the first attempt's start.
    ///   - busy: nanoseconds of this attempt.
    func record(_ outcome: LegOutcome, isCross: Bool, since: UInt64, busy: UInt64, now: UInt64, why: String? = nil) {
        state.withLock { values in
            values.measurements.record(
                outcome, isCross: isCross, microseconds: (now - min(now, since)) / 1000, now: now)
            values.busyNanoseconds += busy
            values.firstFailure = values.firstFailure ?? why
        }
    }

    /// - Parameter isElsewhere: not at the home shard.
    func died(busy: UInt64, isElsewhere: Bool) {
        state.withLock { values in
            values.died += 1
            values.diedElsewhere += isElsewhere ? 1 : 0
            values.busyNanoseconds += busy
        }
    }

    func paused(_ time: Duration) {
        state.withLock { $0.pausedNanoseconds += UInt64(max(0, time / .nanoseconds(1))) }
    }

    func note(_ outcome: Outcome) {
        state.withLock { values in
            values.resent += outcome.retries
            values.gatewayRetries += outcome.gatewayRetries
            values.gatewayConflicts += outcome.conflicts
        }
    }
}
