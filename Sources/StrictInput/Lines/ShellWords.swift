/// A line in words, as a POSIX shell splits it (Shell Command Language, 2.2 and 2.3), but nothing in it is expanded:
/// `$`, `*`, `~` and backquotes stand for themselves. What a shell would take for an operator must be quoted, so that
/// nobody pipes what is no pipe.
package enum ShellWords {
    /// What is wrong with a line, and from which character on: the first is 1.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package let column: Int
        let what: String
        package var description: String { "column \(column): \(what)" }
    }

    /// - Throws: `Problem`.
    package static func split(_ line: String) throws(Problem) -> [String] {
        var scanner = Scanner(line)
        scanner.scan()
        if let problem = scanner.problem { throw problem }
        switch scanner.quote {
        case nil: break
        case .escape: throw Problem(column: scanner.quoteStart + 1, what: "a character must follow the backslash")
        case .single: throw Problem(column: scanner.quoteStart + 1, what: "the single quote does not end")
        case .double, .doubleEscape:
            throw Problem(column: scanner.quoteStart + 1, what: "the double quote does not end")
        }
        return scanner.words + (scanner.current.map { [$0.text] } ?? [])
    }

    /// The beginning of a line, whose last word is being written.
    /// - Returns: the words before it, what there is of it without its quotes, and the number of characters before it.
    ///   In a comment, or behind what is no word, there is nothing to complete: nil.
    package static func unfinished(_ line: String) -> (words: [String], last: String, start: Int)? {
        var scanner = Scanner(line)
        scanner.scan()
        guard scanner.problem == nil, !scanner.isComment else { return nil }
        return (scanner.words, scanner.current?.text ?? "", scanner.current?.start ?? line.count)
    }

    private struct Scanner {
        enum Quote { case single, double, escape, doubleEscape }

        private let line: String
        private(set) var words: [String] = []
        private(set) var current: (text: String, start: Int)?
        private(set) var quote: Quote?
        private(set) var quoteStart = 0
        private(set) var isComment = false
        private(set) var problem: Problem?
        private static let operators: Set<Unicode.Scalar> = ["|", "&", ";", "<", ">", "(", ")"]

        init(_ line: String) { self.line = line }

        mutating func scan() {
            for (i, character) in line.enumerated() {
                // A quote is one whatever mark stands over it, as in a shell: else a word that begins with a mark could
                // not be quoted.
                for scalar in character.unicodeScalars {
                    guard problem == nil, !isComment else { return }
                    take(scalar, i)
                }
            }
        }

        private mutating func take(_ character: Unicode.Scalar, _ i: Int) {
            switch quote {
            case .single:
                if character == "'" { quote = nil } else { append(character, i) }
            case .double: inDoubleQuotes(character, i)
            case .doubleEscape:
                // Before anything else the backslash stands for itself.
                if !["$", "`", "\"", "\\"].contains(character) { append("\\", i) }
                append(character, i)
                quote = .double
            case .escape:
                append(character, i)
                quote = nil
            case nil: outside(character, i)
            }
        }

        private mutating func inDoubleQuotes(_ character: Unicode.Scalar, _ i: Int) {
            switch character {
            case "\"": quote = nil
            case "\\": quote = .doubleEscape
            default: append(character, i)
            }
        }

        private mutating func outside(_ character: Unicode.Scalar, _ i: Int) {
            switch character {
            case " ", "\t":
                if let current { words.append(current.text) }
                current = nil
            case "'": open(.single, i)
            case "\"": open(.double, i)
            case "\\": open(.escape, i)
            case "#" where current == nil: isComment = true
            case let character where Self.operators.contains(character):
                problem = Problem(
                    column: i + 1, what: "\(character) is no operator here; quote it if it belongs to a word")
            default: append(character, i)
            }
        }

        private mutating func open(_ new: Quote, _ i: Int) {
            (quote, quoteStart) = (new, i)
            // Empty quotes are a word.
            if current == nil { current = ("", i) }
        }

        private mutating func append(_ character: Unicode.Scalar, _ i: Int) {
            current = ((current?.text ?? "") + String(character), current?.start ?? i)
        }
    }
}
