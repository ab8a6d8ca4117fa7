import Foundation

/// Where a report goes. Nothing that is there is overwritten unless it is asked for.
public struct ReportFolder: Sendable {
    /// What makes a folder one that holds a report.
    public static let files = ["report.html", "report.csv", "report.json"]
    /// What may stand beside them: a name begins and ends so.
    private static let companions = (prefix: "latency", suffixes: [".hlog", ".hgrm"])

    /// As the user gave it. `write` says where the report went.
    public let path: String
    private let overwrites: Bool

    /// - Parameter overwrites: a report that is there is replaced.
    public init(_ path: String, overwrites: Bool = false) { (self.path, self.overwrites) = (path, overwrites) }

    /// What a report would take the place of, as it is now.
    public var conflicts: [String] {
        overwrites ? [] : Self.files.filter { FileManager.default.fileExists(atPath: "\(path)/\($0)") }
    }

    /// Makes the folder if it is missing, and finds out whether something can be written there: before a bench, not
    /// after it.
    public func prepare() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard access(path, W_OK | X_OK) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EACCES) }
    }

    /// Writes the files: into the folder, or, if somebody has put a report there meanwhile, into a new one beside it
    /// (`out-2`), so that neither is lost.
    /// - Parameter texts: by the name of the file, which is one of `files`, or one that belongs to them:
    ///   `latency.hlog`, `latency-….hgrm`. Such files of an earlier report that is overwritten go with it.
    /// - Returns: the folder.
    public func write(_ texts: [(name: String, text: String)]) throws -> String {
        try prepare()
        let folder = overwrites ? path : try claim()
        if overwrites {
            for name in try FileManager.default.contentsOfDirectory(atPath: folder)
            where name.hasPrefix(Self.companions.prefix) && Self.companions.suffixes.contains(where: name.hasSuffix) {
                try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
            }
        }
        for (name, text) in texts {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"), options: .atomic)
        }
        return folder
    }

    /// The first folder in which none of the files is, and the first of them, empty, was made there by nobody else.
    private func claim() throws -> String {
        let base = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        for number in 1...10_000 {
            let folder = number == 1 ? base : "\(base)-\(number)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            guard ReportFolder(folder).conflicts.isEmpty else { continue }
            let descriptor = open("\(folder)/\(Self.files[0])", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            if descriptor >= 0 {
                close(descriptor)
                return folder
            }
            guard errno == EEXIST else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        }
        throw POSIXError(.EEXIST)
    }
}
