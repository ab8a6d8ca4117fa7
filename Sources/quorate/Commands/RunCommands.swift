import ArgumentParser
import Client
import ExampleProcedures
import Foundation
import HostRuntime
import Messages
import QuorateHost
import StrictInput
import Web

/// What `cluster up` starts, and a service manager on a machine of its own.
struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "Run one host on this machine, in the foreground.", shouldDisplay: false,
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

/// What `cluster up` starts, and a service manager on a machine of its own.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Run one gateway on this machine, in the foreground.", shouldDisplay: false,
        subcommands: [Run.self])

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Runs one gateway in the foreground.",
            discussion: """
                It needs its own folder only, which cluster init made as gateways/N: the public part of the cluster, and the \
                certificate by which it proves to clients, in TLS 1.3 and HTTPS, who it is:

                  quorate gateway run /etc/quorate/gateway --listen 0.0.0.0:7200 --http 127.0.0.1:9200
                  QUORATE_FOLDER=/etc/quorate/gateway QUORATE_LISTEN=0.0.0.0:7200 quorate gateway run

                Each option may also stand in a file (--config, or QUORATE_CONFIG) or in the environment; an option counts before a \
                variable, a variable before the file. docs/CONFIGURATION.md has them all.

                SIGTERM ends it in order: it takes nothing new, and finishes what it has begun. SIGHUP makes it read its \
                certificate again. SIGUSR1 makes its log say more, \
                SIGUSR2 less.
                """)
        @Argument(help: "The gateway's folder, the cluster's, or its public part.") var directory: String?
        @Argument(
            help: Limits.host.help("The gateway's number. Default: 0.", name: "gateway"), transform: Limits.host.parse)
        var number: Int?
        @Option(
            help: Whole(0...65535).help(
                "Where it listens on loopback, if --listen does not say; 0 for any free port, which is written to run/gateway-N.port. Default: what gateways.json has for its number, or 0."
            ),
            transform: Whole(0...65535).parse) var port: Int?
        @Flag(name: .customLong("exit-on-stdin-eof"), help: "Stop when standard input ends.") var exitOnEOF = false
        @Option(help: .init("A configuration file.", valueName: "file")) var config: String?
        @Option(help: .init("Where it listens for clients.", valueName: "address:port")) var listen: String?
        @Option(
            help: .init(
                "Whether clients come in TLS and HTTPS. Default: on with a certificate, off without.",
                valueName: "on|off"))
        var clientTLS: String?
        @Option(help: .init("Its certificate, in PEM. Default: the folder's gateway.crt.", valueName: "file"))
        var tlsCertificate: String?
        @Option(help: .init("The certificate's key, in PEM. Default: the folder's gateway.key.", valueName: "file"))
        var tlsKey: String?
        @Flag(help: "Listen beyond loopback although clients come in plain TCP, or HTTP.") var allowPlaintext = false
        @Option(
            help: .init(
                "Where it serves its HTTP API, and says how it is.",
                discussion: "docs/HTTP.md. Port 0 is any free one, which is written to --http-port-file.",
                valueName: "address:port")) var http: String?
        @Option(help: .hidden) var httpPortFile: String?
        @Option(help: .init("From which level on it logs. Default: info.", valueName: "level")) var logLevel: String?
        @Option(help: .init("Default: text.", valueName: "text|json")) var logFormat: String?
        @Option(
            help: Limits.traceRate.help("The share of requests that is traced. Default: 0."),
            transform: Limits.traceRate.parse) var traceRate: Double?
        @Option(help: Whole(1...64).help("Threads that check signatures. Default: 1."), transform: Whole(1...64).parse)
        var verifierThreads: Int?
        @Option(
            help: Whole(1...60000).help("Connections of clients. Default: 1024."), transform: Whole(1...60000).parse)
        var maxClients: Int?
        @Option(
            help: Whole(1...60000).help("Of these, those of one address of another machine. Default: 256."),
            transform: Whole(1...60000).parse)
        var maxClientsPerAddress: Int?
        @Option(
            help: Whole(1...60000).help(
                "TLS handshakes that one address of another machine may begin in a second, and two and a half times as many at once. Default: 20."
            ), transform: Whole(1...60000).parse)
        var maxHandshakesPerSecond: Int?
        @Option(
            help: Whole(0...3600).help("How long it finishes what it has begun. Default: 5."),
            transform: Whole(0...3600).parse)
        var drainSeconds: Int?
        @Option(
            help: Whole(0...10_000).help(
                "The longest round trip to a host, in milliseconds: it waits longer by it before it repeats. Default: the network's, or 0."
            ),
            transform: Whole(0...10_000).parse)
        var roundTripMs: Int?
        @Option(
            help: .init(
                "For measuring: a network whose delays connections to hosts get (docs/BENCH.md, Networks). Default: none.",
                valueName: "lan|aws-5-regions|file"))
        var network: String?

        private func settings() throws -> ServiceSettings {
            let given: [ServiceSetting: String?] = [
                .folder: directory, .number: number.map { "\($0)" }, .listen: listen, .http: http, .logLevel: logLevel,
                .logFormat: logFormat, .traceRate: traceRate.map { "\($0)" },
                .verifierThreads: verifierThreads.map { "\($0)" },
                .maxClients: maxClients.map { "\($0)" }, .drainSeconds: drainSeconds.map { "\($0)" },
                .allowPlaintext: allowPlaintext ? "true" : nil, .clientTLS: clientTLS,
                .tlsCertificate: tlsCertificate, .tlsKey: tlsKey,
                .maxClientsPerAddress: maxClientsPerAddress.map { "\($0)" },
                .maxHandshakesPerSecond: maxHandshakesPerSecond.map { "\($0)" },
                .roundTripMilliseconds: roundTripMs.map { "\($0)" }, .network: network,
            ]
            do {
                return try ServiceSettings(
                    for: .gateway, given: given.compactMapValues { $0 }, file: config,
                    environment: ProcessInfo.processInfo.environment)
            } catch { throw ValidationError(error.description) }
        }

        /// Its API takes the same requests over HTTP.
        /// - Throws: `ValidationError` if clients would come in plain text from other machines, and nobody allowed it.
        private static func requireNothingOpen(_ settings: ServiceSettings) throws {
            guard !settings.allowsPlaintext else { return }
            let http = settings.http.map { HostAddress(address: $0.address, port: $0.port) }
            for (place, way) in [(settings.listen, "TCP"), (http, "HTTP")] {
                guard let place, !place.isLoopback else { continue }
                throw ValidationError(
                    "clients would come to \(place) in plain \(way): whoever is between can read what they send and keep it back, though not change it. Give it a certificate (quorate cluster certificates, or --tls-certificate), listen on loopback behind something that ends TLS, or allow it with --allow-plaintext."
                )
            }
        }

        /// Where clients are awaited, if nothing was said.
        private func usualPlace(_ listed: HostAddress?) -> HostAddress {
            HostAddress(address: "127.0.0.1", port: port ?? listed?.port ?? 0)
        }

        /// Who looks for it where the list says, and does not find it, sees a gateway that does not answer.
        /// - Returns: nil if it may be found.
        private static func difference(_ place: HostAddress, from listed: HostAddress?) -> String? {
            guard let listed, !place.takes(whoConnectsTo: listed) else { return nil }
            return
                "gateways.json sends clients to \(listed), and this gateway listens on \(place): they reach it only if something there passes them on (--listen says where it listens)"
        }

        /// Where its own API reaches it, as any client does.
        private static func own(_ place: HostAddress, port: Int, trust: GatewayTrust?) -> GatewayAddress {
            switch place.address {
            case "0.0.0.0": GatewayAddress(host: "127.0.0.1", port: port, trust: trust)
            case "::": GatewayAddress(host: "::1", port: port, trust: trust)
            default: GatewayAddress(host: place.address, port: port, trust: trust)
            }
        }

        func run() async throws {
            let settings = try settings()
            guard let folder = settings.text(.folder) else {
                throw ValidationError("no folder is named: give it, or set \(ServiceSetting.folder.variable).")
            }
            let certificate: Result<ServerCertificate?, any Error>
            do {
                certificate = .success(try settings.certificate(in: folder))
            } catch let problem as SettingProblem {
                throw ValidationError(problem.description)
            } catch {
                certificate = .failure(error)
            }
            if case .success(nil) = certificate { try Self.requireNothingOpen(settings) }
            // In a terminal a hangup is its end, and that of what was started in it.
            let rereads = (try? certificate.get()) != nil && isatty(STDIN_FILENO) == 0
            let number = settings.whole(.number) ?? 0
            let code = await Service.run(
                "gateway-\(number)", metadata: ["gateway": .stringConvertible(number)], settings: settings,
                exitOnEOF: exitOnEOF, heedsHangup: !rereads
            ) { logger in
                let cluster = try ClusterFolder(opening: folder)
                let certificate = try certificate.get()
                var options = GatewayRuntimeOptions()
                settings.apply(to: &options)
                try settings.applyNetwork(to: &options, gateway: number, hosts: cluster.manifest.hosts.count)
                options.clients.tls = certificate
                let rereading = rereads ? certificate.map { CertificateSignal($0, logger: logger) } : nil
                if certificate == nil, try cluster.authorities() != nil {
                    logger.warning(
                        "clients that have authority.crt expect TLS here, and this gateway has no certificate, or was told not to use it"
                    )
                }
                if settings.http != nil {
                    options.observer = GatewayObserver(manifest: cluster.manifest, traces: options.traces)
                }
                let list = try GatewayList.read(in: cluster)
                let listed = list.indices.contains(number) ? list[number] : nil
                let place = settings.listen ?? usualPlace(listed)
                options.clients.address = place.address
                let gateway = try await GatewayHost.start(
                    manifest: cluster.manifest, port: place.port, options: options, logger: logger)
                let actual = HostAddress(address: place.address, port: gateway.port)
                if let warning = Self.difference(actual, from: listed) { logger.warning("\(warning)") }
                let archives = ArchiveClient(cluster.manifest)
                var apiOptions = APIOptions()
                apiOptions.decisions = ArchivedDecisions(client: archives)
                // Itself it knows by the very certificate: one that an operator gave may have no name of loopback.
                let api = APIPart(
                    manifest: cluster.manifest, procedures: ExampleProcedures.registry.names, options: apiOptions,
                    logger: logger
                ) { [port = gateway.port] in
                    let trust = certificate.map { GatewayTrust(pinned: $0.leaf) }
                    return try await GatewayConnection.connect(Self.own(place, port: port, trust: trust))
                }
                let dashboard = options.observer.map { observer in
                    let watch = ClusterWatch(
                        manifest: cluster.manifest, gateway: gateway, observer: observer, traces: options.traces)
                    return DashboardPart(GatewayDashboard(watch))
                }
                let web: WebServer?
                do {
                    let health = HealthPart {
                        await gateway.isDraining() ? ["it is being stopped"] : await gateway.problems()
                    }
                    let metrics = MetricsPart { [number] in await gateway.points(number: number) }
                    let parts: [(any WebPart)?] = [health, metrics, api, dashboard]
                    var listening = settings.http
                    if let certificate { listening?.tls = { certificate.webContext } }
                    listening?.onRefusedHandshake = { gateway.noteRefusedHandshake() }
                    web = try await Service.serve(
                        parts.compactMap { $0 }, at: listening, portFile: httpPortFile, logger: logger)
                    try RunFolder(folder).writePort(gateway.port, gateway: number)
                } catch {
                    await gateway.stop()
                    throw error
                }
                return {
                    if await !gateway.drain(limit: settings.drainLimit) {
                        logger.warning("not all requests were answered within \(settings.drainLimit)")
                    }
                    await dashboard?.stop()
                    await web?.stop()
                    await archives.close()
                    await gateway.stop()
                    withExtendedLifetime(rereading) {}
                }
            }
            throw ExitCode(code)
        }
    }
}
