import Messages
import ShardState

/// What the simulated clients call: money that moves by calls, and lists that are appended to and read on several
/// shards.
enum SimulatedProcedures {
    static var registry: ProcedureRegistry {
        var registry = ProcedureRegistry()
        registry.register(Move.self)
        registry.register(Credit.self)
        registry.register(Bounce.self)
        registry.register(BounceBack.self)
        registry.register(Fee.self)
        registry.register(Lists.self)
        registry.register(ListsInOrder.self)
        registry.register(ListStep.self)
        return registry
    }

    struct Movement: CanonicalCodable {
        let from: AccountID
        let to: AccountID
        let amount: UInt64

        init(from: AccountID, to: AccountID, amount: UInt64) { (self.from, self.to, self.amount) = (from, to, amount) }
        init(from reader: inout ByteReader) throws(DecodingFailure) {
            (from, to, amount) = (try reader.value(), try reader.value(), try reader.uint64())
        }
        func encode(into writer: inout ByteWriter) {
            writer.put(from)
            writer.put(to)
            writer.put(amount)
        }
        var money: Amount { Amount(UInt128(amount)) }
    }

    static let asset = AssetID(1)

    static func listOperations(of invocation: Invocation) -> [ListOperation]? {
        [Lists.name, ListsInOrder.name].contains(invocation.procedure)
            ? try? [ListOperation](decoding: invocation.arguments) : nil
    }

    /// What a call does to balances if it commits.
    static func effects(of invocation: Invocation) -> [(account: AccountID, amount: Int128)] {
        guard let movement = try? Movement(decoding: invocation.arguments) else { return [] }
        let amount: Int128
        switch invocation.procedure {
        case Move.name: amount = Int128(movement.amount)
        case Bounce.name: amount = Int128(movement.amount) + 1
        default: return []
        }
        return [(movement.from, -amount), (movement.to, amount)]
    }

    /// Takes money here and has it put in there.
    struct Move: Procedure {
        static let name = "move"
        static func run(_ movement: Movement, _ context: ProcedureContext) throws -> Nothing {
            try context.debit(movement.from, asset, movement.money)
            return try context.call(.account(movement.to), Credit.name, movement)
        }
    }

    struct Credit: Procedure {
        static let name = "credit"
        static func run(_ movement: Movement, _ context: ProcedureContext) throws -> Nothing {
            try context.credit(movement.to, asset, movement.money)
            return Nothing()
        }
    }

    /// As `Move`, and the callee comes back for a fee of one, which home must see when the call has returned (R14).
    struct Bounce: Procedure {
        static let name = "bounce"
        static func run(_ movement: Movement, _ context: ProcedureContext) throws -> UInt128 {
            try context.debit(movement.from, asset, movement.money)
            let before = try context.account(movement.from)?.posted.number ?? 0
            let _: Nothing = try context.call(.account(movement.to), BounceBack.name, movement)
            let after = try context.account(movement.from)?.posted.number ?? 0
            guard after + 1 == before else { throw Surprise.feeNotSeen(before: before, after: after) }
            return after
        }
    }

    struct BounceBack: Procedure {
        static let name = "bounce-back"
        static func run(_ movement: Movement, _ context: ProcedureContext) throws -> Nothing {
            try context.credit(movement.to, asset, movement.money)
            let _: Nothing = try context.call(.account(movement.from), Fee.name, movement)
            try context.credit(movement.to, asset, Amount(1))
            return Nothing()
        }
    }

    struct Fee: Procedure {
        static let name = "fee"
        static func run(_ movement: Movement, _ context: ProcedureContext) throws -> Nothing {
            try context.debit(movement.from, asset, Amount(1))
            return Nothing()
        }
    }

    enum Surprise: Error {
        case feeNotSeen(before: UInt128, after: UInt128)
    }

    /// Appends `value` to the list under `key`, or only reads it if there is none.
    struct ListOperation: CanonicalCodable {
        let key: String
        let value: UInt64?

        init(key: String, value: UInt64?) { (self.key, self.value) = (key, value) }
        init(from reader: inout ByteReader) throws(DecodingFailure) {
            (key, value) = (try reader.value(), try reader.bool() ? try reader.uint64() : nil)
        }
        func encode(into writer: inout ByteWriter) {
            writer.put(key)
            writer.put(value != nil)
            if let value { writer.put(value) }
        }
    }

    /// Operations on lists of several shards, one after the other. Gives what each read, before its append.
    struct Lists: Procedure {
        static let name = "lists"
        static func run(_ operations: [ListOperation], _ context: ProcedureContext) throws -> [[UInt64]] {
            try operations.map { try context.call(.key($0.key), ListStep.name, $0) }
        }
    }

    /// The same, and says that it takes its locks in order, which is not always so.
    struct ListsInOrder: Procedure {
        static let name = "lists-in-order"
        static let locksInOrder = true
        static func run(_ operations: [ListOperation], _ context: ProcedureContext) throws -> [[UInt64]] {
            try Lists.run(operations, context)
        }
    }

    struct ListStep: Procedure {
        static let name = "list-step"
        static func run(_ operation: ListOperation, _ context: ProcedureContext) throws -> [UInt64] {
            let list: [UInt64] = try context.value(of: operation.key) ?? []
            if let value = operation.value { try context.set(operation.key, to: list + [value]) }
            return list
        }
    }
}
