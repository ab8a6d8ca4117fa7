import HostRuntime
import Logging
import Networks
import StrictInput
import Web

/// What a host or gateway can be told when it starts: by an option, a variable of the environment, or a key of a
/// configuration file. The one list of them; docs/CONFIGURATION.md is held to it.
package enum ServiceSetting: String, CaseIterable, Sendable {
    case folder
    case number
    case listen
    case clientTLS = "client_tls"
    case tlsCertificate = "tls_certificate"
    case tlsKey = "tls_key"
    case allowPlaintext = "allow_plaintext"
    case http
    case logLevel = "log_level"
    case logFormat = "log_format"
    case traceRate = "trace_rate"
    case verifierThreads = "verifier_threads"
    case maxGateways = "max_gateways"
    case stateGigabytes = "state_gigabytes"
    case archive
    case archiveGigabytes = "archive_gigabytes"
    case syncDelayMilliseconds = "sync_delay_milliseconds"
    case maxClients = "max_clients"
    case maxClientsPerAddress = "max_clients_per_address"
    case maxHandshakesPerSecond = "max_handshakes_per_second"
    case drainSeconds = "drain_seconds"
    case roundTripMilliseconds = "round_trip_ms"
    case network

    /// Who can be told.
    package enum Role: String, CaseIterable, Sendable {
        case host, gateway
    }

    /// What it may be.
    enum Kind {
        case text
        /// `ADDRESS:PORT`
        case address
        /// The same, or a port alone.
        case webAddress
        case whole(ClosedRange<Int>)
        /// From 0 to 1.
        case share
        case truth
        case choice([String])
        /// One that is built in, or a file.
        case network
    }

    /// In a configuration file.
    package var key: String { rawValue }
    /// On the command line, where folder and number are arguments.
    package var flag: String? {
        switch self {
        case .folder, .number: nil
        default: "--" + rawValue.replacing("_", with: "-")
        }
    }
    /// In the environment.
    package var variable: String { "QUORATE_" + rawValue.uppercased() }

    /// Variables that one process among several cannot have from who starts them all: which it is, and where; and those
    /// whose effects the tool that starts them relies on: what their logs look like, and when they end.
    package static let ofOneProcess: Set<String> = [
        ServiceSettings.fileVariable, ServiceSetting.folder.variable, ServiceSetting.number.variable,
        ServiceSetting.listen.variable, ServiceSetting.http.variable, ServiceSetting.logFormat.variable,
        ServiceSetting.logLevel.variable, ServiceSetting.drainSeconds.variable,
        // A bench says itself whose disk is slow, and no other cluster has use for one.
        ServiceSetting.syncDelayMilliseconds.variable,
        // Whether a cluster's gateways speak TLS is known from its folder, by those who connect to them.
        ServiceSetting.clientTLS.variable, ServiceSetting.tlsCertificate.variable, ServiceSetting.tlsKey.variable,
    ]

    package var roles: [Role] {
        switch self {
        case .folder, .number, .listen, .http, .logLevel, .logFormat, .traceRate, .verifierThreads,
            .maxHandshakesPerSecond, .roundTripMilliseconds, .network:
            [.host, .gateway]
        case .maxGateways, .stateGigabytes, .archive, .archiveGigabytes, .syncDelayMilliseconds: [.host]
        case .clientTLS, .tlsCertificate, .tlsKey, .allowPlaintext, .maxClients, .maxClientsPerAddress, .drainSeconds:
            [.gateway]
        }
    }

    /// As docs/CONFIGURATION.md and `--help` have it.
    package var fallback: String {
        switch self {
        case .folder: "none"
        case .number: "the folder's"
        case .listen: "see below"
        case .clientTLS: "see below"
        case .tlsCertificate: "the folder's"
        case .tlsKey: "the folder's"
        case .allowPlaintext: "false"
        case .http: "none"
        case .logLevel: "info"
        case .logFormat: "text"
        case .traceRate: "0"
        case .verifierThreads: "1"
        case .maxGateways: "64"
        case .stateGigabytes: "64"
        case .archive: "true"
        case .archiveGigabytes: "16"
        case .syncDelayMilliseconds: "0"
        case .maxClients: "1024"
        case .maxClientsPerAddress: "256"
        case .maxHandshakesPerSecond: "20"
        case .drainSeconds: "5"
        case .roundTripMilliseconds: "the network's, or 0"
        case .network: "none"
        }
    }

    package var meaning: String {
        switch self {
        case .folder: "the host's folder, or for a gateway the public part"
        case .number: "which host of a cluster's folder; a gateway's number, which its log has"
        case .listen: "where it is reached: `ADDRESS:PORT`, `[IPv6]:PORT`"
        case .clientTLS: "`on`: clients come in TLS 1.3 and HTTPS; `off`: in plain TCP and HTTP"
        case .tlsCertificate: "a PEM file with its certificate, and those between it and its authority"
        case .tlsKey: "a PEM file with the certificate's private key, mode 600"
        case .allowPlaintext: "clients may come in plain TCP and HTTP from other machines"
        case .http: "where it says over HTTP how it is: `PORT`, `ADDRESS:PORT`, `[IPv6]:PORT`"
        case .logLevel: "what it logs: `trace`, `debug`, `info`, `notice`, `warning`, `error`, `critical` and above"
        case .logFormat: "`text`, or `json` for one object a line"
        case .traceRate: "the share of requests of which it keeps what `quorate trace` shows, 0 to 1"
        case .verifierThreads: "threads that check signatures, 1 to 64"
        case .maxGateways: "sessions of gateways and tools, 1 to 1024; one more takes a quiet one's place"
        case .stateGigabytes: "the most that the state of a shard may take in the address space and on disk, 1 to 4096"
        case .archive: "whether it keeps what it has executed, for `quorate export`"
        case .archiveGigabytes:
            "the most that these archives may take on disk, 0 to 65536; the oldest parts go, also where less than 512 MiB of the disk would be free. 0 sets no limit"
        case .syncDelayMilliseconds:
            "for measuring only: milliseconds by which each sync of the journal takes longer, 0 to 10000"
        case .maxClients: "connections of clients, 1 to 60000; one more takes a quiet one's place"
        case .maxClientsPerAddress:
            "of these, those of one address (of IPv6, one /64) of another machine, 1 to 60000"
        case .maxHandshakesPerSecond:
            "TLS handshakes that one address (of IPv6, one /64) of another machine may begin in a second, 1 to 60000; two and a half times as many at once"
        case .drainSeconds: "how long it finishes what it has begun after SIGTERM, 0 to 3600"
        case .roundTripMilliseconds:
            "the longest round trip between hosts and gateways, 0 to 4000: it waits longer by it before it suspects or repeats"
        case .network:
            "for measuring: what it says to hosts and hears of them is delayed as in this network, `lan`, `aws-5-regions` or a file"
        }
    }

    var kind: Kind {
        switch self {
        case .folder: .text
        case .number: .whole(0...65535)
        case .listen: .address
        case .clientTLS: .choice(["on", "off"])
        case .tlsCertificate, .tlsKey: .text
        case .allowPlaintext: .truth
        case .http: .webAddress
        case .logLevel: .choice(Logger.Level.allCases.map(\.rawValue))
        case .logFormat: .choice(LogFormat.allCases.map(\.rawValue))
        case .traceRate: .share
        case .verifierThreads: .whole(1...64)
        case .maxGateways: .whole(1...1024)
        case .stateGigabytes: .whole(1...4096)
        case .archive: .truth
        case .archiveGigabytes: .whole(0...65_536)
        case .syncDelayMilliseconds: .whole(0...10_000)
        case .maxClients: .whole(1...60_000)
        case .maxClientsPerAddress: .whole(1...60_000)
        case .maxHandshakesPerSecond: .whole(1...60_000)
        case .drainSeconds: .whole(0...3600)
        // Beyond that a backup's clock and a proposal's time are too far apart to ever agree (`timeBehind`).
        case .roundTripMilliseconds: .whole(0...4000)
        case .network: .network
        }
    }

    /// - Returns: what was expected instead; nil if the text is right.
    func objection(to text: String) -> String? {
        switch kind {
        case .text: text.isEmpty || text.utf8.contains(0) ? "a path" : nil
        case .address:
            HostAddress(text, ports: 0...65535) == nil ? "ADDRESS:PORT or [IPv6]:PORT, as 0.0.0.0:7100" : nil
        case .webAddress:
            WebOptions(text) == nil ? "PORT, ADDRESS:PORT or [IPv6]:PORT, as 127.0.0.1:9100" : nil
        case .whole(let range):
            Int(text).map(range.contains) ?? false
                ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .share: Double(text).map((0...1).contains) ?? false ? nil : "a number from 0 to 1"
        case .truth: ["true", "false"].contains(text) ? nil : "true or false"
        case .choice(let words): words.contains(text) ? nil : "one of \(words.joined(separator: ", "))"
        case .network: NetworkChoice(text) == nil ? NetworkChoice.expected : nil
        }
    }

    /// From a configuration file, where numbers are numbers.
    func read(_ value: JSONReader) throws(InputProblem) -> String {
        let text: String
        switch kind {
        case .text, .address, .webAddress, .choice, .network: text = try value.string()
        case .whole(let range): return "\(try value.integer(in: range))"
        case .share: text = try value.number()
        case .truth: return "\(try value.boolean())"
        }
        if let expected = objection(to: text) { throw value.problem(Printable.quoted(text.utf8), expected: expected) }
        return text
    }

    /// What `--help` of host programs says, a line for each option that the role has.
    package static func help(for role: Role) -> String {
        let settings = allCases.filter { $0.roles.contains(role) && $0.flag != nil }
        let width = settings.map { $0.flag?.count ?? 0 }.max() ?? 0
        return settings.map { setting in
            let flag = setting.flag ?? ""
            let space = String(repeating: " ", count: width - flag.count + 2)
            return "  \(flag)\(space)\(setting.meaning.replacing("`", with: "")) (default: \(setting.fallback))"
        }.joined(separator: "\n")
    }
}
