import Logging

/// Which lines of a log are left out, because the same ones came just before, or too many came at once: what somebody
/// can cause again and again must not fill a disk. Nothing at level critical is left out.
package struct RepeatLimit {
    package struct Line: Hashable {
        package let level: Logger.Level
        package let label: String
        package let message: String
        /// What the process does not say with every line, by key: of another transaction it is another line.
        package let details: [String: String]

        init(_ record: LogRecord) {
            (level, label, message) = (record.level, record.label, record.message)
            details = record.metadata.filter { !LogRecord.identity.contains($0.key) }.mapValues(\.description)
        }
    }

    /// Lines that were left out.
    package struct Left {
        package enum What {
            case like(Line)
            case any
        }
        package let what: What
        package let count: Int
    }

    private struct Period {
        var start: UInt64
        var length = RepeatLimit.shortest
        var written = 1
        var held = 0
        func isOver(_ now: UInt64) -> Bool { now - min(now, start) >= length }
    }

    /// So often the same line is written in a period.
    package static let burst = 5
    /// Nanoseconds. A period in which lines were left out is followed by one of twice its length.
    static let shortest: UInt64 = 10_000_000_000
    static let longest: UInt64 = 300_000_000_000
    /// Lines of any kind, in a second.
    package static let perSecond = 200
    /// Different lines that are remembered.
    static let capacity = 512

    private var periods: [Line: Period] = [:]
    private var second: (start: UInt64, written: Int, held: Int) = (0, 0, 0)
    /// Lines left out that are to be said next: of seconds that are over, and of lines that could not be remembered.
    private var forgotten = 0
    /// Some line was left out since `overdue` last found none.
    private var hasHeld = false

    package init() {}

    /// - Returns: how many lines like it were left out before it; nil if it is left out itself.
    package mutating func admit(_ record: LogRecord, now: UInt64) -> Int? {
        guard record.level < .critical else { return 0 }
        let line = Line(record)
        guard var period = periods[line] else {
            guard isRoomInSecond(now) else { return nil }
            if periods.count >= Self.capacity { forget(now) }
            periods[line] = Period(start: now)
            return 0
        }
        if period.isOver(now) {
            guard isRoomInSecond(now) else { return nil }
            let held = period.held
            periods[line] = Period(
                start: now, length: held > 0 ? min(period.length * 2, Self.longest) : Self.shortest)
            return held
        }
        guard period.written < Self.burst else {
            period.held += 1
            hasHeld = true
            periods[line] = period
            return nil
        }
        guard isRoomInSecond(now) else { return nil }
        period.written += 1
        periods[line] = period
        return 0
    }

    private mutating func isRoomInSecond(_ now: UInt64) -> Bool {
        if now - min(now, second.start) >= 1_000_000_000 {
            forgotten += second.held
            second = (now, 0, 0)
        }
        guard second.written < Self.perSecond else {
            second.held += 1
            hasHeld = true
            return false
        }
        second.written += 1
        return true
    }

    /// Those whose period is over, and all if they are too many.
    private mutating func forget(_ now: UInt64) {
        var kept = periods.filter { !$0.value.isOver(now) }
        if kept.count >= Self.capacity { kept = [:] }
        forgotten += periods.reduce(0) { kept[$1.key] == nil ? $0 + $1.value.held : $0 }
        periods = kept
    }

    /// What was left out, and has not been said within its period.
    package mutating func overdue(_ now: UInt64) -> [Left] {
        guard hasHeld || forgotten > 0 else { return [] }
        var left: [Left] = []
        hasHeld = false
        for (line, period) in periods where period.held > 0 {
            guard period.isOver(now) else {
                hasHeld = true
                continue
            }
            left.append(Left(what: .like(line), count: period.held))
            periods[line] = Period(start: now, length: min(period.length * 2, Self.longest), written: Self.burst)
        }
        if second.held > 0 {
            if now - min(now, second.start) >= 1_000_000_000 {
                forgotten += second.held
                second.held = 0
            } else {
                hasHeld = true
            }
        }
        if forgotten > 0 {
            left.append(Left(what: .any, count: forgotten))
            forgotten = 0
        }
        return left
    }
}
