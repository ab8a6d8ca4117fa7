/// One line of a scenario script.
enum ScenarioCommand: Equatable, Sendable {
    case cluster(shards: Int, replicas: Int)
    case account(String, shard: Int, balance: UInt64)
    case submit(from: String, to: String, amount: UInt64)
    /// Nanoseconds.
    case run(UInt64)
    case crash(Hosts)
    case restart(Hosts)
    case partition([[Int]])
    case heal
    /// Microseconds that the hosts' clocks are ahead of the right time.
    case clock(Hosts, Int64)
    case trace(Trace)
    case expect(Expectation)

    enum Hosts: Equatable, Sendable {
        case all
        case some([Int])
    }

    enum Trace: Equatable, Sendable {
        case off
        /// Everything but STATUS, which repeats itself for ever.
        case on
        case all
    }

    enum Expectation: Equatable, Sendable {
        /// Every host that is up has installed this view, on one shard or all.
        case view(UInt64, shard: Int?)
        /// Every host that is up stands at the same place of every shard.
        case executedAllEqual
        case executed(UInt64, shard: Int?)
        /// On every host that is up.
        case balance(String, UInt64)
        /// Of the last submission, by f + 1 attestations of each participant.
        case outcome(Outcome)
        case undecided(Int)
    }

    enum Outcome: String, Equatable, Sendable {
        case committed
        case aborted
        case unknown
    }
}

/// Why a script cannot be read or did not go as it expects.
public struct ScenarioFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Counts from 1.
    public let line: Int
    /// The line's words, one space between them and without its comment.
    public let command: String
    /// Why it is no command, or what was found instead of what the script expects.
    public let what: String

    /// Line, command and reason, as the tool prints them.
    public var description: String { "line \(line) (\(command)): \(what)" }
}

/// Reads scripts: one command a line, words between spaces, `#` begins a comment.
struct ScenarioParser {
    struct Line: Sendable {
        let number: Int
        let text: String
        let command: ScenarioCommand
    }

    /// As many as `quorate simulate` runs: each host of the simulation holds them all.
    static let maxShards = 64

    static let grammar = """
        cluster shards S replicas N (S to 64; N = 3f + 1, 4 to 64)
        account NAME shard S [balance AMOUNT]
        submit NAME->NAME AMOUNT
        run DURATION (5ms, 2s)
        crash all | HOST ...
        restart all | HOST ...
        partition HOST ... | HOST ...
        heal
        clock all | HOST ... DURATION (ahead; -30s behind; 0s right)
        trace on | off | all
        expect view V [shard S]
        expect executed all equal
        expect executed N [shard S]
        expect balance NAME AMOUNT
        expect outcome committed | aborted | unknown
        expect undecided N
        """

    static func parse(_ script: String) throws(ScenarioFailure) -> [Line] {
        var lines: [Line] = []
        for (i, raw) in script.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let text = raw.prefix { $0 != "#" }
            let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
            guard !words.isEmpty else { continue }
            let shown = words.joined(separator: " ")
            guard let command = command(words) else {
                throw ScenarioFailure(line: i + 1, command: shown, what: "no such command; there are:\n\(grammar)")
            }
            lines.append(Line(number: i + 1, text: shown, command: command))
        }
        return lines
    }

    private static func command(_ words: [String]) -> ScenarioCommand? {
        switch (words[0], words.count) {
        case ("cluster", 5) where words[1] == "shards" && words[3] == "replicas":
            guard let shards = Int(words[2]), let replicas = Int(words[4]), (1...maxShards).contains(shards),
                replicas >= 4, replicas <= 64, replicas % 3 == 1
            else { return nil }
            return .cluster(shards: shards, replicas: replicas)
        case ("account", 4), ("account", 6):
            guard words[2] == "shard", let shard = Int(words[3]), (0..<maxShards).contains(shard) else { return nil }
            if words.count == 4 { return .account(words[1], shard: shard, balance: 0) }
            guard words[4] == "balance", let balance = UInt64(words[5]) else { return nil }
            return .account(words[1], shard: shard, balance: balance)
        case ("submit", 3):
            guard let arrow = words[1].firstRange(of: "->"), let amount = UInt64(words[2]) else { return nil }
            return .submit(
                from: String(words[1][..<arrow.lowerBound]), to: String(words[1][arrow.upperBound...]), amount: amount)
        case ("run", 2): return duration(words[1]).map { .run($0) }
        case ("crash", 2...): return hosts(words.dropFirst()).map { .crash($0) }
        case ("restart", 2...): return hosts(words.dropFirst()).map { .restart($0) }
        case ("partition", 2...):
            let sides = words.dropFirst().split(separator: "|").map { $0.map { Int($0) } }
            guard sides.allSatisfy({ !$0.contains(nil) }) else { return nil }
            return .partition(sides.map { $0.compactMap { $0 } })
        case ("heal", 1): return .heal
        case ("clock", 3...):
            guard let last = words.last, let hosts = hosts(words.dropFirst().dropLast()) else { return nil }
            let isBehind = last.hasPrefix("-")
            guard let size = duration(isBehind ? String(last.dropFirst()) : last), size <= 86_400_000_000_000 else {
                return nil
            }
            return .clock(hosts, Int64(size / 1000) * (isBehind ? -1 : 1))
        case ("trace", 2):
            switch words[1] {
            case "on": return .trace(.on)
            case "off": return .trace(.off)
            case "all": return .trace(.all)
            default: return nil
            }
        case ("expect", 3...): return expectation(Array(words.dropFirst())).map { .expect($0) }
        default: return nil
        }
    }

    private static func expectation(_ words: [String]) -> ScenarioCommand.Expectation? {
        func shard() -> Int? {
            guard words.count == 4, words[2] == "shard", let shard = Int(words[3]), (0..<maxShards).contains(shard)
            else { return nil }
            return shard
        }
        switch words[0] {
        case "view":
            guard let view = UInt64(words[1]), words.count == 2 || shard() != nil else { return nil }
            return .view(view, shard: shard())
        case "executed":
            if words == ["executed", "all", "equal"] { return .executedAllEqual }
            guard let sequence = UInt64(words[1]), words.count == 2 || shard() != nil else { return nil }
            return .executed(sequence, shard: shard())
        case "balance":
            guard words.count == 3, let amount = UInt64(words[2]) else { return nil }
            return .balance(words[1], amount)
        case "outcome": return words.count == 2 ? ScenarioCommand.Outcome(rawValue: words[1]).map { .outcome($0) } : nil
        case "undecided": return words.count == 2 ? Int(words[1]).map { .undecided($0) } : nil
        default: return nil
        }
    }

    private static func hosts(_ words: ArraySlice<String>) -> ScenarioCommand.Hosts? {
        if Array(words) == ["all"] { return .all }
        let numbers = words.compactMap { Int($0) }
        return numbers.count == words.count ? .some(numbers) : nil
    }

    private static func duration(_ word: String) -> UInt64? {
        let (digits, unit) = (word.prefix(while: \.isNumber), word.drop(while: \.isNumber))
        guard let number = UInt64(digits), number < 1_000_000 else { return nil }
        switch unit {
        case "us": return number * 1_000
        case "ms": return number * 1_000_000
        case "s": return number * 1_000_000_000
        default: return nil
        }
    }
}
