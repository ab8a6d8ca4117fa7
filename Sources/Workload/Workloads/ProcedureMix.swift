import Messages
import Randomness
import StrictInput

/// A user's own procedures as a workload, as a file describes them.
public struct ProcedureFile: Sendable {
    struct Entry: Sendable {
        let name: String
        let version: UInt16
        let weight: Int
        /// Drawn by itself, or the first key or account of this argument.
        let target: Target
        let arguments: [ValueGenerator]
    }

    enum Target: Sendable {
        case argument(Int)
        case drawn(ValueGenerator)
    }

    /// Accounts that are opened and funded for the arguments; 0 if there are none.
    public let accounts: Int
    /// Minor units of asset 1 that each is opened with.
    public let balance: UInt64
    let entries: [Entry]

    /// Names and versions, as kinds of transactions.
    public var kinds: [String] { entries.map { $0.version == 1 ? $0.name : "\($0.name)@\($0.version)" } }

    /// - Throws: `InputProblem`, with the place of what is wrong.
    public init(reading path: String) throws {
        var limits = JSONReader.Limits()
        limits.bytes = 1 << 20
        let bytes = try InputFile.read(path, limit: limits.bytes)
        try self.init(JSONReader(bytes, file: path, limits: limits))
    }

    package init(_ root: JSONReader) throws(InputProblem) {
        let fields = try root.object(["procedures"], optional: ["accounts", "balance"])
        let accounts: Int? = try fields.optional("accounts")?.integer(in: 1...1_000_000)
        self.accounts = accounts ?? 0
        balance = try fields.optional("balance")?.integer(in: 0...UInt64(Int64.max)) ?? 1_000_000_000
        let list = try fields["procedures"].elements(limit: 64)
        var entries: [Entry] = []
        for element in list { entries.append(try Self.entry(element, accounts: accounts)) }
        guard WeightedChoice(entries.map(\.weight)) != nil else {
            throw fields["procedures"].problem("no procedure with a weight", expected: "one at least")
        }
        self.entries = entries
    }

    private static func entry(_ value: JSONReader, accounts: Int?) throws(InputProblem) -> Entry {
        let fields = try value.object(["name", "target", "arguments"], optional: ["version", "weight"])
        let name = try fields["name"].string()
        guard 1...Invocation.maxNameBytes / 2 ~= name.utf8.count else {
            throw fields["name"].problem("\(name.utf8.count) bytes", expected: "1 to \(Invocation.maxNameBytes / 2)")
        }
        var arguments: [ValueGenerator] = []
        for argument in try fields["arguments"].elements(limit: 64) {
            arguments.append(try ValueGenerator(reading: argument, accounts: accounts))
        }
        let bytes = arguments.reduce(0) { $0 + $1.maxBytes }
        guard bytes <= Invocation.maxValueBytes else {
            throw fields["arguments"].problem(
                "up to \(bytes) bytes", expected: "\(Invocation.maxValueBytes) bytes at most")
        }
        return Entry(
            name: name, version: try fields.optional("version")?.integer() ?? 1,
            weight: try fields.optional("weight")?.integer(in: 0...10_000) ?? 1,
            target: try target(fields["target"], of: arguments, accounts: accounts), arguments: arguments)
    }

    private static func target(
        _ value: JSONReader, of arguments: [ValueGenerator], accounts: Int?
    ) throws(InputProblem) -> Target {
        let expected =
            "one that is a key, a text of 1 to \(CallTarget.maxKeyBytes) bytes, an account, or a list that begins with one"
        if (try? value.peek("argument")) != nil {
            let field = try value.object(["argument"])["argument"]
            guard !arguments.isEmpty else { throw field.problem("there are no arguments", expected: expected) }
            let index = try field.integer(in: 0...arguments.count - 1)
            guard arguments[index].givesTarget else {
                throw field.problem("argument \(index) says no shard", expected: expected)
            }
            return .argument(index)
        }
        let generator = try ValueGenerator(reading: value, accounts: accounts)
        guard generator.givesTarget else { throw value.problem("it says no shard", expected: expected) }
        return .drawn(generator)
    }
}

