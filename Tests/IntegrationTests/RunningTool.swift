import Foundation

/// The tool while it runs.
final class RunningTool {
    let process = Process()
    private let folder: TemporaryFolder
    private let started = Date.now

    /// - Parameters:
    ///   - output: where its standard output goes; nil for a file that `output` reads.
    ///   - errors: the same of its standard error.
    ///   - program: who runs it, with what; nil for nobody.
    init(
        _ arguments: [String], environment: [String: String] = [:], output: FileHandle? = nil,
        errors: FileHandle? = nil,
        through program: [String] = []
    ) throws {
        folder = try TemporaryFolder()
        let command = program + [try Tool.executable().path] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        for name in ["output", "errors"] {
            _ = FileManager.default.createFile(atPath: folder.path(name), contents: nil)
        }
        process.standardOutput = output ?? FileHandle(forWritingAtPath: folder.path("output"))
        process.standardError = errors ?? FileHandle(forWritingAtPath: folder.path("errors"))
        try process.run()
    }

    deinit { folder.remove() }

    var output: String { (try? String(contentsOfFile: folder.path("output"), encoding: .utf8)) ?? "" }
    var errors: String { (try? String(contentsOfFile: folder.path("errors"), encoding: .utf8)) ?? "" }

    /// - Returns: false if it did not come within the time.
    func waits(_ seconds: Double = 60, until condition: () throws -> Bool) rethrows -> Bool {
        let end = Date(timeIntervalSinceNow: seconds)
        while Date.now < end {
            if try condition() { return true }
            usleep(20_000)
        }
        return false
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// - Returns: its exit code, and how long it took from now on; the code of a signal that ended it is 128 more.
    func end() -> (status: Int32, seconds: Double) {
        let start = Date.now
        process.waitUntilExit()
        let status =
            process.terminationReason == .uncaughtSignal ? 128 + process.terminationStatus : process.terminationStatus
        return (status, Date.now.timeIntervalSince(start))
    }
}

/// A cluster in a folder of its own, which runs as long as the test.
final class TestedCluster {
    let folder: TemporaryFolder
    let path: String

    init(_ options: String..., isUp: Bool = true) throws {
        folder = try TemporaryFolder()
        path = folder.path("cluster")
        try Tool.succeed(["cluster", "init", path, "--base-port", "\(Tool.freePorts())"] + options)
        if isUp { try Tool.succeed(["cluster", "up", path]) }
    }

    deinit {
        _ = try? Tool.run("cluster", "down", path)
        folder.remove()
    }

    /// Of hosts and gateways whose command line names a folder, whatever the tool says.
    static func processes(of path: String) -> [Int32] {
        let pids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        return pids.filter { pid in
            guard let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.count > 3 && words[2] == "run" && words[3] == path
        }
    }

    var processes: [Int32] { Self.processes(of: path) }

    func pid(_ name: String) throws -> Int32 {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(path)/run/\(name).pid"))
        let fields = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        guard let pid = fields?["pid"] as? Int, pid > 1 else {
            throw Tool.Failure(description: "no process of \(name)")
        }
        return Int32(pid)
    }
}

extension Tool {
    @discardableResult static func succeed(_ arguments: [String]) throws -> String {
        let (status, output) = try run(arguments)
        guard status == 0 else {
            throw Failure(description: "quorate \(arguments.joined(separator: " ")) ended with \(status):\n\(output)")
        }
        return output
    }
}
