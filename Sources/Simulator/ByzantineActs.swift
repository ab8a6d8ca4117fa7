/// What a Byzantine host may do; several at once, others later.
public enum ByzantineAct: Int, Sendable, CaseIterable {
    /// Two complete hosts with one identity and a disk each; every peer hears one of them or both.
    case twins
    /// As the primary: different batches for one sequence number to different peers.
    case equivocation
    /// PREPARE and COMMIT for whatever a peer may want to hear, and too early.
    case conflictingVotes
    /// As the primary: proposals with requests that nobody signed; as a backup, votes for them without a look.
    case forgedRequests
    case mute
    /// Silent to some, or about some.
    case selectiveSilence
    case delay
    /// What it said or heard before, again, perhaps under another shard.
    case replay
    /// VIEW-CHANGE with invented P, Q, C and h; another one for each peer.
    case forgedViewChange
    /// NEW-VIEW from another S for each peer, or with a selection that does not follow from S.
    case forgedNewView
    /// Two NEW-VIEWs that are both right: one selects a batch, the other does not, and those who have that one get the
    /// batch as a fresh proposal.
    case twoNewViews
    case wrongCheckpoint
    case wrongTransfer
    /// Statements that nobody executed, signed with its own key: to gateways, and pushed to other shards.
    case wrongAttestation
    case falseRefusal
    case falseStatus
    /// Invented COMMITTED.
    case falseClaims
    /// COMMITTED of batches with forged requests, and their bodies.
    case forgedBodies
    case suspicion
    case unaskedBodies
    /// A primary whose PRE-PREPAREs come just before the progress timeout.
    case slowPrimary
    /// Pushes, forwards and fetches of things that make no sense.
    case rubbish
    /// RECOLLECTIONs of votes and checkpoints that never were.
    case falseRecollection
    /// RESUMED without having started, of a replica that remembers nothing, or everything.
    case falseResumption
    /// Wrong and old answers to quorum reads. Always, and not by plan.
    case falseRead

    /// Those that a host makes up its mind to.
    static let chosen = allCases.filter { $0 != .falseRead }
}

/// How often each act took effect: a correct host or the gateway got what a correct host would not have sent, and its
/// verifier let it pass; or it did not get what it should have.
public struct ByzantineEffects: Sendable, CustomStringConvertible {
    private var counts = [Int](repeating: 0, count: ByzantineAct.allCases.count)
    /// Nothing has taken effect yet.
    public init() {}
    /// How often this act took effect.
    public subscript(act: ByzantineAct) -> Int { counts[act.rawValue] }
    /// Of all acts together.
    public var total: Int { counts.reduce(0, +) }
    /// Each act that took effect with its count, in the order of `ByzantineAct`; empty if none did.
    public var description: String {
        ByzantineAct.allCases.filter { self[$0] > 0 }.map { "\($0) \(self[$0])" }.joined(separator: ", ")
    }
    mutating func count(_ act: ByzantineAct) { counts[act.rawValue] += 1 }
    /// Adds up the runs of several seeds.
    public mutating func add(_ other: Self) { for i in counts.indices { counts[i] += other.counts[i] } }
}
