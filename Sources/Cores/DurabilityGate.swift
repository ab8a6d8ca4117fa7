import DequeModule
import Messages

/// Holds back what may not leave before the journal is durable (R3): votes, and all else that binds. A fresh PRE-PREPARE
/// binds nobody, and does not come here. Nothing else in the host may send a held message.
struct DurabilityGate: Sendable {
    private struct Held: Sendable {
        let position: UInt64
        let shard: ShardID
        let message: PBFTMessage
    }

    private var held: Deque<Held> = []
    /// Records that were handed to the runtime.
    private(set) var appended: UInt64 = 0
    private(set) var durable: UInt64 = 0
    /// Records for which a sync was asked.
    private var asked: UInt64 = 0

    mutating func appendRecord() { appended += 1 }

    /// `message` waits for every record up to a position.
    /// - Precondition: no earlier position than that of the message before.
    mutating func hold(_ message: PBFTMessage, of shard: ShardID, position: UInt64) {
        held.append(Held(position: position, shard: shard, message: message))
    }

    var isHolding: Bool { !held.isEmpty }

    /// Whether a message waits for records for which no sync was asked; asked for from now on.
    mutating func asksForSync() -> Bool {
        guard let last = held.last?.position, last > max(asked, durable) else { return false }
        asked = last
        return true
    }

    mutating func persisted(_ position: JournalPosition) {
        precondition(position.number <= appended, "the runtime persisted what was never appended")
        durable = max(durable, position.number)
    }

    /// The next message that may leave.
    mutating func next() -> (ShardID, PBFTMessage)? {
        guard let next = held.first else { return nil }
        if Mutant.is(.sendsBeforeSync) { durable = max(durable, next.position) }
        guard next.position <= durable else { return nil }
        held.removeFirst()
        return (next.shard, next.message)
    }
}
