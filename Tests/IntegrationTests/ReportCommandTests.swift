import Foundation
import Testing

/// Reports of benches and drills, and what a command line asks of a run that cannot be.
@Suite(.serialized) struct ReportCommandTests {
    @Test func aReportThatIsThereIsFoundBeforeAnythingIsMeasured() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try "kept".write(toFile: folder.path("report.csv"), atomically: true, encoding: .utf8)
        let start = Date.now
        for command in [["bench", "--duration", "60"], ["drill", "pause"]] {
            let (status, output) = try Tool.run(command + ["--report", folder.path(".")])
            #expect(status == 10)
            #expect(
                output.contains("holds a report already (report.csv)") && output.contains("--overwrite"), "\(output)")
        }
        let history = folder.path("history.jsonl")
        try "kept".write(toFile: history, atomically: true, encoding: .utf8)
        let (status, output) = try Tool.run("bench", "--shards", "1", "--duration", "60", "--history", history)
        #expect(status == 10 && output.contains("history.jsonl exists already"), "\(output)")
        #expect(Date.now.timeIntervalSince(start) < 20)
        for name in ["report.csv", "history.jsonl"] {
            #expect(try String(contentsOfFile: folder.path(name), encoding: .utf8) == "kept")
        }
        // Nor is it measured for a folder that cannot be written.
        try "a file".write(toFile: folder.path("file"), atomically: true, encoding: .utf8)
        let (refused, why) = try Tool.run("bench", "--duration", "60", "--report", folder.path("file/inside"))
        #expect(refused == 1 && why.contains("--report: cannot write into"), "\(why)")
        #expect(Date.now.timeIntervalSince(start) < 30)
    }

    @Test(arguments: [
        (
            ["--kill-host", "1@5"],
            "--kill-host 1@5 comes after the end of the load, which lasts 5 s: give a second from 0 to less than 5"
        ),
        (["--kill-host", "1@1", "--restart-host", "1@5.5"], "--restart-host 1@5.5 comes after the end"),
        (["--stop-host", "1@6"], "--stop-host 1@6 comes after the end"),
        (["--stop-host", "1@1", "--continue-host", "1@9"], "--continue-host 1@9 comes after the end"),
        (["--kill-gateway", "0@5"], "--kill-gateway 0@5 comes after the end"),
        (["--kill-gateway", "0@1", "--restart-gateway", "0@7"], "--restart-gateway 0@7 comes after the end"),
        (["--restart-host", "1@2"], "--restart-host 1@2 cannot be done: host 1 runs then"),
        (["--kill-host", "1@1", "--kill-host", "1@2"], "--kill-host 1@2 cannot be done: host 1 is dead then"),
        (["--continue-host", "2@2"], "--continue-host 2@2 cannot be done: host 2 runs then"),
        (
            ["--kill-gateway", "0@3", "--kill-gateway", "0@4"],
            "--kill-gateway 0@4 cannot be done: gateway 0 is dead then"
        ),
    ])
    func whatCannotHappenIsRefused(faults: [String], words: String) throws {
        let (status, output) = try Tool.run(["bench", "--duration", "5"] + faults)
        #expect(status == 64)
        #expect(output.replacing(/\s+/, with: " ").contains(words), "\(output)")
        // Without --duration lists are loaded for 10 s.
        #expect(try Tool.run("bench", "--workload", "list-append", "--kill-host", "0@10").status == 64)
    }

    @Test func whatCameAfterTheLastRowFailsTheBenchAndTheReportSaysSo() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (status, output) = try Tool.run(
            "bench", "--shards", "1", "--clients", "4", "--accounts", "50", "--rows", "200", "--kill-host", "1@500",
            "--report", folder.path("out"),
            "--json")
        #expect(status == 31 && output.contains("kill -9 host 1 at 500.0 s; nothing of it happened"), "\(output)")
        let page = try String(contentsOfFile: folder.path("out/report.html"), encoding: .utf8)
        #expect(
            page.contains("did not happen") && page.contains("bench --shards 1 --clients 4")
                && page.contains("quorate 0.1.0"))

        // One run each says nothing of chance, and so nothing is worse.
        let out = folder.path("out")
        let table = try Tool.succeed("bench", "compare", out, out + "/report.json")
        #expect(table.contains("one run each: nothing can be said"), "\(table)")
        let object = try Tool.succeed("bench", "compare", out, out, "--json", "--report", folder.path("compared"))
        #expect(object.contains(#""verdict":"too_few_runs""#), "\(object)")
        #expect(FileManager.default.fileExists(atPath: folder.path("compared/report.html")))
    }

    @Test func whatIsNoReportIsNotCompared() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try "{\"runs\":1}".write(toFile: folder.path("wrong.json"), atomically: true, encoding: .utf8)
        for (path, why) in [("wrong.json", "schema is missing"), ("none", "there is no such file")] {
            let (status, output) = try Tool.run("bench", "compare", folder.path(path), folder.path("none"))
            #expect(status == 1 && output.contains(folder.path(path)) && output.contains(why), "\(output)")
        }
    }

    @Test func aDrillHasAReportAsABenchHas() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try Tool.succeed(
            "drill", "pause", "--seconds", "1", "--clients", "4", "--accounts", "100", "--report", folder.path("out"))
        let page = try String(contentsOfFile: folder.path("out/report.html"), encoding: .utf8)
        for text in [
            "Quorate drill: pause", "drill pause --seconds 1", "quorate 0.1.0", "stop host", "continue host",
            "longest gap ms",
        ] {
            #expect(page.contains(text), "\(text)")
        }
        let json = try Data(contentsOf: URL(fileURLWithPath: folder.path("out/report.json")))
        let report = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        #expect((report["events"] as? [Any])?.count == 2 && (report["made"] as? [String: Any])?["command"] is String)
        #expect(try String(contentsOfFile: folder.path("out/report.csv"), encoding: .utf8).contains("load.committed,"))
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func aShellCompletesTheCommands(shell: String) throws {
        let script = try Tool.succeed("--generate-completion-script", shell)
        for word in ["kill-primary", "--kill-host", "transfer"] {
            #expect(script.contains(word) || script.contains(word.replacing("--", with: "")), "\(word)")
        }
        #expect(try Tool.succeed("--help").contains("--generate-completion-script"))
    }
}
