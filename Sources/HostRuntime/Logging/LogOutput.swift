import Glibc
import Logging
import Synchronization

/// Where the lines of a process go, in which form, and from which level on. The level may change at any time.
public final class LogOutput: Sendable {
    /// Text from `info` on, to standard error, which the launcher may have pointed at a file.
    public static let standardError = LogOutput()

    private struct State {
        var lines = LogLines()
        var limit = RepeatLimit()
    }

    private let descriptor: Int32
    private let current: Mutex<(level: Logger.Level, format: LogFormat)>
    private let state = Mutex(State())

    /// - Parameter descriptor: is written to as long as the process lives, and not closed.
    package init(level: Logger.Level = .info, format: LogFormat = .text, descriptor: Int32 = STDERR_FILENO) {
        self.descriptor = descriptor
        current = Mutex((level, format))
    }

    /// Loggers without a level of their own hand over nothing below it.
    public var level: Logger.Level {
        get { current.withLock { $0.level } }
        set { current.withLock { $0.level = newValue } }
    }

    /// Of the lines from now on.
    public var format: LogFormat {
        get { current.withLock { $0.format } }
        set { current.withLock { $0.format = newValue } }
    }

    /// One level more (`info` becomes `debug`) or less; the first and the last stay.
    /// - Returns: the new one.
    @discardableResult public func step(_ isMore: Bool) -> Logger.Level {
        let levels = Logger.Level.allCases
        return current.withLock { current in
            let place = levels.firstIndex(of: current.level) ?? 0
            let next = isMore ? max(place - 1, 0) : min(place + 1, levels.count - 1)
            current.level = levels[next]
            return levels[next]
        }
    }

    package func write(_ record: LogRecord, now: UInt64 = Clock.uptime()) {
        let format = format
        state.withLock { state in
            // First: what was left out of the same line is said with it.
            let admitted = state.limit.admit(record, now: now)
            for left in state.limit.overdue(now) {
                put(Self.note(left, from: record), format, &state.lines)
            }
            guard let leftOut = admitted else { return }
            var record = record
            if leftOut > 0 {
                record = LogRecord(
                    level: record.level, label: record.label,
                    message: record.message + " (and \(leftOut) more like it)",
                    metadata: record.metadata.merging(["left_out": .stringConvertible(leftOut)]) { $1 })
            }
            put(record, format, &state.lines)
        }
    }

    private func put(_ record: LogRecord, _ format: LogFormat, _ lines: inout LogLines) {
        lines.write(
            record.line(format), to: descriptor,
            says: {
                LogRecord(level: .warning, label: record.label, message: $0, metadata: record.metadata.identity)
                    .line(format)
            })
    }

    /// What is said of lines that were left out, when none like them comes to say it.
    private static func note(_ left: RepeatLimit.Left, from record: LogRecord) -> LogRecord {
        var metadata = record.metadata.identity
        metadata["left_out"] = .stringConvertible(left.count)
        switch left.what {
        case .like(let line):
            return LogRecord(
                level: line.level, label: line.label,
                message: "\(left.count) more lines like this one: \(line.message)",
                metadata: metadata.merging(line.details.mapValues { .string($0) }) { own, _ in own })
        case .any:
            return LogRecord(
                level: .warning, label: record.label,
                message:
                    "\(left.count) lines of this log were left out: more than \(RepeatLimit.perSecond) came in a second",
                metadata: metadata)
        }
    }
}

extension Logger.Metadata {
    /// Only what every line of the process has.
    fileprivate var identity: Logger.Metadata { filter { LogRecord.identity.contains($0.key) } }
}
