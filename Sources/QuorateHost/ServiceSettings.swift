import HostRuntime
import Logging
import Messages
import StrictInput
import Web

/// A setting that cannot be used: which, from where, and what was expected.
package struct SettingProblem: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
}

/// What one host or gateway was told. An option counts before a variable of the environment, that before the
/// configuration file, and that before the default.
package struct ServiceSettings: Sendable {
    /// Names the configuration file, where no option does.
    package static let fileVariable = "QUORATE_CONFIG"
    private var texts: [ServiceSetting: String] = [:]

    /// - Parameters:
    ///   - given: from the command line.
    ///   - file: the configuration file; nil for the one that the environment names, or none.
    ///   - environment: an empty variable counts as none.
    /// - Throws: `SettingProblem`.
    package init(
        for role: ServiceSetting.Role, given: [ServiceSetting: String], file: String?, environment: [String: String]
    ) throws(SettingProblem) {
        let settings = ServiceSetting.allCases.filter { $0.roles.contains(role) }
        let named = environment[Self.fileVariable].flatMap { $0.isEmpty ? nil : $0 }
        if let path = file ?? named { texts = try Self.read(path, settings, role) }
        for setting in settings {
            if let text = environment[setting.variable], !text.isEmpty {
                texts[setting] = try Self.checked(text, setting, from: setting.variable)
            }
            if let text = given[setting] {
                texts[setting] = try Self.checked(text, setting, from: setting.flag ?? setting.key)
            }
        }
    }

    private static func checked(
        _ text: String, _ setting: ServiceSetting, from place: String
    ) throws(SettingProblem) -> String {
        guard let expected = setting.objection(to: text) else { return text }
        throw SettingProblem(description: "\(place): \(Printable.quoted(text.utf8)); expected \(expected)")
    }

    private static func read(
        _ path: String, _ settings: [ServiceSetting], _ role: ServiceSetting.Role
    ) throws(SettingProblem) -> [ServiceSetting: String] {
        let bytes: [UInt8]
        do { bytes = try InputFile.read(path, limit: 1 << 20) } catch { throw problem(error, role) }
        return try decode(bytes, file: path, settings, role)
    }

    private static func problem(_ error: InputProblem, _ role: ServiceSetting.Role) -> SettingProblem {
        SettingProblem(description: "\(error.description) (docs/CONFIGURATION.md has every key of a \(role))")
    }

    /// - Parameters:
    ///   - file: the configuration file's name, for the error.
    ///   - settings: those that it may have.
    package static func decode(
        _ bytes: [UInt8], file: String, _ settings: [ServiceSetting], _ role: ServiceSetting.Role
    ) throws(SettingProblem) -> [ServiceSetting: String] {
        do throws(InputProblem) {
            let root = try JSONReader(bytes, file: file)
            let fields = try root.object([], optional: settings.map(\.key))
            var texts: [ServiceSetting: String] = [:]
            for setting in settings {
                if let field = fields.optional(setting.key) { texts[setting] = try setting.read(field) }
            }
            return texts
        } catch {
            throw problem(error, role)
        }
    }

    // MARK: What they are

    /// Nil where nothing was said: then the default counts.
    package func text(_ setting: ServiceSetting) -> String? { texts[setting] }
    package func whole(_ setting: ServiceSetting) -> Int? { texts[setting].flatMap { Int($0) } }

    package var listen: HostAddress? { texts[.listen].flatMap { HostAddress($0, ports: 0...65535) } }
    package var http: WebOptions? {
        guard var options = texts[.http].flatMap({ WebOptions($0) }) else { return nil }
        if let rate = whole(.maxHandshakesPerSecond) { options.maxHandshakesPerSecond = rate }
        return options
    }
    package var logLevel: Logger.Level { texts[.logLevel].flatMap { Logger.Level(rawValue: $0) } ?? .info }
    package var logFormat: LogFormat { texts[.logFormat].flatMap { LogFormat(rawValue: $0) } ?? .text }
    package var traces: TraceSampling { TraceSampling(rate: texts[.traceRate].flatMap { Double($0) } ?? 0) }

    /// The host's options with what was said.
    package func apply(to options: inout HostRuntimeOptions) {
        options.traces = traces
        options.listen = listen
        if let threads = whole(.verifierThreads) { options.verifierThreads = threads }
        if let sessions = whole(.maxGateways) { options.transport.maxGateways = sessions }
        if let rate = whole(.maxHandshakesPerSecond) { options.transport.maxHandshakesPerSecond = rate }
        if let gigabytes = whole(.stateGigabytes) { options.stores.mapSize = gigabytes << 30 }
        if let archive = texts[.archive] { options.archives = archive == "true" }
        if let milliseconds = whole(.syncDelayMilliseconds) { options.syncDelay = .milliseconds(milliseconds) }
        if let gigabytes = whole(.archiveGigabytes) { options.archiveBytes = gigabytes == 0 ? nil : gigabytes << 30 }
    }

    /// The gateway's options with what was said.
    package func apply(to options: inout GatewayRuntimeOptions) {
        options.traces = traces
        if let listen { options.clients.address = listen.address }
        if let threads = whole(.verifierThreads) { options.verifierThreads = threads }
        if let clients = whole(.maxClients) { options.clients.maxClients = clients }
        if let rate = whole(.maxHandshakesPerSecond) { options.clients.maxHandshakesPerSecond = rate }
        if let clients = whole(.maxClientsPerAddress) { options.clients.maxClientsPerAddress = clients }
    }

    /// The certificate by which a gateway proves to clients who it is: the given one, or that of its folder.
    /// - Returns: nil if it speaks plain TCP.
    /// - Throws: `SettingProblem` if what was said does not fit together; `ServerCertificateError`.
    package func certificate(in folder: String) throws -> ServerCertificate? {
        let (certificate, key) = (texts[.tlsCertificate], texts[.tlsKey])
        guard (certificate == nil) == (key == nil) else {
            throw SettingProblem(
                description: "tls_certificate and tls_key belong together: give both, or neither for the folder's")
        }
        if texts[.clientTLS] == "off" {
            guard certificate == nil else {
                throw SettingProblem(description: "client_tls is off, so that tls_certificate would not be used")
            }
            return nil
        }
        if let certificate, let key { return try ServerCertificate(path: certificate, keyPath: key) }
        if let own = try ServerCertificate.find(in: folder, gateway: whole(.number) ?? 0) { return own }
        guard texts[.clientTLS] != "on" else {
            throw SettingProblem(
                description:
                    "client_tls is on, and there is no certificate: neither tls_certificate nor gateway.crt in \(Printable.line(folder)). Where the cluster was created: quorate cluster certificates FOLDER"
            )
        }
        return nil
    }

    /// How long a gateway finishes what it has begun.
    package var drainLimit: Duration { .seconds(whole(.drainSeconds) ?? 5) }
    /// Whether clients may come in plain TCP and HTTP from other machines.
    package var allowsPlaintext: Bool { texts[.allowPlaintext] == "true" }
}
