import Foundation
import Histories
import Testing

/// The tool as its users have it: real processes, real sockets, kill -9.
@Suite(.serialized) struct ProcessTests {
    @Test func killingEveryHostAtOnceLosesNothingThatWasAcknowledged() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--shards", "2", "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--cluster", cluster, "--issue", "1000")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster)
        for _ in 0..<5 { try Tool.succeed("transfer", "alice", "bob", "10", "--cluster", cluster) }
        try Tool.succeed("cluster", "kill-host", cluster, "0", "1", "2", "3")
        try Tool.succeed("cluster", "up", cluster)
        #expect(try Tool.succeed("account", "show", "bob", "--cluster", cluster).contains(": 50 of"))
        #expect(try Tool.succeed("account", "show", "alice", "--cluster", cluster).contains(": 950 of"))
        // And it goes on.
        try Tool.succeed("transfer", "bob", "alice", "5", "--cluster", cluster)
        #expect(try Tool.succeed("account", "show", "bob", "--cluster", cluster).contains(": 45 of"))
        let shown = try Tool.succeed("account", "show", "bob", "--cluster", cluster, "--json")
        #expect(shown.contains(#""certified":true"#) && shown.contains(#""posted":"45""#))
        #expect(try Tool.succeed("account", "show", "bob", "--cluster", cluster, "--weak").contains("(weak read, "))
    }

    @Test func aHostKilledUnderLoadAndStartedAgainCatchesUpAndNoClientSeesAnError() throws {
        // The bench waits until all replicas of a shard, the restarted one too, stand at one sequence number with one
        // state digest, and fails otherwise; it fails too if a transfer has no certified outcome.
        let output = try Tool.succeed(
            "bench", "--shards", "2", "--clients", "16", "--duration", "10", "--accounts", "500",
            "--kill-host", "0@3", "--restart-host", "0@6", "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        let invariants = try #require(run["invariants"] as? [String: Any])
        for name in ["conservation", "replicas_agree", "no_locks", "strictly_serializable"] {
            #expect(invariants[name] as? Bool == true, "\(name)")
        }
        #expect((run["committed"] as? Int ?? 0) > 0)
        #expect(run["aborted"] as? Int == 0)
    }

    /// Calls that are open for longer than they live: when the hosts go on, their ends are certified once, and not
    /// again and again.
    @Test func theClusterComesToRestAfterMostOfItsHostsStoodStill() throws {
        let output = try Tool.succeed(
            "bench", "--workload", "list-append", "--shards", "2", "--clients", "8", "--duration", "21", "--stop-host",
            "1@2",
            "--stop-host", "2@2", "--stop-host", "3@2", "--continue-host", "1@18.5", "--continue-host", "2@18.5",
            "--continue-host", "3@18.5",
            "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        let invariants = try #require(run["invariants"] as? [String: Any])
        #expect(invariants["at_rest"] as? Bool == true && invariants["came_to_rest_s"] is Double)
        #expect(invariants["strictly_serializable"] as? Bool == true)
    }

    @Test func listsAreStrictlySerializableWhileAHostDiesAndTheHistoryIsWritten() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let output = try Tool.succeed(
            "bench", "--workload", "list-append", "--shards", "2", "--clients", "8", "--duration", "6", "--kill-host",
            "0@2",
            "--restart-host", "0@4", "--history", folder.path("history.jsonl"), "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        let invariants = try #require(run["invariants"] as? [String: Any])
        #expect(invariants["strictly_serializable"] as? Bool == true)
        let history = try #require(run["history"] as? [String: Any])
        let transactions = try #require(history["transactions"] as? Int)
        #expect(transactions > 0 && history["is_full"] as? Bool == false && history["unread_lists"] as? Int == 0)
        let lines = try String(contentsOfFile: folder.path("history.jsonl"), encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2 * transactions)
        #expect(lines.contains { $0.contains(#""type":"ok""#) && $0.contains(#"["append","#) })
        // The checker bites: it refuses the same history without one append that was acknowledged and then read.
        let recorded = try ListHistory(lines: lines.joined(separator: "\n"))
        try SerializabilityChecker.check(recorded)
        #expect(throws: HistoryViolation.self) {
            try SerializabilityChecker.check(try Self.withoutOneAppend(recorded))
        }
    }

    /// What a cluster would have shown that has lost an append after it was acknowledged.
    private static func withoutOneAppend(_ history: ListHistory) throws -> ListHistory {
        var acknowledged: Set<ListAction> = []
        for transaction in history.transactions where transaction.outcome == .ok {
            for case .append(let key, let value) in transaction.operations {
                acknowledged.insert(.append(key: key, value: value))
            }
        }
        // The lists are read once more at the end, so the last reads are of all that was ever appended.
        var found: (key: String, value: UInt64)?
        for transaction in history.transactions.reversed() where found == nil && transaction.outcome == .ok {
            for case .read(let key, let list?) in transaction.operations where found == nil {
                found = list.first { acknowledged.contains(.append(key: key, value: $0)) }.map { (key, $0) }
            }
        }
        let lost = try #require(found)
        var doctored = ListHistory()
        for transaction in history.transactions {
            let operations = transaction.operations.map { operation -> ListHistory.Operation in
                guard case .read(lost.key, let list?) = operation else { return operation }
                return .read(key: lost.key, list.filter { $0 != lost.value })
            }
            doctored.add(
                .init(
                    process: transaction.process, invokedAt: transaction.invokedAt, returnedAt: transaction.returnedAt,
                    outcome: transaction.outcome, operations: operations))
        }
        return doctored
    }

    @Test func listsAreStrictlySerializableWhileOneGatewayAfterTheOtherDies() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let output = try Tool.succeed(
            "bench", "--workload", "list-append", "--shards", "2", "--gateways", "2", "--clients", "8", "--duration",
            "9",
            "--kill-gateway", "0@2", "--restart-gateway", "0@4", "--kill-gateway", "1@5", "--restart-gateway", "1@7",
            "--history", folder.path("history.jsonl"), "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        let invariants = try #require(run["invariants"] as? [String: Any])
        #expect(invariants["strictly_serializable"] as? Bool == true)
        #expect((run["events"] as? [[String: Any]])?.count == 4)
        let history = try #require(run["history"] as? [String: Any])
        let transactions = try #require(history["transactions"] as? Int)
        #expect(transactions > 0 && history["unread_lists"] as? Int == 0)
        let lines = try String(contentsOfFile: folder.path("history.jsonl"), encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2 * transactions)
    }

    @Test func aBenchWithoutAGatewayEndsAndSaysSo() throws {
        let start = Date.now
        let (status, output) = try Tool.run(
            "bench", "--shards", "1", "--clients", "4", "--accounts", "50", "--duration", "60", "--kill-gateway", "0@1")
        #expect(status == 35 && output.contains("no gateway is left"))
        #expect(Date.now.timeIntervalSince(start) < 40)
        #expect(try Tool.run("bench", "--gateways", "2", "--kill-gateway", "2@1").status == 64)
    }

    @Test func latenciesAreMeasuredWithTheirFormulas() throws {
        let output = try Tool.succeed("bench", "--latencies", "--shards", "3", "--samples", "3", "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let rows = try #require(report["rows"] as? [[String: Any]])
        // Of 8 shards and 4, and a call over 5, there is nothing on a cluster of 3.
        #expect(rows.compactMap { $0["delays"] as? Int } == [7, 7, 17, 27])
        for row in rows { #expect(row["count"] as? Int == 3 && row["p50_us"] as? Int ?? 0 > 0) }
    }

    @Test func aBackupIsDeclaredWhileItsHostStandsAndTheHostRejoins() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--cluster", cluster, "--issue", "10")
        let declaration = cluster + "/hosts/3/lost-records"
        let (refused, complaint) = try Tool.run("cluster", "restore-host", cluster, "3")
        #expect(refused != 0 && complaint.contains("kill-host"))
        #expect(!FileManager.default.fileExists(atPath: declaration))
        #expect(try Tool.run("cluster", "restore-host", cluster, "4").status != 0)
        try Tool.succeed("cluster", "kill-host", cluster, "3")
        try Tool.succeed("cluster", "restore-host", cluster, "3")
        #expect(FileManager.default.fileExists(atPath: declaration))
        try Tool.succeed("cluster", "restart-host", cluster, "3")
        #expect(FileManager.default.fileExists(atPath: cluster + "/hosts/3/journal.damaged-1"))
        // Exit code 0: all hosts answer and vote.
        let deadline = Date(timeIntervalSinceNow: 120)
        while try Tool.run("cluster", "status", cluster).status != 0 { try #require(Date() < deadline) }
        #expect(!FileManager.default.fileExists(atPath: declaration))
        try Tool.succeed("cluster", "kill-host", cluster, "2")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster, "--issue", "10")
    }

    @Test func aHostProgramThatIsNoneIsNamed() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        let wrong = [
            ("/no/such", "no /no/such"), (cluster, "not an executable"),
            (cluster + "/cluster.json", "not an executable"),
        ]
        for (program, complaint) in wrong {
            let (status, output) = try Tool.run("cluster", "up", cluster, "--host-program", program)
            #expect(status == 1 && output.contains(complaint), "\(output)")
        }
        // One that does not serve is a host that does not start.
        #expect(try Tool.run("cluster", "up", cluster, "--host-program", "/bin/true", "--timeout", "10").status != 0)
        #expect(try Tool.succeed("cluster", "down", cluster).contains("nothing was running"))
    }

    @Test func aReceiptVerifiesOfflineAndATamperedOneDoesNot() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--shards", "2", "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--cluster", cluster, "--issue", "100")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster)
        let output = try Tool.succeed("transfer", "alice", "bob", "7", "--cluster", cluster)
        try Tool.succeed("cluster", "down", cluster)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("receipt") })
        let receipt = line.dropFirst("receipt".count).trimmingCharacters(in: .whitespaces)
        try Tool.succeed("receipt", "verify", receipt, "--cluster", cluster)
        let text = try String(contentsOfFile: receipt, encoding: .utf8)
        let range = try #require(text.range(of: "\"signature\""))
        let digit = try #require(text[range.upperBound...].firstIndex { $0.isHexDigit })
        let tampered = text.replacingCharacters(in: digit...digit, with: text[digit] == "0" ? "1" : "0")
        let forged = folder.path("forged.json")
        try tampered.write(toFile: forged, atomically: true, encoding: .utf8)
        let (status, _) = try Tool.run("receipt", "verify", forged, "--cluster", cluster)
        #expect(status != 0)
    }
}

