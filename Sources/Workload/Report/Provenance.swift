import Foundation
import StrictInput

/// When, by what and on what a report was made.
public struct Provenance: Codable, Sendable, Equatable {
    /// UTC, ISO 8601, to the second: when the command began.
    public var date: String
    /// Of Quorate.
    public var version: String
    /// As a shell takes it, so that it can be repeated.
    public var command: String
    /// The processor's name; nil where the system does not tell.
    public var cpu: String?
    /// That this process may use.
    public var cores: Int
    /// What else the figures depend on; nil in reports from before it was noted.
    public var environment: Environment?

    /// For reports whose making is known otherwise; `current` is for this process.
    public init(date: String, version: String, command: String, cpu: String?, cores: Int) {
        (self.date, self.version, self.command, self.cpu, self.cores) = (date, version, command, cpu, cores)
    }

    /// Of this process, on this machine.
    public static func current(version: String, arguments: [String] = CommandLine.arguments, now: Date = Date())
        -> Provenance
    {
        let program = arguments.first.map { URL(fileURLWithPath: $0).lastPathComponent } ?? "quorate"
        return Provenance(
            date: now.formatted(.iso8601), version: version,
            command: text(of: [program] + arguments.dropFirst()),
            cpu: processor(), cores: ProcessInfo.processInfo.activeProcessorCount)
    }

    /// A command line as a shell takes it.
    public static func text(of words: [String]) -> String { words.map(word).joined(separator: " ") }

    /// The cores, and the processor where its name is known, as a report's head shows them.
    public var machine: String { "\(cores) \(cores == 1 ? "core" : "cores")\(cpu.map { ", \($0)" } ?? "")" }

    private static func processor() -> String? {
        (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
            .first { $0.hasPrefix("model name") }?.split(separator: ":", maxSplits: 1).last.map {
                $0.trimmingCharacters(in: .whitespaces)
            }
    }

    /// In quotes where a shell would otherwise make something else of it.
    private static func word(_ argument: String) -> String {
        let text = Printable.line(argument)
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                        || "-_./:,=@%+".unicodeScalars.contains($0))
            }
        return isPlain ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
}
