import Messages
import ShardState

/// Who is to hear of what this replica executed, and what it can attest without ordering anything.
package struct Answering: Sendable {
    private var interests: Interests
    private(set) var recent: RecentBatches
    /// Attested leaves that were pushed or answered with, for when their batch is no longer among the recent ones.
    private var kept = KeptLeaves()
    /// That have brought something and are open.
    private var sessions: Set<SessionID> = []

    package init(options: HostOptions) {
        interests = Interests(capacity: options.maxInterests)
        recent = RecentBatches(capacity: options.recentBatches)
    }

    // MARK: Sessions

    /// - Parameter request: that it wants to hear of.
    package mutating func add(_ session: SessionID, for request: Digest) {
        sessions.insert(session)
        interests.add(session, for: request)
    }

    /// It has brought something of which nothing is known yet.
    package mutating func open(_ session: SessionID) { sessions.insert(session) }
    package func waits(_ session: SessionID, for request: Digest) -> Bool { interests.of(request).contains(session) }
    package func isOpen(_ session: SessionID) -> Bool { sessions.contains(session) }
    package mutating func close(_ session: SessionID) { sessions.remove(session) }

    // MARK: What was executed

    package mutating func note(_ statement: AttestationStatement, _ leaves: [Leaf]) {
        recent.append(statement, leaves)
        for leaf in leaves { kept.forget(leaf.request) }
    }

    /// Another replica's state is here now.
    package mutating func forgetBatches() {
        recent.removeAll()
        kept.removeAll()
    }

    /// What was executed last of a request, if it is at hand.
    package func leaf(for request: Digest) -> Leaf? { recent.leaf(for: request) ?? kept[request]?.leaf }

    /// The newest leaf of a request that this replica executed, attested by it; nil if there is none at hand.
    package mutating func attestedLeaf(_ request: Digest, _ setting: ShardSetting) -> AttestedLeaf? {
        // A path in a tree over a large batch costs more than to remember it.
        if let kept = kept[request],
            (recent.sequence(of: request) ?? kept.statement.sequence) == kept.statement.sequence
        {
            return kept
        }
        guard let attested = recent.attestedLeaf(for: request, replica: setting.me, signer: setting.signer)
        else { return nil }
        kept.keep(attested)
        return attested
    }

    /// Attests again what was executed of a request a moment ago.
    package mutating func attest(
        _ request: Digest, to session: SessionID, _ setting: ShardSetting, into ready: inout ShardReady
    ) {
        guard let sequence = recent.sequence(of: request),
            let attestation = recent.attestation(sequence, replica: setting.me, signer: setting.signer)
        else { return }
        ready.reply(.attestation(attestation), to: [session])
    }

    /// Sends this replica's attestation to every gateway that waits for one of the batch's leaves.
    package mutating func answer(_ executed: ExecutedBatch, _ setting: ShardSetting, into ready: inout ShardReady) {
        // Looked up first: of a request whose other legs are decided nobody waits for more once the leaf is out.
        let refusals = executed.refusals.map { refusal in
            (refusal, interests.of(refusal.request).filter { sessions.contains($0) }.sorted())
        }
        let wanting = self.wanting(executed.leaves)
        if !wanting.isEmpty,
            let attestation = recent.attestation(executed.sequence, replica: setting.me, signer: setting.signer)
        {
            ready.reply(.attestation(attestation), to: wanting.sorted())
        }
        for (refusal, to) in refusals where !to.isEmpty { ready.reply(.refused(refusal), to: to) }
    }

    private mutating func wanting(_ leaves: [Leaf]) -> [SessionID] {
        var wanting: [SessionID] = []
        for leaf in leaves {
            for session in interests.of(leaf.request) where sessions.contains(session) && !wanting.contains(session) {
                wanting.append(session)
            }
            let isDecided = !leaf.entries.isEmpty && leaf.entries.allSatisfy { $0.status.isDecided }
            if isDecided { interests.remove(leaf.request) }
        }
        return wanting
    }
}
