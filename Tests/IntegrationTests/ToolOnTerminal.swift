import Foundation

/// The tool on a terminal of its own, which is its controlling one: that of `script` (util-linux).
final class ToolOnTerminal {
    private let process = Process()
    private let input = Pipe()
    private let folder: TemporaryFolder
    private static let program = "/usr/bin/script"

    static var isPossible: Bool { FileManager.default.isExecutableFile(atPath: program) }

    init(_ arguments: [String]) throws {
        folder = try TemporaryFolder()
        // The words of the tests need no quotes.
        let command = ([try Tool.executable().standardizedFileURL.path] + arguments).joined(separator: " ")
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments = ["-q", "-e", "-c", command, "/dev/null"]
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm", "NO_COLOR": "1"]) { $1 }
        process.standardInput = input
        _ = FileManager.default.createFile(atPath: folder.path("output"), contents: nil)
        process.standardOutput = FileHandle(forWritingAtPath: folder.path("output"))
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit { folder.remove() }

    /// All that the terminal was sent.
    var output: String {
        String(decoding: FileManager.default.contents(atPath: folder.path("output")) ?? Data(), as: UTF8.self)
    }

    func type(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

    /// - Returns: false if it did not come within the time.
    func waits(_ seconds: Double = 60, until condition: (String) -> Bool) -> Bool {
        let end = Date(timeIntervalSinceNow: seconds)
        while Date.now < end {
            if condition(output) { return true }
            usleep(20_000)
        }
        return false
    }

    /// - Returns: the tool's exit code.
    func end() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// If it still runs; its terminal hangs up.
    func stop() {
        if process.isRunning { process.terminate() }
    }
}
