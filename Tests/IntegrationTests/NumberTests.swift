import Foundation
import Testing

/// Every number that the command line takes, found in what the tool says of itself.
@Suite(.serialized) struct NumberTests {
    private struct Place: Sendable {
        var command: [String]
        /// `--timeout`; nil for an argument.
        var option: String?
        /// What stands before it, so that nothing is missing.
        var before: [String]
        var low: Double
        var high: Double
        var isWhole: Bool
    }

    private struct Help: Decodable {
        struct Command: Decodable {
            struct Argument: Decodable {
                struct Name: Decodable {
                    var kind: String
                    var name: String
                }
                var kind: String
                var names: [Name]?
                var valueName: String?
                var defaultValue: String?
            }
            var commandName: String
            var subcommands: [Command]?
            var arguments: [Argument]?
            var shouldDisplay: Bool?
        }
        var command: Command
    }

    private static func commands() throws -> [(path: [String], command: Help.Command, isShown: Bool)] {
        let help = try JSONDecoder().decode(Help.self, from: Data(try Tool.succeed("--experimental-dump-help").utf8))
        var found: [(path: [String], command: Help.Command, isShown: Bool)] = []
        func visit(_ command: Help.Command, _ path: [String], _ isShown: Bool) {
            let subcommands = (command.subcommands ?? []).filter { $0.commandName != "help" }
            if subcommands.isEmpty { found.append((path, command, isShown)) }
            for next in subcommands { visit(next, path + [next.commandName], isShown && next.shouldDisplay != false) }
        }
        visit(help.command, [], true)
        return found
    }

    /// `1..86400`, `host:0..65535`.
    private static func range(_ name: String?) -> (low: Double, high: Double, isWhole: Bool)? {
        guard let text = name?.split(separator: ":").last, let dots = text.firstRange(of: "..") else { return nil }
        guard let low = Double(text[..<dots.lowerBound]), let high = Double(text[dots.upperBound...]) else {
            return nil
        }
        return (low, high, !text.replacing("..", with: "").contains("."))
    }

    private static func long(_ argument: Help.Command.Argument) -> String? {
        argument.names?.first { $0.kind == "long" }.map { "--" + $0.name }
    }

    private static func places() throws -> [Place] {
        var places: [Place] = []
        for (path, command, _) in try commands() {
            var before: [String] = []
            for argument in command.arguments ?? [] {
                let range = range(argument.valueName)
                if let range {
                    places.append(
                        Place(
                            command: path, option: argument.kind == "positional" ? nil : long(argument), before: before,
                            low: range.low,
                            high: range.high, isWhole: range.isWhole))
                }
                if argument.kind == "positional" { before.append(range.map { "\(Int($0.low))" } ?? "no-such-thing") }
            }
        }
        return places
    }

    private static let values = [
        "-1", "-9223372036854775808", "0", "65536", "70000", "9223372036854775807", "18446744073709551615",
        "18446744073709551616",
        "1e300", "inf", "-inf", "nan", "1.5", "0x10", " 1", "1 ", "", "٣",
    ]

    @Test func everyNumberOutsideItsRangeIsWrongUseAndNamesBoth() async throws {
        let places = try Self.places()
        #expect(places.count >= 60, "found only \(places.count)")
        let lanes = 4
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    for place in stride(from: lane, to: places.count, by: lanes) { try check(places[place]) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func check(_ place: Place) throws {
        for value in Self.values where !isInside(value, place) {
            var words = place.command
            if let option = place.option {
                words += place.before + ["\(option)=\(value)"]
            } else {
                words += place.before + ["--", value]
            }
            let (status, output) = try Tool.run(words)
            let shown = "\(Int(place.low))"
            #expect(status == 64, "quorate \(words.joined(separator: " ")): \(status)")
            // Where a number is missing altogether the library has words of its own.
            if !value.isEmpty {
                #expect(
                    output.contains("'\(value)'") && output.contains(" from \(place.isWhole ? shown : "")"),
                    "quorate \(words): \(output)")
            }
        }
    }

    private func isInside(_ value: String, _ place: Place) -> Bool {
        if place.isWhole { return UInt64(value).map { Double($0) >= place.low && Double($0) <= place.high } ?? false }
        return Double(value).map { $0 >= place.low && $0 <= place.high } ?? false
    }

    /// A number after its option, as people write it, is no option.
    @Test func aNegativeNumberIsNamedAsTheValueThatItIs() throws {
        for value in ["-1", "-1.5", "-inf"] {
            let (status, output) = try Tool.run("cluster", "up", "no-such-folder", "--timeout", value, "--json")
            #expect(status == 64 && output.contains("The value '\(value)' is invalid"), "\(output)")
            #expect(output.contains(#"{"error":{"code":"usage","exit":64,"message":"#))
        }
    }

    @Test func everyNumericOptionSaysItsRange() throws {
        for (path, command, _) in try Self.commands() {
            for argument in command.arguments ?? [] where argument.kind != "flag" {
                guard let value = argument.defaultValue, Double(value) != nil else { continue }
                #expect(
                    Self.range(argument.valueName) != nil,
                    "\(path.joined(separator: " ")) \(Self.long(argument) ?? argument.valueName ?? "")")
            }
        }
    }

