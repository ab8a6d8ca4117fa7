import Foundation
import Testing

/// The drills as their users have them, made small.
@Suite(.serialized) struct DrillTests {
    @Test func aKilledPrimaryIsReplacedAndItsHostCatchesUp() throws {
        let report = try drill("kill-primary", "--kills", "1", "--clients", "8", "--accounts", "200", "--settle", "1")
        let findings = try #require(report["findings"] as? [String: Any])
        let kill = try #require((findings["kills"] as? [[String: Any]])?.first)
        for name in [
            "next_commit_ms", "longest_gap_ms", "client_gap_ms", "new_view_ms", "executed_in_new_view_ms",
            "caught_up_s",
        ] {
            #expect(kill[name] as? Double ?? 0 > 0, "\(name)")
        }
        let summary = try #require(findings["summary"] as? [String: Any])
        #expect((summary["next_commit_ms"] as? [String: Any])?["max"] as? Double == kill["next_commit_ms"] as? Double)
    }

    @Test func aBackupThatIsStoppedAndContinuedDisturbsNobody() throws {
        let report = try drill("pause", "--seconds", "2", "--clients", "8", "--accounts", "200")
        let findings = try #require(report["findings"] as? [String: Any])
        for name in ["stopped", "after"] {
            let phase = try #require(findings[name] as? [String: Any])
            #expect(phase["view_changes"] as? Int == 0, "\(name)")
            #expect(phase["tps"] as? Double ?? 0 > 0, "\(name)")
        }
        #expect(findings["caught_up_s"] as? Double != nil)
    }

    /// A host that refuses to start without its journal ends the drill early, and says why.
    @Test func aWipedHostVotesAgainOrSaysWhyItDoesNot() throws {
        let (status, output) = try Tool.run("drill", "wipe", "--accounts", "500", "--clients", "4", "--json")
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") }, "\(output)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        try expectInvariants(report)
        let findings = try #require(report["findings"] as? [String: Any])
        if let refusal = findings["refusal"] as? String {
            #expect(status == 33)
            #expect(refusal.contains("ended with code 15"))
            return
        }
        #expect(status == 0)
        #expect(findings["votes_s"] as? Double ?? 0 > 0)
        #expect(findings["bytes_read"] as? Int ?? 0 > 0)
        #expect(findings["commits_on_its_votes"] as? Int ?? 0 > 0)
    }

    @Test func aKilledGatewayLeavesNoEscrowAndAnotherOneGivesTheSameOutcomes() throws {
        let report = try drill("kill-gateway", "--kills", "1", "--clients", "8", "--accounts", "400", "--settle", "1")
        let findings = try #require(report["findings"] as? [String: Any])
        let kill = try #require((findings["kills"] as? [[String: Any]])?.first)
        let bound = try #require(findings["bound_s"] as? Double)
        #expect(kill["longest_held_ms"] as? Double ?? .infinity <= bound * 1000)
        #expect(kill["released_ms"] as? Double ?? .infinity <= bound * 1000)
        #expect(kill["back_s"] as? Double ?? 0 > 0)
        let asked = try #require(kill["asked"] as? [String: Any])
        #expect(asked["same"] as? Int ?? 0 > 0)
        #expect(asked["different"] as? Int == 0 && asked["no_answer"] as? Int == 0)
    }

    /// How much of the peak is left is for a machine that does nothing else: here only that it is measured.
    @Test func overloadIsMeasuredAgainstThePeak() throws {
        let (status, output) = try Tool.run(
            "drill", "overload", "--clients", "16", "--factor", "4", "--seconds", "1", "--accounts", "200", "--json")
        #expect(status == 0 || status == 33, "\(output)")
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") }, "\(output)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        try expectInvariants(report)
        let findings = try #require(report["findings"] as? [String: Any])
        #expect((findings["ladder"] as? [[String: Any]])?.compactMap { $0["clients"] as? Int } == [2, 4, 8, 16])
        #expect(findings["goodput_ratio"] as? Double ?? 0 > 0)
        let overload = try #require(findings["overload"] as? [String: Any])
        #expect(overload["clients"] as? Int == 64)
        #expect(overload["admitted_p99_ms"] as? Double ?? 0 > 0)
    }

