import ArgumentParser
import ExampleProcedures
import Foundation
import HostRuntime
import Messages
import QuorateHost
import StrictInput
import Web

/// What `cluster up` starts; not for people.
struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "Runs one host in the foreground.", shouldDisplay: false,
        subcommands: [Run.self, Resume.self])

    /// Stands beside a host that was stopped by SIGSTOP: such a host cannot see that the process which started it is
    /// gone.
    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume", abstract: "Continues a stopped process when standard input ends.")
        @Argument(
            help: Whole<Int32>(2...Int32.max).help("The process.", name: "pid"),
            transform: Whole<Int32>(2...Int32.max).parse) var pid: Int32
        @Argument(
            help: Limits.seed.help("When it started, in ticks since boot.", name: "start"), transform: Limits.seed.parse
        ) var start: UInt64

        func run() async throws {
            Service.waitForEnd(of: STDIN_FILENO)
            guard let identity = ProcessIdentity(running: pid), identity.start == start else { return }
            identity.signal(SIGCONT)
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Runs one host in the foreground.")
        @Argument(parsing: .captureForPassthrough, help: "The cluster's folder, and the host's number.")
        var arguments: [String] = []

        func run() async throws {
            let code = await HostProgram.run(arguments, program: "quorate", procedures: ExampleProcedures.registry)
            throw ExitCode(code)
        }
    }
}

/// What `cluster up` starts; not for people.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Runs one gateway in the foreground.", shouldDisplay: false,
        subcommands: [Run.self])

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Runs one gateway in the foreground.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: Limits.host.help("The gateway's number.", name: "gateway"), transform: Limits.host.parse)
        var number = 0
        @Option(
            help: Whole(0...65535).help(
                "Where it listens; 0 for any free port, which is written to run/gateway-N.port."),
            transform: Whole(0...65535).parse) var port = 0
        @Flag(name: .customLong("exit-on-stdin-eof"), help: "Stop when standard input ends.") var exitOnEOF = false
        @Option(help: Limits.traceRate.help("The share of requests that is traced."), transform: Limits.traceRate.parse)
        var traceRate = 0.0
        @Option(
            help: .init(
                "Where it says over HTTP how it is.",
                discussion: "Port 0 is any free one, which is written to --http-port-file.",
                valueName: "address:port"),
            transform: WebOptions.parse) var http: WebOptions?
        @Option(help: .hidden) var httpPortFile: String?

        func run() async throws {
            let code = await Service.run("gateway-\(number)", exitOnEOF: exitOnEOF) { logger in
                let cluster = try ClusterFolder(opening: directory)
                var options = GatewayRuntimeOptions()
                options.traces = TraceSampling(rate: traceRate)
                if http != nil {
                    options.observer = GatewayObserver(manifest: cluster.manifest, traces: options.traces)
                }
                let gateway = try await GatewayHost.start(
                    manifest: cluster.manifest, port: port, options: options, logger: logger)
                let dashboard = options.observer.map { observer in
                    let watch = ClusterWatch(
                        manifest: cluster.manifest, gateway: gateway, observer: observer, traces: options.traces)
                    return DashboardPart(GatewayDashboard(watch))
                }
                let parts: [(any WebPart)?] = [HealthPart { [] }, dashboard]
                let web: WebServer?
                do {
                    web = try await Service.serve(
                        parts.compactMap { $0 }, at: http, portFile: httpPortFile, logger: logger)
                    try RunFolder(directory).writePort(gateway.port, gateway: number)
                } catch {
                    await gateway.stop()
                    throw error
                }
                return {
                    await dashboard?.stop()
                    await web?.stop()
                    await gateway.stop()
                }
            }
            throw ExitCode(code)
        }
    }
}

extension WebOptions {
    /// - Throws: `ValidationError`.
    static func parse(_ text: String) throws -> WebOptions {
        guard let options = WebOptions(text) else {
            throw ValidationError(
                "\(Printable.quoted(text.utf8)) is no place to listen; give PORT, ADDRESS:PORT or [IPv6]:PORT, as 127.0.0.1:9100."
            )
        }
        return options
    }
}
