import ArgumentParser
import Foundation
import QuorateHost
import StrictInput
import Workload

/// `quorate bench compare A B`.
struct CompareCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Put two reports of benches side by side, and say which differences are no chance.",
        discussion: """
            A and B are folders that quorate bench --report wrote, or their report.json. Runs are matched by what parts \
            the runs of a report from each other: shards, cross-shard share, and what else was varied. What is one and \
            the same in A and another in B (clients, the processor, the version …) is said first: it is what the two are \
            compared for, or why they should not be.

              quorate bench --shards 1,2,4 --duration 10 --report before
              quorate bench compare before after --report comparison

            Repeated runs are compared by the Mann-Whitney U test, exactly, at 5 %: four on each side are the fewest that \
            can show anything. One run each says nothing of chance.

            The exit code is \(ExitReason.benchWorse.rawValue) if B is worse in any figure and that is no chance, and \
            \(ExitReason.notComparable.rawValue) if the two have no run in common.
            """)

    @Argument(help: "A report: a folder or a report.json.", completion: .file()) var a: String
    @Argument(help: "The report that is compared with it.", completion: .file()) var b: String
    @OptionGroup var reporting: ReportOption
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false

    func execute() async throws {
        try reporting.prepare()
        let comparison = try BenchComparison(Self.read(a), Self.read(b), names: (a, b))
        if json { Console.json(document: try comparison.json()) } else { Console.out(comparison.table()) }
        try reporting.write { try comparison.write(to: $0, made: Made.now) }
        guard !comparison.rows.isEmpty else {
            throw ToolError(
                .notComparable, "\(a) and \(b) have no run in common: give two reports of the same shard counts")
        }
        if comparison.isWorse { throw ToolError(.benchWorse, "\(b) is worse than \(a), and that is no chance") }
    }

    /// A report of a bench, with what is wrong with it if it is none.
    static func read(_ path: String) throws -> BenchReport {
        var isFolder: ObjCBool = false
        let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let file = isFolder.boolValue ? "\(path)/report.json" : path
        guard isThere, FileManager.default.fileExists(atPath: file) else {
            throw ToolError(
                .failure,
                "\(file): there is no such file; give a folder that quorate bench --report wrote, or its report.json")
        }
        let data: Data
        do { data = try Data(contentsOf: URL(fileURLWithPath: file)) } catch {
            throw ToolError(.failure, "\(file): cannot be read: \((error as NSError).localizedDescription)")
        }
        do {
            let report = try JSONDecoder().decode(BenchReport.self, from: data)
            guard report.schema == 1 else {
                throw ToolError(.versionMismatch, "\(file): schema \(report.schema); this version reads schema 1")
            }
            guard !report.runs.isEmpty else { throw ToolError(.failure, "\(file): there is no run in it") }
            return report
        } catch let error as DecodingError {
            throw ToolError(.failure, "\(file): no report of quorate bench: \(Self.place(of: error))")
        }
    }

    private static func place(of error: DecodingError) -> String {
        func at(_ context: DecodingError.Context, _ key: String? = nil) -> String {
            let path =
                context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue } + (key.map { [$0] } ?? [])
            return path.isEmpty ? "the file" : Printable.line(path.joined(separator: "."))
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(at(context, key.stringValue)) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(at(context)) is not what is expected there"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "it is no JSON" : "\(at(context)) is not what is expected there"
        @unknown default: "it cannot be read"
        }
    }
}
