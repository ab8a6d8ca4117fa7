import Messages

/// The checkpoints taken here, and what everybody claims of them (PBFT §4.3).
package struct Checkpoints: Sendable {
    package enum Verdict: Hashable, Sendable {
        case undecided
        /// 2f + 1 claims make a checkpoint stable: a quorum can rebuild it (R1).
        case stable(Checkpoint)
        case diverged(own: Checkpoint, certified: Checkpoint)
    }

    private let configuration: ReplicaConfiguration
    /// Its sequence number is the low watermark h.
    package private(set) var stable: Checkpoint
    /// Taken here above the stable one, ascending.
    package private(set) var own: [Checkpoint] = []
    /// The newest few that each replica claimed.
    private var claims: [[Checkpoint]]
    /// The state up to here is durable in the store.
    package private(set) var flushed: SequenceNumber

    private static let maxClaims = 8

    package init(configuration: ReplicaConfiguration, base: Checkpoint) {
        (self.configuration, stable, flushed) = (configuration, base, base.sequence)
        claims = Array(repeating: [], count: configuration.group.n)
    }

    private var group: ReplicaGroup { configuration.group }
    private var me: ReplicaIndex { configuration.me }

    /// The newest that this replica holds.
    var newest: Checkpoint { own.last ?? stable }

    func isCheckpoint(_ sequence: SequenceNumber) -> Bool {
        sequence.number.isMultiple(of: configuration.limits.checkpointInterval)
    }

    /// C of a VIEW-CHANGE: what is held up to the high watermark, the stable one first.
    func held(upTo high: SequenceNumber) -> [Checkpoint] { [stable] + own.filter { $0.sequence <= high } }

    /// What this replica has said CHECKPOINT for and a peer that is no further may lack.
    func said(above sequence: SequenceNumber) -> [Checkpoint] {
        own.filter { $0.sequence > sequence && claims[me.index].contains($0) }
    }

    func hasClaimed(_ checkpoint: Checkpoint, _ peer: ReplicaIndex) -> Bool {
        peer != me && claims[peer.index].contains(checkpoint)
    }

    /// - Returns: false if it is stable already.
    package mutating func take(_ checkpoint: Checkpoint) -> Bool {
        guard checkpoint.sequence > stable.sequence else { return false }
        own.append(checkpoint)
        return true
    }

    /// - Returns: false if it is of no use, or not the replica's first word about this number.
    package mutating func claim(_ checkpoint: Checkpoint, by replica: ReplicaIndex) -> Bool {
        guard checkpoint.sequence > stable.sequence, isCheckpoint(checkpoint.sequence) else { return false }
        if claims[replica.index].contains(where: { $0.sequence == checkpoint.sequence }) { return false }
        claims[replica.index].append(checkpoint)
        if claims[replica.index].count > Self.maxClaims { claims[replica.index].removeFirst() }
        return true
    }

    /// The highest number of a checkpoint that a quorum says CHECKPOINT for.
    package var certified: SequenceNumber {
        var highest = stable.sequence
        for claim in claims.joined() where claim.sequence > highest {
            if claims.count(where: { $0.contains(claim) }) >= group.quorum { highest = claim.sequence }
        }
        return highest
    }

    /// What the claims say of the newest own checkpoint that a quorum speaks of.
    /// - Parameter isSilent: this replica's own claim is not out; the others' suffice.
    package func verdict(isSilent: Bool) -> Verdict {
        for checkpoint in own.reversed() {
            let verdict = verdict(on: checkpoint, isSilent: isSilent)
            if verdict != .undecided { return verdict }
        }
        return .undecided
    }

    private func verdict(on checkpoint: Checkpoint, isSilent: Bool) -> Verdict {
        let claims = claims.map { $0.first { $0.sequence == checkpoint.sequence } }
        let agreeing = claims.count { $0 == checkpoint }
        if Mutant.is(.truncatesAtWeakQuorum), agreeing >= group.weakQuorum { return .stable(checkpoint) }
        if agreeing >= group.quorum, claims[me.index] == checkpoint || isSilent { return .stable(checkpoint) }
        return contradiction(of: checkpoint).map { .diverged(own: checkpoint, certified: $0) } ?? .undecided
    }

    /// What a quorum says of the same number, if it is something else: its claim contains f + 1 correct replicas, so
    /// this replica's state is wrong.
    func contradiction(of own: Checkpoint) -> Checkpoint? {
        let claims = claims.compactMap { $0.first { $0.sequence == own.sequence } }
        return claims.first { claim in claim != own && claims.count { $0 == claim } >= group.quorum }
    }

    package mutating func advance(to checkpoint: Checkpoint) {
        stable = checkpoint
        own.removeAll { $0.sequence <= checkpoint.sequence }
        for i in claims.indices { claims[i].removeAll { $0.sequence <= checkpoint.sequence } }
    }

    mutating func flush(upTo sequence: SequenceNumber) { flushed = max(flushed, sequence) }

    /// A state from peers is in the store.
    mutating func install(_ checkpoint: Checkpoint, isStable: Bool) {
        flushed = checkpoint.sequence
        if isStable { own.removeAll() }
    }

    /// At a restart: the journal knows what is stable; the state in the store may lie above it, and is held then.
    mutating func restore(stable checkpoint: Checkpoint, base: Checkpoint) {
        stable = checkpoint
        if checkpoint.sequence < base.sequence { own.append(base) }
    }
}
