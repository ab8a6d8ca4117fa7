import Client
import Foundation
import HostRuntime
import Messages
import QuorateHost
import StrictInput
import Workload

/// Starts, watches and ends the processes of one cluster.
struct ClusterProcesses: Sendable {
    let folder: ClusterFolder
    let run: RunFolder
    let input: ChildProcess.Input
    /// What hosts are started with; nil for this executable.
    let hostProgram: String?
    /// The share of requests of which hosts and gateways that are started keep stamps.
    let traceRate: Double
    /// Whether what is started says over HTTP how it is, on any free port of loopback (`RunFolder.webPort`).
    let hasWeb: Bool
    /// Whose delays the processes that are started have, and clients of theirs; nil for the network that there is.
    let network: NetworkEmulation?
    /// By host, what each sync of its journal takes longer, in milliseconds: for measuring only.
    let syncDelays: [Int: Int]
    /// Where host 0 listens on loopback, and the others after it; nil for where the manifest says.
    let hostPorts: Int?
    /// By what its gateways are known; nil where clients and gateways speak plain TCP.
    let trust: GatewayTrust?

    /// - Parameter folder: with an absolute path, so that a process's command line names the cluster wherever it was
    ///   started.
    init(
        _ folder: ClusterFolder, input: ChildProcess.Input = .none, hostProgram: String? = nil, traceRate: Double = 0,
        hasWeb: Bool = false, network: NetworkEmulation? = nil, syncDelays: [Int: Int] = [:], hostPorts: Int? = nil
    ) {
        (self.folder, self.input, self.hostProgram, self.traceRate) = (folder, input, hostProgram, traceRate)
        (self.hasWeb, self.network, self.syncDelays, self.hostPorts) = (hasWeb, network, syncDelays, hostPorts)
        // A file that cannot be read trusts nobody: to speak plainly instead would be what an attacker wants.
        do { trust = try folder.authorities().map { GatewayTrust(authorities: $0) } } catch {
            Console.error("warning: \(error.description)")
            trust = GatewayTrust(authorities: "")
        }
        run = RunFolder(folder.path, identifier: folder.manifest.cluster.hex)
    }

    /// A gateway of this machine.
    func localGateway(at port: Int) -> GatewayAddress { GatewayAddress(host: "127.0.0.1", port: port, trust: trust) }

    /// Where a process of this machine is looked at with a browser; nil if it says nothing over HTTP.
    func page(of role: RunFolder.Role) -> String? {
        var scheme = "http"
        if case .gateway = role, trust != nil { scheme = "https" }
        return run.webPort(of: role).map { "\(scheme)://127.0.0.1:\($0)/" }
    }

    /// A host has one folder and runs once: where the others run elsewhere, none is started from here.
    /// - Throws: `ToolError` if the cluster is for many machines.
    func requireOneMachine() throws {
        guard folder.isForManyMachines else { return }
        let path = Printable.line(folder.path)
        guard !folder.isHostFolder else {
            throw ToolError(
                .wrongManifest,
                "\(path) is one host's folder; run that host with: quorate host run \(Shell.quoted(folder.path))")
        }
        throw ToolError(
            .wrongManifest,
            "\(path) is of a cluster for many machines: its hosts run from copies of their folders, and one that is started from here too would be there twice under one key, which counts as a host that lies. On each host's machine, with its own folder: quorate host run FOLDER"
        )
    }

    private func spawn(_ role: RunFolder.Role, port: Int = 0) async throws -> ChildProcess {
        var arguments: [String]
        var program: String?
        switch role {
        case .host(let number):
            try requireOneMachine()
            arguments = ["host", "run", folder.path, "\(number)"]
            if let hostPorts { arguments += ["--listen", "127.0.0.1:\(hostPorts + number)"] }
            program = hostProgram
            if let delay = syncDelays[number] {
                arguments.append("\(ServiceSetting.syncDelayMilliseconds.flag ?? "")=\(delay)")
            }
        case .gateway(let number): arguments = ["gateway", "run", folder.path, "\(number)", "--port", "\(port)"]
        }
        if case .pipe = input { arguments.append("--exit-on-stdin-eof") }
        // Host programs of earlier builds do not know it.
        if traceRate > 0 { arguments += ["--trace-rate", "\(traceRate)"] }
        if let network { arguments += network.arguments }
        if hasWeb { arguments += ["--http", "127.0.0.1:0", "--http-port-file", run.webPortPath(role)] }
        run.forget(role)
        let child: ChildProcess
        do {
            child = try ChildProcess.spawn(arguments, program: program, input: input, log: run.logPath(role))
        } catch let error as ToolError {
            let hint = program == nil ? "" : ". Was it built with the library QuorateHost (deploy/template)?"
            throw ToolError(error.reason, "\(role): \(error.description)\(hint)")
        }
        Interrupts.owns(child.identity)
        do {
            try run.record(child.identity, role, executable: RunFolder.executable(of: child.identity, program: program))
        } catch {
            // Nobody would find it again.
            child.identity.signal(SIGKILL)
            _ = await child.identity.waitForEnd(.seconds(5))
            run.forget(role)
            throw error
        }
        return child
    }

