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
        case let error as ConnectionError: self.init(.noAnswer, Printable.line(error.description))
        case let error as HostConnectionError: self.init(.noAnswer, Printable.line(error.description))
        default: self.init(starting: error)
        }
    }

    private static func reason(_ error: ClientError) -> ExitReason {
        switch error {
        case .outcomeUnknown, .acknowledged: .outcomeUnknown
        case .noGateways: .notRunning
        case .readRefused, .noQuorum: .noAnswer
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
