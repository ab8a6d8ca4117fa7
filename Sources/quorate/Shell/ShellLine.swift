import ArgumentParser
import Foundation
import StrictInput

/// What the tool is given for a line of the shell.
struct ShellLine: Sendable {
    /// The folder's absolute path.
    let cluster: String
    /// Whether every command is to print JSON.
    let json: Bool

    /// They make clusters of their own, or would be a shell in a shell.
    static let refused: Set<String> = ["bench", "drill", "demo", "simulate", "shell", "repl", "host", "gateway"]

    /// Those of `quorate cluster` that are about a cluster which is there already: the shell knows which.
    static let clusterWords: [String] = ClusterCommand.configuration.subcommands.map { $0._commandName }
        .filter { $0 != "init" }

    /// - Parameter words: of the line; not none.
    /// - Returns: what `quorate` would be given in an ordinary shell.
    /// - Throws: `ToolError` for what does not run in here.
    func arguments(_ words: [String]) throws -> [String] {
        var words = CommandWords.joiningNegativeNumbers(words)
        // Hints are written to be pasted into an ordinary shell.
        if words.first == "quorate", words.count > 1 { words.removeFirst() }
        guard let first = words.first else { return words }
        if Self.refused.contains(first) {
            throw ToolError(
                .failure, "\(Printable.quoted(first.utf8)) does not run inside the shell; leave it with exit first")
        }
        if Self.clusterWords.contains(first) { words.insert("cluster", at: 0) }
        if words.count >= 2, words[0] == "cluster", Self.clusterWords.contains(words[1]) {
            let isNamed = words.dropFirst(2).contains { ClusterCommand.absolute($0) == cluster }
            let asksForHelp = words.dropFirst(2).contains { ["--help", "-h", "--version"].contains($0) }
            if !isNamed, !asksForHelp { words.insert(cluster, at: 2) }
        }
        return withOptions(words)
    }

    /// A line that makes no sense stays as it is, so that what is said of it is about what was written.
    private func withOptions(_ words: [String]) -> [String] {
        guard var command = try? Quorate.parseAsRoot(words) else { return words }
        var words = words
        func add(_ options: [String]) {
            var longer = words
            longer.insert(contentsOf: options, at: words.firstIndex(of: "--") ?? words.endIndex)
            guard let parsed = try? Quorate.parseAsRoot(longer) else { return }
            (words, command) = (longer, parsed)
        }
        if let asking = command as? any AsksCluster, asking.cluster.given == nil { add(["--cluster", cluster]) }
        if json, let tool = command as? any ToolCommand, !tool.json { add(["--json"]) }
        return words
    }
}