    @Test func everyCommandHasJSON() throws {
        for (path, command, isShown) in try Self.commands() where isShown {
            #expect((command.arguments ?? []).contains { Self.long($0) == "--json" }, "\(path.joined(separator: " "))")
        }
    }

    /// Of a script of the simulator: each number replaced by each of these is understood or refused with its line.
    @Test func aNumberInAScenarioIsUnderstoodOrRefusedWithItsLine() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let lines = [
            "cluster shards 2 replicas 4", "account a shard 0 balance 100", "account b shard 1", "submit a->b 30",
            "run 1s",
            "expect view 0 shard 1", "expect executed 3 shard 0", "expect undecided 2", "crash 1", "restart 1",
            "partition 0 1 | 2 3",
        ]
        for (i, line) in lines.enumerated() {
            for (j, word) in line.split(separator: " ").enumerated() where Int(word) != nil {
                for value in ["-1", "65", "70000", "9223372036854775807", "18446744073709551616", "1e300", "nan"] {
                    var words = line.split(separator: " ").map(String.init)
                    words[j] = value
                    let script = folder.path("script.txt")
                    let text = (lines[..<i] + [words.joined(separator: " ")]).joined(separator: "\n") + "\n"
                    try Data(text.utf8).write(to: URL(fileURLWithPath: script))
                    let (status, output) = try Tool.run("simulate", "--scenario", script)
                    #expect(
                        status == 0 || status == 34 && output.contains("script.txt:\(i + 1): "),
                        "\(words): \(status) \(output.suffix(200))")
                }
            }
        }
    }

    /// Lists and pairs of numbers, and what only shows with others.
    @Test func numbersInListsAndPairsAreChecked() throws {
        let cluster = try TestedCluster(isUp: false)
        let wrong = [
            ["bench", "--shards", "1,70000"], ["bench", "--shards", "0"], ["bench", "--shards", "-1"],
            ["bench", "--shards", "1,,2"],
            ["bench", "--shards", "18446744073709551616"], ["bench", "--cross-shard", "101"],
            ["bench", "--cross-shard", "1e2"],
            ["bench", "--kill-host", "-1@5"], ["bench", "--kill-host", "0@-1"], ["bench", "--kill-host", "0@nan"],
            ["bench", "--kill-host", "0@inf"], ["bench", "--kill-host", "0@1e300"],
            ["bench", "--kill-host", "70000@1"],
            ["bench", "--stop-host", "4@1"], ["bench", "--kill-gateway", "1@1"], ["bench", "--replicas", "5"],
            ["simulate", "--seeds", "0..18446744073709551615"], ["simulate", "--seeds", "5..4"],
            ["simulate", "--seeds", "-1..5"],
            ["simulate", "--suppress", "0..9223372036854775807"], ["simulate", "--suppress", "-1"],
            ["simulate", "--replicas", "5"],
            ["cluster", "init", "x", "--base-port", "65534"], ["cluster", "init", "x", "--replicas", "6"],
            ["cluster", "up", cluster.path, "--gateway-port", "65530", "--gateways", "10"],
            ["cluster", "up", cluster.path, "--without", "4"],
            ["cluster", "kill-host", cluster.path, "4"], ["cluster", "restart-host", cluster.path, "4"],
            ["cluster", "restore-host", cluster.path, "4"], ["cluster", "restore-host", cluster.path, "--", "-1"],
            ["cluster", "logs", cluster.path, "4"], ["cluster", "logs", cluster.path, "gateway"],
            ["cluster", "logs", cluster.path, "70000"],
        ]
        for words in wrong {
            let (status, output) = try Tool.run(words)
            #expect(status == 64, "quorate \(words.joined(separator: " ")): \(status) \(output)")
        }
        #expect(!FileManager.default.fileExists(atPath: cluster.path + "/hosts/0/lost-records"))
        #expect(!FileManager.default.fileExists(atPath: "x"))
        #expect(cluster.processes.isEmpty)
    }
}
