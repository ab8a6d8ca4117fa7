import Foundation
import Testing

/// Real processes whose clocks the test sets: a library that is loaded before libc adds the seconds that a file holds.
@Suite(.serialized) struct ClockTests {
    /// A cluster of two shards and an account on each, and the file with the hosts' seconds.
    private struct Cluster {
        let folder: TemporaryFolder
        let directory: String
        let shim: String

        init() throws {
            folder = try TemporaryFolder()
            directory = folder.path("cluster")
            shim = folder.path("clock.so")
            try Self.source.write(toFile: folder.path("clock.c"), atomically: true, encoding: .utf8)
            let compiler = Process()
            compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            compiler.arguments = ["clang", "-shared", "-fPIC", "-o", shim, folder.path("clock.c")]
            try compiler.run()
            compiler.waitUntilExit()
            try #require(compiler.terminationStatus == 0)
            try set("hosts", 0)
            try set("client", 0)
            try Tool.succeed("cluster", "init", directory, "--shards", "2", "--base-port", "\(Tool.freePorts())")
            try up()
            // As many as it takes to have one on each shard.
            for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                try Tool.succeed("account", "create", name, "--cluster", directory, "--issue", "1000")
            }
        }

        func up() throws { try succeed(["cluster", "up", directory], clock: "hosts") }

        func end() {
            _ = try? Tool.run("cluster", "down", directory)
            folder.remove()
        }

        func set(_ clock: String, _ seconds: Int) throws {
            try "\(seconds)".write(toFile: folder.path(clock), atomically: true, encoding: .utf8)
        }

        /// Transfers from the first account to all others: inside a shard and between two, with the client's own clock.
        func transferToAll() throws {
            for name in ["b", "c", "d", "e", "f", "g", "h"] {
                let start = ContinuousClock.now
                try succeed(["transfer", "a", name, "1", "--cluster", directory], clock: "client")
                #expect(ContinuousClock.now - start < .seconds(10), "to \(name)")
            }
        }

        func status() throws -> String { try succeed(["cluster", "status", directory], clock: "client") }
        func log(_ host: Int) throws -> String {
            try String(contentsOfFile: "\(directory)/logs/host-\(host).log", encoding: .utf8)
        }

        @discardableResult private func succeed(_ arguments: [String], clock: String) throws -> String {
            let process = Process()
            process.executableURL = try Tool.executable()
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(
                ["LD_PRELOAD": shim, "CLOCK_SECONDS": folder.path(clock), "NO_COLOR": "1"]) { $1 }
            let output = folder.path("output")
            _ = FileManager.default.createFile(atPath: output, contents: nil)
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle(forWritingAtPath: output)
            process.standardError = process.standardOutput
            try process.run()
            process.waitUntilExit()
            let printed = try String(contentsOfFile: output, encoding: .utf8)
            guard process.terminationStatus == 0 else {
                throw Tool.Failure(
                    description:
                        "quorate \(arguments.joined(separator: " ")) ended with \(process.terminationStatus):\n\(printed)"
                )
            }
            return printed
        }

        private static let source = """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <stdlib.h>
            #include <sys/syscall.h>
            #include <time.h>
            #include <unistd.h>
            static long long ahead(void) {
                const char *path = getenv("CLOCK_SECONDS");
                int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
                char text[32];
                if (file < 0) return 0;
                ssize_t length = read(file, text, sizeof text - 1);
                close(file);
                if (length <= 0) return 0;
                text[length] = 0;
                return atoll(text);
            }
            int clock_gettime(clockid_t clock, struct timespec *time) {
                int result = syscall(SYS_clock_gettime, clock, time);
                if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += ahead();
                return result;
            }
            """
    }

    @Test(arguments: [30, 3600])
    func hostsClocksThatWereAheadAndArePutRightStopNothing(seconds: Int) throws {
        let cluster = try Cluster()
        defer { cluster.end() }
        try cluster.set("hosts", seconds)
        try cluster.transferToAll()
        try cluster.set("hosts", 0)
        try cluster.transferToAll()
        let status = try cluster.status()
        #expect(
            status.contains("(stands still)")
                && status.contains("s ahead of its hosts' clocks, which were ahead before"))
        #expect(try cluster.log(0).contains("time: shard 0's time is "))
        // A restart neither hurts nor is needed.
        try Tool.succeed("cluster", "down", cluster.directory)
        try cluster.up()
        try cluster.transferToAll()
        // Behind, and right again.
        try cluster.set("hosts", -seconds)
        try cluster.transferToAll()
        try cluster.set("hosts", 0)
        try cluster.transferToAll()
    }

    @Test func aClientWhoseClockIsWrongWorksAndStatusNamesIt() throws {
        let cluster = try Cluster()
        defer { cluster.end() }
        for (seconds, words) in [
            (40, "40.0 s ahead of"), (-40, "40.0 s behind"), (3600, "3600 s ahead of"), (-3600, "3600 s behind"),
        ] {
            try cluster.set("client", seconds)
            try cluster.transferToAll()
            let status = try cluster.status()
            #expect(status.contains("this machine's clock is \(words) the clocks of the cluster's hosts"), "\(status)")
        }
        try cluster.set("client", 0)
        #expect(!(try cluster.status()).contains("WRONG TIME"))
    }
}
