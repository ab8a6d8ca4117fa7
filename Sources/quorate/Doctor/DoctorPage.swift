import Foundation
import Messages
import StrictInput
import Workload

/// A diagnosis for a person: the worst first, in the width of the terminal.
struct DoctorPage {
    private let diagnosis: Diagnosis
    private let snapshot: ClusterSnapshot
    private let width: Int

    init(_ diagnosis: Diagnosis, of snapshot: ClusterSnapshot, width: Int = Terminal.width) {
        (self.diagnosis, self.snapshot, self.width) = (diagnosis, snapshot, width)
    }

    func show() {
        let hasColour = Terminal.hasColour
        let lines = lines.map { line in
            let text = Printable.line(line.text)
            return hasColour && !line.colour.isEmpty ? "\u{1b}[\(line.colour)m\(text)\u{1b}[0m" : text
        }
        Console.write(lines.joined(separator: "\n") + "\n", to: STDOUT_FILENO)
    }

    typealias Line = (text: String, colour: String)

    var lines: [Line] {
        let name = "cluster \(snapshot.manifest.cluster.short)"
        var lines: [Line] = []
        let problems = diagnosis.findings.filter { $0.severity < .notice }
        if problems.isEmpty {
            let isCalm = diagnosis.findings.isEmpty
            // With a notice it is not said that everything is.
            let line = isCalm ? "\(name): \(diagnosis.summary)" : "\(name): nothing needs attention"
            lines += plain(line, indent: 0, colour: isCalm ? "32" : "")
            lines += plain("checked: " + diagnosis.checked.joined(separator: "; "), indent: 0)
        } else {
            lines += plain("\(name): \(count)", indent: 0)
        }
        for finding in diagnosis.findings { lines += [("", "")] + self.lines(of: finding) }
        return lines
    }

    private var count: String {
        Finding.Severity.allCases.compactMap { severity in
            let count = diagnosis.findings.count { $0.severity == severity }
            guard count > 0 else { return nil }
            return switch severity {
            case .critical: "\(count) critical"
            case .warning: "\(count) \(count == 1 ? "warning" : "warnings")"
            case .notice: "\(count) \(count == 1 ? "notice" : "notices")"
            }
        }.joined(separator: ", ")
    }

    private func lines(of finding: Finding) -> [Line] {
        let colour =
            switch finding.severity {
            case .critical: "1;31"
            case .warning: "33"
            case .notice: "36"
            }
        var lines = plain(
            "\(finding.severity.rawValue.uppercased())  \(finding.what)  [\(finding.code.rawValue)]", indent: 2,
            first: 0, colour: colour)
        if let since = finding.since { lines += field("since", self.since(since)) }
        lines += field("affects", finding.affects)
        lines += field("do", finding.advice)
        // A command is not broken: it is to be pasted.
        return lines + finding.commands.map { (String(repeating: " ", count: 13) + $0, "") }
    }

    private func field(_ name: String, _ text: String) -> [Line] {
        let label = "  " + name + String(repeating: " ", count: 9 - name.count)
        let wrapped = TextWrap.lines(text, width: max(20, width - 11))
        return wrapped.enumerated().map { i, line in ((i == 0 ? label : String(repeating: " ", count: 11)) + line, "") }
    }

    private func plain(_ text: String, indent: Int, first: Int = 0, colour: String = "") -> [Line] {
        TextWrap.lines(text, width: max(20, width - indent)).enumerated().map { i, line in
            (String(repeating: " ", count: i == 0 ? first : indent) + line, colour)
        }
    }

    private func since(_ since: Finding.Since) -> String {
        func ago(_ date: Date) -> String {
            let seconds = max(0, snapshot.taken.timeIntervalSince(date))
            return seconds < 120
                ? "\(Int(seconds)) s" : seconds < 7200 ? "\(Int(seconds / 60)) min" : "\(Int(seconds / 3600)) h"
        }
        return switch since {
        case .at(let date): "\(Self.text(date)), \(ago(date)) ago"
        case .after(let date): "some time after \(Self.text(date)), its last word, \(ago(date)) ago"
        }
    }

    /// `2026-11-30T21:50:16Z`
    static func text(_ date: Date) -> String { date.formatted(.iso8601) }
}

enum TextWrap {
    /// At spaces; a word that is longer than a line stands on one of its own.
    static func lines(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if line.isEmpty, lines.isEmpty || !word.isEmpty {
                line = String(word)
            } else if line.count + 1 + word.count <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = String(word)
            }
        }
        return lines + [line]
    }
}

/// Standard output, if it is a terminal.
enum Terminal {
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }
    static var hasColour: Bool { isOutput && ProcessInfo.processInfo.environment["NO_COLOR"].map(\.isEmpty) ?? true }

    /// In columns; what `COLUMNS` says, or 100, where there is no terminal.
    static var width: Int { size.columns }
    static var height: Int { size.rows }

    private static var size: (columns: Int, rows: Int) {
        var size = winsize()
        if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 20, size.ws_row > 0 {
            return (Int(size.ws_col), Int(size.ws_row))
        }
        let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 100
        return (max(20, min(columns, 1000)), 40)
    }
}
