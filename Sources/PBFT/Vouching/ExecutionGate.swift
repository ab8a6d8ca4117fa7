import Messages

/// Between commit and execution: whether somebody who is to be believed has checked each request's signature
/// (docs/decisions/0040).
///
/// A fresh proposal's PRE-PREPARE says that its primary has checked all of it, and a backup's PREPARE for it that this
/// one has checked the requests that it is designated to. A request that its primary and all f of its backups vouch
/// for is genuine: one of the f + 1 is correct. One that is designated to this replica it has checked itself. Whatever
/// is left it has checked itself after a while, at once if it waits for who was late lately; and all of what a
/// NEW-VIEW selects, because no vote of that view says that anybody has checked it.
///
/// A request that nobody signed cannot have f + 1 vouchers, so every correct replica finds out by itself, and leaves
/// it out.
package struct ExecutionGate: Sendable {
    /// Who says that it has checked its share of a fresh proposal.
    package struct Vouchers: Sendable {
        package let primary: ReplicaIndex
        /// A bit for each backup. This replica's own is among them.
        package let backups: UInt64

        package init(primary: ReplicaIndex, backups: UInt64) { (self.primary, self.backups) = (primary, backups) }

        func contains(_ backup: ReplicaIndex) -> Bool { backups >> UInt64(backup.index) & 1 == 1 }
    }

    package enum Verdict: Hashable, Sendable {
        /// All but these places, which are wrong.
        case execute(skipping: [UInt32])
        case wait
        /// These are to be checked, and it waits for that.
        case ask([UInt32])
    }

    /// What this replica has had checked of one batch itself.
    private struct Findings: Sendable {
        var asked: Set<UInt32> = []
        var askedAt: UInt64 = 0
        var known: Set<UInt32> = []
        var wrong: Set<UInt32> = []
        /// It is a fresh proposal of this view: what is wrong in it is its primary's fault.
        var view: View?
    }

    private let group: ReplicaGroup
    private let me: ReplicaIndex
    private let limits: ReplicaConfiguration.Limits
    private var findings: [Digest: Findings] = [:]
    /// The batch that is committed, is the next, and is not executed yet; and since when.
    private var waiting: (sequence: SequenceNumber, batch: Digest, since: UInt64)?
    /// By backup, for how many more batches nobody waits for its word.
    private var lateness: [Int]

    /// So many batches that are there in time make up for one that was late.
    private static let patience = 8
    private static let maxFindings = 64

    package init(configuration: ReplicaConfiguration) {
        (group, me, limits) = (configuration.group, configuration.me, configuration.limits)
        lateness = Array(repeating: 0, count: group.n)
    }

    // MARK: The next batch

    /// - Parameters:
    ///   - vouchers: nil if it is not a fresh proposal: nobody vouches for what a NEW-VIEW selects.
    ///   - view: in which it is committed.
    package mutating func admit(
        _ batch: Batch, at sequence: SequenceNumber, in view: View, _ vouchers: Vouchers?, now: Instant
    ) -> Verdict {
        if Mutant.is(.executesUnchecked) { return .execute(skipping: []) }
        let isNew = waiting?.sequence != sequence || waiting?.batch != batch.digest
        if isNew {
            waiting = (sequence, batch.digest, now.uptime)
            if let vouchers { noteTimely(vouchers) }
        }
        let found = findings[batch.digest]
        let open = uncovered(batch, vouchers).filter { found?.known.contains($0.place) != true }
        if open.isEmpty { return .execute(skipping: found?.wrong.sorted() ?? []) }
        let since = waiting?.since ?? now.uptime
        let isOverdue = now.uptime >= since + limits.stepInAfter
        if isOverdue, vouchers != nil { for (_, missing) in open { for backup in missing { noteLate(backup) } } }
        let due = open.filter { isOverdue || $0.missing.isEmpty || $0.missing.contains(where: isLate) }
        let places = ask(due.map(\.place), of: batch, freshIn: vouchers == nil ? nil : view, now: now)
        return places.isEmpty ? .wait : .ask(places)
    }

    /// Those places that need this replica's own look, each with the backups that could still vouch for it: none of
    /// what is not a fresh proposal.
    private func uncovered(_ batch: Batch, _ vouchers: Vouchers?) -> [(place: UInt32, missing: [ReplicaIndex])] {
        if let vouchers, vouchers.backups.nonzeroBitCount == group.n - 1 { return [] }
        if vouchers != nil, Mutant.is(.oneVouchSuffices) { return [] }
        var uncovered: [(place: UInt32, missing: [ReplicaIndex])] = []
        for (place, item) in batch.items.enumerated() {
            guard case .request(let request) = item else { continue }
            guard let vouchers else {
                uncovered.append((UInt32(place), []))
                continue
            }
            // Who is designated has looked itself.
            if group.isDesignated(me, for: request.digest, under: vouchers.primary) { continue }
            let missing = group.replicas.filter {
                !vouchers.contains($0) && group.isDesignated($0, for: request.digest, under: vouchers.primary)
            }
            if !missing.isEmpty { uncovered.append((UInt32(place), missing)) }
        }
        return uncovered
    }

    // MARK: Checks

    /// As soon as a fresh proposal is here: what is designated to a backup that was late lately is not left to it, so
    /// that it is checked while the group agrees.
    package mutating func checkAhead(
        _ batch: Batch, in view: View, primary: ReplicaIndex, now: Instant
    ) -> [UInt32] {
        let late = group.replicas.filter { $0 != me && $0 != primary && isLate($0) }
        guard !late.isEmpty else { return [] }
        var places: [UInt32] = []
        for (place, item) in batch.items.enumerated() {
            guard case .request(let request) = item,
                !group.isDesignated(me, for: request.digest, under: primary),
                late.contains(where: { group.isDesignated($0, for: request.digest, under: primary) })
            else { continue }
            places.append(UInt32(place))
        }
        return ask(places, of: batch, freshIn: view, now: now)
    }

    /// - Returns: those that nobody has been asked about, or so long ago that the answer is lost.
    private mutating func ask(
        _ places: [UInt32], of batch: Batch, freshIn view: View?, now: Instant
    ) -> [UInt32] {
        guard !places.isEmpty else { return [] }
        if findings[batch.digest] == nil, findings.count >= Self.maxFindings { findings.removeAll() }
        var found = findings[batch.digest] ?? Findings()
        let isLost = now.uptime >= found.askedAt + limits.checkTimeout
        let new = places.filter { !found.known.contains($0) && (isLost || !found.asked.contains($0)) }
        found.view = view
        if !new.isEmpty {
            found.asked.formUnion(new)
            found.askedAt = now.uptime
        }
        findings[batch.digest] = found
        return new
    }

    /// What this replica asked for was looked at.
    /// - Returns: the view whose primary proposed something that nobody signed.
    package mutating func take(_ checked: CheckedSignatures) -> View? {
        guard var found = findings[checked.batch] else { return nil }
        found.known.formUnion(checked.places)
        found.wrong.formUnion(checked.wrong)
        findings[checked.batch] = found
        return checked.wrong.isEmpty ? nil : found.view
    }

    package mutating func executed(_ batch: Digest) { findings[batch] = nil }

    // MARK: Who is late

    private func isLate(_ backup: ReplicaIndex) -> Bool { lateness[backup.index] > 0 }
    private mutating func noteLate(_ backup: ReplicaIndex) { lateness[backup.index] = Self.patience }

    private mutating func noteTimely(_ vouchers: Vouchers) {
        for i in lateness.indices where lateness[i] > 0 && vouchers.contains(ReplicaIndex(UInt8(i))) {
            lateness[i] -= 1
        }
    }
}
