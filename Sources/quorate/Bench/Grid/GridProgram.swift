import Foundation
import Messages
import Networks
import Workload

/// What measures: this program, on this machine.
enum GridProgram {
    /// - Parameters:
    ///   - arguments: of every run.
    ///   - words: of all cells, with the files that they name.
    ///   - hostProgram: an absolute path; nil where hosts are this program.
    static func identity(arguments: [String], words: [String], hostProgram: String?) throws -> GridIdentity {
        var files: [String: String] = [:]
        for path in GridIdentity.files(in: words) {
            // A network may have a name alone.
            if case .builtIn? = NetworkChoice(path), !FileManager.default.fileExists(atPath: path) { continue }
            files[path] = try digest(path)
        }
        return GridIdentity(
            version: Made.now.version, program: try digest("/proc/self/exe"),
            hostProgram: try hostProgram.map(digest), arguments: arguments, files: files,
            cpu: Made.now.cpu, cores: Made.now.cores)
    }

    private static func digest(_ path: String) throws -> String {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw ToolError(.failure, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        defer { try? file.close() }
        var hasher = Hasher256()
        while let bytes = try file.read(upToCount: 1 << 20), !bytes.isEmpty { hasher.update(Array(bytes)) }
        return hasher.finish().hex
    }
}
