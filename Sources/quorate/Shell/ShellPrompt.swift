import Foundation
import StrictInput

/// Reads a line that a person edits on a terminal.
///
/// The editor is our own (`LineEditor`) and no library's: libedit and readline are in no Swift package, so they would be
/// one more library in every build and package of the tool, and their completion is a C callback into Swift.
struct ShellPrompt {
    private let prompt: String
    private let completion: ShellCompletion
    private var input = CommandInput(STDIN_FILENO, wait: 100)
    private var decoder = KeyDecoder()
    /// Where the line is shown.
    private let output: Int32
    private let isDumb: Bool
    /// Of a list of completions.
    private static let maxListed = 100

    /// - Parameter name: of the cluster.
    init(name: String, completion: ShellCompletion) {
        prompt = "\(Printable.line(name))> "
        self.completion = completion
        output = isatty(STDOUT_FILENO) == 1 ? STDOUT_FILENO : STDERR_FILENO
        isDumb = ["dumb", ""].contains(ProcessInfo.processInfo.environment["TERM"] ?? "")
    }

    /// Nil at the end.
    /// - Throws: `CancellationError`; `ToolError` if the terminal gives what is no text.
    mutating func read(_ history: [String]) async throws -> String? {
        guard !isDumb, let terminal = TerminalMode(STDIN_FILENO, .editing) else { return try await readPlain() }
        defer { terminal.restore() }
        var editor = LineEditor(history: history)
        show(editor)
        while let byte = try await input.nextByte() {
            guard let key = decoder.feed(byte) else { continue }
            switch editor.apply(key) {
            case .none: break
            case .submit(let line):
                _ = editor.apply(.end)
                show(editor)
                Console.write("\n", to: output)
                return line
            case .interrupted:
                Console.write("^C\n", to: output)
                editor = LineEditor(history: history)
            case .end:
                Console.write("\n", to: output)
                return nil
            case .clear: Console.write("\u{1b}[H\u{1b}[2J", to: output)
            case .complete: complete(&editor)
            }
            // Of what is pasted only the end is shown.
            if !input.hasMore { show(editor) }
        }
        Console.write("\n", to: output)
        return nil
    }

    /// The terminal edits.
    private mutating func readPlain() async throws -> String? {
        Console.write(prompt, to: output)
        switch try await input.nextLine() {
        case .line(let line): return line
        case .invalid(let why): throw ToolError(.failure, "the line \(why)")
        case nil: return nil
        }
    }

    private func show(_ editor: LineEditor) {
        Console.write(editor.picture(prompt: prompt, columns: TerminalMode.width(output)), to: output)
    }

    private func complete(_ editor: inout LineEditor) {
        guard let found = completion.candidates(for: editor.before) else { return }
        if found.words.count == 1 {
            editor.replace(from: found.start, with: Shell.quoted(found.words[0]) + " ")
        } else if let common = Self.commonPrefix(found.words), common.count > found.written.count {
            editor.replace(from: found.start, with: Shell.quoted(common))
        } else if !found.words.isEmpty {
            let shown = found.words.prefix(Self.maxListed).map(Printable.line)
            let more = found.words.count - shown.count
            Console.write(
                "\n" + Self.columns(shown, width: TerminalMode.width(output))
                    + (more > 0 ? "\n… and \(more) more" : "") + "\n", to: output)
        }
    }

    private static func commonPrefix(_ words: [String]) -> String? {
        words.dropFirst().reduce(words.first) { $0?.commonPrefix(with: $1) }
    }

    private static func columns(_ words: [String], width: Int) -> String {
        let cell = (words.map(TerminalWidth.of).max() ?? 0) + 2
        let perRow = max(1, width / cell)
        return stride(from: 0, to: words.count, by: perRow).map { start in
            words[start..<min(start + perRow, words.count)].map {
                $0 + String(repeating: " ", count: cell - TerminalWidth.of($0))
            }.joined()
        }.joined(separator: "\n")
    }
}
