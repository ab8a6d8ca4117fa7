import Randomness
import Client
import ExampleProcedures
import Foundation
import HostRuntime
import Messages
import Simulator
import Testing

/// Whatever becomes of a file of a host that stands, and of one that runs: real processes, ended by nothing but
/// themselves.
@Suite(.timeLimit(.minutes(15)), .serialized)
struct DamagedHostTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["QUORATE_DAMAGE_SEED"].flatMap { UInt64($0) } ?? 1
    private static let count = environment["QUORATE_DAMAGES"].flatMap { Int($0) } ?? 60

    /// It serves, it puts aside what is damaged and rejoins, or it says what is to be done. Never a signal, and never a
    /// second one.
    @Test func noDamageOfAnyFileKillsAHost() async throws {
        let pristine = try await StoppedCluster()
        defer { pristine.remove() }
        let names = try pristine.files()
        #expect(
            names.contains("hosts/3/state/shard-0/data.mdb")
                && names.contains("hosts/3/journal/journal-0000000000000001"))
        let lanes = [try pristine.copy(portsMovedBy: 0), try pristine.copy(portsMovedBy: 4)]
        defer { for lane in lanes { lane.remove() } }
        let (seed, count) = (Self.seed, Self.count)
        var outcomes: [String: Int] = [:]
        try await withThrowingTaskGroup(of: [String].self) { group in
            for (number, lane) in lanes.enumerated() {
                group.addTask {
                    var found: [String] = []
                    for i in stride(from: number, to: count, by: lanes.count) {
                        found.append(try await Self.damage(lane, of: names, i, seed))
                    }
                    return found
                }
            }
            for try await found in group { for outcome in found { outcomes[outcome, default: 0] += 1 } }
        }
        #expect(outcomes["serves", default: 0] > 0 && outcomes["rejoins", default: 0] > 0, "\(outcomes)")
    }

    private static func damage(_ cluster: StoppedCluster, of names: [String], _ i: Int, _ seed: UInt64) async throws
        -> String
    {
        var rng = SplitMix64(seed: seed &* 1_000_003 &+ UInt64(i))
        try cluster.restoreHost()
        // Half of the tries are for the database.
        let name = rng.below(2) == 0 ? "hosts/3/state/shard-0/data.mdb" : names[rng.below(names.count)]
        let what = try cluster.damage(name, using: &rng)
        let place: Comment = "damage \(i) of seed \(seed), \(name): \(what)"
        let first = try await cluster.runHost()
        let asides = try cluster.asides()
        let second = try await cluster.runHost()
        for run in [first, second] {
            #expect(!run.isKilled, "\(place): \(run)")
            if case .refused(let code, let text) = run {
                // The last two: another address or port in cluster.json.
                #expect([11, 12, 14, 15, 13, 1].contains(code), "\(place): \(run)")
                let advice = ["estore it", "estore the", "emove", "write into", "orrect the path", "change the port"]
                #expect(text.contains("cannot start: ") && advice.contains { text.contains($0) }, "\(place): \(run)")
            }
        }
        // What was put aside once is whole now.
        #expect(try cluster.asides() == asides, "\(place)")
        guard case .served = first else { return "refuses" }
        if case .served = second {} else { Issue.record("\(place): then \(second)") }
        return asides.isEmpty ? "serves" : "rejoins"
    }

    /// A page that rots under a host that runs ends it by a signal: LMDB has mapped it. The next start does not read it
    /// again. A host that is killed reads what it had.
    @Test func aHostThatDiedReadingItsStatePutsItAsideAndOneThatWasKilledDoesNot() async throws {
        let cluster = try await StoppedCluster()
        defer { cluster.remove() }
        let killed = try HostProcess(cluster.path)
        #expect(try await killed.untilListens())
        kill(killed.pid, SIGKILL)
        #expect(try await killed.untilEnd().isKilled)
        let victim = try HostProcess(cluster.path)
        #expect(try await victim.untilListens())
        #expect(try cluster.asides().isEmpty)
        try cluster.truncate("hosts/3/state/shard-0/data.mdb", to: 8192)
        _ = try? await cluster.audit()
        #expect(try await victim.untilEnd().isKilled)
        #expect(try cluster.asides().isEmpty)
        for _ in 0..<2 {
            guard case .served = try await cluster.runHost() else {
                Issue.record("it does not start")
                break
            }
            #expect(try cluster.asides() == ["shard-0.damaged-1"])
        }
    }
}

