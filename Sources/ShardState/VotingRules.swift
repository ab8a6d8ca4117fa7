import Messages

/// The rules that keep shards from deciding one transaction differently and a request from happening twice: R9, R10
/// and R11 as pure functions. What is said without a record must be true for ever.
enum VotingRules {
    /// A leg of a request in which this shard takes part.
    struct OwnLeg {
        let leg: UInt16
        /// How many shards take part.
        let participants: Int
        /// Position of this shard among them.
        let own: Int

        var isCrossShard: Bool { participants > 1 }

        /// A final no: a vote where others wait for it, otherwise the outcome.
        func refused(_ reason: AbortReason) -> LegStatus { isCrossShard ? .votedNo(reason) : .aborted(reason) }
    }

    static func ownLegs(of request: Request, shard: ShardID, in map: ShardMap) -> [OwnLeg] {
        var legs: [OwnLeg] = []
        legs.reserveCapacity(request.legCount)
        for leg in 0..<request.legCount {
            guard let place = request.place(of: shard, inLeg: leg, in: map) else { continue }
            legs.append(OwnLeg(leg: UInt16(leg), participants: place.of, own: place.index))
        }
        return legs
    }

    /// Wrong whatever any shard's state is: every shard says so at any time, and needs no record for it (R8, R9).
    static func isMalformed(_ request: Request, _ limits: ShardLimits) -> Bool {
        request.acknowledgedBelow > request.number
            || request.deadline <= request.issuedAt
            || request.deadline.microseconds(since: request.issuedAt) > limits.maxLifetimeMicroseconds
            || hasMalformedOrder(request)
    }

    /// Numbers go up, so nobody waits in a circle.
    private static func hasMalformedOrder(_ request: Request) -> Bool {
        request.follows.count > Request.maxPredecessors || request.follows.contains { $0.number >= request.number }
            || zip(request.follows, request.follows.dropFirst()).contains { $0.shard >= $1.shard }
    }

    /// Whether nothing more of a predecessor can be recorded on this shard than is: then what follows it may be looked
    /// at. It stays so for ever, as records go only when their number is acknowledged.
    /// - Parameter record: what there is of its number.
    static func isBehind(
        _ predecessor: Predecessor, _ record: RequestRecord, acknowledgedBelow: UInt64, time: Timestamp
    ) -> Bool {
        // Refused for ever (R11), or by then never voted on (R10).
        if predecessor.number.number < acknowledgedBelow || time > predecessor.deadline { return true }
        return record.attempts.contains { $0.isWhole || time > $0.deadline || Mutant.is(.refusedLegIsBehind) }
    }

    /// As `isMalformed`, for one leg.
    static func isMalformed(_ leg: OwnLeg, of request: Request) -> Bool {
        if leg.participants > ShardLimits.maxParticipants { return true }
        func isBad(_ amount: Amount) -> Bool { amount == .zero || amount > .limit }
        return request.operations(ofLeg: Int(leg.leg)).contains { operation in
            switch operation {
            case .transfer(let transfer): transfer.from == transfer.to || isBad(transfer.amount)
            case .open: request.mode == .atomic
            case .issue(_, _, let amount): request.mode == .atomic || isBad(amount)
            // A read is a leg of its own: among others it would tell what they leave.
            case .read: request.mode == .atomic && request.operations.count > 1
            case .call: request.rootCall == nil
            case .freeze, .release: request.mode == .atomic
            }
        }
    }

    /// What may be certified for a leg without a record, because it can never get one: the number is acknowledged
    /// (R11), the leg is malformed, or this shard's time, which never goes back, has passed the deadline (R10).
    static func permanentRefusal(
        of leg: OwnLeg, request: Request, isMalformed: Bool, acknowledgedBelow: UInt64, time: Timestamp
    ) -> LegStatus? {
        if request.number.number < acknowledgedBelow { return .acknowledged }
        if isMalformed || self.isMalformed(leg, of: request) { return leg.refused(.malformed) }
        if time > request.deadline { return .noRecordAbort }
        return nil
    }

