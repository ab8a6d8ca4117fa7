import Foundation
import Messages

/// A process under SIGSTOP: its connections stay open, and it says nothing. A stopped process does not notice that its
/// parent has ended, so a process beside it does, and continues it.
struct StoppedProcess: Sendable {
    /// Monotonic nanoseconds.
    let stoppedAt: UInt64
    private let keeper: ProcessKeeper

    init(_ role: RunFolder.Role, _ processes: ClusterProcesses) async throws {
        keeper = try ProcessKeeper(role, processes)
        stoppedAt = Instant.current().uptime
        guard keeper.identity.signal(SIGSTOP) else {
            await keeper.end()
            throw ToolError(.failure, "\(role) (process \(keeper.identity.pid)) cannot be stopped")
        }
    }

    /// - Returns: when it was told to continue.
    @discardableResult
    func resume() async -> UInt64 {
        let moment = Instant.current().uptime
        await keeper.end()
        return moment
    }
}

/// A process that is stopped for most of the time, and goes on for a moment again and again: as slow as one on a
/// machine that others use, with its connections open and its clocks right. It needs no privilege, unlike a limit on
/// its processor time.
struct SlowedProcess: Sendable {
    private let keeper: ProcessKeeper
    private let began = ContinuousClock.now
    private let cycle: Task<Duration, Never>

    static let stopped = Duration.milliseconds(30)
    static let running = Duration.milliseconds(10)

    init(_ role: RunFolder.Role, _ processes: ClusterProcesses) throws {
        let keeper = try ProcessKeeper(role, processes)
        self.keeper = keeper
        cycle = Task {
            var still = Duration.zero
            while !Task.isCancelled {
                let from = ContinuousClock.now
                guard keeper.identity.signal(SIGSTOP) else { break }
                try? await Task.sleep(for: Self.stopped)
                keeper.identity.signal(SIGCONT)
                still += .now - from
                try? await Task.sleep(for: Self.running)
            }
            return still
        }
    }

    /// - Returns: the share of the time in which it stood still: on a busy machine the moments are longer than they
    ///   should be.
    func resume() async -> Double {
        cycle.cancel()
        let still = await cycle.value
        let share = still / (.now - began)
        await keeper.end()
        return min(1, share)
    }
}

/// Sees to it that a process which may be under SIGSTOP goes on when this command ends, however it does.
private struct ProcessKeeper: Sendable {
    let identity: ProcessIdentity
    private let keeper: ChildProcess

    init(_ role: RunFolder.Role, _ processes: ClusterProcesses) throws {
        guard let identity = processes.run.running(role) else {
            throw ToolError(.notRunning, "\(role) does not run")
        }
        self.identity = identity
        keeper = try ChildProcess.spawn(
            ["host", "resume", "\(identity.pid)", "\(identity.start)"], input: processes.input,
            log: processes.run.logPath(role))
    }

    func end() async {
        identity.signal(SIGCONT)
        keeper.identity.signal(SIGKILL)
        _ = await keeper.identity.waitForEnd(.seconds(5))
    }
}
