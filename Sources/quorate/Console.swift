import Foundation
import StrictInput
import Synchronization
import Workload

/// What people read goes to standard error where standard output is for a program.
///
/// Whatever a line quotes, a terminal finds nothing in it that it would obey: names of files, answers of hosts and
/// lines of logs come from outside. Who quotes what may hold line breaks makes one line of it first (`Printable.line`,
/// `Printable.quoted`).
enum Console {
    static func out(_ line: String) { write(Printable.lines(line) + "\n", to: STDOUT_FILENO) }
    static func error(_ line: String) { write(Printable.lines(line) + "\n", to: STDERR_FILENO) }

    private struct Output {
        /// Why nothing more can be written to standard output: an error number.
        var failure: Int32?
        /// Why something could not be written to standard error.
        var errorsFailure: Int32?
        var hasJSON = false
    }
    private static let output = Mutex(Output())

    /// A standard output that takes nothing any more ends the command as an interrupt does: nobody hears what it finds
    /// out.
    static func write(_ text: String, to descriptor: Int32) {
        if descriptor == STDOUT_FILENO, output.withLock({ $0.failure != nil }) { return }
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            if count > 0 {
                offset += count
                continue
            }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, 1000)
                continue
            }
            guard descriptor == STDOUT_FILENO else {
                return output.withLock { $0.errorsFailure = $0.errorsFailure ?? code }
            }
            output.withLock { $0.failure = $0.failure ?? code }
            Interrupts.cancel()
            return
        }
    }

    /// What the process ends with, when its command has come to `code`: an answer that did not arrive is no success.
    static func exitCode(_ code: Int32) -> Int32 {
        guard let failure = output.withLock({ $0.failure }) else { return code }
        // As a shell sees a program that SIGPIPE has ended: what reads us, `head` for instance, has enough.
        let isOnlyThis = [0, ExitReason.interrupted.rawValue, ExitReason.output.rawValue].contains(code)
        if failure == EPIPE { return isOnlyThis ? 128 + SIGPIPE : code }
        error("error: standard output cannot be written: \(String(cString: strerror(failure)))")
        return isOnlyThis ? ExitReason.output.rawValue : code
    }

    /// - Parameter descriptor: where it was said.
    /// - Throws: `output` if something that was said of a transaction was not taken: nobody knows it yet.
    static func checkDelivery(of txid: String, to descriptor: Int32 = STDOUT_FILENO) throws {
        guard output.withLock({ descriptor == STDOUT_FILENO ? $0.failure : $0.errorsFailure }) != nil else { return }
        throw ToolError(
            .output, "what became of \(txid) could not be said, so the next command with its key says it again",
            txid: txid)
    }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var hasColour: Bool { hasColour(on: STDERR_FILENO) }

    /// Whether it is a terminal, and nobody has said that there should be none (no-color.org).
    static func hasColour(on descriptor: Int32) -> Bool {
        isatty(descriptor) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"].map(\.isEmpty) ?? true
    }

    /// What was printed before belongs to another command of a shell.
    static func beginCommand() { output.withLock { $0.hasJSON = false } }

    /// A failure has been said in its own object.
    static func hasAnswered() { output.withLock { $0.hasJSON = true } }

    /// One JSON object, and nothing else, on standard output.
    static func json(_ value: some Encodable) throws { json(document: try document(value)) }

    /// The same as text.
    static func document(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Printable.json(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// One that has been written down already.
    static func json(document: String) {
        output.withLock { $0.hasJSON = true }
        out(document)
    }

    /// What a program reads of a failure, unless the command has printed its object already, which says more.
    static func failure(_ failure: FailureObject.Failure) {
        guard !output.withLock({ $0.hasJSON }) else { return }
        try? json(FailureObject(error: failure))
    }
}

/// With `--json`, in place of an answer.
struct FailureObject: Encodable, Sendable {
    struct Failure: Encodable, Sendable {
        /// A word for each exit code: `outcome_unknown`.
        var code: String
        var exit: Int32
        var message: String
        /// The transaction that it is about, if there is one.
        var txid: String?
        /// Where its outcome is not known: the commands that settle it, or give it up, to be pasted.
        var settle: String?
        var abandon: String?

        init(_ unknown: UnknownOutcome) {
            (code, exit, txid) = (ExitReason.outcomeUnknown.name, ExitReason.outcomeUnknown.rawValue, unknown.txid)
            message = "\(unknown.label): \(unknown.problem)"
            (settle, abandon) = (unknown.settle, unknown.abandon)
        }

        init(_ error: ToolError) {
            (code, exit, txid) = (error.reason.name, error.reason.rawValue, error.txid)
            message = error.description
        }

        /// A command line that makes no sense.
        init(usage complaint: String) { (code, exit, message) = ("usage", 64, complaint) }

        /// A command that has said what was wrong, and ends with this code.
        init(exit number: Int32, message text: String) {
            (code, exit, message) = (ExitReason(rawValue: number)?.name ?? "failure", number, text)
        }
    }
    var schema = 1
    var error: Failure
}

/// A bar on a terminal, now and then a line elsewhere; on standard error.
final class ProgressBar: Sendable {
    /// What all of this is a part of, for a terminal. Then its steps are no news: nothing of them stays on the screen,
    /// and elsewhere they say nothing. No task-local value: Swift 6.3.1 with -O crashes where one is pushed around an
    /// async call that may throw.
    static let common = Mutex<(@Sendable () -> String)?>(nil)
    private let heading = ProgressBar.common.withLock { $0 }
    private let label: String
    private let start = ContinuousClock.now
    private let lastLine = Mutex<ContinuousClock.Instant?>(nil)

    init(_ label: String) { self.label = Printable.line(label) }

    func update(_ progress: WorkProgress, detail: String = "") {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        if Console.isTerminal {
            let (bold, plain) = Console.hasColour ? ("\u{1b}[36m", "\u{1b}[0m") : ("", "")
            var line = "\r\u{1b}[2K\(heading?() ?? "")\(label)  "
            if let total = progress.total, total > 0 {
                let filled = min(24, progress.done * 24 / total)
                line +=
                    bold + String(repeating: "█", count: filled) + plain + String(repeating: "░", count: 24 - filled)
                line += "  \(progress.done * 100 / total) %"
            } else {
                line += "\(progress.done)"
            }
            Console.write(
                line + "  \(Int(seconds)) s" + (detail.isEmpty ? "" : "  \(Printable.line(detail))"), to: STDERR_FILENO)
            return
        }
        guard heading == nil else { return }
        let isDue = lastLine.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < .seconds(5) { return false }
            defer { last = now }
            return last != nil
        }
        if isDue {
            Console.error(
                "\(label): \(progress.done)\(progress.total.map { " of \($0)" } ?? "") after \(Int(seconds)) s\(detail.isEmpty ? "" : "  \(detail)")"
            )
        }
    }

    func finish(_ text: String) {
        if Console.isTerminal { Console.write("\r\u{1b}[2K", to: STDERR_FILENO) }
        guard heading == nil else { return }
        Console.error("\(label)  \(text)")
    }
}
