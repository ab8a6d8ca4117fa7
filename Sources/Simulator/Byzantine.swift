import Randomness
import Cores
import Messages

/// What a Byzantine host may do; several at once, others later.
public enum ByzantineAct: Int, Sendable, CaseIterable {
    /// Two complete hosts with one identity and a disk each; every peer hears one of them or both.
    case twins
    /// As the primary: different batches for one sequence number to different peers.
    case equivocation
    /// PREPARE and COMMIT for whatever a peer may want to hear, and too early.
    case conflictingVotes
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

struct ByzantineHost {
    let identity: Int
    var rng: SplitMix64
    /// Where its second core stands among the simulation's hosts.
    var twin: Int?
    var acts: [ByzantineAct] = []
    /// When it changes its mind.
    var until: UInt64 = 0
    /// By peer: 0 and 1 for one of the twins, 2 for both.
    var routes: [Int]
    /// Who does not hear it, and about what, by kind.
    var silencedPeers: UInt64 = 0
    var silencedKinds: UInt64 = 0
    var lateness: UInt64 = 0
    /// The last state that it offered lacks something.
    var hasRobbed = false
    /// Of the last messages that it said or heard.
    var heard: [HostMessage] = []
    var heardCursor = 0

    func does(_ act: ByzantineAct) -> Bool { acts.contains(act) }

    mutating func remember(_ message: HostMessage) {
        if heard.count < 256 { return heard.append(message) }
        heard[heardCursor % 256] = message
        heardCursor += 1
    }

    mutating func anyHeard() -> HostMessage? { heard.isEmpty ? nil : heard[rng.below(heard.count)] }
}

/// The faulty hosts of a run, who know each other and lie together.
struct ByzantineHosts {
    struct Position: Hashable {
        let shard: ShardID
        let view: View
        let sequence: SequenceNumber
    }
    /// A second digest at a position, and who is to believe in it.
    struct Alternative {
        let digest: Digest
        let batch: Batch?
        let believers: UInt64
    }
    struct ViewOfShard: Hashable {
        let shard: ShardID
        let view: View
    }

    let manifest: Manifest
    let replicas: Int
    let progressTimeout: UInt64
    let window: UInt64
    var members: [ByzantineHost] = []
    var alternatives: [Position: Alternative] = [:]
    let hasJumpingClocks: Bool
    /// In runs in which clocks jump, the latest time that each shard's primaries proposed. A shard may stand there.
    var latestTime: [ShardID: Timestamp] = [:]
    /// VIEW-CHANGEs that any of them knows of.
    var viewChanges: [ViewOfShard: [ViewChange]] = [:]
    /// Digests of proposals, to lie with.
    var digests: [ShardID: [Digest]] = [:]
    var bodies: [Batch] = []
    /// By the digest of a true batch, that of a forged one.
    var forgeries: [Digest: Digest] = [:]
    var requests: [SignedRequest] = []
    var effects = ByzantineEffects()
    /// In which the primary held its PRE-PREPAREs back.
    var slowViews: Set<ViewOfShard> = []
    var actions: Int { effects.total }

    init(manifest: Manifest, options: SimulationOptions) {
        (self.manifest, replicas) = (manifest, options.replicas)
        (progressTimeout, window) = (options.host.replica.progressTimeout, options.host.replica.window)
        hasJumpingClocks = options.jumpsClocks
        guard options.hasByzantineHosts else { return }
        // A generator of their own: what they do moves nothing else of the run.
        var rng = SplitMix64(seed: options.seed ^ 0xB12A_4713_E000_0000)
        let f = (options.replicas - 1) / 3
        var hosts = Array(0..<options.replicas)
        var index = options.replicas
        // In `everything` the disks of hosts may forget too, of f minus these.
        let count = options.allowsLostRecords ? rng.below(f + 1) : min(f, 1 + rng.below(f + 1))
        for _ in 0..<count {
            let identity = hosts.remove(at: rng.below(hosts.count))
            var host = ByzantineHost(
                identity: identity, rng: SplitMix64(seed: rng.next()),
                routes: Array(repeating: 2, count: options.replicas))
            if rng.chance(perMille: 350) {
                host.twin = index
                index += 1
            }
            members.append(host)
        }
        members.sort { $0.identity < $1.identity }
    }

