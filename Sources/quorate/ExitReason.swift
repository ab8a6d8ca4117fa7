import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import NIOCore
import Workload

/// Every exit code of the tool. Scripts may rely on them.
enum ExitReason: Int32, CaseIterable {
    case failure = 1
    case folderExists = 10
    case wrongManifest = 11
    case missingKeys = 12
    case portInUse = 13
    case versionMismatch = 14
    case storage = 15
    case alreadyRunning = 16
    case notRunning = 17
    case noAnswer = 18
    case hostsMissing = 19
    case aborted = 20
    case outcomeUnknown = 21
    case invalidReceipt = 22
    case invariantFailed = 30
    case benchIncomplete = 31
    case invalidTrace = 32
    case drillFailed = 33
    case simulationFailed = 34
    case interrupted = 130

    var meaning: String {
        switch self {
        case .failure: "any other failure"
        case .folderExists: "the folder or file exists already"
        case .wrongManifest: "no cluster folder, or its cluster.json is not valid"
        case .missingKeys: "a key is missing, unreadable or does not belong to the manifest"
        case .portInUse: "a port is in use"
        case .versionMismatch: "the folder was written by another version, or by a host with other procedures"
        case .storage: "a host's disk was lost or cannot be used"
        case .alreadyRunning: "it is running already"
        case .notRunning: "it is not running"
        case .noAnswer: "a host or gateway does not answer"
        case .hostsMissing: "the cluster was started without some of its hosts"
        case .aborted: "the transaction was aborted, which is certified"
        case .outcomeUnknown: "the transaction's outcome is not known"
        case .invalidReceipt: "the receipt proves nothing"
        case .invariantFailed: "an invariant failed on the final state"
        case .benchIncomplete: "some transfers of a bench have no certified outcome"
        case .invalidTrace: "the trace file cannot be read"
        case .drillFailed: "the cluster did not do in a drill what it must"
        case .simulationFailed: "a simulated seed broke an invariant, or a scenario did not go as it says"
        case .interrupted: "interrupted by a signal"
        }
    }

    static var documentation: String {
        let lines = allCases.map { "  \(String(repeating: " ", count: 3 - String($0.rawValue).count))\($0.rawValue)  \($0.meaning)" }
        return (["EXIT CODES", "    0  success", "   64  wrong usage"] + lines).joined(separator: "\n")
    }
}

/// An error of the tool, with what to tell the user.
struct ToolError: Error, CustomStringConvertible {
    let reason: ExitReason
    let description: String

    init(_ reason: ExitReason, _ description: String) { (self.reason, self.description) = (reason, description) }

    /// Any error as the tool reports it.
    init(_ error: any Error) {
        switch error {
        case let error as ToolError: self = error
        case is CancellationError: self.init(.interrupted, "interrupted")
        case let error as ClusterFolderError: self.init(Self.reason(error), error.description)
        case let error as ManifestFileError: self.init(error.location.contains("version") ? .versionMismatch : .wrongManifest, error.description)
        case let error as KeyFileError: self.init(.missingKeys, error.description)
        case let error as IOError where error.errnoCode == EADDRINUSE: self.init(.portInUse, "the port is in use: \(error)")
        case let error as ListenFailure: self.init(error.reason.contains("already in use") ? .portInUse : .failure, error.description)
        case let error as TraceProblem: self.init(.invalidTrace, error.description)
        case let error as ClientError: self.init(Self.reason(error), error.description)
        case let error as ConnectionError: self.init(.noAnswer, error.description)
        case let error as HostConnectionError: self.init(.noAnswer, error.description)
        default: self.init(.failure, "\(error)")
        }
    }

    private static func reason(_ error: ClusterFolderError) -> ExitReason {
        switch error {
        case .exists: .folderExists
        case .noSuchFolder, .belongsElsewhere, .noSuchHost: .wrongManifest
        case .manifest(.version), .otherProcedures: .versionMismatch
        case .manifest: .wrongManifest
        case .manifestFile(let file): file.location.contains("version") ? .versionMismatch : .wrongManifest
        case .ports: .failure
        case .file: .storage
        case .inUse: .alreadyRunning
        }
    }

    private static func reason(_ error: ClientError) -> ExitReason {
        switch error {
        case .outcomeUnknown, .acknowledged: .outcomeUnknown
        case .noGateways: .notRunning
        case .readRefused: .noAnswer
        case .windowFull, .invalid: .failure
        }
    }
}

/// A command whose errors become a line on standard error and a documented exit code, and which ends in order when
/// the user interrupts it.
protocol ToolCommand: AsyncParsableCommand, Sendable {
    func execute() async throws
}

extension ToolCommand {
    func run() async throws {
        do {
            try await withInterrupts { try await execute() }
        } catch let code as ExitCode {
            throw code
        } catch {
            let error = ToolError(error)
            Console.error("error: \(error.description)")
            throw ExitCode(error.reason.rawValue)
        }
    }
}

/// Runs `body` in a task that the first SIGINT or SIGTERM cancels, so that what it started can be ended first.
func withInterrupts<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
    let task = Task { try await body() }
    let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { task.cancel() }
        source.resume()
        return source
    }
    defer { for source in sources { source.cancel() } }
    return try await task.value
}
