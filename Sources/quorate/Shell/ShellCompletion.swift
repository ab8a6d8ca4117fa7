import ArgumentParser
import Foundation
import StrictInput

/// What a word that is being written may become: from the tool's own commands, and the cluster's folder.
struct ShellCompletion: Sendable {
    let folder: String

    /// - Parameter text: the line up to the cursor.
    /// - Returns: the words, sorted, what of them is written, and how many characters are before it. Nil where there is
    ///   nothing to complete.
    func candidates(for text: String) -> (words: [String], written: String, start: Int)? {
        guard let (before, last, start) = ShellWords.unfinished(text) else { return nil }
        var words = before
        if words.first == "quorate" { words.removeFirst() }
        if let first = words.first, ShellLine.clusterWords.contains(first) { words.insert("cluster", at: 0) }
        let all = last.hasPrefix("-") ? flags(words) : values(words)
        return (Set(all).filter { $0.hasPrefix(last) }.sorted(), last, start)
    }

    /// The command that words name, and what follows its name.
    private func command(_ words: [String]) -> (type: any ParsableCommand.Type, rest: ArraySlice<String>) {
        var (type, rest): (any ParsableCommand.Type, ArraySlice<String>) = (Quorate.self, words[...])
        while let word = rest.first,
            let next = type.configuration.subcommands.first(where: { Self.names($0).contains(word) })
        {
            type = next
            rest = rest.dropFirst()
        }
        return (type, rest)
    }

    private static func names(_ type: any ParsableCommand.Type) -> [String] {
        [type._commandName] + type.configuration.aliases
    }

    private func values(_ words: [String]) -> [String] {
        let (type, rest) = command(words)
        let subcommands = type.configuration.subcommands.filter { $0.configuration.shouldDisplay }.map {
            $0._commandName
        }
        if words.isEmpty {
            return subcommands.filter { !ShellLine.refused.contains($0) } + ShellLine.clusterWords + ["help", "exit"]
        }
        if words.first == "help" { return subcommands }
        if !subcommands.isEmpty { return rest.isEmpty ? subcommands : [] }
        switch rest.last {
        case "--as": return accounts
        case let option? where option.hasPrefix("--") && takesValue(option, type): return []
        default: break
        }
        // Options and their values are no arguments; which are which need not be exact here.
        let place = rest.count { !$0.hasPrefix("-") }
        switch type {
        case is TransferCommand.Type: return place < 2 ? accounts : []
        case is IssueCommand.Type, is AccountCommand.Show.Type, is FreezeCommand.Type, is ReleaseCommand.Type:
            return place == 0 ? accounts : []
        case is TransactionCommand.List.Type: return accounts + KeyHolder.authorities
        case is CallCommand.Type: return place == 0 ? KnownProcedure.all.map(\.name) : []
        case is ReceiptCommand.Verify.Type, is ReceiptCommand.Show.Type: return receipts.map { $0.path }
        case is TransactionCommand.Show.Type, is TransactionCommand.Resolve.Type, is TransactionCommand.Abandon.Type,
            is ReceiptCommand.Fetch.Type, is TraceCommand.Type:
            return receipts.map { $0.txid }
        default: return []
        }
    }

    private var accounts: [String] { AccountFile.names(folder) }

    private var receipts: [(path: String, txid: String)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/receipts")) ?? []
        return names.filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }.map {
            ("\(folder)/receipts/\($0)", String($0.dropLast(5)))
        }
    }

    // MARK: Options

    private func flags(_ words: [String]) -> [String] {
        let type = command(words).type
        return Self.optionLines(type).flatMap(\.names)
    }

    private func takesValue(_ option: String, _ type: any ParsableCommand.Type) -> Bool {
        Self.optionLines(type).contains { $0.names.contains(option) && $0.takesValue }
    }

    /// From the help that the command prints: `  -c, --cluster <cluster>   …`.
    private static func optionLines(_ type: any ParsableCommand.Type) -> [(names: [String], takesValue: Bool)] {
        Quorate.helpMessage(for: type, columns: 200).split(separator: "\n").compactMap { line in
            guard line.hasPrefix("  -") else { return nil }
            let description = line.drop { $0 == " " }
            let head = description.firstRange(of: "  ").map { description[..<$0.lowerBound] } ?? description
            let names = head.split { " ,/".contains($0) }.filter { $0.hasPrefix("--") }.map(String.init)
            return names.isEmpty ? nil : (names, head.contains("<"))
        }
    }
}