    /// Another attempt holds or committed this leg, so this one must not (R11).
    static func isSuperseded(_ leg: UInt16, of digest: Digest, in record: RequestRecord) -> Bool {
        if Mutant.is(.twoAttempts) { return false }
        return record.attempts.contains { attempt in
            guard attempt.digest != digest else { return false }
            switch attempt.record(ofLeg: leg)?.status {
            case .votedYes, .committed, .running, .returned: return true
            // A read that is repeated may see something newer.
            case .votedNo, .aborted, .noRecordAbort, .acknowledged, .read, .failed, .closed, nil: return false
            }
        }
    }

    /// Outcomes are kept until acknowledged (R11); a record that others may need, also until it is settled and past
    /// its deadline, which is when it loses its body (R10).
    static func mayForget(_ attempt: AttemptRecord, number: RequestNumber, acknowledgedBelow: UInt64) -> Bool {
        !attempt.hasBody && !attempt.hasCall && number.number < acknowledgedBelow
    }

    /// The body has done its duty: no participant can need to be told, and none here may vote (R10).
    static func mayDropBody(_ attempt: AttemptRecord, time: Timestamp) -> Bool {
        attempt.hasBody && attempt.isSettled && time > attempt.deadline
    }
}

/// What verified certificates do to an attempt.
struct AttemptAdvance {
    var attempt: AttemptRecord
    /// Legs undecided until now, ascending, and whether each commits.
    var decisions: [(leg: UInt16, commits: Bool)] = []
    /// A participant is now known decided that was not.
    var notes = false

    /// - Parameter certificates: signatures checked. Those about other requests or from shards that do not take part
    ///   are as if they were not there (R8: nothing that a coordinator adds is part of a transaction).
    init(_ attempt: AttemptRecord, request: Request, shard: ShardID, map: ShardMap, certificates: [Certificate]) {
        self.attempt = attempt
        let leaves = certificates.filter {
            ($0.leaf.request == attempt.digest || Mutant.is(.anyAttemptsVotes)) && $0.shard != shard
        }
        guard attempt.hasBody, !leaves.isEmpty else { return }
        for record in attempt.legs where record.isCrossShard && !record.isSettled {
            let participants = request.participants(ofLeg: Int(record.leg), in: map)
            let statuses: [LegStatus?] = participants.map { participant in
                participant == shard ? record.status : Self.best(leaves, of: participant, leg: record.leg)
            }
            var updated = record
            // Once decided, nothing can change it: not even certificates of more than f faulty replicas.
            let isOpen = !record.status.isDecided || Mutant.is(.decidesAgain)
            if isOpen, let decision = Decision(statuses) {
                switch decision {
                case .commit: updated.status = .committed
                case .abort(let reason): updated.status = .aborted(reason)
                }
                decisions.append((record.leg, decision == .commit))
            }
            for (i, participant) in participants.enumerated() {
                let status = participant == shard ? updated.status : statuses[i]
                if status?.isDecided == true { updated.knownDecided |= 1 << UInt64(i) }
            }
            guard updated != record else { continue }
            if updated.knownDecided != record.knownDecided { notes = true }
            self.attempt.put(updated)
        }
    }

    /// The furthest that one shard has certified of a leg: its outcome if that is there, otherwise its vote.
    private static func best(_ certificates: [Certificate], of shard: ShardID, leg: UInt16) -> LegStatus? {
        var vote: LegStatus?
        for certificate in certificates where certificate.shard == shard {
            guard let status = certificate.leaf.find(leg) else { continue }
            if status.isDecided { return status }
            vote = status
        }
        return vote
    }
}

extension Leaf {
    /// As `status(ofLeg:)`, by bisection: a decide may carry 64 leaves of 1,024 entries.
    func find(_ leg: UInt16) -> LegStatus? {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].leg < leg { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].leg == leg ? entries[low].status : nil
    }
}
