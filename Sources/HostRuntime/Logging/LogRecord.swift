import Glibc
import Logging
import StrictInput

/// How lines of a log look.
public enum LogFormat: String, CaseIterable, Sendable {
    /// For people: time, level, label and message, then what else there is, as `key=value`.
    case text
    /// For programs: one JSON object a line.
    case json
}

/// What one line says.
package struct LogRecord {
    package let level: Logger.Level
    package let label: String
    package let message: String
    package var metadata: Logger.Metadata

    package init(level: Logger.Level, label: String, message: String, metadata: Logger.Metadata = [:]) {
        (self.level, self.label, self.message, self.metadata) = (level, label, message, metadata)
    }

    /// Those that every line of a process has. Text leaves them out: the label says who speaks.
    static let identity: Set<String> = ["cluster", "host", "gateway"]
    /// Those that a JSON line has of its own.
    private static let own: Set<String> = ["time", "level", "label", "message"]

    /// - Returns: the line with its line feed.
    package func line(_ format: LogFormat, at time: String = LogRecord.time()) -> String {
        switch format {
        case .text: text(at: time)
        case .json: json(at: time)
        }
    }

    // MARK: Text

    /// Text from outside may hold line breaks, which would forge lines, and what a terminal obeys.
    private func text(at time: String) -> String {
        var line = "\(time) \(level) \(label) \(Printable.line(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where !Self.identity.contains(key) {
            line += " \(Printable.line(key))=\(Self.word(value.description))"
        }
        return line + "\n"
    }

    private static func word(_ text: String) -> String {
        let plain = Printable.line(text)
        return plain.contains(" ") || plain.isEmpty ? "\"\(plain.replacing("\"", with: "'"))\"" : plain
    }

    // MARK: JSON

    /// `time`, `level`, `label` and `message`, then the metadata by key: whole numbers as numbers, all else as text. A
    /// key that the line has of its own gets `metadata_` before it.
    private func json(at time: String) -> String {
        var members = [("time", time), ("level", "\(level)"), ("label", label), ("message", message)].map {
            "\"\($0)\":\(Self.quoted($1))"
        }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let name = Self.own.contains(key) ? "metadata_" + key : key
            members.append("\(Self.quoted(name)):\(Self.value(value))")
        }
        return "{\(members.joined(separator: ","))}\n"
    }

    private static func value(_ value: Logger.MetadataValue) -> String {
        if case .stringConvertible(let number) = value, number is any FixedWidthInteger { return number.description }
        return quoted(value.description)
    }

    /// Any text as a JSON string on one line. What is invisible or would be obeyed by a terminal becomes an escape.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default:
                if scalar.value < 32 {
                    out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return Printable.json(out + "\"")
    }

    /// UTC with milliseconds.
    package static func time() -> String {
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
