import Foundation
import Messages
import Testing
import Workload

/// What is found in a snapshot, fed by hand.
@Suite struct DiagnosisTests {
    private typealias Host = ClusterSnapshot.Host
    private static let taken = Date(timeIntervalSince1970: 1_800_000_000)

    private static func manifest(shards: Int = 2) -> Manifest {
        let key = PublicKey(FixedBytes32())
        return Manifest(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1),
            hosts: (0..<4).map { .init(address: "127.0.0.1", port: 7100 + $0, publicKey: key) },
            shards: Array(repeating: (0..<4).map { HostID(UInt16($0)) }, count: shards), issuer: key)
    }

    private static func replica(
        _ shard: Int, _ index: Int, executed: UInt64 = 100, isChangingView: Bool = false, undecided: UInt32 = 0,
        oldest: UInt64 = 0, open: UInt32 = 0, halted: String = "", standing: String = ""
    ) -> ReplicaStatus {
        ReplicaStatus(
            shard: ShardID(UInt16(shard)), replica: ReplicaIndex(UInt8(index)), view: View(0),
            isChangingView: isChangingView, isPrimary: index == shard, lastExecuted: SequenceNumber(executed),
            stable: SequenceNumber(0), flushed: SequenceNumber(0), pendingRequests: 0, undecided: undecided, open: open,
            oldestUndecided: oldest, halted: halted, standing: standing)
    }

    /// All four hosts and a gateway answer, and nothing is wrong.
    private static func healthy(
        shards: Int = 2, _ change: (Int, Int) -> ReplicaStatus = { replica($0, $1) }
    ) -> ClusterSnapshot {
        let hosts = (0..<4).map { number in
            let report = ClusterSnapshot.Report(replicas: (0..<shards).map { change($0, number) })
            var host = Host(
                number, address: "127.0.0.1:\(7100 + number)", answer: .answers(earlier: report, report))
            host.process = .init(pid: Int32(100 + number))
            host.isExpected = true
            host.log = .init(lastWord: taken.addingTimeInterval(-60 * Double(number + 1)))
            return host
        }
        var snapshot = ClusterSnapshot(of: manifest(shards: shards), folderWord: "demo", hosts: hosts, taken: taken)
        var gateway = ClusterSnapshot.Gateway(
            0, address: "127.0.0.1:7200", answer: .answers(earlier: GatewayStatus(), GatewayStatus()))
        gateway.process = .init(pid: 200)
        snapshot.gateways = [gateway]
        return snapshot
    }

    private static func silence(_ hosts: Int..., of snapshot: ClusterSnapshot) -> ClusterSnapshot {
        var snapshot = snapshot
        for host in hosts {
            snapshot.hosts[host].answer = .silent(.nobodyListens)
            snapshot.hosts[host].process = nil
        }
        return snapshot
    }

    private func codes(_ snapshot: ClusterSnapshot) -> [Finding.Code] { Diagnosis(snapshot).findings.map(\.code) }

    @Test func aHealthyClusterHasNoFindings() {
        let diagnosis = Diagnosis(Self.healthy())
        #expect(diagnosis.findings == [])
        #expect(!diagnosis.cannotCommit && !diagnosis.misses && !diagnosis.needsAttention)
        #expect(diagnosis.summary.contains("all 2 shards commit") && !diagnosis.checked.isEmpty)
    }

    private static func metrics(_ manifest: Manifest) -> [MetricSample] {
        Manifest.Part.allCases.map { part in
            MetricSample(
                name: "quorate_manifest_fingerprint", labels: [MetricLabel(name: "part", value: part.rawValue)],
                value: manifest.fingerprint(of: part))
        }
    }

    /// Each host says with which manifest it runs.
    private static func saying(_ manifests: (Int) -> Manifest) -> ClusterSnapshot {
        var snapshot = healthy()
        for host in snapshot.hosts.indices {
            guard var report = snapshot.hosts[host].answer.latest else { continue }
            report.metrics = metrics(manifests(host))
            snapshot.hosts[host].answer = .answers(earlier: report, report)
        }
        return snapshot
    }

    private static func changed(_ change: (inout Manifest) -> Void) -> Manifest {
        var manifest = manifest()
        change(&manifest)
        return manifest
    }

    private static let otherKey = PublicKey(FixedBytes32([UInt8](repeating: 7, count: 32)) ?? FixedBytes32())

    @Test func equalManifestsAreNoFinding() {
        #expect(codes(Self.saying { _ in Self.manifest() }) == [])
    }

    @Test func aHostWithAnotherManifestIsNamedWithWhatDiffers() throws {
        let other = Self.changed { manifest in
            manifest.compliance = Self.otherKey
            manifest.hosts[3].port = 9
        }
        let diagnosis = Diagnosis(Self.saying { $0 == 2 ? other : Self.manifest() })
        let finding = try #require(diagnosis.findings.first)
        #expect(diagnosis.findings.count == 1 && diagnosis.needsAttention && !diagnosis.misses)
        #expect(finding.code == .manifestsDiffer && finding.host == 2 && finding.severity == .critical)
        #expect(finding.what.contains("other addresses of hosts") && finding.what.contains("compliance key"))
        #expect(!finding.what.contains("issuer") && !finding.what.contains("shards"))
        #expect(finding.commands == ["quorate cluster restart-host demo 2"])
    }

    @Test func wrongAddressesAloneAreAWarning() throws {
        let other = Self.changed { $0.hosts[0].address = "::1" }
        let finding = try #require(Diagnosis(Self.saying { $0 == 0 ? other : Self.manifest() }).findings.first)
        #expect(finding.code == .manifestsDiffer && finding.host == 0 && finding.severity == .warning)
    }

    @Test func aFolderThatIsNotWhatTheHostsRunWithIsSaidOnce() throws {
        let other = Self.changed { $0.issuer = Self.otherKey }
        let diagnosis = Diagnosis(Self.saying { _ in other })
        let finding = try #require(diagnosis.findings.first)
        #expect(diagnosis.findings.count == 1 && finding.code == .manifestsDiffer && finding.host == nil)
        #expect(finding.what.contains("another issuer's key"))
    }

    @Test func aGatewayWithAnotherManifestIsNamed() throws {
        var snapshot = Self.saying { _ in Self.manifest() }
        var status = GatewayStatus()
        status.metrics = Self.metrics(Self.changed { $0.shards.append($0.shards[0]) })
        snapshot.gateways[0].answer = .answers(earlier: status, status)
        let diagnosis = Diagnosis(snapshot)
        let finding = try #require(diagnosis.findings.first { $0.code == .manifestsDiffer })
        #expect(finding.gateway == 0 && finding.what.contains("other shards"))
    }

    @Test func aHostThatIsGoneIsNamedWithTheCommandThatStartsIt() throws {
        let diagnosis = Diagnosis(Self.silence(2, of: Self.healthy()))
        let finding = try #require(diagnosis.findings.first)
        #expect(diagnosis.findings.count == 1 && diagnosis.misses && !diagnosis.cannotCommit)
        #expect(finding.code == .hostDown && finding.host == 2 && finding.severity == .warning)
        #expect(finding.commands.contains("quorate cluster up demo"))
        #expect(finding.since == .after(Self.taken.addingTimeInterval(-180)))
        #expect(finding.affects.contains("shards 0 and 1 can lose no other replica"))
    }

    /// The third of four was the one too many: f = 1 may be missing.
    @Test func aShardWithoutAQuorumComesFirstAndSaysWhenItWasLost() throws {
        let diagnosis = Diagnosis(Self.silence(1, 3, of: Self.healthy()))
        #expect(diagnosis.cannotCommit)
        #expect(diagnosis.findings.map(\.code) == [.noQuorum, .noQuorum, .hostDown, .hostDown])
        let finding = try #require(diagnosis.findings.first)
        #expect(finding.severity == .critical && finding.shard == 0)
        #expect(finding.what.contains("2 of 4 replicas vote, 3 are needed"))
        #expect(finding.what.contains("host 1 has no process and host 3 has no process"))
        // Host 3 said its last word first: with host 1 it was lost.
        #expect(finding.since == .after(Self.taken.addingTimeInterval(-120)))
        #expect(finding.commands == ["quorate cluster up demo"])
    }

    /// A command that starts one from the folder would start it a second time.
    @Test func nothingOfAClusterOnManyMachinesIsStartedFromHere() throws {
        var snapshot = Self.silence(1, 3, of: Self.healthy())
        snapshot.isForManyMachines = true
        for host in snapshot.hosts.indices { snapshot.hosts[host].isHere = false }
        snapshot.gateways[0].isHere = false
        snapshot.gateways[0].process = nil
        #expect(codes(snapshot) == [.noQuorum, .noQuorum, .hostUnreachable, .hostUnreachable])
        snapshot.gateways[0].answer = .silent(.nobodyListens)
        #expect(codes(snapshot).contains(.noGateway) && codes(snapshot).contains(.gatewaySilent))
        snapshot.hosts[0].answer = .answers(
            earlier: nil, .init(replicas: (0..<2).map { Self.replica($0, 0, halted: "its disk failed") }))
        for finding in Diagnosis(snapshot).findings {
            let starts = finding.commands.filter { $0.contains("cluster up") || $0.contains("restart-host") }
            #expect(starts == [], "\(finding)")
        }
        snapshot.gateways = []
        let unknown = try #require(Diagnosis(snapshot).findings.first { $0.code == .noGateway })
        #expect(unknown.severity == .warning && unknown.what.contains("gateways.json"))
    }

    @Test func aStoppedProcessIsToldFromOneThatIsGone() throws {
        var snapshot = Self.healthy()
        snapshot.hosts[1].answer = .silent(.other("no greeting in time"))
        snapshot.hosts[1].process?.isStopped = true
        let finding = try #require(Diagnosis(snapshot).findings.first)
        #expect(finding.code == .hostStopped && finding.commands == ["kill -CONT 101"])
    }

    @Test(arguments: [
        (
            "handshakeFailed(NIOSSL.BoringSSLError.sslError([CERTIFICATE_VERIFY_FAILED]))", true,
            Finding.Code.hostOtherKey
        ),
        ("handshakeFailed(NIOSSL.BoringSSLError.sslError([CERTIFICATE_VERIFY_FAILED]))", false, .portTaken),
        ("sslError([WRONG_VERSION_NUMBER])", false, .portTaken),
        ("refused: for cluster 01234567, and this is cluster 89abcdef", true, .hostOtherCluster),
        ("refused: protocol version 10 where 9 is spoken; run the same build everywhere", true, .hostOtherVersion),
        ("Connection refused", false, .hostDown), ("Connection refused", true, .hostSilent),
        ("no connection within 2 s", true, .hostSilent),
    ])
    func whyAHostDoesNotAnswerFollowsFromTheWordsAndItsProcess(words: String, runs: Bool, code: Finding.Code) {
        var snapshot = Self.healthy()
        snapshot.hosts[0].answer = .silent(Silence("cannot connect to host 0: \(words)"))
        if !runs { snapshot.hosts[0].process = nil }
        #expect(codes(snapshot) == [code])
    }

    @Test func aHostOfAnotherMachineIsNotToldToBeStartedHere() {
        var snapshot = Self.silence(0, of: Self.healthy())
        snapshot.hosts[0].isHere = false
        #expect(codes(snapshot) == [.hostUnreachable])
    }

    @Test func aHaltedReplicaHasItsReasonAndSinceWhen() throws {
        var snapshot = Self.healthy { shard, host in
            Self.replica(shard, host, halted: host == 3 && shard == 1 ? "No space\nleft" : "")
        }
        let time = Self.taken.addingTimeInterval(-300)
        snapshot.hosts[3].log.complaint = (time, "the replica of shard 1 has halted: No space left")
        let finding = try #require(Diagnosis(snapshot).findings.first)
        #expect(finding.code == .replicaHalted && finding.shard == 1 && finding.host == 3 && finding.since == .at(time))
        // What a host says of itself does not break lines.
        #expect(!finding.what.contains("\n"))
    }

    @Test func quarantineIsNamed() {
        #expect(
            codes(Self.healthy(shards: 1) { Self.replica($0, $1, standing: $1 == 1 ? "quarantined until 512" : "") })
                == [.replicaQuarantined])
    }

    @Test func aReplicaThatStandsStillBehindTheOthersIsFoundAndOneThatComesNearerIsNot() {
        func snapshot(before: UInt64, after: UInt64) -> ClusterSnapshot {
            var snapshot = Self.healthy(shards: 1)
            snapshot.hosts[2].answer = .answers(
                earlier: .init(replicas: [Self.replica(0, 2, executed: before)]),
                .init(replicas: [Self.replica(0, 2, executed: after)]))
            return snapshot
        }
        #expect(codes(snapshot(before: 50, after: 50)) == [.replicaBehind])
        #expect(codes(snapshot(before: 50, after: 90)) == [])
        #expect(codes(snapshot(before: 100, after: 100)) == [])
    }

    @Test func aViewChangeThatLastsIsFoundAndOneThatHasJustBegunIsNot() {
        var snapshot = Self.healthy(shards: 1)
        let (calm, changing) = (Self.replica(0, 1), Self.replica(0, 1, isChangingView: true))
        snapshot.hosts[1].answer = .answers(earlier: .init(replicas: [calm]), .init(replicas: [changing]))
        #expect(codes(snapshot) == [])
        snapshot.hosts[1].answer = .answers(earlier: .init(replicas: [changing]), .init(replicas: [changing]))
        #expect(codes(snapshot) == [.viewChangeLong])
        #expect(Diagnosis(snapshot).findings[0].severity == .warning)
        snapshot.hosts[2].answer = snapshot.hosts[1].answer
        #expect(Diagnosis(snapshot).findings[0].severity == .critical)
    }

    @Test func whatIsUndecidedForLongNamesTheShardWhoseVoteIsMissing() throws {
        // Shard 1 lacks two replicas' votes.
        let snapshot = Self.healthy { shard, host in
            Self.replica(
                shard, host, undecided: shard == 0 ? 3 : 0, oldest: shard == 0 ? 25_000_000 : 0,
                standing: shard == 1 && host < 2 ? "resuming" : "")
        }
        let finding = try #require(Diagnosis(snapshot).findings.first { $0.code == .undecidedLong })
        #expect(finding.shard == 0 && finding.what.contains("3 undecided transactions"))
        #expect(finding.what.contains("the vote of shard 1 is missing"))
        #expect(finding.since == .at(Self.taken.addingTimeInterval(-25)))
    }

    @Test func openRecordsThatDoNotBecomeFewerAreFound() {
        #expect(codes(Self.healthy(shards: 1) { Self.replica($0, $1, open: 1000) }) == [.recordsOpen])
        #expect(codes(Self.healthy(shards: 1) { Self.replica($0, $1, open: 999) }) == [])
    }

    @Test func statesThatDifferAtOneNumberAreFound() {
        func audit(_ host: Int, _ digest: UInt8) -> ShardAudit {
            ShardAudit(
                shard: ShardID(0), replica: ReplicaIndex(UInt8(host)), sequence: SequenceNumber(128),
                stateDigest: Hasher256.hash(.stateKey, [digest]), history: .null, accounts: 1, undecided: 0, assets: [])
        }
        var snapshot = Self.healthy(shards: 1)
        for host in 0..<4 { snapshot.hosts[host].audits = [audit(host, 1)] }
        #expect(codes(snapshot) == [])
        snapshot.hosts[2].audits = [audit(2, 2)]
        let finding = Diagnosis(snapshot).findings.first
        #expect(finding?.code == .statesDiffer && finding?.severity == .critical)
        #expect(finding?.what.contains("host 2 differs from most") == true)
    }

    @Test func aClockThatIsOffIsNamed() {
        var snapshot = Self.healthy(shards: 1)
        let own = Timestamp(1_800_000_000_000_000)
        for host in 0..<4 as Range<UInt16> {
            let clock = host == 3 ? own.adding(microseconds: 30_000_000) : own
            snapshot.clocks.note(HostID(host), clock: clock, shard: ShardID(0), time: own, own: own)
        }
        let findings = Diagnosis(snapshot).findings
        #expect(findings.map(\.code) == [.clockWrong] && findings[0].host == 3)
        #expect(findings[0].what.contains("30.0 s ahead"))
    }

    // MARK: Counters

    private func samples(_ name: String, _ label: (String, String)?, _ value: UInt64) -> [MetricSample] {
        [MetricSample(name: name, labels: label.map { [MetricLabel(name: $0, value: $1)] } ?? [], value: value)]
    }

    @Test(arguments: [
        ("undecodable", Finding.Code?.some(.messagesBad)), ("inbound_full", .messagesDropped), ("not_connected", nil),
    ])
    func onlyDropsThatRiseAndMeanSomethingAreFound(reason: String, code: Finding.Code?) {
        func snapshot(_ before: UInt64, _ after: UInt64) -> ClusterSnapshot {
            var snapshot = Self.healthy(shards: 1)
            func report(_ count: UInt64) -> ClusterSnapshot.Report {
                .init(
                    replicas: [Self.replica(0, 0)],
                    metrics: samples("quorate_dropped_total", ("reason", reason), count))
            }
            snapshot.hosts[0].answer = .answers(earlier: report(before), report(after))
            return snapshot
        }
        #expect(codes(snapshot(5, 5)) == [])
        #expect(codes(snapshot(5, 7)) == (code.map { [$0] } ?? []))
        // Who started again in between counts from zero.
        #expect(codes(snapshot(5, 2)) == (code.map { [$0] } ?? []))
        #expect(codes(snapshot(5, .max)) == (code.map { [$0] } ?? []))
    }

    @Test func aGatewayThatTurnsClientsAwayIsFoundButNotForWhatTheyDoWrong() {
        func snapshot(_ reason: String) -> ClusterSnapshot {
            var (before, after) = (GatewayStatus(), GatewayStatus())
            before.metrics = samples("quorate_rejected_total", ("reason", reason), 1)
            after.metrics = samples("quorate_rejected_total", ("reason", reason), 4)
            var snapshot = Self.healthy()
            snapshot.gateways[0].answer = .answers(earlier: before, after)
            return snapshot
        }
        #expect(codes(snapshot("queue_full")) == [.gatewayRejects])
        #expect(codes(snapshot("invalid")) == [])
    }

    @Test func withoutAGatewayNobodyCanSubmit() {
        var snapshot = Self.healthy()
        snapshot.gateways[0].answer = .silent(.nobodyListens)
        snapshot.gateways[0].process = nil
        #expect(codes(snapshot) == [.noGateway, .gatewayDown])
        snapshot.gateways = []
        #expect(codes(snapshot) == [.noGateway] && Diagnosis(snapshot).misses)
    }

    // MARK: Files

    @Test func keysThatOthersMayReadComeWithTheirCommand() throws {
        var snapshot = Self.healthy()
        var folder = ClusterSnapshot.Folder()
        (folder.key, folder.isKeyOpen) = ("host.key has mode 644", true)
        snapshot.hosts[1].folder = folder
        let diagnosis = Diagnosis(snapshot)
        #expect(diagnosis.findings.map(\.code) == [.keyOpen] && diagnosis.needsAttention && !diagnosis.misses)
        #expect(diagnosis.findings[0].commands == ["chmod 600 demo/hosts/1/host.key"])
    }

    @Test func theHostWithOtherProceduresIsTheOneThatFewHave() {
        var snapshot = Self.healthy()
        for host in 0..<4 {
            var folder = ClusterSnapshot.Folder()
            folder.procedures = host == 2 ? ["vote/1"] : ["list/1"]
            snapshot.hosts[host].folder = folder
        }
        let findings = Diagnosis(snapshot).findings
        #expect(findings.map(\.code) == [.proceduresDiffer] && findings[0].host == 2)
    }

    @Test func whatWasPutAsideIsANoticeAndNoReasonToWakeAnybody() {
        var snapshot = Self.healthy()
        var folder = ClusterSnapshot.Folder()
        folder.asides = ["journal.damaged-1"]
        snapshot.hosts[0].folder = folder
        let diagnosis = Diagnosis(snapshot)
        #expect(diagnosis.findings.map(\.code) == [.filesAside] && !diagnosis.needsAttention)
        #expect(diagnosis.findings[0].commands == ["quorate inspect journal demo/hosts/0/journal.damaged-1"])
    }

    private static let disks: [(free: UInt64, total: UInt64, files: UInt64?, code: Finding.Code?)] = [
        (50_000_000_000, 100_000_000_000, nil, nil),
        // A twentieth of a large disk is much.
        (50_000_000_000, 1_000_000_000_000, nil, nil),
        (2_000_000_000, 100_000_000_000, nil, .diskLow),
        (1_000_000, 100_000_000_000, nil, .diskFull),
        (50_000_000_000, 100_000_000_000, 3, .diskFull),
    ]

    @Test func aDiskThatRunsFullIsFoundBeforeItIs() {
        for (free, total, files, code) in Self.disks {
            var snapshot = Self.healthy()
            snapshot.disks = [.init("/data", owners: ["host 0"], freeBytes: free, totalBytes: total, freeFiles: files)]
            #expect(codes(snapshot) == (code.map { [$0] } ?? []), "\(free) of \(total)")
        }
    }

    @Test func certificatesAreFoundWhenTheyEndSoon() {
        var snapshot = Self.healthy()
        snapshot.certificates = [.init("a.pem", ends: Self.taken.addingTimeInterval(5 * 86_400))]
        #expect(Diagnosis(snapshot).findings.map(\.severity) == [.warning])
        #expect(Diagnosis(snapshot).findings[0].what == "the certificate a.pem ends in 5 days")
        snapshot.certificates = [.init("a.pem", ends: Self.taken.addingTimeInterval(-1))]
        #expect(Diagnosis(snapshot).findings.map(\.severity) == [.critical])
        snapshot.certificates = [.init("a.pem", ends: Self.taken.addingTimeInterval(400 * 86_400))]
        #expect(codes(snapshot) == [])
    }

    @Test func processesThatNobodyNeedsAndFewDescriptorsAreFound() {
        var snapshot = Self.healthy()
        snapshot.strays = [.init(role: "host 1", pid: 77, isSecond: true)]
        snapshot.hosts[0].process?.descriptors = (900, 1024)
        snapshot.hosts[1].process?.descriptors = (100, 1024)
        #expect(codes(snapshot) == [.descriptorsFew, .processLeftOver])
    }

    @Test func everyCodeIsAWordOfItsOwn() {
        #expect(Set(Finding.Code.allCases.map(\.rawValue)).count == Finding.Code.allCases.count)
        #expect(Finding.Code.allCases.allSatisfy { $0.rawValue.wholeMatch(of: /[a-z]+(_[a-z]+)*/) != nil })
    }

    /// Scripts rely on the page.
    @Test func thePageHasEveryCodeInItsTable() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/OPERATION.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").drop { $0 != "| code | what is found |" }.prefix { $0.hasPrefix("|") }
        let cells = rows.compactMap { $0.split(separator: "|").first }
        let codes = cells.flatMap { $0.matches(of: /`([a-z_]+)`/).map { String($0.1) } }
        #expect(codes.sorted() == Finding.Code.allCases.map(\.rawValue).sorted())
    }
}