    @Test func oneAccountIsMeasuredAgainstMany() throws {
        let report = try drill("hot-account", "--clients", "8", "--seconds", "1", "--accounts", "200", "--shards", "2")
        let findings = try #require(report["findings"] as? [String: Any])
        for name in ["paid_by_all_ratio", "pays_all_ratio"] { #expect(findings[name] as? Double ?? 0 > 0, "\(name)") }
        let ratio = findings["pays_all_ratio"] as? Double ?? 0
        #expect(findings["pays_all_target"] as? Double == 0.8)
        #expect(findings["pays_all_target_met"] as? Bool == (ratio >= 0.8))
        // Ten times as much as many payers no single one reaches; only who asks for it fails.
        let (status, output) = try Tool.run(
            "drill", "hot-account", "--clients", "8", "--seconds", "1", "--accounts", "200", "--require-ratio", "10")
        #expect(status == 33 && output.contains("of uniform load, 10.0 is required"), "\(output)")
    }

    /// How much of the rate is left is for a machine that does nothing else: here that nothing is left waiting, and no
    /// view changes.
    @Test func oldCertificatesAndRequestsThatAreRepeatedLeaveNothingWaiting() throws {
        let (status, output) = try Tool.run(
            "drill", "replay", "--certificates", "50", "--duration", "3", "--clients", "8", "--accounts", "200",
            "--json")
        #expect(status == 0 || status == 33, "\(output)")
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") }, "\(output)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        try expectInvariants(report)
        let findings = try #require(report["findings"] as? [String: Any])
        #expect(findings["requests"] as? Int == 100)
        // At least home's word of each call, and both votes of each transfer.
        #expect(findings["certificates"] as? Int ?? 0 >= 150)
        for name in ["before", "under_certificates", "between", "under_requests", "after"] {
            let phase = try #require(findings[name] as? [String: Any], "\(name)")
            #expect(phase["rest_s"] as? Double != nil, "\(name): \(output)")
            #expect((phase["load"] as? [String: Any])?["tps"] as? Double ?? 0 > 0, "\(name)")
            #expect(phase["batches_per_s"] as? Double ?? 0 > 0, "\(name)")
            #expect((phase["sent"] as? Int ?? 0 > 0) == name.hasPrefix("under"), "\(name)")
        }
        #expect((report["invariants"] as? [String: Any])?["came_to_rest_s"] as? Double != nil)
    }

    /// What cannot be told apart by a few seconds, the servers' longer patience and how much the honest load is held up,
    /// is left to longer runs.
    @Test func badlyTreatedPortsRefuseAndServeOnWithoutALossOrAFlood() throws {
        let report = try drill(
            "abuse", "--kinds", "garbage,certificates,bad-signatures", "--connections", "60", "--rate", "40", "--flood",
            "400", "--clients", "8", "--accounts", "200", "--seconds", "1", "--hurry")
        let findings = try #require(report["findings"] as? [String: Any])
        let kinds = try #require(findings["kinds"] as? [[String: Any]])
        #expect(kinds.compactMap { $0["kind"] as? String } == ["garbage", "certificates", "bad-signatures"])
        for kind in kinds {
            let name = kind["kind"] as? String ?? ""
            #expect((kind["load"] as? [String: Any])?["tps"] as? Double ?? 0 > 0, "\(name)")
            for tally in try #require(kind["tallies"] as? [[String: Any]]) {
                #expect(tally["attempted"] as? Int ?? 0 > 0, "\(tally)")
                #expect(tally["let_in"] as? Int == 0, "\(tally)")
                if name != "bad-signatures" {
                    #expect(tally["ended"] as? Int == tally["attempted"] as? Int, "\(tally)")
                }
            }
        }
        let counted = try #require(kinds[1]["counted"] as? [String: Any])
        #expect(counted["host 0: quorate_sessions_refused_total"] as? Double ?? 0 > 0, "\(counted)")
        let rejected = try #require(kinds[2]["counted"] as? [String: Any])
        #expect(rejected.keys.contains { $0.hasPrefix("gateway 0: quorate_rejected_total") }, "\(rejected)")
    }

    @Test(arguments: ["kill", "cut"]) func aSoakGoesThroughAFaultAndLosesNothing(act: String) throws {
        let report = try drill(
            "soak", "--minutes", "0.2", "--rate", "60", "--every", "3", "--faults", act, "--clients", "16",
            "--accounts", "100", "--shards", "2")
        let findings = try #require(report["findings"] as? [String: Any])
        let fault = try #require((findings["faults"] as? [[String: Any]])?.first)
        #expect(fault["act"] as? String == act && fault["caught_up_s"] as? Double != nil)
        let receipts = try #require(findings["receipts_at_the_end"] as? [String: Any])
        #expect(receipts["same"] as? Int ?? 0 > 0)
        #expect(receipts["different"] as? Int == 0 && receipts["no_answer"] as? Int == 0)
        let balances = try #require(findings["balances"] as? [String: Any])
        #expect(balances["checked"] as? Int ?? 0 > 0 && balances["wrong"] as? Int == 0)
        #expect((findings["history"] as? [String: Any])?["transactions"] as? Int ?? 0 > 0)
        #expect((report["invariants"] as? [String: Any])?["strictly_serializable"] as? Bool == true)
        let processes = try #require(findings["processes"] as? [[String: Any]])
        #expect(processes.count == 5)
        // Who is only cut off lives on.
        #expect(processes.contains { ($0["lives"] as? [Any])?.count == 2 } == (act == "kill"))
    }

