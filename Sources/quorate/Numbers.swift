import ArgumentParser

/// The numbers that an option or argument takes. It is said in the help, and checked while the command line is read: no
/// command sees a number that it cannot use.
///
///     @Option(help: Limits.timeout.help("Seconds to wait."), transform: Limits.timeout.parse) var timeout = 60
struct Whole<Number: FixedWidthInteger & Sendable>: Sendable {
    let range: ClosedRange<Number>

    init(_ range: ClosedRange<Number>) { self.range = range }

    var text: String { "\(range.lowerBound)..\(range.upperBound)" }

    /// - Parameter name: of an argument, which has no option's name before it.
    func help(_ text: String, name: String? = nil) -> ArgumentHelp {
        ArgumentHelp(text, valueName: (name.map { $0 + ":" } ?? "") + self.text)
    }

    var parse: @Sendable (String) throws -> Number {
        { [range] text in
            guard let number = Number(text), range.contains(number) else {
                throw OutOfRange(
                    description: "a whole number from \(range.lowerBound) to \(range.upperBound) is wanted")
            }
            return number
        }
    }
}

/// The same with a fraction, which the bounds show: seconds, from 0.0 to 3600.0.
struct Real: Sendable {
    let range: ClosedRange<Double>

    init(_ range: ClosedRange<Double>) { self.range = range }

    func help(_ text: String) -> ArgumentHelp {
        ArgumentHelp(text, valueName: "\(range.lowerBound)..\(range.upperBound)")
    }

    var parse: @Sendable (String) throws -> Double {
        { [range] text in
            // What is no number at all is in no range either.
            guard let number = Double(text), range.contains(number) else {
                throw OutOfRange(description: "a number from \(range.lowerBound) to \(range.upperBound) is wanted")
            }
            return number
        }
    }
}

struct OutOfRange: Error, CustomStringConvertible {
    let description: String
}

extension ArgumentHelp {
    init(_ text: String, valueName: String) {
        self.init(stringLiteral: text)
        self.valueName = valueName
    }
}

/// The ranges that several commands have.
enum Limits {
    /// A cluster's; what a manifest allows.
    static let shards = Whole(1...4096)
    static let replicas = Whole(4...64)
    static let port = Whole(1...65535)
    static let host = Whole(0...65535)
    /// As many as a host gives places to.
    static let gateways = Whole(0...64)
    static let someGateways = Whole(1...64)
    static let wait = Whole(1...86_400)
    static let clients = Whole(1...60_000)
    static let accounts = Whole(2...10_000_000)
    /// A key each: they are made before the load begins.
    static let keyedAccounts = Whole(2...50_000)
    static let kills = Whole(1...10_000)
    static let settle = Real(0...3600)
    static let traceRate = Real(0...1)
    /// Of each load of a drill.
    static let phase = Real(1...3600)
    /// Of one throughput to another.
    static let ratio = Real(0...10)
    static let seed = Whole<UInt64>(0...UInt64.max)

    static func checkReplicas(_ replicas: Int) throws {
        guard replicas % 3 == 1 else {
            throw ValidationError("--replicas must be 3f + 1, from 4 to 64 (4, 7, 10, …); got \(replicas).")
        }
    }

    /// - Parameter count: of `--hosts`, each with a replica of every shard.
    static func checkHosts(_ count: Int) throws {
        guard count % 3 == 1, (4...64).contains(count) else {
            throw ValidationError("--hosts needs 3f + 1 addresses, from 4 to 64 (4, 7, 10, …); got \(count).")
        }
    }

    /// - Parameter count: how many hosts there are.
    static func checkHost(_ host: Int, of count: Int) throws {
        guard (0..<count).contains(host) else {
            throw ValidationError("there is no host \(host); hosts are 0 to \(count - 1).")
        }
    }

    static func checkGateway(_ gateway: Int, of count: Int) throws {
        guard (0..<count).contains(gateway) else {
            throw ValidationError("there is no gateway \(gateway); gateways are 0 to \(count - 1).")
        }
    }
}

enum CommandWords {
    /// `--timeout -1` becomes `--timeout=-1`: the library would take the number for an option, and say that the value
    /// is missing instead of what is wrong with it.
    static func joiningNegativeNumbers(_ words: [String]) -> [String] {
        var joined: [String] = []
        for (i, word) in words.enumerated() {
            if word == "--" { return joined + words[i...] }
            if let last = joined.last, isOption(last), isNegativeNumber(word) {
                joined[joined.count - 1] = last + "=" + word
            } else {
                joined.append(word)
            }
        }
        return joined
    }

    private static func isOption(_ word: String) -> Bool {
        word.hasPrefix("--") && word.utf8.count > 2 && !word.contains("=")
    }

    private static func isNegativeNumber(_ word: String) -> Bool {
        guard word.hasPrefix("-"), let first = word.dropFirst().first else { return false }
        return first.isNumber || first == "." || ["-inf", "-nan", "-infinity"].contains(word.lowercased())
    }
}
