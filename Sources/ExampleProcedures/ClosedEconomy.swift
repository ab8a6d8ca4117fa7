import Messages
import ShardState

/// The closed economy of YCSB+T (Dey, Fekete, Nambiar and Röhm, ICDE workshops 2014): records with money that is moved
/// between them, and nothing comes or goes. A record that was never touched holds the opening money, so nothing is
/// loaded, and the sum of all is a formula.
public enum ClosedEconomy {
    /// What a record holds before anything was moved.
    public static let openingMoney: Int64 = 1000

    /// As YCSB names its records.
    public static func key(_ record: UInt64) -> String { "user\(record)" }

    /// What stands under a record's key.
    public struct Record: Hashable, Sendable, CanonicalCodable {
        /// Never below zero.
        public var money: Int64
        /// Of the last update; 0 if there was none.
        public var mark: UInt64
        /// As nobody has touched it.
        public init(money: Int64 = openingMoney, mark: UInt64 = 0) { (self.money, self.mark) = (money, mark) }
        /// Any numbers are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (money, mark) = (try reader.value(), try reader.value())
        }
        /// Money, mark.
        public func encode(into writer: inout ByteWriter) {
            writer.put(money)
            writer.put(mark)
        }
    }

    /// A record, and what is to be done to it or where its money goes.
    public struct Step: Hashable, Sendable, CanonicalCodable {
        /// Any number is a record.
        public let record: UInt64
        /// Of an update: the new mark. Of a move: the record that gets the money.
        public let value: UInt64
        /// Nothing is checked before the procedure runs.
        public init(record: UInt64, value: UInt64) { (self.record, self.value) = (record, value) }
        /// Any numbers are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (record, value) = (try reader.value(), try reader.value())
        }
        /// Record, value.
        public func encode(into writer: inout ByteWriter) {
            writer.put(record)
            writer.put(value)
        }
    }

    /// A move from a record to itself.
    public struct SameRecord: Error, CustomStringConvertible {
        /// What the client is shown.
        public var description: String { "a record cannot pay itself" }
    }

    static func record(_ record: UInt64, toChange: Bool, _ context: ProcedureContext) throws -> Record {
        try context.value(of: key(record), toChange: toChange) ?? Record()
    }
}

/// Reads a record.
public struct ReadRecord: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "ycsb.read"
    /// One key.
    public static let locksInOrder = true
    /// What it holds.
    public static func run(_ record: UInt64, _ context: ProcedureContext) throws -> ClosedEconomy.Record {
        try ClosedEconomy.record(record, toChange: false, context)
    }
}

/// Changes a field of a record that is not its money.
public struct UpdateRecord: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "ycsb.update"
    /// One key.
    public static let locksInOrder = true
    /// What it held before.
    public static func run(_ step: ClosedEconomy.Step, _ context: ProcedureContext) throws -> ClosedEconomy.Record {
        let held = try ClosedEconomy.record(step.record, toChange: true, context)
        try context.set(
            ClosedEconomy.key(step.record), to: ClosedEconomy.Record(money: held.money, mark: step.value))
        return held
    }
}

/// Moves one unit from a record to another, if there is one. Called on the shard of the record that gets it, for the
/// reason that `Amalgamate` has.
public struct MoveUnit: Procedure {
    /// Read, modify, write.
    public static let name = "ycsb.rmw"
    /// Whoever is first in the order of locks is locked first.
    public static let locksInOrder = true
    /// - Returns: how much was moved, 1 or 0.
    /// - Throws: `ClosedEconomy.SameRecord`.
    public static func run(_ step: ClosedEconomy.Step, _ context: ProcedureContext) throws -> UInt64 {
        guard step.record != step.value else { throw ClosedEconomy.SameRecord() }
        let (source, target) = (ClosedEconomy.key(step.record), ClosedEconomy.key(step.value))
        if context.isLockedFirst(target, source) {
            _ = try ClosedEconomy.record(step.value, toChange: true, context)
        }
        let taken: UInt64 =
            if context.shard(of: .key(source)) == context.shard { try TakeUnit.run(step.record, context) } else {
                try context.call(.key(source), TakeUnit.name, step.record)
            }
        guard taken == 1 else { return 0 }
        var held = try ClosedEconomy.record(step.value, toChange: true, context)
        held.money = try SmallBank.sum(held.money, 1)
        try context.set(target, to: held)
        return 1
    }
}

/// Takes one unit out of a record that has one.
public struct TakeUnit: Procedure {
    /// Called by `MoveUnit`.
    public static let name = "ycsb.take"
    /// How much it took, 1 or 0.
    public static func run(_ record: UInt64, _ context: ProcedureContext) throws -> UInt64 {
        var held = try ClosedEconomy.record(record, toChange: true, context)
        guard held.money > 0 else { return 0 }
        held.money -= 1
        try context.set(ClosedEconomy.key(record), to: held)
        return 1
    }
}
