import ArgumentParser
import Foundation
import Workload

/// Where a bench or a drill writes its report.
struct ReportOption: ParsableArguments {
    @Option(
        help: "Write report.html, report.csv, report.json and, of a bench, latencies for HdrHistogram into this folder."
    ) var report: String?
    @Flag(help: "Replace what is there of an earlier report (and of an earlier --history or --output).") var overwrite =
        false

    func validate() throws {
        if let report, report.isEmpty { throw ValidationError("--report needs a folder.") }
    }

    private var folder: ReportFolder? { report.map { ReportFolder($0, overwrites: overwrite) } }

    /// Before anything is measured: what could not be written would be found out when it is too late.
    func prepare() throws {
        _ = Made.now
        guard let folder else { return }
        guard folder.conflicts.isEmpty else {
            throw ToolError(
                .folderExists,
                "--report: \(folder.path) holds a report already (\(folder.conflicts.joined(separator: ", "))); choose another folder, or "
                    + "replace it with --overwrite")
        }
        do { try folder.prepare() } catch { throw Self.failure(folder.path, error) }
    }

    /// - Parameter write: gives the folder that it has written into.
    func write(_ write: (ReportFolder) throws -> String) throws {
        guard let folder else { return }
        let path: String
        do { path = try write(folder) } catch { throw Self.failure(folder.path, error) }
        if path != folder.path { Console.error("somebody else has put a report into \(folder.path) meanwhile") }
        Console.error("report: \(URL(fileURLWithPath: path).standardizedFileURL.path)/report.html")
    }

    private static func failure(_ path: String, _ error: any Error) -> ToolError {
        let why =
            (error as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            ?? (error as NSError).localizedDescription
        return ToolError(.failure, "--report: cannot write into \(path): \(why)")
    }
}

/// When and how this command was started.
enum Made {
    static let now: Provenance = {
        var made = Provenance.current(version: Quorate.configuration.version)
        made.environment = .current(folder: BenchFolder.parent)
        return made
    }()

    /// With the clusters in a folder of the user's.
    /// - Parameter folder: it exists.
    static func now(keep folder: String) -> Provenance {
        var made = now
        // As it was at the beginning, but for the place.
        let there = Provenance.Environment.current(folder: folder)
        made.environment?.file_system = there.file_system
        made.environment?.disk = there.disk
        made.environment?.disk_rotates = there.disk_rotates
        return made
    }
}
