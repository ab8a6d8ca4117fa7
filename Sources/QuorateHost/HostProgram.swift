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
        return await Service.run("host-\(host.number)", exitOnEOF: host.exitOnEOF) { logger in
            let cluster = try ClusterFolder(opening: host.folder)
            var options = HostRuntimeOptions()
            options.core.procedures = procedures
            options.traces = host.traces
            let keeper = try await HostKeeper.start(HostID(host.number), of: cluster, options: options, logger: logger)
            let web: WebServer?
            do {
                web = try await Service.serve(
                    [HealthPart { await keeper.problems() }, MetricsPart { await keeper.points() }], at: host.http,
                    portFile: host.httpPortFile, logger: logger)
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

/// `FOLDER NUMBER [--exit-on-stdin-eof] [--trace-rate RATE] [--http ADDRESS:PORT [--http-port-file FILE]]`
private struct HostArguments {
    let folder: String
    let number: UInt16
    let exitOnEOF: Bool
    let traces: TraceSampling
    let http: WebOptions?
    let httpPortFile: String?

    init?(_ arguments: [String]) {
        var words = arguments
        var options: [String: String] = [:]
        for name in ["--trace-rate", "--http", "--http-port-file"] {
            guard let option = words.firstIndex(of: name) else { continue }
            guard option + 1 < words.count else { return nil }
            options[name] = words[option + 1]
            words.removeSubrange(option...option + 1)
        }
        var rate = 0.0
        if let text = options["--trace-rate"] {
            guard let given = Double(text), (0...1).contains(given) else { return nil }
            rate = given
        }
        traces = TraceSampling(rate: rate)
        http = options["--http"].flatMap { WebOptions($0) }
        httpPortFile = options["--http-port-file"]
        guard (http == nil) == (options["--http"] == nil) else { return nil }
        exitOnEOF = words.contains("--exit-on-stdin-eof")
        words.removeAll { $0 == "--exit-on-stdin-eof" }
        guard words.count == 2, !words[0].hasPrefix("-"), let number = UInt16(words[1]) else { return nil }
        (folder, self.number) = (words[0], number)
    }

    static func isQuestion(_ word: String) -> Bool { ["-h", "--help"].contains(word) }

    static func usage(program: String, _ procedures: ProcedureRegistry) -> String {
        """
        USAGE: \(program) host run FOLDER NUMBER [--exit-on-stdin-eof] [--trace-rate RATE]
                   [--http ADDRESS:PORT [--http-port-file FILE]]

        Runs one host of the cluster in FOLDER until SIGTERM, SIGINT or, with the flag, the end of standard input.
        Of a share of the requests, from 0 (none, which is the default) to 1, it keeps what quorate trace shows.
        With --http it says over HTTP how it is (/health/live, /health/ready, /metrics); port 0 is any free one, which is
        written to FILE.
        All hosts of a cluster are started by: quorate cluster up FOLDER --host-program \(program)

        Its procedures: \(procedures.names.joined(separator: ", "))

        """
    }
}
