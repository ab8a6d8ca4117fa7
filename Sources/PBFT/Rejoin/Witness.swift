import Messages

/// What this replica heard from each peer, for when the peer starts again and asks; and whose votes do not count until
/// it says that it remembers as much (R4).
package struct Witness: Sendable {
    private struct Peer {
        /// The highest sequence number at which this replica heard a vote of the peer.
        var heard = SequenceNumber.zero
        /// The peer remembers less than this replica heard: its votes do not count until it says more, or declares it.
        var isRefused = false
        /// It declared a later incarnation before: what it remembers is from an older backup.
        var isRefusedForIncarnation = false
        /// The start that was found to remember enough: later copies of its question arrive among its votes.
        var acceptedStart: UInt64 = 0
        var refusedStart: UInt64 = 0
        /// When a question of its start was answered, or a word of somebody's incarnation taken from it.
        var resumedAt: UInt64?
    }

    private let statusInterval: UInt64
    private var peers: [Peer]

    package init(configuration: ReplicaConfiguration) {
        statusInterval = configuration.limits.statusInterval
        peers = Array(repeating: Peer(), count: configuration.group.n)
    }

    package func refuses(_ peer: ReplicaIndex) -> Bool { peers[peer.index].isRefused }

    package mutating func note(voteAt sequence: SequenceNumber, of peer: ReplicaIndex) {
        guard !refuses(peer) else { return }
        peers[peer.index].heard = max(peers[peer.index].heard, sequence)
    }

    /// Whether a peer's word of incarnations is listened to now: a faulty one would otherwise fill the journal with
    /// them.
    package mutating func isDue(_ peer: ReplicaIndex, now: Instant) -> Bool {
        if let at = peers[peer.index].resumedAt, now.uptime < at + statusInterval / 16 { return false }
        peers[peer.index].resumedAt = now.uptime
        return true
    }

    /// - Parameter incarnation: the latest that this replica knows of the peer.
    package mutating func judge(_ resumption: Resumption, of peer: ReplicaIndex, incarnation: UInt64) {
        var known = peers[peer.index]
        if resumption.isQuarantined, resumption.incarnation >= incarnation {
            (known.heard, known.isRefused) = (.zero, false)
        } else if resumption.nonce > known.acceptedStart {
            // Copies of an earlier start's question come late, and say nothing about this one.
            known.isRefused = resumption.remembers < known.heard || resumption.incarnation < incarnation
            if known.isRefused {
                (known.refusedStart, known.isRefusedForIncarnation) = (
                    resumption.nonce, resumption.incarnation < incarnation
                )
            } else {
                known.acceptedStart = resumption.nonce
            }
        }
        peers[peer.index] = known
    }

    /// A late copy of the question of a peer's present start may have come after votes of it. A replica that is
    /// quarantined cannot complain, and the peer, which was answered, asks no more: its STATUS says what its question
    /// would.
    package mutating func reconsider(_ peer: ReplicaIndex, _ status: Status) {
        let known = peers[peer.index]
        guard known.isRefused, !known.isRefusedForIncarnation, status.start >= known.refusedStart,
            status.remembers >= known.heard
        else { return }
        (peers[peer.index].isRefused, peers[peer.index].acceptedStart) = (false, status.start)
    }

    package func answer(
        _ resumption: Resumption, of peer: ReplicaIndex, checkpoint: SequenceNumber,
        declaration: IncarnationDeclaration?
    ) -> Recollection {
        Recollection(
            about: peer, nonce: resumption.nonce, heard: peers[peer.index].heard, checkpoint: checkpoint,
            declaration: declaration, refuses: peers[peer.index].isRefused)
    }

    /// A refused peer may never have been told: it is, whenever it says where it stands.
    package func complaint(
        about peer: ReplicaIndex, checkpoint: SequenceNumber, declaration: IncarnationDeclaration?
    ) -> Recollection? {
        let known = peers[peer.index]
        guard known.isRefused else { return nil }
        return Recollection(
            about: peer, nonce: known.refusedStart, heard: known.heard, checkpoint: checkpoint,
            declaration: declaration,
            refuses: true)
    }
}
