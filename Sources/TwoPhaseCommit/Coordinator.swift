import Messages

/// The coordinator of one request. Untrusted: it adds nothing to what the participants have certified, and whatever
/// it does or leaves undone, the decision stays the AND of their votes (R8). It exists for speed: one party that
/// gathers the votes, answers, and carries them to the others.
public struct Coordinator: Sendable {
    /// What whoever runs a coordinator has to do, in the order in which it is given. Everything may be lost:
    /// `outstandingDecides` gives what to repeat.
    public enum Action: Hashable, Sendable {
        /// Every leg is decided, and these certificates prove it. Given once.
        case answer(Receipt)
        /// To the replicas of these shards (ascending). Decides legs there, or lets them forget (R10).
        case sendDecide(to: [ShardID], TransactionDecide)
        /// To the replicas of these shards (ascending): what others have certified of a root call.
        case sendEvidence(to: [ShardID], CallEvidence)
        /// Nothing is left to do.
        case finished
    }

    private enum Phase: Sendable {
        case voting(undecidedLegs: Int)
        /// Answered; some participant has not certified yet that it is decided.
        case settling
        case finished
    }

    /// A decided leg, and whom to tell: all participants that are not certified decided, or only one of them.
    private struct Telling: Sendable {
        let leg: Int
        var only: ShardID?
    }

    /// Of all legs together, ascending.
    public let participants: [ShardID]
    private var phase: Phase
    private var board: StatusBoard
    private var isDecided: [Bool]
    /// Participants of legs with several participants that are not yet certified decided.
    private var unsettled: Int
    /// Of two participants the one that is told of a commit last, with what the other has certified of it.
    private let last: ShardID?
    /// Both had voted yes for all, the first was told, and the last waits for its word.
    private var isTellingInTurn = false
    /// By place in the board: was told, with its vote standing, that all the others are decided.
    private var isInformed: [Bool]
    /// Of a root call.
    private var relay: CallRelay?

    /// Nothing is certified yet.
    /// - Precondition: `canCoordinate`, or legs that no `TransactionDecide` can hold are left to the hosts' recovery.
    public init(_ request: SignedRequest, map: ShardMap) {
        board = StatusBoard(request, map: map)
        participants = board.participants
        isDecided = Array(repeating: false, count: board.legCount)
        phase = .voting(undecidedLegs: board.legCount)
        unsettled = 0
        for leg in 0..<board.legCount where board.isShared(leg) { unsettled += board.participants(ofLeg: leg).count }
        isInformed = Array(repeating: false, count: board.slotCount)
        last = Self.onlyDebited(board, map)
        relay = request.request.rootCall.map { CallRelay(request, home: map.shard(of: $0.target), map: map) }
    }

    /// What it coordinates, as it was signed.
    public var request: SignedRequest { board.request }

    /// The same request with another signature, which is known to be right.
    public mutating func adopt(_ request: SignedRequest) {
        guard request.digest == board.request.digest else { return }
        board.request = request
        relay?.adopt(request)
    }

    /// Whether `answer` was given: every leg is decided, or home has certified the root call's outcome.
    public var isAnswered: Bool {
        switch phase {
        case .voting: false
        case .settling, .finished: true
        }
    }

    /// No leg has more participants than a `TransactionDecide` can carry votes of.
    public static func canCoordinate(_ request: Request, map: ShardMap) -> Bool {
        guard case .atomic = request.mode, request.operations.count * 2 > TransactionDecide.maxCertificates else {
            return true
        }
        return request.participants(ofLeg: 0, in: map).count <= TransactionDecide.maxCertificates
    }

    /// Of two participants the one whose part in what they share is debits alone; nil if there is none. A commit frees
    /// nothing there: what was reserved is spent. So nobody waits for it to be told.
    private static func onlyDebited(_ board: StatusBoard, _ map: ShardMap) -> ShardID? {
        let participants = board.participants
        guard participants.count == 2 else { return nil }
        let request = board.request.request
        return participants.first { shard in
            (0..<board.legCount).allSatisfy { leg in
                guard board.isShared(leg) else { return true }
                let other = request.firstEffect(ofLeg: leg, on: shard, in: map) { effect -> Bool? in
                    if case .debit = effect { nil } else { true }
                }
                return other == nil
            }
        }
    }

    /// Notes a certificate of one of the request's participants. Certificates of others, of other requests and
    /// repetitions are no-ops.
    public mutating func add(_ certificate: Certificate) -> [Action] {
        if case .finished = phase { return [] }
        if relay != nil {
            let actions = relay?.add(certificate) ?? []
            if relay?.outcome != nil { phase = relay?.isFinished == true ? .finished : .settling }
            return actions
        }
        let changed = board.add(certificate)
        guard !changed.isEmpty else { return [] }

        var newlyDecided = 0
        var toTell: [Telling] = []
        for leg in changed {
            let shared = board.isShared(leg)
            let knowledge = board.participants(ofLeg: leg).first { $0.shard == certificate.shard }?.knowledge
            if shared, knowledge?.decidedProof != nil { unsettled -= 1 }
            if !isDecided[leg], board.decision(ofLeg: leg) != nil {
                isDecided[leg] = true
                newlyDecided += 1
                if shared { toTell.append(Telling(leg: leg)) }
            } else if isDecided[leg], shared, knowledge?.decidedProof == nil {
                // A yes vote that comes after the decision: its shard holds escrow until it is told.
                toTell.append(Telling(leg: leg, only: certificate.shard))
            } else if isTellingInTurn, shared, let last, certificate.shard != last {
                toTell.append(Telling(leg: leg, only: last))
            }
        }
        if newlyDecided > 0 { takeTurns(&toTell) }
        noteInformed(by: toTell)
        return advance(newlyDecided: newlyDecided, toTell: toTell)
    }

