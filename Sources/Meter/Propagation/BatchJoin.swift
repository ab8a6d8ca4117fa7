import Messages

/// How far a batch has come.
public enum PropagationStep: String, Codable, Sendable, CaseIterable {
    /// The first backup has it.
    case firstReceived = "first_received"
    /// 2f + 1 replicas have it, the primary among them: it can be prepared.
    case quorumReceived = "quorum_received"
    /// All replicas have it.
    case lastReceived = "last_received"
    /// The first replica has executed it.
    case firstExecuted = "first_executed"
    /// f + 1 replicas have executed it: their attestations make a certificate.
    case quorumExecuted = "quorum_executed"
    /// All replicas have executed it.
    case lastExecuted = "last_executed"
    /// A client has verified the receipt of a request in it. Hosts know nothing of that.
    case clientKnows = "client_knows"
}

/// How far one batch has come, and when. Nanoseconds since its PRE-PREPARE left, but for `start`.
public struct BatchSpread: Sendable, Equatable {
    /// Which shard ordered it.
    public let shard: ShardID
    /// Its place in the shard's order.
    public let sequence: SequenceNumber
    /// When its PRE-PREPARE left, by the clock of whoever puts moments together.
    public let start: UInt64
    /// Of the shard.
    public let group: ReplicaGroup
    /// When replicas had it, ascending; the primary's 0 is the first.
    public let received: [UInt64]
    /// When replicas had executed it, ascending.
    public let executed: [UInt64]

    /// When so many replicas had it, the primary among them; nil if fewer are known to.
    public func received(by count: Int) -> UInt64? { count <= received.count ? received[count - 1] : nil }
    /// When so many replicas had executed it; nil if fewer are known to.
    public func executed(by count: Int) -> UInt64? { count <= executed.count ? executed[count - 1] : nil }
    /// All replicas are known to have it, and to have executed it.
    public var isComplete: Bool { received.count == group.n && executed.count == group.n }

    /// Nil if that is not known.
    public subscript(_ step: PropagationStep) -> UInt64? {
        switch step {
        case .firstReceived: received(by: 2)
        case .quorumReceived: received(by: group.quorum)
        case .lastReceived: received(by: group.n)
        case .firstExecuted: executed(by: 1)
        case .quorumExecuted: executed(by: group.weakQuorum)
        case .lastExecuted: executed(by: group.n)
        case .clientKnows: nil
        }
    }
}

/// A message from one host to another, and how long it took: from its handing over to the sender's sessions to its
/// being read at the receiver.
public struct LinkDelay: Sendable, Equatable {
    /// What was sent.
    public enum Message: String, Codable, Sendable, CaseIterable {
        /// By primaries, with the whole batch.
        case prePrepare = "pre_prepare"
        /// By backups, of sampled batches; small.
        case prepare
    }

    /// What was sent.
    public let message: Message
    /// Who sent it.
    public let from: HostID
    /// Who read it.
    public let to: HostID
    /// When it was sent, by the clock of whoever puts moments together.
    public let start: UInt64
    /// Nanoseconds; below zero if clocks are known less well than that.
    public let delay: Int64
}

/// Puts the moments of batches together that several hosts have noted, by shard and number. Whatever they say, memory is
/// bounded.
public struct BatchJoin: Sendable {
    fileprivate struct Place: Hashable, Sendable {
        let shard: ShardID
        let sequence: SequenceNumber
    }

    fileprivate struct Sent: Sendable {
        let view: View
        let from: HostID
        let at: UInt64
    }

    fileprivate struct Read: Sendable {
        let view: View
        let from: HostID
        let by: HostID
        let at: UInt64
    }

    fileprivate struct Open: Sendable {
        /// When it was first heard of, by the own clock.
        let since: UInt64
        var proposed: [Sent] = []
        var received: [Read] = []
        var executed: [(host: HostID, at: UInt64)] = []
        var prepareSent: [Sent] = []
        var prepareRead: [Read] = []
        var count: Int {
            proposed.count + received.count + executed.count + prepareSent.count + prepareRead.count
        }
    }

    /// What has been put together.
    public struct Settled: Sendable {
        /// Of which the proposal is known.
        public var batches: [BatchSpread] = []
        /// Of these batches, and of PREPAREs of sampled ones.
        public var links: [LinkDelay] = []
        /// When batches were first received of which nobody said when they were proposed: their primary was killed, or
        /// its moments were lost.
        public var withoutStart: [UInt64] = []
    }

    private let groups: [ReplicaGroup]
    private let members: [Set<HostID>]
    private var open: [Place: Open] = [:]
    private var order: [Place] = []

