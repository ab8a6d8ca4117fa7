import Foundation
import Cores
import HostRuntime
import ManifestFile
import NIOCore
import ShardState
import StrictInput

/// Every exit code of the tool and of host programs. Scripts may rely on them, and `quorate cluster up` on those of
/// hosts.
package enum ExitReason: Int32, CaseIterable {
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
    case notTraced = 23
    case invalidExport = 24
    case archiveGap = 25
    case invariantFailed = 30
    case benchIncomplete = 31
    case invalidTrace = 32
    case drillFailed = 33
    case simulationFailed = 34
    case gatewaysLost = 35
    case benchWorse = 38
    case notComparable = 39
    case output = 40
    case notPermitted = 41
    case busy = 42
    case cannotCommit = 43
    case attention = 44
    case notTrusted = 45
    case interrupted = 130

    package var meaning: String {
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
        case .invalidExport: "the export is not complete, or does not say what was signed"
        case .archiveGap: "the hosts have not archived what an export asks for, or not any more"
        case .notTraced: "the transaction was not traced, or its stamps are gone"
        case .invariantFailed: "an invariant failed on the final state, or on what clients saw"
        case .benchIncomplete: "some transactions of a bench have no certified outcome"
        case .invalidTrace: "the trace file cannot be read"
        case .drillFailed: "the cluster did not do in a drill what it must"
        case .simulationFailed: "a simulated seed broke an invariant, or a scenario did not go as it says"
        case .gatewaysLost: "no gateway of a bench is left"
        case .benchWorse: "of two reports that were compared the second is worse, which is no chance"
        case .notComparable: "two reports that were compared have no run in common"
        case .output: "what it had to say could not be written"
        case .notPermitted: "not permitted: a process or file of another user"
        case .busy: "another command is at work on the cluster's folder"
        case .cannotCommit: "too many replicas of a shard are missing, so it commits nothing"
        case .attention: "something needs attention that stops nothing yet: quorate doctor says what"
        case .notTrusted:
            "a gateway does not prove who it is, or speaks TLS where plain TCP is expected, or the reverse"
        case .interrupted: "interrupted by a signal"
        }
    }

    /// As programs read it: `outcome_unknown`.
    package var name: String {
        "\(self)".reduce(into: "") { text, character in
            if character.isUppercase { text += "_" }
            text += character.lowercased()
        }
    }

    package static var documentation: String {
        let lines = allCases.map {
            "  \(String(repeating: " ", count: 3 - String($0.rawValue).count))\($0.rawValue)  \($0.meaning)"
        }
        return
            (["EXIT CODES", "    0  success", "   64  wrong usage"] + lines
            + ["  141  whoever read its standard output did not read to the end"]).joined(separator: "\n")
    }
}

/// An error with its exit code, and what to tell the user.
package struct ProgramError: Error, CustomStringConvertible {
    package let reason: ExitReason
    package let description: String
    /// The transaction that the error is about, in hexadecimal, if there is one: `quorate tx resolve` takes it.
    package let txid: String?

    package init(_ reason: ExitReason, _ description: String, txid: String? = nil) {
        (self.reason, self.description, self.txid) = (reason, description, txid)
    }

    /// Why a host or gateway does not start, or a cluster's folder cannot be used.
    package init(starting error: any Error) {
        switch error {
        case let error as ProgramError: self = error
        case is CancellationError: self.init(.interrupted, "interrupted")
        case let error as ClusterFolderError: self.init(Self.reason(error), error.description)
        case let error as ManifestFileError: self.init(Self.reason(error), error.description)
        case let error as KeyFileError: self.init(.missingKeys, error.description)
        case let error as ServerCertificateError: self.init(.missingKeys, error.description)
        case let error as SettingProblem: self.init(.failure, error.description)
        case let error as StorageFailure: self.init(.storage, error.description)
        case let error as IOError where error.errnoCode == EADDRINUSE:
            self.init(.portInUse, "the port is in use: \(String(cString: strerror(error.errnoCode)))")
        case let error as ListenFailure:
            self.init(error.reason.contains("already in use") ? .portInUse : .failure, error.description)
        case HostStartError.state(_, .otherProcedures), HostStartError.state(_, .stateVersion),
            HostStartError.badRecord:
            self.init(.versionMismatch, "\(error)")
        case let error as InputProblem: self.init(.failure, error.description)
        default:
            let (reason, text) = PlainWords.failure(error)
            self.init(reason, text)
        }
    }

    private static func reason(_ error: ClusterFolderError) -> ExitReason {
        switch error {
        case .exists: .folderExists
        case .noSuchFolder, .belongsElsewhere, .damagedIdentity, .noSuchHost, .hostFolderAlone, .whichHost:
            .wrongManifest
        case .manifest(.version), .otherProcedures: .versionMismatch
        case .manifest: .wrongManifest
        case .manifestFile(let file): reason(file)
        case .ports, .addressTwice: .failure
        case .authority, .noAuthorityKey, .otherAuthority: .missingKeys
        case .file, .tooManyAside: .storage
        case .inUse: .alreadyRunning
        }
    }

    private static func reason(_ error: ManifestFileError) -> ExitReason {
        error.location == "version" ? .versionMismatch : .wrongManifest
    }
}
