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
        do throws(InputProblem) {
            let root = try JSONReader(try InputFile.read(path, limit: 1 << 20), file: path)
            let fields = try root.object([], optional: settings.map(\.key))
            var texts: [ServiceSetting: String] = [:]
            for setting in settings {
                if let field = fields.optional(setting.key) { texts[setting] = try setting.read(field) }
            }
            return texts
        } catch {
            throw SettingProblem(description: "\(error.description) (docs/CONFIGURATION.md has every key of a \(role))")
        }
    }

    // MARK: What they are

    /// Nil where nothing was said: then the default counts.
    package func text(_ setting: ServiceSetting) -> String? { texts[setting] }
    package func whole(_ setting: ServiceSetting) -> Int? { texts[setting].flatMap { Int($0) } }

    package var listen: HostAddress? { texts[.listen].flatMap { HostAddress($0, ports: 0...65535) } }
    package var http: WebOptions? { texts[.http].flatMap { WebOptions($0) } }
    package var logLevel: Logger.Level { texts[.logLevel].flatMap { Logger.Level(rawValue: $0) } ?? .info }
    package var logFormat: LogFormat { texts[.logFormat].flatMap { LogFormat(rawValue: $0) } ?? .text }
    package var traces: TraceSampling { TraceSampling(rate: texts[.traceRate].flatMap { Double($0) } ?? 0) }

    /// The host's options with what was said.
    package func apply(to options: inout HostRuntimeOptions) {
        options.traces = traces
        options.listen = listen
        if let threads = whole(.verifierThreads) { options.verifierThreads = threads }
        if let sessions = whole(.maxGateways) { options.transport.maxGateways = sessions }
        if let gigabytes = whole(.stateGigabytes) { options.stores.mapSize = gigabytes << 30 }
        if let archive = texts[.archive] { options.archives = archive == "true" }
        if let gigabytes = whole(.archiveGigabytes) { options.archiveBytes = gigabytes == 0 ? nil : gigabytes << 30 }
    }

    /// The gateway's options with what was said.
    package func apply(to options: inout GatewayRuntimeOptions) {
        options.traces = traces
        if let listen { options.clients.address = listen.address }
        if let threads = whole(.verifierThreads) { options.verifierThreads = threads }
        if let clients = whole(.maxClients) { options.clients.maxClients = clients }
    }

    /// How long a gateway finishes what it has begun.
    package var drainLimit: Duration { .seconds(whole(.drainSeconds) ?? 5) }
    /// Whether clients may come in plain TCP from other machines.
    package var allowsPlaintext: Bool { texts[.allowPlaintext] == "true" }
}
