import Foundation
import Testing

/// What the documents say of the repository, held against it: links, the path of a transfer, modules, messages, rules,
/// decisions.
@Suite struct DocumentationTests {
    static var documents: [String] {
        let pages = (try? Repository.files(under: "docs", endingIn: ".md")) ?? []
        return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/template/README.md"] + pages
    }

    @Test func thereAreDocuments() { #expect(Self.documents.count >= 40) }

    // MARK: Links

    @Test(arguments: documents)
    func everyLinkLeadsSomewhere(document: String) throws {
        let folder = document.split(separator: "/").dropLast().joined(separator: "/")
        for link in try Markdown(document).links where !link.contains("://") && !link.hasPrefix("mailto:") {
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let target = parts[0].isEmpty ? document : Repository.path(parts[0], from: folder)
            guard Repository.exists(target) else {
                Issue.record("\(document): \(link) leads to \(target), which is not there")
                continue
            }
            if parts.count == 2, target.hasSuffix(".md") {
                let anchors = try Markdown(target).anchors
                #expect(anchors.contains(parts[1]), "\(document): \(link): \(target) has no such heading")
            }
        }
    }

    // MARK: The path of a transfer

    /// In backticks stand paths of files, and after each, up to the next one or the next heading, words that occur in
    /// that file.
    @Test func whatThePathOfATransferNamesIsThere() throws {
        var file = ""
        var words: Set<String> = []
        var names = 0
        for line in try Markdown("docs/PATH-OF-A-TRANSFER.md").prose {
            if line.hasPrefix("#") { file = "" }
            for code in Markdown.code(in: line) {
                if code.hasSuffix(".swift") {
                    (file, words) = (code, [])
                    if Repository.exists(code) {
                        words = try Set(Self.words(of: Repository.text(code)))
                    } else {
                        Issue.record("\(code) is not there")
                    }
                } else if !file.isEmpty {
                    names += 1
                    for word in Self.words(of: code) { #expect(words.contains(word), "\(file) has no \(code)") }
                }
            }
        }
        #expect(names >= 80)
    }

    private static func words(of text: String) -> [String] {
        text.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
    }

    // MARK: Modules

    /// `docs/ARCHITECTURE.md` has a row for each module; its last column is what Package.swift lets it import of ours.
    @Test func theTableOfModulesIsThePackages() throws {
        let modules = try Package().modules
        var table: [String: Set<String>] = [:]
        for row in try Markdown("docs/ARCHITECTURE.md").rows(under: "## Modules") {
            guard let first = row.first, let last = row.last, let name = Markdown.code(in: first).first else {
                continue
            }
            #expect(table[name] == nil, "\(name) has two rows")
            let imports = last.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            table[name] = Set(imports.filter { $0 != "-" })
        }
        #expect(table.keys.sorted() == modules.keys.sorted())
        for (name, dependencies) in modules {
            #expect(table[name]?.sorted() == dependencies.sorted(), "the row of \(name)")
        }
    }

    @Test func modulesImportOnlyWhatTheTableSays() throws {
        let modules = try Package().modules
        for (name, dependencies) in modules {
            for file in try Repository.files(under: "Sources/\(name)", endingIn: ".swift") {
                for line in try Repository.text(file).components(separatedBy: "\n") {
                    // Attributes and an access level may stand before it, and a kind of declaration after it.
                    let parts = line.split(separator: " ").map(String.init)
                    guard let keyword = parts.firstIndex(of: "import"), let imported = parts.last,
                        parts.count <= keyword + 3,
                        parts[..<keyword].allSatisfy({
                            $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0)
                        })
                    else { continue }
                    let module = imported.components(separatedBy: ".")[0]
                    let isAllowed = modules[module] == nil || dependencies.contains(module)
                    #expect(isAllowed, "\(file) imports \(module)")
                }
            }
        }
    }

    /// Whoever executes a batch relies on it that its signatures were checked.
    @Test func onlyPBFTSaysThatABatchIsOrdered() throws {
        var vouching: [String] = []
        for file in try Repository.files(under: "Sources", endingIn: ".swift") {
            let text = try Repository.text(file)
            let makers = [
                "OrderedBatch(", "OrderedBatch.init", ".init(committed:", ".init(claimed:", ".init(journaled:",
            ]
            // What is measured alone has no group either.
            let isMeasured = file.contains("Sources/Benchmarks/")
            if !isMeasured, makers.contains(where: text.contains) { vouching.append(file) }
        }
        #expect(!vouching.isEmpty && vouching.allSatisfy { $0.contains("Sources/PBFT/") }, "\(vouching)")
    }

    // MARK: Messages, rules, decisions

    @Test func everyMessageIsDescribed() throws {
        let section = try Markdown("docs/ARCHITECTURE.md").section("## Messages")
        let named = Set(section.flatMap { Markdown.code(in: $0) })
        let types = [
            "HostMessage": "Wire", "PBFTMessage": "PBFTMessages", "StateTransferMessage": "StateTransferMessage",
            "GatewayMessage": "Wire", "HostReply": "Wire", "ClientMessage": "Wire", "GatewayReply": "Wire",
        ]
        for (type, file) in types {
            let lines = try Repository.text("Sources/Messages/\(file).swift").components(separatedBy: "\n")
            let start = try #require(lines.firstIndex(where: { $0.hasPrefix("public enum \(type):") }), "\(type)")
            // Its cases stand at its beginning, before any function of it.
            let declarations = lines[(start + 1)...].prefix(while: { !$0.contains("init(") && !$0.contains("func ") })
            let cases = declarations.filter { $0.hasPrefix("    case ") }.map { Self.words(of: $0)[1] }
            #expect(!cases.isEmpty, "\(type)")
            for name in cases { #expect(named.contains(name), "\(type).\(name)") }
        }
    }

    @Test func everyRuleIsThereAndOnThePath() throws {
        let rules = try Markdown("docs/ARCHITECTURE.md").section("## The rules")
        let path = try Markdown("docs/PATH-OF-A-TRANSFER.md").section("## Where the rules are kept")
        for number in 1...15 {
            #expect(rules.contains { $0.hasPrefix("- **R\(number)** ") }, "R\(number)")
            #expect(path.contains { $0.hasPrefix("| R\(number) |") }, "R\(number)")
        }
    }

    @Test func everyDecisionIsInTheIndex() throws {
        let links = Set(try Markdown("docs/decisions/README.md").links)
        for file in try Repository.files(under: "docs/decisions", endingIn: ".md")
        where file != "docs/decisions/README.md" {
            let name = file.components(separatedBy: "/").last ?? file
            #expect(links.contains(name), "\(name) is not in docs/decisions/README.md")
        }
    }
}

/// The checkout that this file is in.
private enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func place(_ path: String) -> String { root.appending(path: path).path(percentEncoded: false) }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: place(path)) }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Ascending.
    static func files(under folder: String, endingIn suffix: String) throws -> [String] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: place(folder))
        return names.filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
    }

    /// A relative path of a link in a document of `folder`, from the root.
    static func path(_ link: String, from folder: String) -> String {
        var parts = folder.split(separator: "/").map(String.init)
        for part in link.split(separator: "/").map(String.init) where part != "." {
            if part != ".." { parts.append(part) } else if !parts.isEmpty { parts.removeLast() }
        }
        return parts.joined(separator: "/")
    }
}

