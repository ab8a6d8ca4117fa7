import ArgumentParser
import Foundation
import HostRuntime
import LMDBStore
import ManifestFile
import Messages
import QuorateHost
import StrictInput
import WriteAheadLog

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Read a stopped host's files, without changing a byte.",
        discussion: """
            FOLDER is a host's folder inside a cluster's folder, or what a host has put aside as damaged.

              quorate cluster kill-host demo 2
              quorate inspect journal demo/hosts/2
              quorate inspect state demo/hosts/2 --verify
              quorate inspect journal demo/hosts/2/journal.damaged-1

            A host that runs is refused (\(ExitReason.alreadyRunning.rawValue)), and does not start meanwhile.
            """,
        subcommands: [InspectJournal.self, InspectState.self])
}

/// What an `inspect` command was pointed at.
struct InspectedFolder {
    /// Absolute.
    let path: String
    /// A host's folder; otherwise it is the journal or the state itself.
    let isHost: Bool
    /// Of a host's folder, by its `host.json`.
    let host: Int?
    /// Of the host's folder that it is or is in: the host does not start while this is held.
    private let lock: FolderLock?

    /// - Parameter marks: whether a folder with these files is what is to be inspected itself.
    /// - Throws: `alreadyRunning` if the host runs.
    init(_ given: String, what: String, marks: ([String]) -> Bool) throws {
        let path = ClusterCommand.absolute(given)
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: path) } catch {
            guard access(path, F_OK) == 0 else { throw ToolError(.wrongManifest, "there is no folder \(path)") }
            throw ToolError(starting: error)
        }
        self.path = path
        isHost = names.contains("host.json")
        if isHost {
            let file = path + "/host.json"
            let bytes = FileManager.default.contents(atPath: file) ?? Data()
            host = try? JSONReader(Array(bytes.prefix(65536)), file: file).object(["cluster", "host"])["host"].integer(
                in: 0...65535)
            lock = try HostFolder.lockForReading(path)
            return
        }
        host = nil
        lock = try Self.lockAround(path)
        guard !marks(names) else { return }
        let hint =
            names.contains("cluster.json")
            ? "it is a cluster's folder; name a host's: quorate inspect \(what) \(Shell.quoted(given + "/hosts/0"))"
            : "it has no host.json, and is no \(what) either"
        throw ToolError(.wrongManifest, "\(path) is not a host's folder: \(hint)")
    }

    /// What is in a host's folder is the host's while that runs: a second process that opens a state without its lock
    /// may damage it. What was put aside as damaged is nobody's any more.
    /// - Returns: nil if it is in no host's folder.
    private static func lockAround(_ path: String) throws -> FolderLock? {
        // By way of a link it is the same folder.
        var folder = URL(fileURLWithPath: path).resolvingSymlinksInPath()
        for _ in 0..<3 where folder.path != "/" {
            if folder.lastPathComponent.contains(".damaged-") { return nil }
            folder = folder.deletingLastPathComponent()
            // `host.json` may be what was lost.
            let isHost = ["host.json", "host.key", "initialised"].contains { access(folder.path + "/" + $0, F_OK) == 0 }
            if isHost { return try HostFolder.lockForReading(folder.path) }
        }
        return nil
    }

    /// For a line that says of whom the rest is.
    var title: String { isHost ? host.map { "host \($0)" } ?? "a host whose host.json is damaged" : path }

    /// The manifest of the cluster that the folder is in.
    func manifest(_ cluster: String?) throws -> Manifest {
        if let cluster { return try ClusterCommand.open(cluster).manifest }
        var folder = URL(fileURLWithPath: path).standardizedFileURL
        for _ in 0..<8 where folder.path != "/" {
            if FileManager.default.fileExists(atPath: folder.appendingPathComponent("cluster.json").path) {
                return try ClusterFolder(opening: folder.path).manifest
            }
            folder = folder.deletingLastPathComponent()
        }
        throw ToolError(
            .wrongManifest, "there is no cluster.json in \(path) or above; say which cluster it is of with --cluster")
    }
}

extension ProgramError {
    /// What an inspection ends with: what is damaged is the disk's fault, unless another version wrote it.
    init(inspecting error: any Error) {
        switch error {
        case let error as JournalError: self.init(Self.reason(error), error.description)
        case let error as LMDBError: self.init(.storage, error.description)
        default: self.init(error)
        }
    }

    private static func reason(_ error: JournalError) -> ExitReason {
        switch error {
        case .unknownVersion: .versionMismatch
        case .storage(.lock, _, EWOULDBLOCK): .alreadyRunning
        case .storage(_, _, EACCES), .storage(_, _, EPERM): .notPermitted
        case .storage, .missing, .notEmpty, .rot, .missingSegment, .recordTooLarge, .noCompaction, .poisoned: .storage
        }
    }
}
