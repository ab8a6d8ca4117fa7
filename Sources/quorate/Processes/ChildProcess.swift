import Foundation
import QuorateHost
import StrictInput

/// A process of this executable or of a host program, in a session of its own: a signal from the terminal does not
/// reach it.
struct ChildProcess: Sendable {
    let pid: pid_t
    let identity: ProcessIdentity
    /// Where its part of the log begins.
    let logStart: UInt64

    enum Input {
        /// `/dev/null`: it lives until it is told to end.
        case none
        /// The reading end of a pipe: it ends when the last writing end is closed, even by a kill of its parent.
        case pipe(Int32)
    }

    private static func thisExecutable() throws -> String {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw ToolError(.failure, "cannot find this executable through /proc/self/exe")
        }
        return path
    }

    /// - Parameters:
    ///   - program: an absolute path; nil for this executable.
    ///   - log: output is appended there.
    static func spawn(_ arguments: [String], program: String? = nil, input: Input, log: String) throws -> ChildProcess {
        let executable = try program ?? thisExecutable()
        var logFile = stat()
        let logStart = stat(log, &logFile) == 0 ? UInt64(max(0, logFile.st_size)) : 0
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        switch input {
        case .none: posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        case .pipe(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A process that outlives its parent must not hold what the parent inherited: whoever started the parent may
        // wait for the end of a pipe. What is no descriptor is passed over.
        for descriptor in Int32(3)..<1024 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Ignored signals are inherited; a child decides for itself.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        // Threads of a pool block all signals, and what is blocked is inherited too.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let newSession: Int16 = 0x80
        posix_spawnattr_setflags(
            &attributes, newSession | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))

        var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) }
        argv.append(nil)
        defer { for pointer in argv { free(pointer) } }
        let inherited = ProcessInfo.processInfo.environment.filter { !ServiceSetting.ofOneProcess.contains($0.key) }
        var environment: [UnsafeMutablePointer<CChar>?] = inherited.map {
            strdup("\($0.key)=\($0.value)")
        }
        environment.append(nil)
        defer { for pointer in environment { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, executable, &actions, &attributes, argv, environment)
        guard code == 0 else {
            throw ToolError(.failure, "cannot start \(executable): \(String(cString: strerror(code)))")
        }
        if let identity = ProcessIdentity(running: pid) {
            return ChildProcess(pid: pid, identity: identity, logStart: logStart)
        }
        guard let status = reap(pid) else {
            throw ToolError(
                .failure, "\(executable) was started, but /proc/\(pid)/stat does not say when, so it was killed")
        }
        let why = status & 0x7f == 0 ? "with exit code \((status >> 8) & 0xff)" : "by signal \(status & 0x7f)"
        throw ToolError(.failure, "\(executable) ended as soon as it was started, \(why); see \(log)")
    }

    /// Of a child that seems to have ended.
    /// - Returns: nil if it had not, for two seconds: it is killed.
    private static func reap(_ pid: pid_t) -> Int32? {
        var status: Int32 = 0
        for _ in 0..<200 {
            guard waitpid(pid, &status, WNOHANG) == 0 else { return status }
            usleep(10_000)
        }
        kill(pid, SIGKILL)
        waitpid(pid, &status, 0)
        return nil
    }

    /// Its exit code if it has ended (128 + signal if a signal ended it); nil while it runs. Reaps it.
    func exitCode() -> Int32? {
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        guard result != 0 else { return nil }
        guard result == pid else { return identity.isRunning ? nil : 255 }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}

/// Tells a process from a later one with the same number, until the machine starts again.
struct ProcessIdentity: Sendable, Hashable {
    let pid: Int32
    /// Clock ticks from boot to its start: field 22 of /proc/PID/stat.
    let start: UInt64

    init(pid: Int32, start: UInt64) { (self.pid, self.start) = (pid, start) }

    init?(running pid: pid_t) {
        guard case .running(let start, _) = Self.look(pid) else { return nil }
        (self.pid, self.start) = (pid, start)
    }

    /// One that cannot be looked at just now is not taken for ended: another would be started beside it.
    var isRunning: Bool {
        switch Self.look(pid) {
        case .running(let start, _): start == self.start
        case .unknown: true
        case .gone: false
        }
    }

    /// By SIGSTOP.
    var isStopped: Bool { if case .running(let start, "T") = Self.look(pid) { start == self.start } else { false } }

    private enum Look {
        case running(start: UInt64, state: String)
        /// There is no such process, or only its remains.
        case gone
        /// This process may open no more files, for instance.
        case unknown
    }

    private static func look(_ pid: pid_t) -> Look {
        guard pid > 0 else { return .gone }
        let (bytes, code) = statLine(pid)
        guard code == 0 else { return code == ENOENT || code == ESRCH ? .gone : .unknown }
        // The name in parentheses may hold anything, half a character too; what follows the last parenthesis is fixed.
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return .unknown }
        // From the state on, which is field 3.
        let fields = bytes[(end + 1)...].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
        guard fields.count > 19, let start = UInt64(fields[19]) else { return .unknown }
        if fields[0] == "X" { return .gone }
        // The first thread may be a zombie while others still hold the process's files, its folder's lock among them.
        if fields[0] == "Z", let threads = Int(fields[17]), threads <= 1 { return .gone }
        return .running(start: start, state: fields[0])
    }

    /// `/proc/PID/stat`
    /// - Returns: with an error number, or 0.
    private static func statLine(_ pid: pid_t) -> (bytes: [UInt8], code: Int32) {
        let descriptor = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return ([], errno) }
        defer { close(descriptor) }
        // It is shorter, and comes whole.
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return count < 0 ? ([], errno) : (Array(bytes[..<count]), 0)
    }

    enum Delivery: Equatable {
        case sent
        /// It has ended, or the number belongs to another process by now.
        case gone
        /// It belongs to another user.
        case notPermitted
    }

    /// Sends a signal to the process and what it has started, unless the number belongs to another process by now.
    /// Every child of this executable leads a session, and so a group, of its own.
    /// - Parameter number: 0 sends nothing, and tells whether one could be sent.
    func send(_ number: Int32) -> Delivery {
        // What it is must be certain.
        guard pid > 1, case .running(let start, _) = Self.look(pid), start == self.start else { return .gone }
        if kill(-pid, number) == 0 || kill(pid, number) == 0 { return .sent }
        return errno == EPERM ? .notPermitted : .gone
    }

    @discardableResult
    func signal(_ number: Int32) -> Bool { send(number) == .sent }

    /// True when it is gone within the time.
    func waitForEnd(_ limit: Duration) async -> Bool {
        let end = ContinuousClock.now + limit
        while isRunning {
            // A child of this process stays in the table until it is reaped.
            var status: Int32 = 0
            waitpid(pid, &status, WNOHANG)
            guard ContinuousClock.now < end else { return !isRunning }
            try? await Task<Never, Never>.sleep(for: .milliseconds(20))
            if Task.isCancelled { usleep(20_000) }
        }
        return true
    }
}
