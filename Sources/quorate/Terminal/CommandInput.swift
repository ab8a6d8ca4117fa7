import Foundation

/// What comes in on a descriptor, byte by byte or line by line, no faster than it is asked for.
struct CommandInput {
    private let descriptor: Int32
    /// Milliseconds for which a thread stands still to wait for the next byte; then it looks whether it is still
    /// wanted.
    private let wait: Int32
    private var buffer: [UInt8] = []
    private var isAtEnd = false
    private static let pause = Duration.milliseconds(30)
    /// Of a line.
    static let maxLine = 65_536

    /// - Parameter wait: milliseconds; 0 for a command with other work, which then learns of a byte somewhat later.
    init(_ descriptor: Int32, wait: Int32 = 0) { (self.descriptor, self.wait) = (descriptor, wait) }

    /// Whether more has been read already.
    var hasMore: Bool { !buffer.isEmpty }

    enum Line {
        case line(String)
        /// It has more than `maxLine` bytes, or is not UTF-8: which of them it is.
        case invalid(String)
    }

    /// Nil at the end.
    /// - Throws: `CancellationError`.
    mutating func nextByte() async throws -> UInt8? {
        while buffer.isEmpty {
            guard !isAtEnd else { return nil }
            try await fill()
        }
        return buffer.removeFirst()
    }

    /// Without its line feed; the last one need not have one. Nil at the end.
    mutating func nextLine() async throws -> Line? {
        var scanned = 0
        while true {
            if let end = buffer[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffer.removeSubrange(...end) }
                return Self.line(buffer[..<end])
            }
            scanned = buffer.count
            if isAtEnd {
                defer { buffer = [] }
                return buffer.isEmpty ? nil : Self.line(buffer[...])
            }
            // No more of it than says that it is too long is kept.
            if scanned > Self.maxLine + 1 {
                buffer.removeSubrange((Self.maxLine + 1)...)
                scanned = buffer.count
            }
            try await fill()
        }
    }

    private static func line(_ bytes: ArraySlice<UInt8>) -> Line {
        guard bytes.count <= maxLine else { return .invalid("has more than \(maxLine) bytes") }
        let bytes = bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes
        guard let text = String(validating: bytes, as: UTF8.self) else { return .invalid("is not UTF-8") }
        return .line(text)
    }

    private mutating func fill() async throws {
        while true {
            try Task.checkCancellation()
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // Of a terminal in whose background this process is, nothing is to be read: the attempt would stop it.
            let mayRead = isatty(descriptor) == 0 || TerminalMode.isForeground(descriptor)
            guard mayRead, poll(&waiting, 1, wait) > 0 else {
                try await Task.sleep(for: wait > 0 && mayRead ? .zero : Self.pause)
                continue
            }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            if count > 0 { buffer += bytes[..<count] } else { isAtEnd = true }
            return
        }
    }
}
