import Foundation
import Testing

/// Which processes the tool starts and ends: the right ones, and all of them.
@Suite(.serialized) struct RightProcessesTests {
    @Test func twoStartsAtOnceStartEachProcessOnce() throws {
        let cluster = try TestedCluster(isUp: false)
        let starts = try (0..<3).map { _ in try RunningTool(["cluster", "up", cluster.path]) }
        for start in starts { #expect(start.end().status == 0, "\(start.errors)") }
        #expect(cluster.processes.count == 5)
        #expect(starts.count { $0.output.contains("started host 0") } == 1)
        #expect(starts.count { $0.output.contains("everything runs already") } == 2)
        try Tool.succeed("cluster", "down", cluster.path)
        #expect(cluster.processes.isEmpty)
    }

    @Test func aCommandThatWaitsForAnotherOneSaysForWhich() throws {
        let cluster = try TestedCluster(isUp: false)
        // A host program that never answers keeps the start busy.
        let program = cluster.folder.path("sleeper")
        try Data("#!/bin/sh\nsleep 60\n".utf8).write(to: URL(fileURLWithPath: program))
        chmod(program, 0o755)
        let silent = try RunningTool(["cluster", "up", cluster.path, "--host-program", program, "--timeout", "60"])
        #expect(silent.waits(10) { FileManager.default.fileExists(atPath: cluster.path + "/run/host-3.pid") })
        let (status, output) = try Tool.run("cluster", "down", cluster.path, "--json")
        #expect(
            status == 42 && output.contains("quorate cluster up (process \(silent.process.processIdentifier))"),
            "\(output)")
        #expect(output.contains(#""code":"busy""#))
        #expect(silent.errors.contains("waiting for 4 hosts, first host 0"))
        silent.signal(SIGHUP)
        let (interrupted, seconds) = silent.end()
        #expect(interrupted == 130 && seconds < 5)
    }

    @Test func aCopiedFolderIsAnotherClusterAndARenamedOneIsTheSame() throws {
        let cluster = try TestedCluster()
        let copy = cluster.folder.path("copy")
        try FileManager.default.copyItem(atPath: cluster.path, toPath: copy)
        #expect(try Tool.succeed("cluster", "down", copy).contains("nothing was running"))
        #expect(try Tool.run("cluster", "kill-host", copy, "0").status == 17)
        #expect(cluster.processes.count == 5)
        let renamed = cluster.folder.path("renamed")
        try FileManager.default.moveItem(atPath: cluster.path, toPath: renamed)
        #expect(try Tool.succeed("cluster", "down", renamed).contains("stopped host 0"))
        #expect(cluster.processes.isEmpty)
    }

    @Test func aProcessThatNoFileNamesIsFound() throws {
        let cluster = try TestedCluster()
        for name in ["host-1.pid", "gateway-0.pid"] {
            try FileManager.default.removeItem(atPath: cluster.path + "/run/" + name)
        }
        let (status, output) = try Tool.run("cluster", "up", cluster.path)
        #expect(status == 0 && output.contains("everything runs already"), "\(output)")
        for name in ["host-0", "host-3"] {
            try FileManager.default.removeItem(atPath: cluster.path + "/run/\(name).pid")
        }
        let before = cluster.processes
        #expect(try Tool.succeed("cluster", "restart-host", cluster.path, "0").contains("host 0 runs"))
        try Tool.succeed("cluster", "kill-host", cluster.path, "3")
        #expect(cluster.processes.count == 4 && Set(cluster.processes).subtracting(before).count == 1)
        try FileManager.default.removeItem(atPath: cluster.path + "/run/host-2.pid")
        #expect(try Tool.succeed("cluster", "down", cluster.path).contains("host 2"))
        #expect(cluster.processes.isEmpty)
    }