/// As much of Markdown as our documents use.
private struct Markdown {
    /// The lines outside of blocks of code.
    let prose: [String]

    init(_ path: String) throws {
        var isCode = false
        var prose: [String] = []
        for line in try Repository.text(path).components(separatedBy: "\n") {
            if line.trimmingCharacters(in: .whitespaces).hasPrefix("```") {
                isCode.toggle()
            } else if !isCode {
                prose.append(line)
            }
        }
        self.prose = prose
    }

    /// What stands in backticks in a line.
    static func code(in line: String) -> [String] {
        line.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map { $0.element }
    }

    /// Targets of links and pictures.
    var links: [String] {
        prose.flatMap { line in
            line.components(separatedBy: "](").dropFirst().map { $0.components(separatedBy: ")")[0] }
        }
    }

    /// As GitHub makes them of headings.
    var anchors: Set<String> {
        Set(
            prose.filter { $0.hasPrefix("#") }.map { line in
                let title = line.drop(while: { $0 == "#" }).trimmingCharacters(in: .whitespaces).lowercased()
                let kept = title.filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
                return kept.replacingOccurrences(of: " ", with: "-")
            })
    }

    /// From a heading to the next one of the same depth.
    func section(_ heading: String) -> [String] {
        let depth = String(heading.prefix(while: { $0 == "#" })) + " "
        return Array(prose.drop(while: { $0 != heading }).dropFirst().prefix(while: { !$0.hasPrefix(depth) }))
    }

    /// The cells of a section's tables.
    func rows(under heading: String) -> [[String]] {
        section(heading).filter { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }
}

/// What Package.swift says of our modules, tests aside.
private struct Package {
    /// By name, what each depends on of ours.
    let modules: [String: Set<String>]

    init() throws {
        let lines = try Repository.text("Package.swift").components(separatedBy: "\n")
        let text = lines.filter { !$0.trimmingCharacters(in: .whitespaces).hasPrefix("//") }.joined(separator: "\n")
            .replacing(#/(t|T)arget\(\s*name: /#) { "\($0.1)arget(name: " }
            .replacingOccurrences(of: ".systemLibrary(name: ", with: ".target(name: ")
        // What is in quotes from the beginning of each target (`target`, `executableTarget`, `testTarget`) to that of
        // the next one; its name comes first.
        let targets = text.components(separatedBy: "arget(name: ").dropFirst().map { Self.quoted($0) }
        let names = Set(targets.compactMap(\.first)).filter { Repository.exists("Sources/\($0)") }
        var modules: [String: Set<String>] = [:]
        for target in targets {
            guard let name = target.first, names.contains(name) else { continue }
            modules[name] = Set(target.dropFirst()).intersection(names)
        }
        self.modules = modules
    }

    private static func quoted(_ text: String) -> [String] {
        text.components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }.map { $0.element }
    }
}
