import CZlib

/// The lines of a file, plain or gzip (several members are fine), without their line ends.
struct CompressedLines: ~Copyable {
    /// A line longer than this is no row of a trace.
    static let maxLine = 1 << 20

    private let path: String
    private var file: gzFile?
    private var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    private var position = 0
    private var filled = 0
    private var lines = 0
    private var atEnd = false

    init(path: String) throws(TraceProblem) {
        self.path = path
        file = gzopen(path, "rb")
        guard file != nil else { throw TraceProblem(file: path, message: "cannot be opened for reading") }
    }

    deinit { if let file { gzclose(file) } }

    /// Nil at the end. A last line without a line end counts.
    mutating func next() throws(TraceProblem) -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if position == filled {
                try fill()
                if filled == 0 {
                    guard !line.isEmpty else { return nil }
                    break
                }
            }
            let end = buffer[position..<filled].firstIndex(of: UInt8(ascii: "\n"))
            line.append(contentsOf: buffer[position..<(end ?? filled)])
            position = end.map { $0 + 1 } ?? filled
            guard line.count <= Self.maxLine else {
                throw TraceProblem(file: path, line: lines + 1, message: "the line is longer than \(Self.maxLine) bytes")
            }
            if end != nil { break }
        }
        lines += 1
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }

    private mutating func fill() throws(TraceProblem) {
        (position, filled) = (0, 0)
        guard !atEnd else { return }
        let count = buffer.withUnsafeMutableBytes { gzread(file, $0.baseAddress, UInt32($0.count)) }
        guard count >= 0 else { throw TraceProblem(file: path, line: lines + 1, message: "cannot be read: \(failure())") }
        filled = Int(count)
        atEnd = count == 0
    }

    private func failure() -> String {
        var code: Int32 = 0
        guard let text = gzerror(file, &code) else { return "zlib error \(code)" }
        return String(cString: text)
    }

    /// zlib reports a gzip file that ends too early only here.
    mutating func finish() throws(TraceProblem) {
        guard let open = file else { return }
        file = nil
        guard gzclose(open) == Z_OK else {
            throw TraceProblem(file: path, line: lines + 1, message: "the gzip data ends too early: the file is truncated")
        }
    }
}
