import Messages

/// What is true between any two steps; checked after every step in tests and simulation.
extension Replica {
    /// A fault of this module: something that no input may bring about.
    public struct InvariantViolation: Error, CustomStringConvertible {
        /// Shard, replica and view, and what does not hold with the numbers that show it.
        public let description: String
    }

    static func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw InvariantViolation(description: what()) }
    }

    /// Mutating only so that everything is looked at where it lies.
    public mutating func checkInvariants() throws {
        do {
            try Self.require(
                stable.sequence <= lastExecuted, "stable \(stable.sequence) above executed \(lastExecuted)")
            let low = ordering.log.low
            try Self.require(
                low == stable.sequence, "low watermark \(low) is not the stable checkpoint \(stable.sequence)")
            try Self.require(
                retained.first <= flushed.next, "batches after \(flushed) are not in the store and not retained")
            // Otherwise it could not tell what is fresh in it.
            if let installed = viewChanger.installed, installed.number > View(0) {
                try Self.require(installed.newView != nil, "the view is installed without its NEW-VIEW")
            }
            // Otherwise nobody would order anything in it.
            try Self.require(
                isHalted || !promises.isFull || phase != .normal || !isPrimary || viewChanger.mayPropose,
                "takes part and is the primary of a view in which it may not propose")
            let retained = retained
            try ordering.checkLog(installed: viewChanger.installed?.number) { retained.digest(at: $0) }
        } catch let violation as InvariantViolation {
            throw InvariantViolation(
                description: "shard \(configuration.shard) replica \(me) view \(view): \(violation.description)")
        }
    }
}
