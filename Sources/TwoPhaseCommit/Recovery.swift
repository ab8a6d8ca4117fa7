import Messages

/// Recovery by anyone: hosts push the certified leaves of every record that is not forgotten to the hosts of the other
/// participants, so that locks go as soon as the votes exist, with every gateway dead or lying. This gathers what is
/// pushed to one replica until it can decide something there.
///
/// Bounded: attestations as in `EvidenceSet`; requests only once one of their leaves is certified, and then the newest
/// `maxRequests`. What is lost to a bound comes again, because hosts push until the record is forgotten.
public struct Recovery: Sendable {
    /// The receiving replica's own: pushes of the same shard are not taken.
    public let shard: ShardID
    private let map: ShardMap
    private let maxRequests: Int
    private var evidence: EvidenceSet
    private var boards: [Digest: StatusBoard] = [:]
    /// Of requests, in order of arrival: a ring once it is full.
    private var order: [Digest] = []
    private var head = 0

    /// - Parameter shard: the receiving replica's own.
    public init(shard: ShardID, manifest: Manifest, maxRequests: Int = 4096, openPerReplica: Int = 1024) {
        precondition(maxRequests > 0)
        self.shard = shard
        map = manifest.shardMap
        self.maxRequests = maxRequests
        evidence = EvidenceSet(manifest: manifest, openPerReplica: openPerReplica)
    }

    /// How many requests are held.
    public var count: Int { boards.count }

    /// The signed request behind a digest, once some leaf of it was certified here.
    public func request(_ digest: Digest) -> SignedRequest? { boards[digest]?.request }

    /// Notes another shard's leaf. When f + 1 of its replicas have signed it, returns the other participants'
    /// certificates for every leg that they decide, or would together with a yes vote here; the executor's record says
    /// whether that is needed. A repeated push returns the same decide again, with the same digest: so a lost one is
    /// repaired.
    public mutating func add(_ push: Verified<RecoveryPush>) -> TransactionDecide? {
        let request = push.value.request
        let sender = push.value.attested.statement.shard
        guard sender != shard, push.value.attested.leaf.request == request.digest,
            let certificate = evidence.add(push.attested)
        else { return nil }

        let known = boards[request.digest]
        var board = known ?? StatusBoard(request, map: map)
        let isNews = !board.add(certificate).isEmpty
        guard isNews || known != nil else { return nil }
        if isNews { boards[request.digest] = board }
        if known == nil { remember(request.digest) }
        return decide(by: board)
    }

    /// The certificate of another shard's leaf of a root call, when f + 1 of its replicas have pushed it.
    public mutating func certificate(of push: Verified<RecoveryPush>) -> Certificate? {
        guard push.value.attested.statement.shard != shard,
            push.value.attested.leaf.request == push.value.request.digest
        else { return nil }
        return evidence.add(push.attested)
    }

    private mutating func remember(_ request: Digest) {
        guard order.count == maxRequests else { return order.append(request) }
        boards[order[head]] = nil
        order[head] = request
        head = (head + 1) % maxRequests
    }

    private func decide(by board: StatusBoard) -> TransactionDecide? {
        var selection = CertificateSelection(of: board)
        for leg in 0..<board.legCount where board.isShared(leg) {
            let participants = board.participants(ofLeg: leg)
            guard participants.contains(where: { $0.shard == shard }) else { continue }
            let others = participants.filter { $0.shard != shard }
            guard Decision([.votedYes] + others.map(\.knowledge.status)) != nil else { continue }
            // All of them: what decides, and who is decided. A full message leaves the other legs to the next push.
            // Who voted yes and is done says so with two: the vote decides, the other lets the record be forgotten.
            _ = selection.add(others.flatMap { [$0.knowledge.proof, $0.knowledge.decidedProof].compactMap { $0 } })
        }
        return selection.indexes.isEmpty ? nil : board.decide(selection.indexes)
    }
}
