import Messages

/// What is true between any two steps; checked after every step in tests and simulation.
extension Replica {
    public struct InvariantViolation: Error, CustomStringConvertible {
        public let description: String
    }

    public func checkInvariants() throws {
        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            if !condition { throw InvariantViolation(description: "shard \(configuration.shard) replica \(me) view \(view): \(what())") }
        }
        try require(stable.sequence <= lastExecuted, "stable \(stable.sequence) above executed \(lastExecuted)")
        try require(log.low == stable.sequence, "low watermark \(log.low) is not the stable checkpoint \(stable.sequence)")
        try require(retained.last == lastExecuted, "retained up to \(retained.last), executed \(lastExecuted)")
        try require(retained.first <= flushed.next, "batches after \(flushed) are not in the store and not retained")
        for sequence in log.sequences {
            let slot = log[sequence]
            try require(slot.sequence == sequence, "slot of \(sequence) holds \(slot.sequence)")
            if phase == .normal, slot.isPrePrepared, let digest = slot.digest {
                try require(slot.body(digest) != nil, "pre-prepared \(sequence) without its body")
                try require(slot.prePrepared.contains { $0.digest == digest && $0.view == view }, "pre-prepared \(sequence) is not in Q")
            }
            if phase == .normal, slot.isPrepared, let digest = slot.digest {
                try require(slot.prepared?.digest == digest && slot.prepared?.view == view, "prepared \(sequence) is not in P")
            }
            // A primary that was cut off may have proposed what nobody accepted; what committed is what was executed.
            if let digest = slot.digest, phase == .normal, slot.commits.count(of: digest) >= group.quorum, let executed = retained[sequence] {
                try require(executed.digest == digest, "view \(view) commits \(digest.short) at \(sequence), executed \(executed.digest.short)")
            }
            if let entry = slot.prepared {
                try require(slot.body(entry.digest) != nil, "P's body at \(sequence) is gone")
            }
        }
    }
}
