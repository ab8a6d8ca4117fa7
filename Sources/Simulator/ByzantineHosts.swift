import Randomness
import Cores
import Messages

/// One of the faulty hosts: what it is about at the moment, and what it heard.
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

    var signer: StandInSigner { StandInSigner(UInt64(identity)) }

    func does(_ act: ByzantineAct) -> Bool { acts.contains(act) }

    mutating func remember(_ message: HostMessage) {
        if heard.count < 256 { return heard.append(message) }
        heard[heardCursor % 256] = message
        heardCursor += 1
    }

    /// Draws without using the chance up: the next draw is of the same number.
    func peek<Drawn>(_ draw: (inout SplitMix64) -> Drawn) -> Drawn {
        var ahead = rng
        return draw(&ahead)
    }

    mutating func anyHeard() -> HostMessage? { heard.isEmpty ? nil : heard[rng.below(heard.count)] }
}

/// A view of one shard, to remember something by.
struct ViewOfShard: Hashable {
    let shard: ShardID
    let view: View
}

/// The faulty hosts of a run, who know each other and lie together: who they are, what each is about, whom each of two
/// twins speaks to. What they say is made by `OrderingLies`, `ViewChangeLies`, `ResultLies`, `StateTransferLies` and
/// `Inventions`.
struct ByzantineHosts {
    let manifest: Manifest
    let replicas: Int
    private let progressTimeout: UInt64
    private let plan: [ByzantineAct]?
    var members: [ByzantineHost] = []
    private(set) var knowledge: LiarsKnowledge
    var effects = ByzantineEffects()
    /// In which the primary held its PRE-PREPAREs back.
    private(set) var slowViews: Set<ViewOfShard> = []

    init(manifest: Manifest, options: SimulationOptions) {
        (self.manifest, replicas) = (manifest, options.replicas)
        progressTimeout = options.host.replica.progressTimeout
        plan = options.liarsPlan
        knowledge = LiarsKnowledge(manifest: manifest, options: options)
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
        // Money that nobody spent, with votes of all who lie.
        [.forgedRequests],
        [.forgedRequests, .selectiveSilence],
        [.forgedRequests, .conflictingVotes, .forgedViewChange, .suspicion],
        [.forgedRequests, .twoNewViews, .suspicion],
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
        acts = plan ?? acts
        members[m].acts = members[m].twin == nil ? acts.filter { $0 != .twins } : acts
        for peer in 0..<replicas { members[m].routes[peer] = rng.below(3) }
        members[m].silencedPeers = rng.next()
        members[m].silencedKinds = rng.next()
        members[m].lateness = 10_000_000 + rng.below(UInt64(3_000_000_000))
        members[m].rng = rng
    }

    // MARK: What they say

    /// Keeps what one may lie with later.
    mutating func overhear(_ message: HostMessage, by m: Int) {
        members[m].remember(message)
        knowledge.overhear(message)
    }

    /// Of its own accord, at a tick.
    mutating func invent(by m: Int, status: [ReplicaStatus]) -> [(to: Int, Distorted)] {
        Inventions.all(by: &members[m], &knowledge, replicas: replicas, status: status)
    }

    mutating func distort(_ reply: HostReply, by m: Int) -> [DistortedReply] {
        if members[m].does(.mute) {
            effects.count(.mute)
            return []
        }
        return ResultLies.distort(reply, by: &members[m])
    }

    /// How a message of a Byzantine host's core is bent for one peer.
    mutating func distort(_ message: HostMessage, by m: Int, to: Int) -> [Distorted] {
        let isToCorrect = !isByzantine(to)
        if members[m].does(.mute) {
            if isToCorrect { effects.count(.mute) }
            return []
        }
        let isSilenced =
            members[m].silencedPeers >> UInt64(to % 64) & 1 == 1
            || members[m].silencedKinds >> Self.kind(message) & 1 == 1
        if members[m].does(.selectiveSilence), isSilenced {
            if isToCorrect { effects.count(.selectiveSilence) }
            return []
        }
        var said: [Distorted]
        switch message {
        case .pbft(let shard, let pbft):
            said = OrderingLies.distort(pbft, shard, by: &members[m], &knowledge, to: to).map {
                Distorted(message: .pbft(shard, $0.0), act: $0.1)
            }
        case .push(let shard, let push): said = [ResultLies.distort(push, shard, by: members[m])]
        case .stateTransfer(let shard, let transfer):
            said = StateTransferLies.distort(transfer, by: &members[m]).map {
                Distorted(message: .stateTransfer(shard, $0.0), act: $0.1)
            }
        case .forward: said = [Distorted(message: message)]
        }
        if members[m].does(.delay), !said.isEmpty, members[m].rng.chance(perMille: 700) {
            for i in said.indices {
                said[i].delay = members[m].rng.below(members[m].lateness)
                said[i].act = said[i].act ?? .delay
            }
        }
        if members[m].does(.slowPrimary), case .pbft(let shard, .prePrepare(let m)) = message {
            slowViews.insert(ViewOfShard(shard: shard, view: m.view))
            for i in said.indices {
                // Journals and the network take their part of the timeout too.
                said[i].delay = progressTimeout * 9 / 10
                said[i].act = .slowPrimary
            }
        }
        return said
    }

    /// For who is silent about some kinds.
    private static func kind(_ message: HostMessage) -> UInt64 {
        switch message {
        case .pbft(_, let pbft):
            switch pbft {
            case .prePrepare: 0
            case .prepare: 1
            case .commit: 2
            case .checkpoint: 3
            case .suspect: 4
            case .viewChange: 5
            case .newView: 6
            case .status: 7
            case .fetchBatch, .fetchCommitted: 8
            case .batch, .committed, .committedBody: 9
            case .resumed: 13
            case .recollection: 14
            }
        case .push: 10
        case .stateTransfer: 11
        case .forward: 12
        }
    }
}