    /// A container's host may have a folder of the same name.
    @Test(.enabled(if: getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/unshare")))
    func aProcessThatSeesAnotherFolderUnderThePathIsLeftAlone() throws {
        let cluster = try TestedCluster(isUp: false)
        let other = cluster.folder.path("other")
        try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
        // Its command line is a host's.
        try Data("echo \"$@\"; sleep 60 >/dev/null\n".utf8).write(to: URL(fileURLWithPath: other + "/host"))
        let container = Process()
        container.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        container.arguments = [
            "-m", "sh", "-c", "mount --bind \"$0\" \"$1\" && cd \"$0\" && exec sh host run \"$1\" 0", other,
            cluster.path,
        ]
        let said = Pipe()
        container.standardOutput = said
        try container.run()
        defer { kill(container.processIdentifier, SIGKILL) }
        #expect(String(decoding: said.fileHandleForReading.availableData, as: UTF8.self) == "run \(cluster.path) 0\n")
        #expect(try Tool.succeed("cluster", "down", cluster.path).contains("nothing was running"))
        #expect(container.isRunning)
    }

    /// The kernel cuts a program's name after 15 bytes, here within a letter.
    @Test func aHostProgramMayHaveAnyName() throws {
        let cluster = try TestedCluster(isUp: false)
        let program = cluster.folder.path("host-programmeé")
        try FileManager.default.createSymbolicLink(atPath: program, withDestinationPath: try Tool.executable().path)
        try Tool.succeed("cluster", "up", cluster.path, "--host-program", program)
        #expect(try Tool.succeed("cluster", "up", cluster.path).contains("everything runs already"))
        try Tool.succeed("cluster", "kill-host", cluster.path, "1")
        #expect(try Tool.succeed("cluster", "down", cluster.path).contains("host 0, host 2, host 3"))
        #expect(cluster.processes.isEmpty)
    }

    /// A script that starts the host and waits for it is the host's process for the tool, and the host belongs to it.
    @Test func aHostThatAScriptHasStartedIsNotASecondOne() throws {
        let cluster = try TestedCluster(isUp: false)
        let program = cluster.folder.path("script")
        try Data("#!/bin/sh\n'\(try Tool.executable().path)' \"$@\"\nexit $?\n".utf8).write(
            to: URL(fileURLWithPath: program))
        chmod(program, 0o755)
        try Tool.succeed("cluster", "up", cluster.path, "--host-program", program)
        let (status, output) = try Tool.run("cluster", "up", cluster.path)
        #expect(
            status == 0 && output.contains("everything runs already") && !output.contains("one too many"), "\(output)")
        let restarted = try Tool.run("cluster", "restart-host", cluster.path, "2", "--host-program", program)
        #expect(restarted.status == 0 && !restarted.output.contains("one too many"), "\(restarted.output)")
        #expect(cluster.processes.count == 5)
        #expect(try Tool.succeed("cluster", "down", cluster.path).contains("host 0, host 1, host 2, host 3"))
        #expect(cluster.processes.isEmpty)
    }

    @Test func noHostIsKilledBesideOneThatDoesNotRun() throws {
        let cluster = try TestedCluster()
        try Tool.succeed("cluster", "kill-host", cluster.path, "3", "3")
        let (status, output) = try Tool.run("cluster", "kill-host", cluster.path, "0", "3")
        #expect(status == 17 && output.contains("host 3 does not run") && !output.contains("killed"), "\(output)")
        #expect(cluster.processes.count == 4)
    }

    /// As on a full disk: the host was started, and nobody would find it again.
    @Test func aStartThatCannotWriteDownWhatItStartedEndsIt() throws {
        let cluster = try TestedCluster(isUp: false)
        try FileManager.default.createDirectory(
            atPath: cluster.path + "/run/host-2.pid", withIntermediateDirectories: true)
        let (status, output) = try Tool.run("cluster", "up", cluster.path)
        #expect(status != 0 && output.contains("host-2.pid") && !output.contains("NSCocoa"), "\(output)")
        #expect(cluster.processes.isEmpty)
    }

    /// What a pid file names is not believed: here a process that has nothing to do with the cluster.
    @Test func anotherProcessWithTheNumberIsLeftAlone() throws {
        let cluster = try TestedCluster()
        let bystander = Process()
        bystander.executableURL = URL(fileURLWithPath: "/bin/sleep")
        bystander.arguments = ["100"]
        try bystander.run()
        // Who runs tests may have it ignore SIGTERM.
        defer { kill(bystander.processIdentifier, SIGKILL) }
        let file = URL(fileURLWithPath: cluster.path + "/run/host-0.pid")
        var fields = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let genuine = fields
        let start = try String(contentsOfFile: "/proc/\(bystander.processIdentifier)/stat", encoding: .utf8).split(
            separator: " ")[21]
        (fields["pid"], fields["start"]) = (Int(bystander.processIdentifier), Int(start))
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        // It is not what kill-host takes for the host, and the host is found all the same.
        let adopted = "host 0 runs already (process \(genuine["pid"] as? Int ?? 0))"
        func looks() throws {
            let (status, output) = try Tool.run("cluster", "restore-host", cluster.path, "0")
            #expect(
                status == 1 && output.contains("host 0 runs; stop it first") && output.contains(adopted), "\(output)")
        }
        try looks()
        // Each of the words must be right.
        for (field, value) in [
            ("boot", "other"), ("cluster", "00"), ("inode", 1), ("device", 1), ("start", 1), ("executable", "/bin/sh"),
        ] as [(String, Any)] {
            var wrong = genuine
            wrong[field] = value
            try JSONSerialization.data(withJSONObject: wrong).write(to: file)
            try looks()
        }
        (fields["pid"], fields["start"]) = (Int(bystander.processIdentifier), Int(start))
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        try Tool.succeed("cluster", "kill-host", cluster.path, "0")
        #expect(bystander.isRunning && cluster.processes.count == 4)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit")))
    func aHaltedHostIsNotTakenForOneThatRuns() throws {
        let cluster = try TestedCluster(isUp: false)
        // Hosts that outlive a write that goes too far, and then one of them may write nothing more: as on a disk that
        // fails.
        let start = try RunningTool(
            ["cluster", "up", cluster.path], through: ["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        #expect(start.end().status == 0)
        let limit = try Process.run(
            URL(fileURLWithPath: "/usr/bin/prlimit"),
            arguments: ["--pid", "\(try cluster.pid("host-3"))", "--fsize=0:"])
        limit.waitUntilExit()
        try #require(limit.terminationStatus == 0)
        try Tool.succeed("account", "create", "alice", "--cluster", cluster.path, "--issue", "10")
        let deadline = Date(timeIntervalSinceNow: 30)
        while try !Tool.run("cluster", "status", cluster.path).output.contains("host 3 is halted (storage failed") {
            try #require(Date.now < deadline)
        }
        let (status, output) = try Tool.run("cluster", "up", cluster.path)
        #expect(
            status == 19 && output.contains("HOST 3 IS HALTED: storage failed")
                && !output.contains("everything runs already"), "\(output)")
        try Tool.succeed("cluster", "restart-host", cluster.path, "3")
        #expect(try Tool.succeed("cluster", "up", cluster.path).contains("everything runs already"))
    }

    @Test(.enabled(if: getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv")))
    func anotherUserIsToldAtOnceThatHeMayNot() throws {
        let cluster = try TestedCluster()
        // Temporary folders may be closed to others.
        var folder = URL(fileURLWithPath: cluster.path)
        while folder.path != "/", folder.path != "/tmp" {
            if let mode = try FileManager.default.attributesOfItem(atPath: folder.path)[.posixPermissions] as? Int,
                mode & 0o005 != 0o005
            {
                chmod(folder.path, mode_t(mode | 0o055))
            }
            folder = folder.deletingLastPathComponent()
        }
        let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for words in [["down", cluster.path], ["kill-host", cluster.path, "0"], ["restart-host", cluster.path, "0"]] {
            let command = try RunningTool(["cluster"] + words + ["--json"], through: nobody)
            let (status, seconds) = command.end()
            #expect(status == 41 && seconds < 5, "\(words[0]): \(status) \(command.errors)")
            #expect(command.output.contains(#""code":"not_permitted""#) && !command.output.contains("stopped\":"))
        }
        #expect(cluster.processes.count == 5)
    }

    @Test func anInterruptedBenchKeepsWhatItHadMeasuredAndLeavesNothingBehind() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (temporary, report) = (folder.path("tmp"), folder.path("report"))
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        let bench = try RunningTool(
            ["bench", "--shards", "1,2", "--clients", "4", "--accounts", "50", "--duration", "2", "--report", report],
            environment: ["TMPDIR": temporary])
        #expect(bench.waits { bench.errors.contains("2 shards: funding") })
        bench.signal(SIGHUP)
        let (status, seconds) = bench.end()
        #expect(status == 130 && seconds < 10, "\(bench.errors)")
        #expect(
            bench.output.contains("PARTIAL: only this run was finished") && bench.output.contains("p99"),
            "\(bench.output)")
        let written = try String(contentsOfFile: report + "/report.json", encoding: .utf8)
        #expect(written.contains(#""partial":"interrupted""#) && written.contains(#""throughput_tps""#))
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary) == [])
    }

    @Test func whatAKilledBenchLeftBehindIsRemovedByTheNextOne() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let temporary = folder.path("tmp")
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: temporary) }
        let arguments = ["bench", "--shards", "1", "--clients", "2", "--accounts", "10", "--duration", "30"]
        let bench = try RunningTool(arguments, environment: ["TMPDIR": temporary])
        #expect(bench.waits { bench.errors.contains("funding") })
        let left = try #require(try names().first)
        // One that lives is left alone.
        let other = try RunningTool(arguments, environment: ["TMPDIR": temporary])
        #expect(try other.waits { try names().count == 2 })
        other.signal(SIGINT)
        #expect(other.end().status == 130)
        #expect(try names() == [left])
        bench.signal(SIGKILL)
        _ = bench.end()
        let next = try RunningTool(arguments, environment: ["TMPDIR": temporary])
        #expect(next.waits { next.errors.contains("removed \(temporary)/\(left)") })
        next.signal(SIGTERM)
        _ = next.end()
        #expect(try names() == [])
        #expect(TestedCluster.processes(of: "\(temporary)/\(left)/shards-1").isEmpty)
    }
}
