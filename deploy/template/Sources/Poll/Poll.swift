import QuorateHost

/// What a voter sends. Replicas compare bytes, so how it is encoded stands here.
public struct Ballot: Sendable, CanonicalCodable {
    public let poll, choice: String
    public init(poll: String, choice: String) { (self.poll, self.choice) = (poll, choice) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) { (poll, choice) = try (reader.value(), reader.value()) }
    public func encode(into writer: inout ByteWriter) { for text in [poll, choice] { writer.put(text) } }

    public func key(of voter: PublicKey) -> String { "voter/\(voter)/\(poll)" }
    /// The length keeps "a/b" with "c" and "a" with "b/c" apart.
    public var key: String { "choice/\(poll.utf8.count)/\(poll)/\(choice)" }
}

struct Refused: Error, CustomStringConvertible { let description: String }
/// Runs on the voter's shard, and has the vote counted on the choice's: both happen, or neither. Gives the votes so far.
public enum Vote: Procedure {
    public static let name = "poll.vote"
    public static func run(_ ballot: Ballot, _ context: ProcedureContext) throws -> UInt64 {
        let key = ballot.key(of: context.principal)
        if let earlier: String = try context.value(of: key) { throw Refused(description: "you voted for \(earlier) already") }
        try context.set(key, to: ballot.choice)
        return try context.call(.key(ballot.key), Count.name, ballot)
    }
}

public enum Count: Procedure {
    public static let name = "poll.count"
    public static func run(_ ballot: Ballot, _ context: ProcedureContext) throws -> UInt64 {
        guard context.root.procedure == Vote.name else { throw Refused(description: "only votes are counted") }
        let votes: UInt64 = try (context.value(of: ballot.key) ?? 0) + 1
        try context.set(ballot.key, to: votes)
        return votes
    }
}
