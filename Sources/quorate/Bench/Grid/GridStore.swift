import Foundation
import StrictInput
import Workload

/// The folder of a grid: `grid.json` says what its runs have in common, `cells` has a file for each finished run.
struct GridStore: Sendable {
    private let path: String
    private var cells: String { "\(path)/cells" }
    private var manifest: String { "\(path)/grid.json" }
    private static let limit = 64 << 20

    init(_ path: String) { self.path = URL(fileURLWithPath: path).standardizedFileURL.path }

    /// Makes the folder, or goes on with what is there.
    /// - Returns: the runs that are finished.
    /// - Throws: `folderExists` if it is another grid's.
    func open(_ identity: GridIdentity, overwrites: Bool) throws -> [GridRecord] {
        try SecretFile.makeFolder(path, mode: 0o755)
        try lock()
        if let known = try read(GridIdentity.self, manifest) {
            let differences = known.differences(from: identity)
            if differences.isEmpty, !overwrites {
                let extended = known.adding(filesOf: identity)
                if extended != known { try write(extended, manifest) }
                return try existing()
            }
            guard overwrites else {
                throw ToolError(
                    .folderExists,
                    "\(path) is of another grid: \(differences.joined(separator: "; ")). Choose another folder, or remove its runs with --overwrite"
                )
            }
        } else {
            let there = ReportFolder(path).conflicts
            guard there.isEmpty || overwrites else {
                throw ToolError(
                    .folderExists,
                    "\(path) holds a report that is not of a grid (\(there.joined(separator: ", "))); choose another folder, or replace it with --overwrite"
                )
            }
        }
        // The runs first: a folder that says whose they are must not hold another grid's.
        for name in names() { try SecretFile.remove("\(cells)/\(name)") }
        try SecretFile.makeFolder(cells, mode: 0o755)
        try write(identity, manifest)
        return []
    }

    /// Two commands at once would measure everything twice, and disturb each other. The lock goes with the process.
    private func lock() throws {
        let name = "\(path)/lock"
        let descriptor = Foundation.open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ToolError(.storage, "cannot open \(name): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw ToolError(.busy, "another grid is at work on \(path); wait until it has ended, or end it")
        }
    }

    /// The runs of a folder, as they are.
    /// - Throws: if there is no grid, or a file cannot be understood.
    func existing() throws -> [GridRecord] {
        guard try read(GridIdentity.self, manifest) != nil else {
            throw ToolError(.failure, "\(path) holds no grid: there is no grid.json")
        }
        var records: [GridRecord] = []
        for name in names() {
            guard let record = try read(GridRecord.self, "\(cells)/\(name)") else { continue }
            guard name == Self.name(record.cell) else {
                throw ToolError(
                    .failure, "\(cells)/\(name) is not the run that its name says; remove it, and it is measured again")
            }
            records.append(record)
        }
        return records
    }

    /// Returns when it is durable: a power loss takes nothing that was finished.
    func save(_ record: GridRecord) throws { try write(record, "\(cells)/\(Self.name(record.cell))") }

    /// - Returns: the folder.
    func write(_ report: BenchReport, _ summary: GridSummary) throws -> String {
        // They follow from the runs, so those of before may go.
        let folder = try report.write(
            to: ReportFolder(path, overwrites: true),
            title: "Quorate grid" + (report.partial == nil ? "" : " (partial: not all runs were finished)"))
        try SecretFile.replace("\(path)/grid.csv", Array(summary.csv().utf8), mode: 0o644)
        return folder
    }

    private static func name(_ cell: GridCell) -> String { "\(cell.digest).json" }

    /// Ascending. What an interrupted write has left has another ending.
    private func names() -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: cells)) ?? []
        return all.filter { $0.hasSuffix(".json") }.sorted()
    }

    private func write(_ value: some Encodable, _ path: String) throws {
        try SecretFile.replace(path, Array((try Console.document(value) + "\n").utf8), mode: 0o644)
    }

    /// - Returns: nil if there is no file.
    private func read<T: Decodable>(_ type: T.Type, _ path: String) throws -> T? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do {
            let bytes = try InputFile.read(path, limit: Self.limit)
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let problem as InputProblem {
            throw ToolError(.failure, problem.description)
        } catch {
            throw ToolError(
                .failure,
                "\(path) cannot be understood; another version may have written it. Remove it, and it is measured again"
            )
        }
    }
}