    /// Both shards have voted yes for all that they share, so the first is told alone. The last is told when the first
    /// has certified that it is done, and so needs no second word to forget (R10).
    private mutating func takeTurns(_ toTell: inout [Telling]) {
        guard let last, toTell.count == sharedLegs.count else { return }
        for telling in toTell {
            let allHaveVotedYes = board.participants(ofLeg: telling.leg).allSatisfy {
                if case .votedYes = $0.knowledge { true } else { false }
            }
            guard telling.only == nil, allHaveVotedYes else { return }
        }
        guard let first = participants.first(where: { $0 != last }) else { return }
        isTellingInTurn = true
        for i in toTell.indices { toTell[i].only = first }
    }

    private mutating func noteInformed(by toTell: [Telling]) {
        for telling in toTell {
            let slots = board.participants(ofLeg: telling.leg)
            // Of more than two hardly ever all but one are decided.
            guard slots.count == 2 else { continue }
            let proof = board.proof(ofLeg: telling.leg)
            for place in slots.indices where telling.only == nil || telling.only == slots[place].shard {
                // Who has not voted has no record to note it in.
                guard case .votedYes = slots[place].knowledge else { continue }
                isInformed[place] = slots.indices.allSatisfy {
                    $0 == place || slots[$0].knowledge.decidedProof.map(proof.contains) ?? false
                }
            }
        }
    }

    private var sharedLegs: [Int] { (0..<board.legCount).filter(board.isShared) }

    private mutating func advance(newlyDecided: Int, toTell: [Telling]) -> [Action] {
        var actions: [Action] = []
        switch phase {
        case .finished: return []
        case .voting(let undecided):
            if undecided > newlyDecided {
                phase = .voting(undecidedLegs: undecided - newlyDecided)
                return decides(toTell)
            }
            phase = .settling
            actions.append(.answer(receipt))
        case .settling: break
        }
        guard unsettled == 0 else { return actions + decides(toTell) }
        phase = .finished
        return actions + forgettingDecides + [.finished]
    }

    /// The fewest certificates that prove every leg's decision.
    private var receipt: Receipt {
        var selection = CertificateSelection(of: board)
        for leg in 0..<board.legCount { selection.addAll(board.proof(ofLeg: leg)) }
        return Receipt(request: request, certificates: board.ordered(selection.indexes))
    }

    /// What should be sent again when decided legs stay unsettled.
    public var outstandingDecides: [Action] {
        if case .finished = phase { return [] }
        if let relay { return relay.outstanding }
        return decides(sharedLegs.filter { isDecided[$0] }.map { Telling(leg: $0) })
    }

    /// Participants that have certified nothing of some undecided leg, ascending: the request should be sent to them
    /// again.
    public var missing: [ShardID] {
        guard case .voting = phase else { return [] }
        if let relay { return [relay.home] }
        var shards: [ShardID] = []
        for leg in 0..<board.legCount where !isDecided[leg] {
            for slot in board.participants(ofLeg: leg) where slot.knowledge.status == nil { shards.append(slot.shard) }
        }
        return StatusBoard.unique(shards)
    }

    /// Whether the shard is one of `missing`.
    public func isMissing(_ shard: ShardID) -> Bool {
        guard case .voting = phase else { return false }
        if let relay { return relay.home == shard && relay.outcome == nil }
        for leg in 0..<board.legCount where !isDecided[leg] {
            for slot in board.participants(ofLeg: leg) where slot.shard == shard && slot.knowledge.status == nil {
                return true
            }
        }
        return false
    }

    private func decides(_ tellings: [Telling]) -> [Action] {
        messages(tellings) { telling in
            let unsettled = board.participants(ofLeg: telling.leg).filter {
                $0.knowledge.decidedProof == nil && (telling.only == nil || telling.only == $0.shard)
            }
            guard !unsettled.isEmpty else { return nil }
            // A shard needs no word of its own.
            let proof = board.proof(ofLeg: telling.leg).filter { board.certificates[$0].shard != telling.only }
            return proof.isEmpty ? nil : (unsettled.map(\.shard), proof)
        }
    }

    /// All participants are certified decided: each may forget its record once its time has passed the deadline (R10).
    /// Those that know it already need not hear it again.
    private var forgettingDecides: [Action] {
        messages(sharedLegs.map { Telling(leg: $0) }) { telling in
            let participants = board.participants(ofLeg: telling.leg)
            let toTell = participants.indices.filter { !isInformed[$0] }.map { participants[$0].shard }
            guard !toTell.isEmpty else { return nil }
            let others = participants.filter { toTell != [$0.shard] }
            return (toTell, others.compactMap(\.knowledge.decidedProof))
        }
    }

    /// Packs legs into as few messages as the bound on certificates allows: one, but for requests over very many
    /// shards.
    private func messages(
        _ tellings: [Telling], _ content: (Telling) -> (shards: [ShardID], certificates: [Int])?
    ) -> [Action] {
        var actions: [Action] = []
        var shards: [ShardID] = []
        var selection = CertificateSelection(of: board)
        func flush() {
            if !shards.isEmpty {
                actions.append(.sendDecide(to: StatusBoard.unique(shards), board.decide(selection.indexes)))
            }
        }
        for telling in tellings {
            guard let (legShards, certificates) = content(telling) else { continue }
            if !selection.add(certificates) {
                flush()
                (shards, selection) = ([], CertificateSelection(of: board))
                // A leg that cannot fit alone is left to the hosts' own recovery.
                guard selection.add(certificates) else { continue }
            }
            shards += legShards
        }
        flush()
        return actions
    }
}
