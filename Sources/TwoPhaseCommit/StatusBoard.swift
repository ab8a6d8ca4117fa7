import Messages

/// What the participants of one request have certified, leg by leg, with the certificates that say so. Keeps only
/// certificates that told something new, so it is bounded by the request's own size.
struct StatusBoard: Sendable {
    /// What one participant of one leg has certified. Numbers are indexes of certificates.
    enum Knowledge: Sendable {
        case nothing
        case votedYes(certificate: Int)
        case decided(LegStatus, certificate: Int)
        /// Voted yes, and later `acknowledged`: it is done, but `acknowledged` proves nothing of the outcome (R11),
        /// so its vote is what still counts.
        case done(vote: Int, certificate: Int)

        /// What counts for the decision.
        var status: LegStatus? {
            switch self {
            case .nothing: nil
            case .votedYes, .done: .votedYes
            case .decided(let status, _): status
            }
        }
        /// Proves `status`.
        var proof: Int? {
            switch self {
            case .nothing: nil
            case .votedYes(let certificate), .decided(_, let certificate): certificate
            case .done(let vote, _): vote
            }
        }
        /// Proves that the participant is decided.
        var decidedProof: Int? {
            switch self {
            case .nothing, .votedYes: nil
            case .decided(_, let certificate), .done(_, let certificate): certificate
            }
        }
    }

    struct Slot: Sendable {
        let shard: ShardID
        var knowledge = Knowledge.nothing
    }

    var request: SignedRequest
    private(set) var certificates: [Certificate] = []
    /// The slots of leg i are slots[starts[i] ..< starts[i + 1]], ascending by shard.
    private var slots: [Slot] = []
    private var starts: [Int] = [0]

    init(_ request: SignedRequest, map: ShardMap) {
        self.request = request
        for leg in 0..<request.request.legCount {
            for shard in request.request.participants(ofLeg: leg, in: map) { slots.append(Slot(shard: shard)) }
            starts.append(slots.count)
        }
    }

    var legCount: Int { starts.count - 1 }
    /// Participants of all legs, each leg's by itself.
    var slotCount: Int { slots.count }
    func participants(ofLeg leg: Int) -> ArraySlice<Slot> { slots[starts[leg]..<starts[leg + 1]] }
    func isShared(_ leg: Int) -> Bool { starts[leg + 1] - starts[leg] > 1 }

    /// Every participant of any leg, ascending.
    var participants: [ShardID] { Self.unique(slots.map(\.shard)) }

    static func unique(_ shards: [ShardID]) -> [ShardID] {
        if shards.count <= 1 { return shards }
        let sorted = shards.sorted()
        return sorted.indices.filter { $0 == 0 || sorted[$0] != sorted[$0 - 1] }.map { sorted[$0] }
    }

    /// Notes a certificate; returns the legs of which it told something new, ascending.
    mutating func add(_ certificate: Certificate) -> [Int] {
        guard certificate.leaf.request == request.digest else { return [] }
        var changed: [Int] = []
        let index = certificates.count
        for entry in certificate.leaf.entries where Int(entry.leg) < legCount {
            let leg = Int(entry.leg)
            for i in starts[leg]..<starts[leg + 1] where slots[i].shard == certificate.shard {
                guard let next = Self.learn(entry.status, after: slots[i].knowledge, certificate: index) else {
                    continue
                }
                slots[i].knowledge = next
                changed.append(leg)
            }
        }
        if !changed.isEmpty { certificates.append(certificate) }
        return changed
    }

    /// Nil if the status is no news.
    private static func learn(_ status: LegStatus, after known: Knowledge, certificate: Int) -> Knowledge? {
        switch known {
        case .nothing:
            status.isDecided ? .decided(status, certificate: certificate) : .votedYes(certificate: certificate)
        case .votedYes(let vote):
            switch status {
            case .votedYes: nil
            case .acknowledged: .done(vote: vote, certificate: certificate)
            case .votedNo, .committed, .aborted, .noRecordAbort, .read, .returned, .failed:
                .decided(status, certificate: certificate)
            // Of root calls, which are not voted on.
            case .running, .closed: nil
            }
        case .decided, .done: nil
        }
    }

    /// The AND of the participants' votes.
    func decision(ofLeg leg: Int) -> Decision? { Decision(participants(ofLeg: leg).map(\.knowledge.status)) }

    /// The fewest certificates that prove the leg's decision; none while it is undecided.
    func proof(ofLeg leg: Int) -> [Int] {
        let participants = participants(ofLeg: leg)
        switch decision(ofLeg: leg) {
        case nil: return []
        case .commit:
            if let committed = participants.first(where: { $0.knowledge.status == .committed }) {
                return committed.knowledge.proof.map { [$0] } ?? []
            }
            return participants.compactMap(\.knowledge.proof)
        case .abort:
            // The first that is not a yes vote: every other decided status aborts.
            let no = participants.first { $0.knowledge.status?.isDecided ?? false }
            return no?.knowledge.proof.map { [$0] } ?? []
        }
    }

    /// Certificates by index: ascending by shard, and of one shard that of the latest batch first, in whatever order
    /// they came, so that whoever takes a shard's first status of a leg takes the one that counts.
    func ordered(_ indexes: [Int]) -> [Certificate] {
        indexes.map { certificates[$0] }.sorted { a, b in
            a.shard == b.shard ? a.statement.sequence > b.statement.sequence : a.shard < b.shard
        }
    }

    func decide(_ indexes: [Int]) -> TransactionDecide {
        TransactionDecide(
            principal: request.request.principal, number: request.request.number, request: request.digest,
            certificates: ordered(indexes))
    }
}

/// Indexes of certificates without repetition, for one message.
struct CertificateSelection: Sendable {
    private(set) var indexes: [Int] = []
    private var isIn: [Bool]

    init(of board: StatusBoard) { isIn = Array(repeating: false, count: board.certificates.count) }

    /// False, and nothing added, if the message would then carry more than a decide may.
    mutating func add(_ more: [Int]) -> Bool {
        let new = more.filter { !isIn[$0] }
        guard indexes.count + new.count <= TransactionDecide.maxCertificates else { return false }
        addAll(new)
        return true
    }

    mutating func addAll(_ more: [Int]) {
        for index in more where !isIn[index] {
            isIn[index] = true
            indexes.append(index)
        }
    }
}
