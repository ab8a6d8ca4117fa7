import Messages

/// What is true between any two steps; checked after every step in tests and simulation.
extension Replica {
    public struct InvariantViolation: Error, CustomStringConvertible {
        public let description: String
    }

    /// Mutating only so that everything is looked at where it lies.
    public mutating func checkInvariants() throws {
        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            if !condition { throw InvariantViolation(description: what()) }
        }
        do {
            try require(stable.sequence <= lastExecuted, "stable \(stable.sequence) above executed \(lastExecuted)")
            try require(log.low == stable.sequence, "low watermark \(log.low) is not the stable checkpoint \(stable.sequence)")
            try require(retained.first <= flushed.next, "batches after \(flushed) are not in the store and not retained")
            let installed = phase == .normal ? view : nil
            let (low, high, quorum, lastExecuted) = (log.low, log.high, group.quorum, lastExecuted)
            for i in log.ring.indices {
                let sequence = log.ring[i].sequence
                try require(sequence > low && sequence <= high && sequence.number % log.window == UInt64(i), "slot \(i) holds \(sequence)")
                let executed = sequence <= lastExecuted ? retained[sequence]?.digest : nil
                try log.ring[i].check(installed: installed, quorum: quorum, executed: executed)
            }
        } catch let violation as InvariantViolation {
            throw InvariantViolation(
                description: "shard \(configuration.shard) replica \(me) view \(view): \(violation.description)")
        }
    }
}

extension Slot {
    /// - Parameters:
    ///   - installed: the view; nil while it is changing.
    ///   - executed: what was executed here at this sequence number, if it was and is remembered.
    fileprivate mutating func check(installed: View?, quorum: Int, executed: Digest?) throws {
        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            if !condition { throw Replica.InvariantViolation(description: what()) }
        }
        if let digest, let view = installed {
            if isPrePrepared {
                try require(hasBody(digest), "pre-prepared \(sequence) without its body")
                try require(prePrepared.contains { $0.digest == digest && $0.view == view }, "pre-prepared \(sequence) is not in Q")
            }
            if isPrepared {
                try require(prepared?.digest == digest && prepared?.view == view, "prepared \(sequence) is not in P")
            }
            // A primary that was cut off may have proposed what nobody accepted; what committed is what was executed.
            if let executed, executed != digest, commits.count(of: digest) >= quorum {
                try require(false, "view \(view) commits \(digest.short) at \(sequence), executed \(executed.short)")
            }
        }
        if let entry = prepared {
            try require(hasBody(entry.digest), "P's body at \(sequence) is gone")
        }
    }
}
