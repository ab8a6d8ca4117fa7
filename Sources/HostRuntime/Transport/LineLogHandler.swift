import Glibc
import Logging
import Synchronization

/// One line a record: ISO time, level, label, message, then the metadata sorted by key. To standard error, which the
/// launcher may have pointed at a file.
public struct LineLogHandler: LogHandler {
    /// The `Logger` hands over nothing below it.
    public var logLevel: Logger.Level = .info
    /// What is added to every record; a record's own value for a key replaces it.
    public var metadata: Logger.Metadata = [:]
    private let label: String

    /// - Parameter label: who speaks: `host-2`, `gateway`.
    public init(label: String, level: Logger.Level = .info) {
        self.label = label
        logLevel = level
    }

    /// A logger that writes so.
    public static func logger(_ label: String, level: Logger.Level = .info) -> Logger {
        Logger(label: label) { LineLogHandler(label: $0, level: level) }
    }

    /// One entry of `metadata`; nil if there is none, and to remove it.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the record with one `write`, line breaks and control characters replaced by spaces. A line that the
    /// descriptor does not take is counted, and its loss is said when a line fits again.
    public func log(event: LogEvent) {
        var line = "\(Self.time()) \(event.level) \(label) "
        line += Self.oneLine(event.message.description)
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(Self.quoted(value.description))" }
        line += "\n"
        Self.lines.withLock { $0.write(line, to: STDERR_FILENO, says: { "\(Self.time()) warning \(label) \($0)\n" }) }
    }

    private static let lines = Mutex(LogLines())

    /// Text from outside may hold line breaks and control characters, which would forge lines.
    private static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : Character($0) })
    }

    private static func quoted(_ text: String) -> String {
        let plain = oneLine(text)
        return plain.contains(" ") || plain.isEmpty ? "\"\(plain.replacing("\"", with: "'"))\"" : plain
    }

    /// UTC with milliseconds.
    private static func time() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        func pad(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        let date = "\(pad(Int(parts.tm_year) + 1900, 4))-\(pad(Int(parts.tm_mon) + 1, 2))-\(pad(Int(parts.tm_mday), 2))"
        let clock = "\(pad(Int(parts.tm_hour), 2)):\(pad(Int(parts.tm_min), 2)):\(pad(Int(parts.tm_sec), 2))"
        return "\(date)T\(clock).\(pad(now.tv_nsec / 1_000_000, 3))Z"
    }
}

/// Writes lines to a descriptor. What cannot be written, to a full disk say, is counted, and said as soon as a line
/// fits again.
package struct LogLines {
    private var lost = 0
    private var reason: Int32 = 0
    /// The last thing that was written is a part of a line.
    private var isCut = false

    package init() {}

    /// - Parameter says: makes a line of what is to be said of lines that were lost.
    package mutating func write(_ line: String, to descriptor: Int32, says: (String) -> String) {
        if lost > 0 {
            let count = lost == 1 ? "a line of this log" : "\(lost) lines of this log"
            guard
                put(
                    (isCut ? "\n" : "") + says("\(count) could not be written: \(String(cString: strerror(reason)))"),
                    to: descriptor)
            else {
                lost += 1
                return
            }
            lost = 0
        }
        if !put(line, to: descriptor) { lost += 1 }
    }

    /// One write, so that lines of several processes in one file stay whole.
    private mutating func put(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count == bytes.count {
                isCut = false
                return true
            }
            // A disk that has no room for the rest has given no reason yet.
            reason = count < 0 ? errno : ENOSPC
            if count > 0 { isCut = true }
            return false
        }
    }
}

/// Logs few records of each kind, with the number that it kept back: what an enemy can cause at will, or a peer that is
/// gone for days, must not fill a disk. While something goes on, the time from one record to the next doubles, to five
/// minutes at most; after a quiet time of that length it is news again.
final class LimitedLog {
    private struct Kind {
        var logged: UInt64
        var seen: UInt64
        var held = 0
        /// Nanoseconds from one record to the next.
        var interval: UInt64
    }

    private let logger: Logger
    private var kinds: [String: Kind] = [:]
    static let longest: UInt64 = 300_000_000_000

    init(_ logger: Logger) { self.logger = logger }

    /// - Parameters:
    ///   - kind: one of a few fixed texts.
    ///   - seconds: at most one record in so long.
    func warning(
        _ kind: String, every seconds: UInt64 = 1, _ detail: @autoclosure () -> String, now: UInt64 = Clock.uptime()
    ) {
        let shortest = max(1, seconds) * 1_000_000_000
        guard var known = kinds[kind] else {
            kinds[kind] = Kind(logged: now, seen: now, interval: shortest)
            logger.warning("\(kind): \(detail())")
            return
        }
        let quiet = now - min(now, known.seen)
        known.seen = now
        guard now - min(now, known.logged) >= known.interval else {
            known.held += 1
            kinds[kind] = known
            return
        }
        let more = known.held > 0 ? " (and \(known.held) more like it)" : ""
        // What comes back every second or two has not been quiet.
        known.interval =
            quiet >= max(known.interval, 10 * shortest)
            ? shortest : min(known.interval * 2, max(Self.longest, shortest))
        (known.logged, known.held) = (now, 0)
        kinds[kind] = known
        logger.warning("\(kind): \(detail())\(more)")
    }
}
