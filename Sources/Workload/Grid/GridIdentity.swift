/// What all cells of one grid have in common. Cells that differ in more than their axes say nothing about them.
public struct GridIdentity: Codable, Equatable, Sendable {
    /// Of the folder's files.
    public var schema = 1
    /// Of Quorate.
    public var version: String
    /// SHA-256 of the program: two builds of one version need not measure alike.
    public var program: String
    /// The same of the program of the hosts; null where it is the same one.
    public var host_program: String?
    /// What every run was told beside its axes.
    public var arguments: [String]
    /// SHA-256 by path, of files that options name, those of axes too. Null in folders of before.
    public var files: [String: String]?
    /// The processor's name; null where the system does not tell.
    public var cpu: String?
    /// That the process may use.
    public var cores: Int

    /// - Parameters:
    ///   - program: SHA-256 in hexadecimal.
    ///   - hostProgram: the same of another program that the hosts run.
    ///   - arguments: of every run, beside its axes.
    ///   - files: SHA-256 by path, as options name it.
    public init(
        version: String, program: String, hostProgram: String?, arguments: [String], files: [String: String] = [:],
        cpu: String?, cores: Int
    ) {
        self.files = files
        (self.version, self.program, host_program) = (version, program, hostProgram)
        (self.arguments, self.cpu, self.cores) = (arguments, cpu, cores)
    }

    /// In what a folder differs from what is asked for now, a phrase each; none where its cells may be gone on with.
    public func differences(from now: GridIdentity) -> [String] {
        var found: [String] = []
        if schema != now.schema { found.append("its files are of schema \(schema), not \(now.schema)") }
        if version != now.version { found.append("it was measured with version \(version), this is \(now.version)") }
        if version == now.version, program != now.program {
            found.append(
                "it was measured with another build of this version (\(program.prefix(12))…, this is \(now.program.prefix(12))…)"
            )
        }
        if host_program != now.host_program { found.append("its hosts ran another program") }
        if arguments != now.arguments { found.append("it was measured with \(text), not with \(now.text)") }
        for (path, digest) in (now.files ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard let known = files?[path], known != digest else { continue }
            found.append("\(path) has other content than when it was measured")
        }
        if cpu != now.cpu || cores != now.cores {
            found.append("it was measured on another machine: \(machine), this is \(now.machine)")
        }
        return found
    }

    /// What files of one more value of an axis hold is known from now on, too.
    public func adding(filesOf now: GridIdentity) -> GridIdentity {
        var result = self
        result.files = (files ?? [:]).merging(now.files ?? [:]) { known, _ in known }
        return result
    }

    /// Paths of files that say what is measured.
    /// - Parameter words: options with values, as a command line has them.
    public static func files(in words: [String]) -> [String] {
        let options = ["--trace", "--procedures", "--network", "--calibration"]
        var found: Set<String> = []
        for (i, word) in words.enumerated() {
            for option in options {
                if word == option, i + 1 < words.count { found.insert(words[i + 1]) }
                if word.hasPrefix(option + "=") { found.insert(String(word.dropFirst(option.count + 1))) }
            }
        }
        return found.sorted()
    }

    private var text: String { arguments.isEmpty ? "no further options" : "`\(arguments.joined(separator: " "))`" }
    private var machine: String { "\(cores) cores of \(cpu ?? "an unknown processor")" }
}

/// A finished cell, as its file has it.
public struct GridRecord: Codable, Equatable, Sendable {
    /// Of the file.
    public var schema = 1
    /// What was measured.
    public var cell: GridCell
    /// That measures the same again.
    public var command: String
    /// UTC, ISO 8601: when it began.
    public var began: String
    /// From the start of its cluster to its end.
    public var seconds: Double
    /// One, unless an option of the bench asked for more.
    public var runs: [RunResult]

    /// - Parameters:
    ///   - command: that measures the same again.
    ///   - began: UTC, ISO 8601.
    ///   - seconds: the whole cell's.
    public init(cell: GridCell, command: String, began: String, seconds: Double, runs: [RunResult]) {
        (self.cell, self.command, self.began, self.seconds, self.runs) = (cell, command, began, seconds, runs)
    }
}
