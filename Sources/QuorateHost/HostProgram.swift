import Foundation
import HostRuntime
import Messages
import ShardState
import StrictInput
import Web

/// A program that runs hosts with procedures of its own:
///
///     @main struct MyHost {
///         static func main() async { await HostProgram.main(procedures: [Greet.self]) }
///     }
///
/// Besides these it has `Credit`, with which they pay (`ProcedureContext.pay`). `quorate cluster up FOLDER
/// --host-program PATH` starts it. All hosts of a cluster need the same procedures: one with others refuses to start,
/// and is refused by its peers.
public enum HostProgram {
    /// Runs the host that the command line names (`host run FOLDER NUMBER`), until SIGTERM or SIGINT. Logs to standard
    /// error.
    /// - Precondition: no two procedures have one name and version, and each name has 1 to 32 bytes.
    public static func main(procedures: [any Procedure.Type]) async -> Never {
        let registry = Self.registry(of: procedures)
        let arguments = CommandLine.arguments
        let words = arguments.dropFirst()
        exit(
            await run(
                words.starts(with: ["host", "run"])
                    ? Array(words.dropFirst(2)) : words.filter(HostArguments.isQuestion),
                program: arguments.first ?? "host", procedures: registry))
    }

    /// With `Credit`, without which a procedure that pays would be refused when it first does, and never could: a
    /// cluster keeps the procedures that it was started with.
    package static func registry(of procedures: [any Procedure.Type]) -> ProcedureRegistry {
        var registry = ProcedureRegistry()
        registry.register(Credit.self)
        for procedure in procedures where procedure != Credit.self { registry.register(procedure) }
        return registry
    }

    /// - Parameter arguments: what follows `host run`, which all host programs have in common with `quorate`.
    /// - Returns: the exit code: 0, an `ExitReason`, or 64 for wrong usage.
    package static func run(_ arguments: [String], program: String, procedures: ProcedureRegistry) async -> Int32 {
        guard let host = HostArguments(arguments) else {
            let isQuestion = arguments.contains(where: HostArguments.isQuestion)
            let usage = HostArguments.usage(program: Printable.line(program), procedures)
            let isWritten = writeAll(usage, to: isQuestion ? STDOUT_FILENO : STDERR_FILENO)
            return !isQuestion ? 64 : isWritten ? 0 : ExitReason.output.rawValue
        }
        let settings: ServiceSettings
        do {
            settings = try ServiceSettings(
                for: .host, given: host.given, file: host.config, environment: ProcessInfo.processInfo.environment)
        } catch {
            _ = writeAll("error: \(error.description)\n", to: STDERR_FILENO)
            return 64
        }
        guard let folder = settings.text(.folder) else {
            _ = writeAll(HostArguments.usage(program: Printable.line(program), procedures), to: STDERR_FILENO)
            return 64
        }
        let number = settings.whole(.number).map { HostID(UInt16($0)) }
        // What is wrong with the folder is said where everything else is.
        let name = number ?? (try? ClusterFolder(opening: folder).ownHost())
        return await Service.run(
            name.map { "host-\($0)" } ?? "host",
            metadata: name.map { ["host": .stringConvertible($0.number)] } ?? [:], settings: settings,
            exitOnEOF: host.exitOnEOF
        ) { logger in
            let cluster = try ClusterFolder(opening: folder)
            let id = try number ?? cluster.ownHost()
            var options = HostRuntimeOptions()
            options.core.procedures = procedures
            settings.apply(to: &options)
            try settings.applyNetwork(to: &options, host: Int(id.number), of: cluster.manifest.hosts.count)
            let keeper = try await HostKeeper.start(id, of: cluster, options: options, logger: logger)
            let web: WebServer?
            do {
                web = try await Service.serve(
                    [HealthPart { await keeper.problems() }, MetricsPart { await keeper.points() }],
                    at: settings.http, portFile: host.httpPortFile, logger: logger)
            } catch {
                await keeper.stop()
                throw error
            }
            return {
                await web?.stop()
                await keeper.stop()
            }
        }
    }
}

/// FileHandle traps where a write fails.
private func writeAll(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return false }
    }
    return true
}

/// `[FOLDER [NUMBER]] [--exit-on-stdin-eof] [--config FILE] [--http-port-file FILE]`, and the options of
/// `ServiceSetting`.
private struct HostArguments {
    /// What was said of settings; it is checked with what else says something of them.
    var given: [ServiceSetting: String] = [:]
    let config: String?
    let exitOnEOF: Bool
    let httpPortFile: String?

    init?(_ arguments: [String]) {
        var words = arguments
        /// Nil without a value.
        func take(_ name: String) -> String?? {
            guard let option = words.firstIndex(where: { $0 == name || $0.hasPrefix(name + "=") }) else {
                return .some(nil)
            }
            if words[option] != name { return String(words.remove(at: option).dropFirst(name.count + 1)) }
            guard option + 1 < words.count else { return nil }
            let value = words[option + 1]
            words.removeSubrange(option...option + 1)
            return value
        }
        for setting in ServiceSetting.allCases where setting.roles.contains(.host) {
            guard let flag = setting.flag else { continue }
            guard let value = take(flag) else { return nil }
            given[setting] = value
        }
        guard let config = take("--config"), let portFile = take("--http-port-file") else { return nil }
        (self.config, httpPortFile) = (config, portFile)
        exitOnEOF = words.contains("--exit-on-stdin-eof")
        words.removeAll { $0 == "--exit-on-stdin-eof" }
        guard words.count <= 2, !words.contains(where: { $0.hasPrefix("-") }) else { return nil }
        if words.count > 0 { given[.folder] = words[0] }
        if words.count > 1 { given[.number] = words[1] }
    }

    static func isQuestion(_ word: String) -> Bool { ["-h", "--help"].contains(word) }

    static func usage(program: String, _ procedures: ProcedureRegistry) -> String {
        """
        USAGE: \(program) host run [FOLDER [NUMBER]] [--config FILE] [--exit-on-stdin-eof] [options]

        Runs one host until SIGTERM, SIGINT or, with the flag, the end of standard input. FOLDER is that host's own
        folder, as quorate cluster init --hosts makes it, or a cluster's, with the host's NUMBER:

          \(program) host run /var/lib/quorate --listen 0.0.0.0:7100 --http 127.0.0.1:9100
          \(program) host run demo 2
          QUORATE_FOLDER=/var/lib/quorate QUORATE_LOG_FORMAT=json \(program) host run

        OPTIONS, which may also stand in FILE (log_level) or in the environment (QUORATE_LOG_LEVEL):
        \(ServiceSetting.help(for: .host))
          --http-port-file FILE  where the port of --http is written, if that is 0

        An option counts before a variable, a variable before the file. SIGUSR1 makes the log say more, SIGUSR2 less.
        All hosts of a cluster on one machine are started by: quorate cluster up FOLDER --host-program \(program)

        Its procedures: \(procedures.names.joined(separator: ", "))

        """
    }
}
