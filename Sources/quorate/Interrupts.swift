import Foundation
import HostRuntime
import Synchronization

/// SIGINT, SIGTERM and SIGHUP. The first cancels the command, which ends what it has started; the second ends all that
/// at once.
///
/// Where a command runs inside another one, as in the shell, a signal cancels those that mind it: in an interactive
/// shell an interrupt is the command's only.
enum Interrupts {
    private struct Layer {
        let signals: Set<Int32>
        let cancel: @Sendable () -> Void
    }

    private struct State {
        /// Of the command that runs.
        var first: (moment: ContinuousClock.Instant, number: Int32)?
        /// The command that runs is the last.
        var layers: [Layer] = []
        /// Processes that this command has started and that are to end with it.
        var processes: Set<ProcessIdentity> = []
        var folders: Set<String> = []
        /// Gives a terminal back as it was found.
        var restoreTerminal: (@Sendable () -> Void)?
    }

    private static let state = Mutex(State())
    /// A command that has nothing to end has no reason to go on for longer.
    private static let patience = DispatchTimeInterval.seconds(2)
    /// So long a process that was killed is waited for.
    private static let death = Duration.seconds(2)

    static func owns(_ process: ProcessIdentity) { state.withLock { _ = $0.processes.insert(process) } }
    /// They go on without this command.
    static func disownAll() { state.withLock { $0.processes = [] } }
    /// A temporary folder.
    static func owns(folder: String) { state.withLock { _ = $0.folders.insert(folder) } }
    static func disown(folder: String) { state.withLock { _ = $0.folders.remove(folder) } }

    private static var ownsSomething: Bool {
        let (processes, folders) = state.withLock { ($0.processes, $0.folders) }
        return !folders.isEmpty || processes.contains(where: \.isRunning)
    }

    /// A terminal is not as it was found: what to do about it if there is no time to end in order. Nil when it is.
    static func owns(terminal restore: (@Sendable () -> Void)?) { state.withLock { $0.restoreTerminal = restore } }

    /// Ends the command as a first signal does.
    static func cancel() {
        let layers = state.withLock(\.layers)
        for layer in layers { layer.cancel() }
    }

    /// - Parameter signals: on which of them `cancel` is called.
    fileprivate static func arm(_ signals: Set<Int32>, _ cancel: @escaping @Sendable () -> Void) -> SignalWatch? {
        let isOutermost = state.withLock { state in
            state.layers.append(Layer(signals: signals, cancel: cancel))
            return state.layers.count == 1
        }
        guard isOutermost else { return nil }
        // Under nohup a hangup is no reason.
        return SignalWatch([SIGINT, SIGTERM] + (StopSignal.isIgnored(SIGHUP) ? [] : [SIGHUP])) { arrived($0) }
    }

    fileprivate static func disarm(_ watch: SignalWatch?) {
        watch?.cancel()
        state.withLock { state in
            state.layers.removeLast()
            // What it was about has ended; whoever goes on is interrupted anew.
            guard let number = state.first?.number, let last = state.layers.last else { return }
            if !last.signals.contains(number) { state.first = nil }
        }
    }

    private static func arrived(_ number: Int32) {
        let now = ContinuousClock.now
        let (first, layers) = state.withLock { state in
            let minding = state.layers.filter { $0.signals.contains(number) }
            defer { if !minding.isEmpty { state.first = state.first ?? (now, number) } }
            return (state.first?.moment, minding)
        }
        // At a shell's prompt there is nothing to interrupt.
        guard !layers.isEmpty else { return }
        if let first {
            // `timeout` and some shells send the same signal to a process and to its group: that is one.
            if now - first > .milliseconds(500) { endAtOnce() }
            return
        }
        for layer in layers { layer.cancel() }
        DispatchQueue.global().asyncAfter(deadline: .now() + patience) {
            let (isOver, goesOn) = state.withLock { state in
                (state.first?.moment != now, state.layers.contains { !$0.signals.contains(number) })
            }
            guard !isOver else { return }
            if goesOn { return Console.error("the command has not ended yet; interrupt once more to leave the shell") }
            guard ownsSomething else { endAtOnce() }
            Console.error("ending what was started; interrupt once more to kill it")
        }
    }

    private static func endAtOnce() -> Never {
        let (processes, folders, restore) = state.withLock { ($0.processes, $0.folders, $0.restoreTerminal) }
        restore?()
        for process in processes { process.signal(SIGKILL) }
        // One that still dies may write into its folder meanwhile. No longer: the next run removes what is left.
        let end = ContinuousClock.now + death
        while ContinuousClock.now < end, processes.contains(where: \.isRunning) { usleep(10_000) }
        for folder in folders { try? BenchFolder.erase(folder) }
        Console.error("interrupted")
        _exit(ExitReason.interrupted.rawValue)
    }
}

/// Runs `body` in a task that the first signal cancels, so that what it started can be ended first.
/// - Parameter signals: those that cancel it.
func withInterrupts<T: Sendable>(
    of signals: Set<Int32> = [SIGINT, SIGTERM, SIGHUP], _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    // First the watch: what the body begins, a signal can end.
    let cancel = CancelOnce()
    let watch = Interrupts.arm(signals) { cancel.cancel() }
    defer { Interrupts.disarm(watch) }
    let task = Task { try await body() }
    cancel.whenCancelled { task.cancel() }
    return try await task.value
}

/// Something to be cancelled, which may not be there yet.
private final class CancelOnce: Sendable {
    private let state = Mutex<(isCancelled: Bool, action: (@Sendable () -> Void)?)>((false, nil))

    func cancel() {
        let action = state.withLock { state in
            state.isCancelled = true
            return state.action
        }
        action?()
    }

    func whenCancelled(_ action: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            state.action = action
            return state.isCancelled
        }
        if isCancelled { action() }
    }
}
