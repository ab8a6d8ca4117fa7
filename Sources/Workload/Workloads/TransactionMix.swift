import Messages
import Randomness

/// One transaction, as a workload has drawn it.
public struct DrawnTransaction<Plan: Sendable>: Sendable {
    /// Index into the mix's kinds.
    public let kind: Int
    /// A lone call, or transfers of which all or none happen.
    public let operations: [Operation]
    /// Who signs: an index into the signers; nil for whoever is next in turn.
    public let principal: Int?
    /// Whether it concerns more than one shard.
    public let isCross: Bool
    /// What the mix keeps of it until it ends.
    public let plan: Plan

    /// - Parameter principal: nil for whoever is next in turn.
    public init(kind: Int, operations: [Operation], principal: Int? = nil, isCross: Bool, plan: Plan) {
        (self.kind, self.operations, self.principal) = (kind, operations, principal)
        (self.isCross, self.plan) = (isCross, plan)
    }
}

/// How a transaction ended, as far as it is proven.
public enum TransactionEnding: Sendable, Equatable {
    /// It took effect, and a call returned this.
    case committed([UInt8])
    /// It had no effect.
    case aborted
    /// Nobody knows.
    case unknown
}

/// What a workload is: it draws transactions, keeps books of what was certified of them, and says from the books what
/// must be there in the end. It knows nothing of clients, time and clusters.
public protocol TransactionMix: Sendable {
    associatedtype Plan: Sendable
    /// Names of the kinds of transactions, in a fixed order.
    var kinds: [String] { get }
    /// The next transaction; the same ones for the same seed.
    mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<Plan>
    /// A transaction has ended.
    mutating func ended(_ plan: Plan, _ ending: TransactionEnding)
    /// A call failed for another reason than that its procedure refused it.
    mutating func failed(_ failure: CallFailure)
    /// What `verdict` has to be told.
    var subjects: CheckSubjects { get }
    /// Compares what is there with the books.
    func verdict(_ state: FinalValues) -> CheckVerdict
}

extension TransactionMix {
    /// No problem for most.
    public mutating func failed(_ failure: CallFailure) {}
}

/// What a check has to read when the load is over.
public struct CheckSubjects: Sendable, Equatable {
    /// Of procedures' state.
    public var keys: [String]
    /// Whose balances are read.
    public var accounts: [AccountID]
    /// Nothing, unless it is said.
    public init(keys: [String] = [], accounts: [AccountID] = []) { (self.keys, self.accounts) = (keys, accounts) }
}

/// What was read of them.
public struct FinalValues: Sendable {
    /// The value of each key that was read; nil inside if there is none.
    public var keys: [String: [UInt8]?]
    /// Posted, by account.
    public var balances: [AccountID: UInt128]
    /// Nothing, unless it is said.
    public init(keys: [String: [UInt8]?] = [:], balances: [AccountID: UInt128] = [:]) {
        (self.keys, self.balances) = (keys, balances)
    }

    /// The value of a key.
    /// - Returns: nil if it was not read, or holds something else; the verdict says which.
    func value<T: CanonicalDecodable>(of key: String, or absent: T, _ verdict: inout CheckVerdict) -> T? {
        guard let found = keys[key] else {
            verdict.addUnread()
            return nil
        }
        guard let bytes = found else { return absent }
        guard let value = try? T(decoding: bytes) else {
            verdict.add("\(key) holds what is no value of this workload")
            return nil
        }
        return value
    }
}

/// What a check found.
public struct CheckVerdict: Sendable, Equatable {
    /// How many problems are told one by one.
    private static let told = 5

    /// What was compared, in a sentence.
    public var summary: String
    /// The first of them; empty if all is as it must be.
    public private(set) var problems: [String] = []
    private var untold = 0
    /// How many values could not be read: nothing is known of them.
    public private(set) var unread = 0
    /// There were too many transactions without an outcome to tell.
    public var isUndecided = false
    /// False for a check that looks at nothing that was left.
    public var looksAtState = true

    /// Nothing was found yet.
    public init(_ summary: String) { self.summary = summary }

    /// Whether nothing is wrong, as far as was seen.
    public var holds: Bool { problems.isEmpty }

    /// Whether what is there is what was certified; nil if that was not seen.
    public var isConsistent: Bool? {
        guard holds else { return false }
        return unread == 0 && !isUndecided && looksAtState ? true : nil
    }

    /// A value was not read.
    public mutating func addUnread() { unread += 1 }

    /// Something is not.
    public mutating func add(_ problem: String) {
        if problems.count < Self.told { problems.append(problem) } else { untold += 1 }
    }

    /// The problems, with how many more there are.
    public var text: [String] { problems + (untold > 0 ? ["and \(untold) more of the kind"] : []) }
}
