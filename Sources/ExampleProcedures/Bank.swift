import Messages

/// Operations on balances that are kept under keys, in one transaction: the workload of `quorate bench --workload
/// bank`. Beside the ledger, and no money: it shows what procedures do, and what readers see of them.
public typealias BankTransaction = KeyedTransaction<BankOperation>

/// Reads the balance under a key, and changes it.
public struct BankOperation: KeyedOperation {
    /// Nothing may be taken that is not there.
    public struct Overdraft: Error, CustomStringConvertible {
        let key: String
        let held: UInt64
        let change: Int64
        /// What the client is shown.
        public var description: String { "\(key) holds \(held), and is to change by \(change)" }
    }

    /// The balance's key; its shard follows from it.
    public let key: String
    /// Zero only reads.
    public let change: Int64

    /// The root; the balances of each shard are another procedure, `bank.shard`.
    public static let procedure = "bank"
    /// What a balance is at the beginning: nobody has to open or fund it.
    public static let nothing: UInt64 = 100
    /// Unless it only reads.
    public var isChange: Bool { change != 0 }
    /// - Throws: `Overdraft`, also above the highest balance.
    public func after(_ held: UInt64) throws -> UInt64 {
        let (sum, overflow) =
            change < 0
            ? held.subtractingReportingOverflow(change.magnitude) : held.addingReportingOverflow(change.magnitude)
        guard !overflow else { throw Overdraft(key: key, held: held, change: change) }
        return sum
    }

    /// Any key: the shard refuses one that is too long.
    public init(key: String, change: Int64) { (self.key, self.change) = (key, change) }
    /// Any key and change are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (key, change) = (try reader.value(), try reader.value())
    }
    /// Counted key, then eight bytes for the change.
    public func encode(into writer: inout ByteWriter) {
        writer.put(key)
        writer.put(change)
    }
}
