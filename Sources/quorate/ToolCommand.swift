import ArgumentParser
import Client
import Foundation
import HostRuntime
import QuorateHost
import StrictInput
import Workload

typealias ExitReason = QuorateHost.ExitReason

/// An error of the tool, with what to tell the user.
typealias ToolError = ProgramError

extension ProgramError {
    /// Any error as the tool reports it.
    init(_ error: any Error) {
        switch error {
        case let error as TraceProblem: self.init(.invalidTrace, error.description)
        // In their own words, which must not look like lines of ours.
        case let error as ClientError: self.init(Self.reason(error), Printable.line(error.description))
        case let error as ConnectionError: self.init(Self.reason(error), Printable.line(error.description))
        case let error as HostConnectionError: self.init(.noAnswer, Printable.line(error.description))
        case let error as ArchiveClientError: self.init(Self.reason(error), Printable.line(error.description))
        default: self.init(starting: error)
        }
    }

    private static func reason(_ error: ArchiveClientError) -> ExitReason {
        switch error {
        case .missing: .archiveGap
        case .unreachable, .contradiction, .short: .noAnswer
        }
    }

    private static func reason(_ error: ConnectionError) -> ExitReason {
        switch error {
        case .notTrusted, .tlsMismatch: .notTrusted
        case .cannotConnect, .lost, .closed, .timeout, .garbage, .tooManyOutstanding: .noAnswer
        }
    }

    private static func reason(_ error: ClientError) -> ExitReason {
        switch error {
        case .outcomeUnknown, .acknowledged: .outcomeUnknown
        case .noGateways: .notRunning
        case .readRefused, .noQuorum: .noAnswer
        case .windowFull, .invalid, .malformed: .failure
        }
    }
}

/// A command whose errors become a line on standard error, with `--json` an object on standard output, and a documented
/// exit code; and which ends in order when the user interrupts it.
protocol ToolCommand: AsyncParsableCommand, Sendable {
    /// `--json`, which every command has: one object on standard output, and nothing else there.
    var json: Bool { get }
    /// The signals that cancel it.
    var interrupts: Set<Int32> { get }
    func execute() async throws
}

extension ToolCommand {
    var interrupts: Set<Int32> { [SIGINT, SIGTERM, SIGHUP] }

    func run() async throws {
        let code = await exitCode()
        if code != 0 { throw ExitCode(code) }
    }

    private func exitCode() async -> Int32 {
        do {
            try await withInterrupts(of: interrupts) { try await executeOrSayWhatIsWaitedFor() }
            return 0
        } catch let code as ExitCode {
            // It has said what was wrong.
            if json, code.rawValue != 0 {
                Console.failure(
                    .init(exit: code.rawValue, message: ExitReason(rawValue: code.rawValue)?.meaning ?? "failed"))
            }
            return code.rawValue
        } catch let error as ValidationError {
            // Wrong use that only shows with the cluster's folder at hand.
            Console.error(Self.fullMessage(for: error))
            if json { Console.failure(.init(usage: error.message)) }
            return ExitCode.validationFailure.rawValue
        } catch {
            let error = ToolError(error)
            Console.error("error: \(error.description)")
            if json { Console.failure(.init(error)) }
            return error.reason.rawValue
        }
    }

    private func executeOrSayWhatIsWaitedFor() async throws {
        guard let asking = self as? any AsksCluster, let processes = try? asking.cluster.open() else {
            return try await execute()
        }
        try await ClusterPatience(processes, limit: type(of: asking).answerLimit).run { try await execute() }
    }
}
