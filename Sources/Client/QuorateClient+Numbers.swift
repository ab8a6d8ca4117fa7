import Messages

/// Where request numbers come from: what the shards have recorded of the key, and not a clock or a file. So a clock
/// that went back does not matter, and two programs with one key can be at work at once.
extension QuorateClient {
    /// How a client that was given no first number knows where it stands.
    struct Numbering: Sendable {
        /// Nothing is asked: whoever made the client knows.
        var isGiven: Bool
        /// Whose records the window lies above.
        var known: Set<ShardID> = []
    }

    /// Another program with the key may have used numbers on these shards: they are left out. Asked once for each
    /// shard.
    /// - Throws: `ClientError.noQuorum`; nothing is signed then.
    func number(_ operations: [Operation]) async throws {
        guard !numbering.isGiven else { return }
        let shards = shards(of: operations).filter { !numbering.known.contains($0) }
        guard !shards.isEmpty else { return }
        let standing = try await standing(on: shards)
        numbering.known.formUnion(shards)
        principal.window.raise(to: standing.nextNumber, keeping: standing.acknowledgedBelow)
    }

    /// Another program with the key holds the number of a request on a shard, so that it is certified to have no
    /// effect. The next number is above that program's, with some room for its next ones.
    /// - Parameter shards: of the request.
    func leaveOut(on shards: [ShardID]) async throws {
        let standing = try await standing(on: shards)
        let room = UInt64.random(in: 32...256, using: &random)
        let (next, overflow) = standing.nextNumber.number.addingReportingOverflow(room)
        guard !overflow else { return }
        principal.window.raise(to: RequestNumber(next), keeping: standing.acknowledgedBelow)
    }

    /// Every leg was refused because another request under the same number was there first (R11): none of it has
    /// happened, or will.
    static func isSuperseded(_ outcome: Outcome) -> Bool { outcome.decisions.allSatisfy { $0 == .abort(.superseded) } }

    /// How often a request that another program's superseded is tried again.
    static let supersededRetries = 8
}
