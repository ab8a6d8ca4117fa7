/// What is wrong with something that was read: in which file, at which place, what is there and what was expected.
package struct InputProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package let file: String
    /// A path like `hosts[2].port`; empty for the whole document.
    package let path: String
    /// From 1; the column counts bytes. Nil where the file as a whole is at fault.
    package let line: Int?
    package let column: Int?
    package let problem: String
    package let expected: String?

    package init(
        file: String, path: String = "", line: Int? = nil, column: Int? = nil, problem: String, expected: String? = nil
    ) {
        (self.file, self.path, self.line, self.column) = (file, path, line, column)
        (self.problem, self.expected) = (problem, expected)
    }

    package var description: String {
        var text = Printable.line(file)
        if let line, let column { text += ":\(line):\(column)" }
        if !path.isEmpty { text += ", at \(path)" }
        return text + ": " + problem + (expected.map { "; expected \($0)" } ?? "")
    }
}