/// Draws calls as a `ProcedureFile` says.
public struct ProcedureMix: TransactionMix {
    /// Where it comes from.
    public static let source = "the user's file"

    private let file: ProcedureFile
    private let choice: WeightedChoice
    /// Nil if the file has no accounts.
    private let keys: AccountKeys?
    private let map: ShardMap
    private var committed = 0
    /// Failures that no procedure means: a mistake in the file or in a procedure.
    private var mistakes: [String] = []
    private var moreMistakes = 0

    /// One for each entry of the file.
    public var kinds: [String] { file.kinds }

    /// - Parameter keys: of as many accounts as the file has.
    public init(_ file: ProcedureFile, keys: AccountKeys?, map: ShardMap) {
        precondition(file.accounts == 0 || keys?.ids.count == file.accounts)
        guard let choice = WeightedChoice(file.entries.map(\.weight)) else {
            preconditionFailure("files without a weight are refused")
        }
        (self.file, self.choice, self.keys, self.map) = (file, choice, keys, map)
    }

    /// Signed by the owner of the first account that it draws, if it draws one. It counts as crossing if its keys and
    /// accounts are on several shards.
    public mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<Int> {
        let kind = choice.sample(&random)
        let entry = file.entries[kind]
        let ids = keys?.ids ?? []
        var all = ValueGenerator.Drawn()
        var (target, first): (CallTarget?, Int?) = (nil, nil)
        var targets: [CallTarget] = []
        if case .drawn(let generator) = entry.target {
            var own = ValueGenerator.Drawn()
            generator.draw(into: &own, ids, using: &random)
            (target, first, targets) = (own.targets.first, own.accounts.first, own.targets)
        }
        for (index, argument) in entry.arguments.enumerated() {
            let before = all.targets.count
            argument.draw(into: &all, ids, using: &random)
            if case .argument(index) = entry.target { target = all.targets.dropFirst(before).first }
        }
        targets += all.targets
        let invocation = Invocation(
            // Checked when the file was read.
            target: target ?? .key(entry.name), procedure: entry.name, version: entry.version,
            arguments: all.bytes.bytes)
        return DrawnTransaction(
            kind: kind, operations: [.call(invocation)],
            principal: (first ?? all.accounts.first).flatMap { keys?.owner(of: $0) },
            isCross: Set(targets.map { map.shard(of: $0) }).count > 1, plan: kind)
    }

    /// Counts.
    public mutating func ended(_ plan: Int, _ ending: TransactionEnding) {
        if case .committed = ending { committed += 1 }
    }

    /// What is wrong with the file or a procedure is told at the end.
    public mutating func failed(_ failure: CallFailure) {
        switch failure.reason {
        case .unknownProcedure, .badArguments, .limit, .notDeterministic, .parallelConflict, .unbalanced, .quota:
            if mistakes.count < 3 { mistakes.append("\(failure)") } else { moreMistakes += 1 }
        case .procedure, .died, .deadline, .account, .waited, .frozen: return
        }
    }

    /// What procedures leave, only their author knows.
    public var subjects: CheckSubjects { CheckSubjects() }

    /// Whether all that was called is there, could read its arguments, kept to the bounds, and balanced its money.
    public func verdict(_ state: FinalValues) -> CheckVerdict {
        var verdict = CheckVerdict(
            "\(committed) calls committed, and none failed for a mistake in the file or in a procedure")
        // Only the author knows what must be there, so that is not said.
        verdict.looksAtState = false
        for mistake in mistakes { verdict.add(mistake) }
        if moreMistakes > 0 { verdict.add("\(moreMistakes) more calls failed like that") }
        return verdict
    }
}
