import Foundation
import Histories
import Messages
import Synchronization
import Workload

/// The few transactions on lists that are made beside another load, slowly, so that its figures stay what they are.
typealias HistoryProbe = RecordedLoad<ListWorkload>

extension HistoryProbe {
    /// Two clients whose transactions meet on three lists, each twice a second: some twenty batches a second in all,
    /// beside hundreds for the transfers. On up to three shards, whatever their number: transactions that never meet
    /// show nothing.
    static var clients: Int { 2 }
    static var pace: Duration { .milliseconds(500) }
    static var perSecond: Int { Int(Double(clients) / (pace / .seconds(1))) }
    static var shape: ListTraffic.Shape { .init(lists: 3, maxOperations: 3) }

    /// - Parameter file: where the lines go too; nil to keep the history in memory.
    convenience init(_ processes: ClusterProcesses, file: String?, seed: UInt64) throws {
        try self.init(
            processes, ListWorkload(Self.shape, processes.folder.manifest), clients: Self.clients, pace: Self.pace,
            figures: HistoryFigures(start: Instant.current().uptime), file: file, seed: seed)
    }
}

/// Records the history of a load and judges it at the end.
final class RecordedLoad<Workload: HistoryWorkload>: Sendable {
    let recorder: HistoryRecorder<Workload.Value>
    let load: HistoryLoad<Workload>
    private let file: HistoryFile?
    private let stopSwitch = StopSwitch()
    private let unread = Mutex(0)

    init(
        _ processes: ClusterProcesses, _ workload: Workload, clients: Int, pace: Duration?, figures: HistoryFigures,
        file: String?, seed: UInt64
    ) throws {
        let written: HistoryFile? = if let file { try HistoryFile(file) } else { nil }
        self.file = written
        var sink: (@Sendable (String) -> Void)?
        if let written { sink = { line in written.append(line) } }
        recorder = HistoryRecorder(
            clock: { Instant.current().uptime }, format: HistoryFormat(file: file ?? ""), sink: sink)
        load = HistoryLoad(
            workload, manifest: processes.folder.manifest, gateways: processes.gateways, recorder: recorder,
            figures: figures, clients: clients, pace: pace, seed: seed)
    }

    /// Returns when it is stopped, or full, and all transactions are over.
    func run() async { await load.run(until: stopSwitch) }

    func stop() { stopSwitch.turnOn() }
    var isStopped: Bool { stopSwitch.isOn }

    func readAll() async {
        let missing = await load.readAll()
        unread.withLock { $0 = missing }
    }

    /// Checks the history, and closes its file.
    /// - Throws: if the file could not be written.
    func judge(_ invariants: inout RunResult.Invariants, label: String) throws -> RunResult.History {
        recorder.finish()
        try file?.close()
        let bar = ProgressBar("\(label): checking the history")
        let (history, workload) = (recorder.history, load.workload)
        let start = ContinuousClock.now
        invariants.strictly_serializable = true
        var undecided: String?
        do { try workload.check(history) } catch {
            if error.isUndecided {
                (invariants.strictly_serializable, undecided) = (nil, error.description)
            } else {
                invariants.strictly_serializable = false
                invariants.problems.append(error.description)
            }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        func count(_ outcome: HistoryOutcome) -> Int { history.transactions.count { $0.outcome == outcome } }
        var result = RunResult.History(
            transactions: history.transactions.count, committed: count(.ok), failed: count(.failed),
            died: load.figures.values.died, unknown: count(.unknown), lists: workload.count,
            unreadLists: unread.withLock { $0 }, isFull: recorder.isFull,
            checkSeconds: (seconds * 1000).rounded() / 1000, file: file?.path)
        if Workload.kind != .listAppend { result.things = Workload.things }
        if undecided != nil { result.is_undecided = true }
        let verdict =
            switch invariants.strictly_serializable {
            case true?: "strictly serializable"
            case false?: "NOT strictly serializable"
            case nil: "it could not be told whether they are strictly serializable"
            }
        var notes = undecided.map { "; \($0)" } ?? ""
        if result.unread_lists > 0 {
            notes += "; \(result.unread_lists) \(Workload.things) could not be read at the end"
        }
        if result.is_full {
            notes += "; it was full after \(SerializabilityChecker.benchLimit) transactions, and the rest was not begun"
        }
        bar.finish("\(result.transactions) transactions on \(result.lists) \(Workload.things): \(verdict)\(notes)")
        return result
    }
}

/// A file of lines, written while the run goes on: what is known of a run that is interrupted is not lost.
final class HistoryFile: Sendable {
    private struct State {
        var descriptor: Int32
        var buffer: [UInt8] = []
        var failure: String?
    }

    let path: String
    private let state: Mutex<State>
    private static let bufferSize = 1 << 16

    /// - Throws: `ToolError` if it cannot be created.
    init(_ path: String) throws {
        self.path = URL(fileURLWithPath: path).standardizedFileURL.path
        let descriptor = open(self.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ToolError(.failure, "--history: cannot write \(path): \(String(cString: strerror(errno)))")
        }
        state = Mutex(State(descriptor: descriptor))
    }

    deinit {
        state.withLock { state in
            Self.flush(&state)
            if state.descriptor >= 0 { Foundation.close(state.descriptor) }
        }
    }

    func append(_ text: String) {
        state.withLock { state in
            state.buffer += Array(text.utf8)
            if state.buffer.count >= Self.bufferSize { Self.flush(&state) }
        }
    }

    func close() throws {
        let failure = state.withLock { state -> String? in
            Self.flush(&state)
            if state.descriptor >= 0, Foundation.close(state.descriptor) != 0 {
                state.failure = state.failure ?? String(cString: strerror(errno))
            }
            state.descriptor = -1
            return state.failure
        }
        if let failure { throw ToolError(.failure, "--history: cannot write \(path): \(failure)") }
    }

    private static func flush(_ state: inout State) {
        var offset = 0
        while state.failure == nil, state.descriptor >= 0, offset < state.buffer.count {
            let count = state.buffer.withUnsafeBytes {
                write(state.descriptor, $0.baseAddress.map { $0 + offset }, $0.count - offset)
            }
            if count > 0 { offset += count } else if errno != EINTR { state.failure = String(cString: strerror(errno)) }
        }
        state.buffer.removeAll(keepingCapacity: true)
    }

    /// Of one run of several: `out.jsonl` becomes `out-shards-2-cross-50.jsonl`.
    static func path(_ path: String, shards: Int, crossShard: Int?, isOnly: Bool) -> String {
        guard !isOnly else { return path }
        let url = URL(fileURLWithPath: path)
        let name =
            url.deletingPathExtension().lastPathComponent + "-shards-\(shards)"
            + (crossShard.map { "-cross-\($0)" } ?? "")
        let ending = url.pathExtension.isEmpty ? "" : "." + url.pathExtension
        return url.deletingLastPathComponent().appendingPathComponent(name + ending).path
    }
}
