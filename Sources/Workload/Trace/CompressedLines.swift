/// The lines of a file, plain or gzip, without their line ends and without the byte order mark that some programs write
/// first.
struct CompressedLines: ~Copyable {
    /// A line longer than this is no row of a trace.
    static let maxLine = 1 << 20

    private let path: String
    private var bytes: TraceBytes
    private var buffer: [UInt8]
    private var position = 0
    private var filled: Int
    private var lines = 0

    init(path: String) throws(TraceProblem) {
        var bytes = try TraceBytes(path: path)
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        var filled = 0
        while filled < ForeignFormat.headLength {
            let count = try bytes.read(into: &buffer, from: filled)
            if count == 0 { break }
            filled += count
        }
        let head = Array(buffer[..<min(filled, ForeignFormat.headLength)])
        if bytes.isCompressed { try TraceBytes.refuseForeign(head, path, inside: true) }
        self.path = path
        self.bytes = bytes
        (self.buffer, self.filled) = (buffer, filled)
        if buffer[..<filled].starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    /// Nil at the end. A last line without a line end counts.
    mutating func next() throws(TraceProblem) -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if position == filled {
                (position, filled) = (0, try bytes.read(into: &buffer, from: 0))
                if filled == 0 {
                    guard !line.isEmpty else { return nil }
                    break
                }
            }
            let end = buffer[position..<filled].firstIndex(of: UInt8(ascii: "\n"))
            line.append(contentsOf: buffer[position..<(end ?? filled)])
            position = end.map { $0 + 1 } ?? filled
            guard line.count <= Self.maxLine else {
                throw TraceProblem(
                    file: path, line: lines + 1, message: "the line is longer than \(Self.maxLine) bytes")
            }
            if end != nil { break }
        }
        lines += 1
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}