struct TemporaryFolder {
    private let root = FileManager.default.temporaryDirectory.appendingPathComponent(
        "quorate-test-\(UUID().uuidString)")
    init() throws { try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true) }
    func path(_ name: String) -> String { root.appendingPathComponent(name).path }
    func remove() { try? FileManager.default.removeItem(at: root) }
}

enum Tool {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Beside the test bundle, where the build put both.
    static func executable() throws -> URL {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        for candidate in [
            folder, folder.deletingLastPathComponent(), URL(fileURLWithPath: ".build/release"),
            URL(fileURLWithPath: ".build/debug"),
        ] {
            let tool = candidate.appendingPathComponent("quorate")
            if FileManager.default.isExecutableFile(atPath: tool.path) { return tool }
        }
        throw Failure(description: "the quorate tool is not built; build with: swift build -c release")
    }

    /// The exit status and what was printed on standard output and error.
    static func run(_ arguments: String...) throws -> (status: Int32, output: String) { try run(arguments) }

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = try executable()
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        // Into files: the hosts that `cluster up` leaves behind must not keep a pipe open that somebody reads to its
        // end.
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (output, errors) = (folder.path("output"), folder.path("errors"))
        for file in [output, errors] { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        let printed = try String(contentsOfFile: output, encoding: .utf8)
        let complaint = try String(contentsOfFile: errors, encoding: .utf8)
        return (process.terminationStatus, process.terminationStatus == 0 ? printed : printed + complaint)
    }

    @discardableResult static func succeed(_ arguments: String...) throws -> String {
        let (status, output) = try run(arguments)
        guard status == 0 else {
            throw Failure(description: "quorate \(arguments.joined(separator: " ")) ended with \(status):\n\(output)")
        }
        return output
    }

    /// The first of eight ports that are probably free: below the range from which the system gives out its own.
    static func freePorts() -> Int { 12_000 + Int.random(in: 0..<1_500) * 10 }
}
