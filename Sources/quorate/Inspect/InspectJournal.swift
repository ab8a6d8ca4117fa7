import ArgumentParser
import Foundation
import HostRuntime
import WriteAheadLog

struct InspectJournal: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal",
        abstract: "Say what a stopped host's journal holds, and whether it is whole.",
        discussion: """
            Every record is held against the one before it, as a start does it. A tail that a power cut has torn is no \
            damage: the next start writes over it. What is damaged is named with its segment and byte.

              quorate inspect journal demo/hosts/2
              quorate inspect journal demo/hosts/2 --last 20
              quorate inspect journal demo/hosts/2 --records --json | grep '"kind":"stable"'

            The exit code is 0 if the journal is whole; \(ExitReason.storage.rawValue) if durable records are lost or \
            altered; \(ExitReason.versionMismatch.rawValue) if it is another version's; \
            \(ExitReason.alreadyRunning.rawValue) if the host runs.
            """)
    @Argument(help: "A host's folder, or a journal's.") var folder: String
    @Option(
        name: .shortAndLong, help: Whole(0...1_000_000).help("Show so many records, the last ones."),
        transform: Whole(0...1_000_000).parse) var last = 5
    @Flag(help: "Show all records, before the rest.") var records = false
    @Flag(help: "Print one JSON object; with --records one on each line, and the rest last.") var json = false

    func execute() async throws {
        let inspected = try InspectedFolder(folder, what: "journal") { names in
            names.contains { $0.hasPrefix("journal-") }
        }
        defer { withExtendedLifetime(inspected) {} }
        let path = inspected.isHost ? inspected.path + "/journal" : inspected.path
        let journal: JournalInspection
        do { journal = try Journal.inspect(PosixJournalStorage(reading: path)) } catch {
            throw ToolError(inspecting: error)
        }
        let contents = JournalContents(journal, of: inspected.title, at: path)
        if records {
            for line in contents.lines { if json { try Console.json(line) } else { Console.out(line.text) } }
        }
        let shown = records ? [] : Array(contents.lines.suffix(last))
        if json {
            try Console.json(contents.document(last: shown))
        } else {
            Console.out(contents.text(last: shown))
        }
        guard let bad = contents.unreadable.first else { return }
        throw ToolError(
            .versionMismatch,
            "segment \(bad.segment), byte \(bad.offset): the record is whole and cannot be read: \(bad.problem ?? ""). Was it written by another version?"
        )
    }
}