    @Test func aSoakThatIsInterruptedSaysWhatItHasFound() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let tool = try RunningTool([
            "drill", "soak", "--minutes", "5", "--rate", "40", "--faults", "none", "--clients", "8", "--accounts",
            "50", "--shards", "1", "--json", "--report", folder.path("report"),
        ])
        #expect(tool.waits { tool.errors.contains("offering") }, "\(tool.errors)")
        sleep(3)
        tool.signal(SIGINT)
        #expect(tool.end().status == 130, "\(tool.errors)")
        #expect(tool.output.contains(#""partial":"#), "\(tool.output)")
        let page = try String(contentsOfFile: folder.path("report") + "/report.html", encoding: .utf8)
        #expect(page.contains("partial") && page.contains("Resident memory"))
    }

    @Test(arguments: [
        ["abuse", "--kinds", "rudeness"], ["abuse", "--kinds", ""], ["abuse", "--connections", "0"],
        ["soak", "--minutes", "0"], ["soak", "--faults", "flood"], ["soak", "--faults", ""], ["soak", "--load", "2"],
        ["kill-primary", "--kills", "0"], ["kill-primary", "--clients", "0"], ["kill-primary", "--replicas", "5"],
        ["kill-primary", "--settle", "-1"],
        ["pause", "--seconds", "0"], ["pause", "--shards", "4"], ["pause", "--accounts", "1"],
        ["wipe", "--accounts", "many"], ["wipe", "--patience", "0"], ["wipe", "--shards", "0"], ["flood"],
        ["kill-gateway", "--kills", "0"], ["kill-gateway", "--gateways", "2"], ["kill-gateway", "--shards", "1"],
        ["kill-gateway", "--settle", "-1"],
        ["overload", "--factor", "1"], ["overload", "--clients", "60000"], ["overload", "--seconds", "0"],
        ["replay", "--certificates", "0"], ["replay", "--shards", "1"], ["replay", "--sessions", "17"],
        ["replay", "--duration", "0"],
        ["hot-account", "--clients", "2000"], ["hot-account", "--accounts", "1"], ["hot-account", "--replicas", "5"],
    ])
    func wrongArgumentsAreRefusedBeforeAnythingStarts(_ arguments: [String]) throws {
        #expect(try Tool.run(["drill"] + arguments).status == 64)
    }

    @Test func aHostThatDoesNotStartIsNamedAndTheOthersRunWithoutIt() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try FileManager.default.removeItem(atPath: cluster + "/hosts/2/host.key")
        let (status, output) = try Tool.run("cluster", "up", cluster)
        #expect(status == 19)
        #expect(output.contains("started host 0, host 1, host 3, gateway 0"))
        #expect(output.contains("HOST 2 DOES NOT START"))
        #expect(output.contains("host.key"))
        try Tool.succeed("account", "create", "alice", "--cluster", cluster, "--issue", "10")
        // Without it there is nothing to complain about; without a second one nothing would commit.
        try Tool.succeed("cluster", "up", cluster, "--without", "2")
        try Tool.succeed("cluster", "kill-host", cluster, "1")
        try FileManager.default.removeItem(atPath: cluster + "/hosts/1/host.key")
        let (again, complaint) = try Tool.run("cluster", "up", cluster)
        #expect(again == 19)
        #expect(complaint.contains("more than f = 1 replicas are missing"))
    }

    @Test func aClusterOfWhichNoHostStartsIsNotStarted() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        for host in 0..<4 { try FileManager.default.removeItem(atPath: cluster + "/hosts/\(host)/host.key") }
        #expect(try Tool.run("cluster", "up", cluster).status == 12)
        #expect(try Tool.succeed("cluster", "down", cluster).contains("nothing was running"))
    }

    private func drill(_ arguments: String...) throws -> [String: Any] {
        let (status, output) = try Tool.run(["drill"] + arguments + ["--json"])
        guard status == 0 else {
            throw Tool.Failure(
                description: "quorate drill \(arguments.joined(separator: " ")) ended with \(status):\n\(output)")
        }
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        try expectInvariants(report)
        return report
    }

    private func expectInvariants(_ report: [String: Any]) throws {
        let invariants = try #require(report["invariants"] as? [String: Any])
        for name in ["conservation", "replicas_agree", "no_locks"] {
            #expect(invariants[name] as? Bool == true, "\(name)")
        }
    }
}