    private typealias Started = (role: RunFolder.Role, child: ChildProcess)

    /// What a start has brought.
    struct Startup: Sendable {
        var started: [RunFolder.Role] = []
        /// By host number.
        var failures: [(host: Int, error: ToolError)] = []
    }

    /// Starts what does not run, and returns when all of it answers. If anything fails, or the caller is cancelled,
    /// what this call started is ended again.
    /// - Returns: what was started.
    func up(hosts: [Int], gateways: Int, gatewayPort: Int, timeout: Duration = .seconds(60)) async throws -> [RunFolder
        .Role]
    {
        try await start(
            hosts: hosts, gateways: gateways, gatewayPort: gatewayPort, timeout: timeout, toleratesFailures: false
        ).started
    }

    /// - Parameter toleratesFailures: a host that does not start is reported instead of ending the others, as long as
    ///   one starts: a cluster is made to run without some of its hosts.
    func start(
        hosts: [Int], gateways: Int, gatewayPort: Int, timeout: Duration = .seconds(60), toleratesFailures: Bool
    ) async throws -> Startup {
        if !hosts.isEmpty { try requireOneMachine() }
        try run.prepare()
        try adopt()
        var started: [Started] = []
        do {
            for role in hosts.map(RunFolder.Role.host) where run.running(role) == nil {
                started.append((role, try await spawn(role)))
            }
            let failures = try await waitUntilAnswering(
                hosts: hosts, &started, timeout: timeout, failuresTolerated: toleratesFailures ? hosts.count - 1 : 0)
            for number in 0..<gateways where run.running(.gateway(number)) == nil {
                let port = gatewayPort == 0 ? 0 : gatewayPort + number
                started.append((.gateway(number), try await spawn(.gateway(number), port: port)))
            }
            for gateway in started { try await waitUntilAnswering(gateway, timeout: timeout) }
            return Startup(started: started.map(\.role), failures: failures.sorted { $0.host < $1.host })
        } catch {
            _ = await end(started.map { ($0.role, $0.child.identity) }, grace: .seconds(2))
            throw error
        }
    }

    /// Processes of the cluster that no file names are written down, so that they are found from now on.
    func adopt() throws {
        for (role, identity) in run.unrecorded() {
            let recorded = run.running(role)
            // A script's child is in its group, and is ended with it.
            if let recorded, getpgid(identity.pid) == recorded.pid { continue }
            guard recorded == nil else {
                Console.error(
                    "warning: there are two processes of \(role), \(identity.pid) is one too many; end it with: kill \(identity.pid)"
                )
                continue
            }
            Console.error(
                "\(role) runs already (process \(identity.pid)), started by a command that did not live to write it down"
            )
            try run.record(identity, role)
        }
    }