    /// Batches that are open at once; what comes then is left out.
    private static let maxOpen = 65_536
    /// Moments of one batch: four times what 64 correct replicas note of a sampled one would be more than anyone needs.
    private static let maxMoments = 8192

    /// - Parameter manifest: says which hosts have replicas of a shard: others' words do not count.
    public init(_ manifest: Manifest) {
        let shards = manifest.shards.indices.map { ShardID(UInt16($0)) }
        groups = shards.map { manifest.group(of: $0) }
        members = shards.map { Set(manifest.hosts(of: $0)) }
    }

    /// Batches of which something may still come.
    public var openCount: Int { open.count }

    /// - Parameters:
    ///   - moment: by the own clock.
    ///   - host: that has noted it.
    ///   - now: when it is heard of, by the own clock: what hosts say of times may be anything.
    public mutating func note(_ moment: BatchMoment, by host: HostID, now: UInt64) {
        let number = Int(moment.shard.number)
        guard number < members.count, members[number].contains(host) else { return }
        let place = Place(shard: moment.shard, sequence: moment.sequence)
        if open[place] == nil {
            guard open.count < Self.maxOpen else { return }
            open[place] = Open(since: now)
            order.append(place)
        }
        guard let count = open[place]?.count, count < Self.maxMoments else { return }
        open[place]?.note(moment, by: host)
    }

    /// Takes out the batches that were first heard of before `limit`. What comes later of them begins anew. Nil for all.
    public mutating func settle(before limit: UInt64?) -> Settled {
        var settled = Settled()
        var kept: [Place] = []
        for place in order {
            guard let batch = open[place] else { continue }
            if let limit, batch.since >= limit {
                kept.append(place)
                continue
            }
            open[place] = nil
            batch.settle(place.shard, place.sequence, groups[Int(place.shard.number)], into: &settled)
        }
        order = kept
        return settled
    }
}

extension BatchJoin.Open {
    fileprivate mutating func note(_ moment: BatchMoment, by host: HostID) {
        switch moment.kind {
        case .proposed: Self.add(.init(view: moment.view, from: host, at: moment.at), to: &proposed)
        case .prepareSent: Self.add(.init(view: moment.view, from: host, at: moment.at), to: &prepareSent)
        case .received:
            Self.add(.init(view: moment.view, from: moment.from, by: host, at: moment.at), to: &received)
        case .prepareRead:
            Self.add(.init(view: moment.view, from: moment.from, by: host, at: moment.at), to: &prepareRead)
        case .executed:
            // Said again after a restart, say: the first counts.
            if !executed.contains(where: { $0.host == host }) { executed.append((host, moment.at)) }
        }
    }

    /// What is sent again does not count: the first one brought it.
    private static func add(_ sent: BatchJoin.Sent, to all: inout [BatchJoin.Sent]) {
        if !all.contains(where: { $0.view == sent.view && $0.from == sent.from }) { all.append(sent) }
    }

    private static func add(_ read: BatchJoin.Read, to all: inout [BatchJoin.Read]) {
        if !all.contains(where: { $0.view == read.view && $0.from == read.from && $0.by == read.by }) {
            all.append(read)
        }
    }

    fileprivate func settle(
        _ shard: ShardID, _ sequence: SequenceNumber, _ group: ReplicaGroup, into settled: inout BatchJoin.Settled
    ) {
        for read in prepareRead {
            guard let sent = prepareSent.first(where: { $0.view == read.view && $0.from == read.from }) else {
                continue
            }
            settled.links.append(.init(.prepare, sent, read))
        }
        // What was executed is what was proposed last under its number: an earlier proposal was given up, or the later
        // primary proposed the same.
        guard let proposal = proposed.max(by: { $0.view < $1.view }) else {
            // Executed alone, of a batch that has settled already.
            if let first = received.map(\.at).min() { settled.withoutStart.append(first) }
            return
        }
        var had: [UInt64] = [0]
        for read in received where read.view == proposal.view && read.from == proposal.from {
            settled.links.append(.init(.prePrepare, proposal, read))
            if read.by != proposal.from { had.append(read.at - min(read.at, proposal.at)) }
        }
        settled.batches.append(
            BatchSpread(
                shard: shard, sequence: sequence, start: proposal.at, group: group, received: had.sorted(),
                executed: executed.map { $0.at - min($0.at, proposal.at) }.sorted()))
    }
}

extension LinkDelay {
    fileprivate init(_ message: Message, _ sent: BatchJoin.Sent, _ read: BatchJoin.Read) {
        let delay = Int64(clamping: Int128(read.at) - Int128(sent.at))
        self.init(message: message, from: sent.from, to: read.by, start: sent.at, delay: delay)
    }
}
