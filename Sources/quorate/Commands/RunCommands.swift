import ArgumentParser
import ExampleProcedures
import Foundation
import HostRuntime
import Logging
import Messages

/// What `cluster up` starts; not for people.
struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "Runs one host in the foreground.", shouldDisplay: false, subcommands: [Run.self, Resume.self])

    /// Stands beside a host that was stopped by SIGSTOP: such a host cannot see that the process which started it is gone.
    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume", abstract: "Continues a stopped process when standard input ends.")
        @Argument(help: "The process.") var pid: Int32
        @Argument(help: "When it started, in ticks since boot.") var start: UInt64

        func run() async throws {
            Self.waitForEnd(of: STDIN_FILENO)
            guard let identity = ProcessIdentity(running: pid), identity.start == start else { return }
            identity.signal(SIGCONT)
        }

        static func waitForEnd(of descriptor: Int32) {
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(descriptor, &bytes, bytes.count)
                if count > 0 || (count < 0 && errno == EINTR) { continue }
                return
            }
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "run", abstract: "Runs one host in the foreground.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: "The host's number.") var number: Int
        @Flag(name: .customLong("exit-on-stdin-eof"), help: "Stop when standard input ends.") var exitOnEOF = false

        func run() async throws {
            try await runService("host-\(number)") { logger in
                guard let id = UInt16(exactly: number) else { throw ToolError(.failure, "\(number) is no host number") }
                let cluster = try ClusterFolder(opening: directory)
                var options = HostRuntimeOptions()
                options.core.procedures = ExampleProcedures.registry
                let host = try await Host.start(HostID(id), of: cluster, options: options, logger: logger)
                return { await host.stop() }
            } until: { await stopReason(exitOnEOF) }
        }
    }
}

/// What `cluster up` starts; not for people.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Runs one gateway in the foreground.", shouldDisplay: false, subcommands: [Run.self])

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "run", abstract: "Runs one gateway in the foreground.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: "The gateway's number.") var number = 0
        @Option(help: "Where it listens; 0 for any free port, which is written to run/gateway-N.port.") var port = 0
        @Flag(name: .customLong("exit-on-stdin-eof"), help: "Stop when standard input ends.") var exitOnEOF = false

        func run() async throws {
            try await runService("gateway-\(number)") { logger in
                let cluster = try ClusterFolder(opening: directory)
                let gateway = try await GatewayHost.start(manifest: cluster.manifest, port: port, logger: logger)
                try RunFolder(directory).writePort(gateway.port, gateway: number)
                return { await gateway.stop() }
            } until: { await stopReason(exitOnEOF) }
        }
    }
}

/// Waits for a signal; where the parent's pipe is standard input, its end counts as one. A thread of its own waits for
/// that: a blocking read needs no event source, and ends with the process.
private func stopReason(_ exitOnEOF: Bool) async -> String {
    if exitOnEOF {
        let thread = Thread {
            HostCommand.Resume.waitForEnd(of: STDIN_FILENO)
            kill(getpid(), SIGTERM)
        }
        thread.stackSize = 1 << 16
        thread.start()
    }
    return await StopSignal.wait()
}

/// Starts something, waits, stops it; a failure goes to the log and into the exit code.
private func runService(
    _ label: String, start: (Logger) async throws -> @Sendable () async -> Void, until: () async -> String
) async throws {
    let logger = Logger(label: label) { LineLogHandler(label: $0) }
    do {
        let stop = try await start(logger)
        let reason = await until()
        logger.info("stopping: \(reason)")
        await stop()
    } catch {
        let error = ToolError(error)
        logger.critical("cannot start: \(error.description)")
        throw ExitCode(error.reason.rawValue)
    }
}