/// Disks without room: a limit for files stands for a full one, which needs no right.
@Suite(.timeLimit(.minutes(5)), .serialized)
struct NoRoomTests {
    /// The state's first flush does not fit. The host says so, votes no more, and goes on by itself when there is room.
    @Test func aHostWithoutRoomSaysSoAndGoesOnWhenThereIsSome() async throws {
        let path = "/tmp/quorate-room-\(UInt64.random(in: .min ... .max))"
        let quiet = LineLogHandler.logger("test", level: .critical)
        var options = HostRuntimeOptions()
        options.core.procedures = ExampleProcedures.registry
        let folder = try ClusterFolder.create(
            at: path, shards: 1, replicas: 4, basePort: 12_000 + Int.random(in: 0..<1_900) * 10)
        defer { try? FileManager.default.removeItem(atPath: path) }
        var hosts: [HostRuntime.Host] = []
        for host in 0..<3 {
            hosts.append(
                try await HostRuntime.Host.start(HostID(UInt16(host)), of: folder, options: options, logger: quiet))
        }
        // The journal's first segment is longer than the limit, and there already.
        let first = try HostProcess(path)
        #expect(try await first.untilListens())
        first.stop()
        _ = try await first.untilEnd()
        let limited = try HostProcess(path, under: ["/usr/bin/prlimit", "--fsize=49152:unlimited"])
        #expect(try await limited.untilListens())
        let gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, logger: quiet)
        let issuer = try folder.issuer()
        let bank = QuorateClient(
            signer: issuer, manifest: folder.manifest, gateways: [GatewayAddress(host: "127.0.0.1", port: gateway.port)]
        )
        var opened: UInt64 = 0
        func order() async throws {
            let account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: opened)
            opened += 1
            #expect(try await bank.submit([.open(account)], mode: .independent).isCommitted)
        }
        func status() async -> ReplicaStatus? {
            guard let tool = try? await HostConnection.connect(to: HostID(3), of: folder.manifest) else { return nil }
            let status = try? await tool.status(timeout: .seconds(5))
            await tool.close()
            return status?.first
        }
        // A state is written down each 512 batches; the archive, which has a gap then, stops nobody. A host that starts
        // again meanwhile does not answer.
        func isHalted() -> Bool {
            limited.log.split(separator: "\n").contains { $0.contains("File too large") && !$0.contains("archive") }
        }
        while !isHalted() {
            try #require(opened < 3000)
            try await order()
        }
        var halted = ""
        while halted.isEmpty { halted = await status()?.halted ?? "" }
        #expect(halted.contains("ulimit -f") && halted.contains("Nothing is lost"), "\(halted)")
        let lift = Process()
        lift.executableURL = URL(fileURLWithPath: "/usr/bin/prlimit")
        lift.arguments = ["--pid", "\(limited.pid)", "--fsize=unlimited:unlimited"]
        try lift.run()
        lift.waitUntilExit()
        while await status().map({ !$0.halted.isEmpty || !$0.standing.isEmpty }) ?? true {
            try await Task.sleep(for: .milliseconds(20))
        }
        // Nothing commits without it.
        await hosts[0].stop()
        for _ in 0..<3 { try await order() }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/hosts/3/state") == ["shard-0"])
        await bank.close()
        await gateway.stop()
        for host in hosts[1...] { await host.stop() }
        limited.stop()
        guard case .served = try await limited.untilEnd() else {
            Issue.record("\(limited.log)")
            return
        }
    }

    @Test func linesThatALogHadNoRoomForAreCounted() throws {
        let full = open("/dev/full", O_WRONLY)
        let (reading, writing) = try Self.pipe()
        defer { for descriptor in [full, reading, writing] { close(descriptor) } }
        var lines = LogLines()
        func say(_ text: String, _ descriptor: Int32) {
            lines.write(text + "\n", to: descriptor, says: { "note: \($0)\n" })
        }
        say("one", writing)
        for text in ["two", "three"] { say(text, full) }
        say("four", writing)
        say("five", full)
        for text in ["six", "seven"] { say(text, writing) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(reading, &bytes, bytes.count)
        #expect(
            String(decoding: bytes.prefix(count), as: UTF8.self) == """
                one
                note: 2 lines of this log could not be written: No space left on device
                four
                note: a line of this log could not be written: No space left on device
                six
                seven

                """)
    }

    private static func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        try #require(Foundation.pipe(&ends) == 0)
        return (ends[0], ends[1])
    }
}

