import Glibc

package enum InputFile {
    /// All bytes of a file, or of a pipe: `/dev/stdin` and the shell's `<(…)` are fine.
    /// - Parameter limit: of what is longer, one byte more than that is read: enough for the reader to refuse it.
    package static func read(_ path: String, limit: Int = JSONReader.Limits().bytes) throws(InputProblem) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(path)
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<min(count, limit + 1 - bytes.count)])
            if bytes.count > limit { return bytes }
        }
    }

    private static func failure(_ path: String) -> InputProblem {
        InputProblem(file: path, problem: "the file cannot be read: \(String(cString: strerror(errno)))")
    }
}
