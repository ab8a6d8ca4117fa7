import StrictInput

// As Jepsen's bank workload and the model "bank" of elle-cli have it; `found` is ours, and other readers pass over it:
// {:process 0, :type :ok, :f :transfer, :time 9, :value {:from 0, :to 1, :amount 5}, :found [100 95]}
// {:process 1, :type :ok, :f :read, :time 17, :value {0 95, 1 100}}

/// What a transaction does in a bank, or learns of it.
public enum BankAction: Hashable, Sendable {
    /// From one account to another.
    /// - Parameter found: what the two held before; nil where that is not known.
    case transfer(from: Int, to: Int, amount: UInt64, found: Pair?)
    /// Of all accounts, in order. Nil: not known what was read.
    case read([UInt64]?)

    /// What the two accounts of a transfer held.
    public struct Pair: Hashable, Sendable {
        /// Of the paying account.
        public let from: UInt64
        /// Of the receiving account.
        public let to: UInt64
        /// Balances before the transfer.
        public init(from: UInt64, to: UInt64) { (self.from, self.to) = (from, to) }
    }
}

/// What clients asked for and saw of a few accounts, between which money moves, and all of which are read at once.
public typealias BankHistory = History<BankAction>

extension BankAction: HistoryValue {
    /// Accounts by their numbers.
    public var words: String {
        switch self {
        case .transfer(let from, let to, let amount, let found):
            "transfer \(amount) from \(from) to \(to)" + (found.map { ", which held \($0.from) and \($0.to)" } ?? "")
        case .read(let balances): "read \(balances.map { "\($0)" } ?? "?")"
        }
    }

    /// As Jepsen has it.
    public var function: String {
        switch self {
        case .transfer: "transfer"
        case .read: "read"
        }
    }

    /// A transfer, or a map of balances.
    public var fields: [(name: String, value: HistoryText)] {
        switch self {
        case .transfer(let from, let to, let amount, let found):
            let value = HistoryText.object([
                .init(name: "from", value: .number(UInt64(from))), .init(name: "to", value: .number(UInt64(to))),
                .init(name: "amount", value: .number(amount)),
            ])
            guard let found else { return [("value", value)] }
            return [("value", value), ("found", .list([.number(found.from), .number(found.to)]))]
        case .read(nil): return [("value", .null)]
        case .read(let balances?):
            let entries = balances.enumerated().map {
                HistoryText.Entry(number: UInt64($0.offset), value: .number($0.element))
            }
            return [("value", .map(entries))]
        }
    }

    /// `found` may be missing.
    public static var keys: (required: [String], optional: [String]) { (["value"], ["found"]) }

    /// Accounts are numbered from 0, and a read has all of them.
    public init(function: String?, in line: HistoryFields) throws {
        let value = line.json["value"]
        switch function {
        case "transfer":
            let fields = try value.object(["from", "to", "amount"])
            var pair: Pair?
            if let found = line.json.optional("found") {
                let balances = try found.elements().map { try $0.integer(UInt64.self) }
                guard balances.count == 2 else { throw found.problem("\(balances.count) balances", expected: "two") }
                pair = Pair(from: balances[0], to: balances[1])
            }
            self = .transfer(
                from: try fields["from"].integer(in: 0...Self.mostAccounts),
                to: try fields["to"].integer(in: 0...Self.mostAccounts),
                amount: try fields["amount"].integer(), found: pair)
        case "read":
            guard !value.isNull else {
                self = .read(nil)
                return
            }
            let names = try value.names()
            let fields = try value.object((0..<names.count).map { "\($0)" })
            self = .read(try (0..<names.count).map { try fields["\($0)"].integer() })
        default: throw HistoryFormatError(line: 1, what: "f: another operation; expected transfer or read")
        }
    }

    private static let mostAccounts = 1 << 20
}

/// Whether each read of a whole bank has all the money, and whether some order of all transactions explains what each
/// found, and never puts one before another that had returned when it began.
public struct BankChecker: SequentialModel {
    /// Balances at the beginning.
    public let initial: [UInt64]

    /// - Parameter initial: by account.
    public init(initial: [UInt64]) { self.initial = initial }

    /// One object: a transaction on several accounts is one step of it.
    public func object(of value: BankAction) -> Int { 0 }

    /// The balances afterwards.
    public func step(_ balances: [UInt64], _ value: BankAction) -> [UInt64]? {
        switch value {
        case .read(let seen): return seen == nil || seen == balances ? balances : nil
        case .transfer(let from, let to, let amount, let found):
            guard balances.indices.contains(from), balances.indices.contains(to), from != to,
                balances[from] >= amount,
                found == nil || found == .init(from: balances[from], to: balances[to])
            else { return nil }
            var after = balances
            after[from] -= amount
            after[to] += amount
            return after
        }
    }

    /// - Throws: the first read without all the money; or the first answer that no order explains.
    public func check(_ history: BankHistory) throws(HistoryViolation) {
        let total = initial.reduce(0, +)
        for (i, transaction) in history.transactions.enumerated() where transaction.outcome == .ok {
            guard case .read(let balances?) = transaction.value else { continue }
            let sum = balances.reduce(UInt64(0)) { $0.addingReportingOverflow($1).partialValue }
            if balances.count != initial.count || sum != total {
                throw HistoryViolation(
                    description:
                        "\(balances.count) accounts with \(sum) in all were read, of \(initial.count) with \(total):\n  \(transaction.described(at: i))"
                )
            }
        }
        try LinearizabilityChecker.check(history, self)
    }
}