/// How a host's process ended.
private enum HostRun: CustomStringConvertible {
    /// It listened, and ended when it was told to.
    case served(String)
    case refused(Int32, String)
    case killed(Int32, String)
    case hung(String)

    var isKilled: Bool {
        switch self {
        case .killed, .hung: true
        case .served, .refused: false
        }
    }

    var description: String {
        switch self {
        case .served(let log): "served\n\(log)"
        case .refused(let code, let log): "ended with \(code)\n\(log)"
        case .killed(let signal, let log): "was ended by signal \(signal)\n\(log)"
        case .hung(let log): "hung\n\(log)"
        }
    }
}

/// Host 3 of a cluster, alone.
private final class HostProcess {
    private let process = Process()
    private let input = Pipe()
    private let logPath: String

    /// - Parameter prefix: a program that becomes the host, and its options.
    init(_ cluster: String, under prefix: [String] = []) throws {
        logPath = cluster + "/log"
        _ = FileManager.default.createFile(atPath: logPath, contents: nil)
        let words = prefix + [try Tool.executable().path, "host", "run", cluster, "3", "--exit-on-stdin-eof"]
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.standardInput = input
        process.standardError = FileHandle(forWritingAtPath: logPath)
        process.standardOutput = FileHandle.nullDevice
        // The report of a crash takes half a minute.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }
    var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// False if it ends instead, or does neither for long.
    func untilListens() async throws -> Bool {
        let end = ContinuousClock.now + .seconds(60)
        while process.isRunning, ContinuousClock.now < end {
            if log.contains(" listens on ") { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// Tells it to end.
    func stop() { try? input.fileHandleForWriting.close() }

    func untilEnd() async throws -> HostRun {
        let end = ContinuousClock.now + .seconds(60)
        while process.isRunning {
            guard ContinuousClock.now < end else {
                process.terminate()
                kill(pid, SIGKILL)
                return .hung(log)
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        if process.terminationReason == .uncaughtSignal { return .killed(process.terminationStatus, log) }
        return process.terminationStatus == 0 ? .served(log) : .refused(process.terminationStatus, log)
    }
}

/// The folder of a cluster that has done something, of whose hosts only host 3 is started, by itself.
final class StoppedCluster: Sendable {
    let path: String
    /// What host 3 looked like.
    private let backup: String
    private let manifest: Manifest

    init() async throws {
        path = "/tmp/quorate-damage-\(UInt64.random(in: .min ... .max))"
        let quiet = LineLogHandler.logger("test", level: .critical)
        var options = HostRuntimeOptions()
        (options.core.replica.checkpointInterval, options.core.replica.window, options.core.checkpointsPerFlush) = (
            8, 16, 1
        )
        // As the tool's hosts have them, or it would not start there.
        options.core.procedures = ExampleProcedures.registry
        let folder = try ClusterFolder.create(
            at: path, shards: 1, replicas: 4, basePort: 12_000 + Int.random(in: 0..<1_900) * 10)
        manifest = folder.manifest
        backup = path + ".host"
        var hosts: [HostRuntime.Host] = []
        for host in 0..<4 {
            hosts.append(
                try await HostRuntime.Host.start(HostID(UInt16(host)), of: folder, options: options, logger: quiet))
        }
        let gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, logger: quiet)
        let issuer = try folder.issuer()
        let bank = QuorateClient(
            signer: issuer, manifest: folder.manifest, gateways: [GatewayAddress(host: "127.0.0.1", port: gateway.port)]
        )
        for round in 0..<40 as Range<UInt64> {
            let accounts = (0..<12 as Range<UInt64>).map {
                AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: round * 12 + $0)
            }
            #expect(try await bank.submit(accounts.map { .open($0) }, mode: .independent).isCommitted)
        }
        await bank.close()
        await gateway.stop()
        for host in hosts { await host.stop() }
        for host in 0..<3 { try FileManager.default.removeItem(atPath: "\(path)/hosts/\(host)") }
        // So that the process finds what processes leave, its own files too.
        guard case .served = try await runHost() else {
            throw Tool.Failure(description: "the whole host does not start")
        }
        try FileManager.default.copyItem(atPath: path + "/hosts/3", toPath: backup)
    }

    private init(path: String, backup: String, manifest: Manifest) {
        (self.path, self.backup, self.manifest) = (path, backup, manifest)
    }

    func copy(portsMovedBy distance: Int) throws -> StoppedCluster {
        let other = "\(path)-\(distance)"
        try FileManager.default.copyItem(atPath: path, toPath: other)
        var text = try String(contentsOfFile: other + "/cluster.json", encoding: .utf8)
        for host in manifest.hosts {
            text = text.replacing("\"port\": \(host.port),", with: "\"port\": \(host.port + distance),")
        }
        try text.write(toFile: other + "/cluster.json", atomically: true, encoding: .utf8)
        try FileManager.default.copyItem(atPath: other + "/cluster.json", toPath: other + ".host.json")
        try FileManager.default.copyItem(atPath: backup, toPath: other + ".host")
        return StoppedCluster(
            path: other, backup: other + ".host", manifest: try ClusterFolder(opening: other).manifest)
    }

    func remove() {
        for name in [path, backup, path + ".host.json"] { try? FileManager.default.removeItem(atPath: name) }
    }

    /// Of host 3, and what it has of the cluster.
    func files() throws -> [String] {
        let below = FileManager.default.enumerator(atPath: path + "/hosts/3")?.compactMap { $0 as? String } ?? []
        var isFolder: ObjCBool = false
        let files = below.map { "hosts/3/" + $0 }.filter {
            FileManager.default.fileExists(atPath: "\(path)/\($0)", isDirectory: &isFolder) && !isFolder.boolValue
        }
        return (files + ["cluster.json"]).sorted()
    }

    /// Names of what was put aside.
    func asides() throws -> [String] {
        try ["", "/state"].flatMap { try FileManager.default.contentsOfDirectory(atPath: "\(path)/hosts/3\($0)") }
            .filter { $0.contains(".damaged-") }.sorted()
    }

    func restoreHost() throws {
        try FileManager.default.removeItem(atPath: path + "/hosts/3")
        try FileManager.default.copyItem(atPath: backup, toPath: path + "/hosts/3")
        let json = path + "/cluster.json"
        try? FileManager.default.removeItem(atPath: json)
        try FileManager.default.copyItem(atPath: path + ".host.json", toPath: json)
    }

    func truncate(_ name: String, to length: Int) throws {
        guard Foundation.truncate("\(path)/\(name)", off_t(length)) == 0 else {
            throw Tool.Failure(description: "truncate: \(errno)")
        }
    }

    func damage(_ name: String, using rng: inout SplitMix64) throws -> String {
        let file = "\(path)/\(name)"
        switch rng.below(14) {
        case 0:
            try FileManager.default.removeItem(atPath: file)
            return "removed"
        case 1:
            let length = 1 + rng.below(100)
            try truncate(name, to: length << 30)
            return "\(length) GiB long"
        default:
            let handle = try #require(FileHandle(forUpdatingAtPath: file))
            defer { try? handle.close() }
            let size = Int(try handle.seekToEnd())
            try handle.seek(toOffset: 0)
            // Most of a journal's segment is nothing yet.
            let used = name.contains("journal-") && rng.below(3) > 0 ? min(size, 256 << 10) : size
            let whole = Array(try handle.read(upToCount: used) ?? Data())
            let (bytes, what) = FileDamage.damage(whole, using: &rng)
            try handle.seek(toOffset: 0)
            try handle.write(contentsOf: Data(bytes))
            if bytes.count < whole.count { try handle.truncate(atOffset: UInt64(bytes.count)) }
            return what
        }
    }

    /// Starts host 3, has it read its state, and tells it to end.
    fileprivate func runHost() async throws -> HostRun {
        let process = try HostProcess(path)
        if try await process.untilListens() {
            _ = try? await audit()
            process.stop()
        }
        return try await process.untilEnd()
    }

    func audit() async throws {
        let tool = try await HostConnection.connect(to: HostID(3), of: manifest)
        _ = try? await tool.audit(timeout: .seconds(10))
        await tool.close()
    }
}
