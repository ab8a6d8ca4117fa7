import Foundation
import HostRuntime
import Synchronization

/// SIGINT, SIGTERM and SIGHUP. The first cancels the command, which ends what it has started; the second ends all that
/// at once.
enum Interrupts {
    private struct State {
        var firstSignal: ContinuousClock.Instant?
        var cancel: (@Sendable () -> Void)?
        /// Processes that this command has started and that are to end with it.
        var processes: Set<ProcessIdentity> = []
        var folders: Set<String> = []
    }

    private static let state = Mutex(State())
    /// A command that has nothing to end has no reason to go on for longer.
    private static let patience = DispatchTimeInterval.seconds(2)

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

    /// Ends the command as a first signal does.
    static func cancel() { state.withLock { $0.cancel }?() }

    fileprivate static func arm(_ cancel: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
        state.withLock { $0.cancel = cancel }
        // Under nohup a hangup is no reason.
        return ([SIGINT, SIGTERM] + (StopSignal.isIgnored(SIGHUP) ? [] : [SIGHUP])).map { number in
            // The default action would end the process before the source sees the signal.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { arrived() }
            source.resume()
            return source
        }
    }

    fileprivate static func disarm(_ sources: [any DispatchSourceSignal]) {
        for source in sources { source.cancel() }
        state.withLock { $0.cancel = nil }
    }

    private static func arrived() {
        let (first, cancel): (ContinuousClock.Instant?, (@Sendable () -> Void)?) = state.withLock { state in
            defer { state.firstSignal = state.firstSignal ?? .now }
            return (state.firstSignal, state.cancel)
        }
        if let first {
            // `timeout` and some shells send the same signal to a process and to its group: that is one.
            if .now - first > .milliseconds(500) { endAtOnce() }
            return
        }
        cancel?()
        DispatchQueue.global().asyncAfter(deadline: .now() + patience) {
            guard ownsSomething else { endAtOnce() }
            Console.error("ending what was started; interrupt once more to kill it")
        }
    }

    private static func endAtOnce() -> Never {
        let (processes, folders) = state.withLock { ($0.processes, $0.folders) }
        for process in processes { process.signal(SIGKILL) }
        for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
        Console.error("interrupted")
        _exit(ExitReason.interrupted.rawValue)
    }
}

/// Runs `body` in a task that the first signal cancels, so that what it started can be ended first.
func withInterrupts<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
    let task = Task { try await body() }
    let sources = Interrupts.arm { task.cancel() }
    defer { Interrupts.disarm(sources) }
    return try await task.value
}