    /// - Parameter started: loses what has ended.
    /// - Returns: the hosts that do not answer, and why.
    /// - Throws: the reason of the failure that is one too many.
    private func waitUntilAnswering(
        hosts: [Int], _ started: inout [Started], timeout: Duration, failuresTolerated: Int
    ) async throws -> [(host: Int, error: ToolError)] {
        let end = ContinuousClock.now + timeout
        var silence = Silence(limit: timeout)
        var waiting = hosts
        var failures: [(host: Int, error: ToolError)] = []
        while true {
            try Task.checkCancellation()
            for process in started {
                guard case .host(let host) = process.role, let error = failure(of: process) else { continue }
                started.removeAll { $0.role == process.role }
                run.forget(process.role)
                waiting.removeAll { $0 == host }
                failures.append((host, error))
                guard failures.count <= failuresTolerated else { throw error }
            }
            guard let host = waiting.first else { return failures }
            if (try? await status(ofHost: host, timeout: .seconds(2))) != nil {
                waiting.removeFirst()
                continue
            }
            silence.say { "\(waiting.count == 1 ? "" : "\(waiting.count) hosts, first ")\(describe(.host(host)))" }
            guard ContinuousClock.now < end else {
                let port = folder.manifest.hosts[host].port
                let error = ToolError(
                    .noAnswer,
                    "host \(host) does not answer on port \(port) after \(timeout). The end of its log:\n\(run.logTail(.host(host)))"
                )
                let silent = started.filter { $0.role == .host(host) }
                _ = await self.end(silent.map { ($0.role, $0.child.identity) }, grace: .seconds(2))
                started.removeAll { $0.role == .host(host) }
                waiting.removeFirst()
                failures.append((host, error))
                guard failures.count <= failuresTolerated else { throw error }
                continue
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func waitUntilAnswering(_ gateway: Started, timeout: Duration) async throws {
        guard case .gateway(let number) = gateway.role else { return }
        let end = ContinuousClock.now + timeout
        var silence = Silence(limit: timeout)
        while true {
            try Task.checkCancellation()
            if let error = failure(of: gateway) { throw error }
            if let port = run.port(ofGateway: number) {
                do {
                    let connection = try await GatewayConnection.connect(localGateway(at: port))
                    defer { connection.closeWhenIdle() }
                    _ = try await connection.status(timeout: .seconds(2))
                    return
                } catch let error as ConnectionError {
                    switch error {
                    // That does not change by waiting.
                    case .notTrusted, .tlsMismatch: throw error
                    case .cannotConnect, .lost, .closed, .timeout, .garbage, .tooManyOutstanding: break
                    }
                }
            }
            silence.say { describe(gateway.role) }
            guard ContinuousClock.now < end else {
                throw ToolError(
                    .noAnswer, "gateway \(number) does not answer. The end of its log:\n\(run.logTail(gateway.role))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// A process that ends before it answers has said why in its log, and by its exit code. Nil while it runs.
    private func failure(of process: Started) -> ToolError? {
        guard let code = process.child.exitCode() else { return nil }
        let reason = ExitReason(rawValue: code) ?? .failure
        let (role, log) = (process.role, run.logPath(process.role))
        return ToolError(
            reason,
            "\(role) ended with code \(code) (\(reason.meaning)). The end of \(log):\n\(run.logTail(role, from: process.child.logStart))"
        )
    }

    private func describe(_ role: RunFolder.Role) -> String {
        guard let process = run.running(role) else { return "\(role)" }
        return "\(role) (process \(process.pid)\(process.isStopped ? ", which is stopped" : ""))"
    }

    /// - Parameter timeout: for all of it, the greeting too.
    func status(ofHost host: Int, timeout: Duration = .seconds(5)) async throws -> [ReplicaStatus] {
        try await report(ofHost: host, timeout: timeout).replicas
    }

    /// The same with what the host counts.
    func report(
        ofHost host: Int, timeout: Duration
    ) async throws -> (replicas: [ReplicaStatus], metrics: [MetricSample]) {
        let end = ContinuousClock.now + timeout
        var options = TransportOptions()
        options.connectTimeout = min(options.connectTimeout, .nanoseconds(Int64(timeout / .nanoseconds(1))))
        options.handshakeTimeout = min(options.handshakeTimeout, options.connectTimeout)
        let connection = try await HostConnection.connect(
            to: HostID(UInt16(host)), of: folder.manifest, options: options)
        do {
            let report = try await connection.report(timeout: max(.milliseconds(100), end - .now))
            await connection.close()
            return report
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Ends everything that is this cluster's, whether a pid file names it or not.
    /// - Returns: what ran.
    /// - Throws: `notPermitted` at once if something belongs to another user: then nothing was ended. Otherwise when
    ///   something did not end.
    @discardableResult
    func down(grace: Duration = .seconds(10)) async throws -> [RunFolder.Role] {
        let running = run.recorded().compactMap { role in run.running(role).map { (role, $0) } } + run.unrecorded()
        let foreign = running.filter { $0.1.send(0) == .notPermitted }
        guard foreign.isEmpty else {
            let names = foreign.map { "\($0.0) (process \($0.1.pid))" }.joined(separator: ", ")
            throw ToolError(.notPermitted, "not permitted to stop \(names): another user's. Nothing was stopped")
        }
        let left = await end(running, grace: grace)
        for role in run.recorded() where run.running(role) == nil { run.forget(role) }
        guard left.isEmpty else {
            let names = left.map { "\($0.0) (process \($0.1.pid))" }.joined(separator: ", ")
            throw ToolError(
                .failure, "\(names) did not end, though killed; look at ps -o stat,wchan -p \(left[0].1.pid)")
        }
        var roles: [RunFolder.Role] = []
        for (role, _) in running where !roles.contains(role) { roles.append(role) }
        return roles
    }

    /// Ends a host if it runs, in order if it does so in time.
    /// - Throws: `notPermitted` if it is another user's.
    func stop(host: Int) async throws {
        let role = RunFolder.Role.host(host)
        let running =
            [run.running(role)].compactMap { $0 } + run.unrecorded().filter { $0.role == role }.map(\.identity)
        if let foreign = running.first(where: { $0.send(0) == .notPermitted }) {
            throw ToolError(
                .notPermitted, "not permitted to stop host \(host) (process \(foreign.pid)): another user's")
        }
        guard let left = await endTogether(running.map { (role, $0) }, grace: .seconds(10)).first else { return }
        throw ToolError(.failure, "host \(host) (process \(left.1.pid)) did not end")
    }

    /// - Throws: unless all of them run and may be killed: one that does not is found out before the first was killed.
    func requireKillable(hosts: [Int]) throws {
        for host in hosts { _ = try killable(.host(host)) }
    }

    private func killable(_ role: RunFolder.Role) throws -> ProcessIdentity {
        guard let identity = run.running(role) else { throw ToolError(.notRunning, "\(role) does not run") }
        guard identity.send(0) != .notPermitted else { throw Self.notPermitted(role, identity) }
        return identity
    }

    private static func notPermitted(_ role: RunFolder.Role, _ identity: ProcessIdentity) -> ToolError {
        ToolError(.notPermitted, "not permitted to kill \(role) (process \(identity.pid)): another user's")
    }

    /// - Returns: what did not end.
    private func end(_ processes: [(RunFolder.Role, ProcessIdentity)], grace: Duration) async -> [(
        RunFolder.Role, ProcessIdentity
    )] {
        // Gateways first: they would only log that their hosts go.
        let gateways = processes.filter { if case .gateway = $0.0 { true } else { false } }
        let hosts = processes.filter { if case .host = $0.0 { true } else { false } }
        return await endTogether(gateways, grace: grace) + endTogether(hosts, grace: grace)
    }

    private func endTogether(
        _ processes: [(RunFolder.Role, ProcessIdentity)], grace: Duration
    ) async -> [(RunFolder.Role, ProcessIdentity)] {
        for (_, identity) in processes {
            identity.signal(SIGTERM)
            // What is under SIGSTOP could not hear of it.
            identity.signal(SIGCONT)
        }
        var left: [(RunFolder.Role, ProcessIdentity)] = []
        let end = ContinuousClock.now + grace
        for (role, identity) in processes {
            if await !identity.waitForEnd(max(.zero, end - ContinuousClock.now)) {
                identity.signal(SIGKILL)
                guard await identity.waitForEnd(.seconds(5)) else {
                    left.append((role, identity))
                    continue
                }
            }
            // Unless the file names another process by now.
            if run.running(role) == nil { run.forget(role) }
        }
        return left
    }

    /// Ends a host at once, as a crash would.
    /// - Returns: just before the signal, monotonic nanoseconds.
    @discardableResult
    func kill(host: Int) async throws -> UInt64 { try await kill(.host(host)) }

    /// The same of any process of the cluster.
    @discardableResult
    func kill(_ role: RunFolder.Role) async throws -> UInt64 {
        let identity = try killable(role)
        let moment = Instant.current().uptime
        guard identity.send(SIGKILL) != .notPermitted else { throw Self.notPermitted(role, identity) }
        // Before it is waited for: whoever watches for processes that end unexpectedly (`whileAllRun`) must not take it
        // for one, however late this task goes on.
        run.forget(role)
        guard await identity.waitForEnd(.seconds(10)) else {
            try? run.record(identity, role)
            throw ToolError(.failure, "\(role) (process \(identity.pid)) did not end")
        }
        return moment
    }

    /// Runs `body`; throws, with the end of its log, if a process that has a pid file ends meanwhile.
    /// - Parameter tolerating: false for a process whose end ends the run.
    func whileAllRun<T: Sendable>(
        _ body: @escaping @Sendable () async throws -> T,
        tolerating: @escaping @Sendable (RunFolder.Role) async -> Bool = { _ in false }
    ) async throws -> T {
        try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var suspect: RunFolder.Role?
                while !Task.isCancelled {
                    // Twice in a row: between a wanted kill and its note in the folder there is a moment.
                    let gone = run.recorded().first { run.running($0) == nil }
                    if let gone, gone == suspect, await !tolerating(gone) {
                        throw ToolError(
                            .failure,
                            "\(gone) ended unexpectedly. The end of \(run.logPath(gone)):\n\(run.logTail(gone))")
                    }
                    suspect = gone
                    try? await Task.sleep(for: .milliseconds(500))
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    /// Starts one gateway that does not run, and returns when it answers.
    func start(gateway number: Int, port: Int, timeout: Duration = .seconds(60)) async throws {
        let role = RunFolder.Role.gateway(number)
        guard run.running(role) == nil else { throw ToolError(.alreadyRunning, "\(role) runs") }
        let started: Started = (role, try await spawn(role, port: port))
        do { try await waitUntilAnswering(started, timeout: timeout) } catch {
            _ = await end([(role, started.child.identity)], grace: .seconds(2))
            throw error
        }
    }

    /// How long no gateway may run before it is said that none is left.
    private static let patienceWithoutGateway = Duration.seconds(3)

    /// Runs `body` as `whileAllRun` does, but goes on without a gateway as long as there is another one: clients do.
    /// - Parameters:
    ///   - lost: is told of a gateway that has ended unexpectedly, once.
    ///   - isOneExpected: whether a gateway will be started again, so that a time without any is waited for.
    /// - Throws: `gatewaysLost` when no gateway is left.
    func whileHostsRun<T: Sendable>(
        lost: @escaping @Sendable (Int) async -> Void = { _ in },
        isOneExpected: @escaping @Sendable () async -> Bool = { false },
        _ body: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        try await whileAllRun {
            try await withThrowingTaskGroup(of: T?.self) { group in
                group.addTask { try await body() }
                group.addTask {
                    try await watchGateways(isOneExpected)
                    return nil
                }
                defer { group.cancelAll() }
                while let result = try await group.next() {
                    if let result { return result }
                }
                throw CancellationError()
            }
        } tolerating: { role in
            guard case .gateway(let number) = role else { return false }
            run.forget(role)
            await lost(number)
            return true
        }
    }

    /// - Throws: when no gateway has run for a while, and none is expected.
    private func watchGateways(_ isOneExpected: @Sendable () async -> Bool) async throws {
        var missingSince: ContinuousClock.Instant?
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(200))
            let isMissed = gateways.isEmpty ? await !isOneExpected() : false
            guard isMissed else {
                missingSince = nil
                continue
            }
            let since = missingSince ?? .now
            missingSince = since
            guard .now - since < Self.patienceWithoutGateway else {
                let log = run.logPath(.gateway(0))
                throw ToolError(.gatewaysLost, "no gateway is left, and none will be started again; see \(log)")
            }
        }
    }

    /// The addresses of the gateways that run.
    var gateways: [GatewayAddress] {
        let running = run.recorded().compactMap { role -> GatewayAddress? in
            guard case .gateway(let number) = role, run.running(role) != nil, let port = run.port(ofGateway: number)
            else { return nil }
            var address = localGateway(at: port)
            address.delay = network?.link(toGateway: number)
            return address
        }
        guard running.isEmpty else { return running }
        // Those of a cluster on many machines.
        do {
            return try GatewayList.read(in: folder).map {
                GatewayAddress(host: $0.address, port: $0.port, trust: trust)
            }
        } catch {
            Console.error("warning: \(error.description)")
            return []
        }
    }
}

/// Says once what is waited for, when it has taken two seconds.
private struct Silence {
    private let start = ContinuousClock.now
    private let limit: Duration
    private var isBroken = false

    init(limit: Duration) { self.limit = limit }

    mutating func say(_ what: () -> String) {
        guard !isBroken, .now - start >= .seconds(2) else { return }
        isBroken = true
        Console.error("waiting for \(what()), for up to \(Int(limit / .seconds(1))) s")
    }
}
