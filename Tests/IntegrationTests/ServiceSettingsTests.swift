import Foundation
import HostRuntime
import Logging
import QuorateHost
import Testing

/// What hosts and gateways are told: from where, in which order, and what is refused.
@Suite struct ServiceSettingsTests {
    private func settings(
        _ role: ServiceSetting.Role = .host, given: [ServiceSetting: String] = [:], file text: String? = nil,
        environment: [String: String] = [:]
    ) throws -> ServiceSettings {
        guard let text else {
            return try ServiceSettings(for: role, given: given, file: nil, environment: environment)
        }
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("settings.json")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return try ServiceSettings(for: role, given: given, file: path, environment: environment)
    }

    @Test func anOptionCountsBeforeAVariableAndThatBeforeTheFileAndThatBeforeTheDefault() throws {
        let file = #"{"log_level": "error"}"#
        let variable = ["QUORATE_LOG_LEVEL": "debug"]
        #expect(try settings().logLevel == .info)
        #expect(try settings(file: file).logLevel == .error)
        #expect(try settings(file: file, environment: variable).logLevel == .debug)
        #expect(try settings(given: [.logLevel: "trace"], file: file, environment: variable).logLevel == .trace)
        // An empty variable is none.
        #expect(try settings(file: file, environment: ["QUORATE_LOG_LEVEL": ""]).logLevel == .error)
    }

    @Test func theEnvironmentMayNameTheFile() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("settings.json")
        try Data(#"{"number": 3}"#.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try settings(environment: ["QUORATE_CONFIG": path]).whole(.number) == 3)
        #expect(throws: SettingProblem.self) { try settings(environment: ["QUORATE_CONFIG": path + "x"]) }
    }

    @Test(arguments: [
        (#"{"log_levle": "info"}"#, ":1:2, at log_levle: unknown key"),
        ("{\n  \"log_level\": \"loud\"\n}", ":2:16, at log_level: \"loud\"; expected one of"),
        (#"{"listen": "7100"}"#, ":1:12, at listen: \"7100\"; expected ADDRESS:PORT"),
        (#"{"verifier_threads": 0}"#, "at verifier_threads: the number 0; expected an integer from 1 to 64"),
        (#"{"verifier_threads": "2"}"#, "at verifier_threads: a string; expected an integer"),
        (#"{"network": "moon"}"#, "at network: \"moon\"; expected lan, aws-5-regions, or a file"),
        (#"{"trace_rate": 1.5}"#, "at trace_rate: \"1.5\"; expected a number from 0 to 1"),
        // A gateway's, and not a host's.
        (#"{"max_clients": 5}"#, "at max_clients: unknown key"),
        (#"{"number": 1, "number": 2}"#, "number"),
        ("{", "expected"),
    ])
    func whatIsWrongInAFileIsNamedWithItsPlace(text: String, complaint: String) throws {
        do {
            _ = try settings(file: text)
            Issue.record("\(text) was taken")
        } catch let problem as SettingProblem {
            #expect(problem.description.contains(complaint), "\(problem)")
        }
    }

    @Test func whatIsWrongInTheEnvironmentIsNamedWithItsVariable() throws {
        do {
            _ = try settings(.gateway, environment: ["QUORATE_MAX_CLIENTS": "many"])
            Issue.record("it was taken")
        } catch let problem as SettingProblem {
            #expect(problem.description == #"QUORATE_MAX_CLIENTS: "many"; expected a whole number from 1 to 60000"#)
        }
    }

    @Test func whoIsFarWaitsLongerAndAnEmulatedNetworkSaysItByItself() throws {
        func wait(_ given: [ServiceSetting: String]) throws -> UInt64 {
            var options = HostRuntimeOptions()
            try settings(given: given).applyNetwork(to: &options, host: 0, of: 4)
            return options.core.replica.progressTimeout
        }
        let usual = HostRuntimeOptions().core.replica.progressTimeout
        #expect(try wait([:]) == usual)
        #expect(try wait([.network: "lan"]) == usual)
        #expect(try wait([.roundTripMilliseconds: "200"]) == usual + 800_000_000)
        #expect(try wait([.network: "aws-5-regions"]) > usual + 800_000_000)
        #expect(try wait([.network: "aws-5-regions", .roundTripMilliseconds: "0"]) == usual)
        #expect(throws: (any Error).self) { try wait([.network: "./no-such.json"]) }
    }

    @Test func theToolRefusesThemAsWrongUse() throws {
        let (status, output) = try Tool.run("host", "run", "no-such-folder", "0", "--log-format", "xml")
        #expect(status == 64 && output.contains("--log-format: \"xml\"; expected one of text, json"), "\(output)")
        let gateway = try Tool.run("gateway", "run", "no-such-folder", "--log-level", "loud")
        #expect(gateway.status == 64 && gateway.output.contains("--log-level: \"loud\""), "\(gateway.output)")
    }

    @Test func aSlowDiskIsToldToAHostOnlyAndNotHandedOn() throws {
        var options = HostRuntimeOptions()
        try settings().apply(to: &options)
        #expect(options.syncDelay == .zero)
        try settings(given: [.syncDelayMilliseconds: "20"]).apply(to: &options)
        #expect(options.syncDelay == .milliseconds(20))
        #expect(ServiceSetting.syncDelayMilliseconds.roles == [.host])
        // A bench whose disks were slow without its knowledge would measure something else than it says.
        #expect(ServiceSetting.ofOneProcess.contains("QUORATE_SYNC_DELAY_MILLISECONDS"))
    }

    /// docs/CONFIGURATION.md has a row for each setting, and no others.
    @Test func everySettingIsDocumentedWithItsDefault() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/CONFIGURATION.md"), encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") && $0.contains("`QUORATE_") }
        let expected = ServiceSetting.allCases.map { setting in
            let roles = setting.roles.map(\.rawValue).joined(separator: ", ")
            let flag = setting.flag.map { "`\($0)`" } ?? "argument"
            return
                "| `\(setting.key)` | `\(setting.variable)` | \(flag) | \(roles) | \(setting.fallback) | \(setting.meaning) |"
        }
        #expect(rows.map(String.init) == expected)
    }
}