    var correctHosts: [Int] { (0..<replicas).filter { !isByzantine($0) } }
    var identities: [Int] { members.map(\.identity) }
    var twins: [Int] { members.compactMap(\.twin).sorted() }

    /// The host that a core belongs to.
    func identity(_ index: Int) -> Int {
        index < replicas ? index : members.first { $0.twin == index }?.identity ?? index
    }

    /// Which of the members a core is.
    func member(_ index: Int) -> Int? {
        members.isEmpty ? nil : members.firstIndex { $0.identity == index || $0.twin == index }
    }

    func isByzantine(_ index: Int) -> Bool { member(index) != nil }

    func isByzantine(_ replica: ReplicaIndex, of shard: ShardID) -> Bool {
        let hosts = manifest.hosts(of: shard)
        return replica.index < hosts.count && isByzantine(Int(hosts[replica.index].number))
    }

    /// The cores that a message to a host reaches.
    func cores(of host: Int, from peer: Int?) -> [Int] {
        guard let m = member(host), let twin = members[m].twin, members[m].does(.twins) else { return [host] }
        switch peer.map({ members[m].routes[identity($0)] }) ?? 2 {
        case 0: return [host]
        case 1: return [twin]
        default: return [host, twin]
        }
    }

    /// Whether a peer hears this core.
    func isHeard(_ index: Int, by peer: Int) -> Bool {
        guard let m = member(index), let twin = members[m].twin else { return true }
        guard members[m].does(.twins) else { return index != twin }
        let route = members[m].routes[peer]
        return route == 2 || (route == 1) == (index == twin)
    }

    /// Acts that serve one end together.
    static let plans: [[ByzantineAct]] = [
        // Two batches for one number, each with votes, and a view change that prefers the one that lost.
        [.equivocation, .conflictingVotes, .forgedViewChange, .forgedNewView, .suspicion],
        [.equivocation, .conflictingVotes, .suspicion, .selectiveSilence],
        // Misleads whoever catches up.
        [.falseStatus, .falseClaims, .unaskedBodies, .wrongTransfer, .wrongCheckpoint],
        [.falseStatus, .forgedBodies],
        [.falseRecollection, .falseResumption, .falseStatus],
        // Breaks what shards tell each other.
        [.wrongAttestation, .falseRefusal, .replay, .rubbish],
        // Hinders the order without ever being caught.
        [.slowPrimary],
        [.delay, .selectiveSilence],
        [.mute],
    ]

    /// What they do next.
    mutating func changeMind(_ m: Int, now: UInt64) {
        guard now >= members[m].until else { return }
        var rng = members[m].rng
        members[m].until = now + 200_000_000 + rng.below(UInt64(6_000_000_000))
        var acts: [ByzantineAct] = members[m].twin != nil && rng.chance(perMille: 800) ? [.twins] : []
        // Now and then it behaves, to be believed; often it has a plan.
        if rng.chance(perMille: 400) {
            acts += Self.plans[rng.below(Self.plans.count)]
        } else if !rng.chance(perMille: 80) {
            for _ in 0..<1 + rng.below(4) { acts.append(ByzantineAct.chosen[rng.below(ByzantineAct.chosen.count)]) }
        }
        members[m].acts = members[m].twin == nil ? acts.filter { $0 != .twins } : acts
        for peer in 0..<replicas { members[m].routes[peer] = rng.below(3) }
        members[m].silencedPeers = rng.next()
        members[m].silencedKinds = rng.next()
        members[m].lateness = 10_000_000 + rng.below(UInt64(3_000_000_000))
        members[m].rng = rng
    }
}
