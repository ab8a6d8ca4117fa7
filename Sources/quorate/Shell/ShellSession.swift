import Foundation
import StrictInput

/// One line after the other, from a person or from a script.
struct ShellSession: Sendable {
    let line: ShellLine
    let folder: String
    private static let leaving: Set<String> = ["exit", "quit"]

    private enum Result {
        case done(Int32)
        case end
    }

    /// Until Ctrl-D or `exit`. What fails says so, and the next line comes.
    func converse() async throws {
        var history = ShellHistory(folder: folder)
        var prompt = ShellPrompt(
            name: URL(fileURLWithPath: folder).lastPathComponent, completion: ShellCompletion(folder: folder))
        Console.error("\"help\" says what there is; Ctrl-D ends.")
        while let text = try await prompt.read(history.lines) {
            history.add(text)
            switch await perform(text) {
            case .end: return
            case .done(0): break
            case .done(let code): Console.error("exit code \(code)\(Self.meaning(code))")
            }
            try Task.checkCancellation()
        }
    }

    /// - Returns: the exit code of the last line that failed; 0 if none did.
    func run(stopOnError: Bool, echo: Bool) async throws -> Int32 {
        var input = CommandInput(STDIN_FILENO, wait: 100)
        var (number, last) = (0, Int32(0))
        while let next = try await input.nextLine() {
            number += 1
            let result: Result
            switch next {
            case .line(let text):
                if echo { Console.out("> \(text)") }
                result = await perform(text)
            case .invalid(let why):
                Console.error("error: the line \(why)")
                result = .done(64)
            }
            try Task.checkCancellation()
            switch result {
            case .end: return last
            case .done(0): continue
            case .done(let code):
                Console.error("line \(number): exit code \(code)\(Self.meaning(code))")
                last = code
            }
            if stopOnError { break }
        }
        return last
    }

    private static func meaning(_ code: Int32) -> String {
        if code == 64 { return " (wrong usage)" }
        return ExitReason(rawValue: code).map { " (\($0.meaning))" } ?? ""
    }

    private func perform(_ text: String) async -> Result {
        Console.beginCommand()
        let words: [String]
        do { words = try ShellWords.split(text) } catch {
            complain(.init(usage: "\(error)"))
            return .done(64)
        }
        guard let first = words.first else { return .done(0) }
        if words.count == 1, Self.leaving.contains(first) { return .end }
        if words == ["help"] {
            Console.out(Self.help)
            return .done(0)
        }
        do {
            let arguments = try line.arguments(words)
            return .done(await Quorate.perform(arguments, json: line.json || arguments.contains("--json")))
        } catch {
            let error = ToolError(error)
            complain(.init(error))
            return .done(error.reason.rawValue)
        }
    }

    private func complain(_ failure: FailureObject.Failure) {
        Console.error("error: \(failure.message)")
        if line.json { Console.failure(failure) }
    }

    private static var help: String {
        """
          account list                          the accounts whose keys are here, and what they hold
          account create NAME [--issue AMOUNT]  a new account
          transfer FROM TO AMOUNT               move money, and keep the proof
          call PROCEDURE JSON --as NAME         run a procedure
          tx list, tx show TXID                 requests and what became of them
          receipt verify FILE                   check a proof
          status, logs, kill-host N, up, …      as quorate cluster status and so on, of this cluster
          help COMMAND, COMMAND --help          more of each
          exit                                  leave; so does Ctrl-D

        Tab completes. Cursor keys, Home, End, Ctrl-A, -E, -K, -U, -W, -Y, -L edit; up and down go through the history.
        """
    }
}
