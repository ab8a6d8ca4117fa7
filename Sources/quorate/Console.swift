import Foundation
import StrictInput
import Synchronization
import Workload

/// What people read goes to standard error where standard output is for a program.
///
/// Whatever a line quotes, a terminal finds nothing in it that it would obey: names of files, answers of hosts and lines of logs
/// come from outside. Who quotes what may hold line breaks makes one line of it first (`Printable.line`, `Printable.quoted`).
enum Console {
    static func out(_ line: String) { write(Printable.lines(line) + "\n", to: STDOUT_FILENO) }
    static func error(_ line: String) { write(Printable.lines(line) + "\n", to: STDERR_FILENO) }

    static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset) }
            guard count > 0 else {
                if errno == EINTR { continue }
                return
            }
            offset += count
        }
    }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var hasColour: Bool { isTerminal && ProcessInfo.processInfo.environment["NO_COLOR"].map(\.isEmpty) ?? true }

    /// One JSON object, and nothing else, on standard output.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        out(Printable.json(String(decoding: try encoder.encode(value), as: UTF8.self)))
    }
}

/// A bar on a terminal, now and then a line elsewhere; on standard error.
final class ProgressBar: Sendable {
    private let label: String
    private let start = ContinuousClock.now
    private let lastLine = Mutex<ContinuousClock.Instant?>(nil)

    init(_ label: String) { self.label = Printable.line(label) }

    func update(_ progress: WorkProgress, detail: String = "") {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        if Console.isTerminal {
            let (bold, plain) = Console.hasColour ? ("\u{1b}[36m", "\u{1b}[0m") : ("", "")
            var line = "\r\u{1b}[2K\(label)  "
            if let total = progress.total, total > 0 {
                let filled = min(24, progress.done * 24 / total)
                line += bold + String(repeating: "█", count: filled) + plain + String(repeating: "░", count: 24 - filled)
                line += "  \(progress.done * 100 / total) %"
            } else {
                line += "\(progress.done)"
            }
            Console.write(line + "  \(Int(seconds)) s" + (detail.isEmpty ? "" : "  \(Printable.line(detail))"), to: STDERR_FILENO)
            return
        }
        let isDue = lastLine.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < .seconds(5) { return false }
            defer { last = now }
            return last != nil
        }
        if isDue { Console.error("\(label): \(progress.done)\(progress.total.map { " of \($0)" } ?? "") after \(Int(seconds)) s\(detail.isEmpty ? "" : "  \(detail)")") }
    }

    func finish(_ text: String) {
        if Console.isTerminal { Console.write("\r\u{1b}[2K", to: STDERR_FILENO) }
        Console.error("\(label)  \(text)")
    }
}
