import Messages

/// Between commit and execution: whether somebody who is to be believed has checked each request's signature
/// (docs/decisions/0040).
///
/// A PRE-PREPARE says that its primary has checked all of it, and a backup's PREPARE that vouches that this one has
/// checked the requests that it is designated to. A request that its primary and all f of its backups vouch for is
/// genuine: one of the f + 1 is correct. One that is designated to this replica it has checked itself. Whatever is left
/// it has checked itself after a while, at once if it waits for who was late lately; and all of what a NEW-VIEW
/// selects, because no vote of that view says that anybody has checked it.
///
/// A request that nobody signed cannot have f + 1 vouchers, so every correct replica finds out by itself, and leaves
/// it out.
package struct ExecutionGate: Sendable {
    /// Who says that it has checked its share of a fresh proposal.
    package struct Vouchers: Sendable {
        package let primary: ReplicaIndex
        /// This replica is among them.
        package let backups: ReplicaSet

        package init(primary: ReplicaIndex, backups: ReplicaSet) { (self.primary, self.backups) = (primary, backups) }
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

    /// The batch that is committed and is the next, as it was looked at when it had to wait. A step that does not end
    /// the wait looks at its shares, and at none of its items.
    private struct Waiting: Sendable {
        let sequence: SequenceNumber
        let batch: Digest
        let view: View
        var shares: [Share]
        var lookedAt: UInt64
        /// Whose word was missing then.
        var missing = ReplicaSet()

        func isFor(_ batch: Digest, at sequence: SequenceNumber, in view: View) -> Bool {
            (self.sequence, self.batch, self.view) == (sequence, batch, view)
        }
    }

    /// Requests that this replica has not looked at, and that the same backups are to have looked at.
    private struct Share: Sendable {
        /// None of what a NEW-VIEW selects.
        let backups: ReplicaSet
        var places: [UInt32]
        /// Until then the answer to this replica's own question is awaited.
        var awaitedUntil: UInt64 = 0
    }

    private let group: ReplicaGroup
    private let me: ReplicaIndex
    private let limits: ReplicaConfiguration.Limits
    private var findings: [Digest: Findings] = [:]
    private var waiting: Waiting?
    private var lateness: Lateness

    private static let maxFindings = 64

    package init(configuration: ReplicaConfiguration) {
        (group, me, limits) = (configuration.group, configuration.me, configuration.limits)
        lateness = Lateness(configuration: configuration)
    }

    // MARK: The next batch

    /// - Parameters:
    ///   - vouchers: nil if it is not a fresh proposal: nobody vouches for what a NEW-VIEW selects.
    ///   - view: in which it is committed.
    package mutating func admit(
        _ batch: Batch, at sequence: SequenceNumber, in view: View, _ vouchers: Vouchers?, now: Instant
    ) -> Verdict {
        if Mutant.is(.executesUnchecked) { return .execute(skipping: []) }
        let known = waiting.flatMap { $0.isFor(batch.digest, at: sequence, in: view) ? $0 : nil }
        if known == nil, let vouchers { lateness.begin(timely: vouchers.backups, now: now.uptime) }
        if let known { lateness.wait(now.uptime - min(now.uptime, known.lookedAt), for: known.missing) }
        let isVouchedFor = vouchers.map { $0.backups.count == group.n - 1 || Mutant.is(.oneVouchSuffices) } ?? false
        if isVouchedFor { return execute(batch.digest) }
        var waiting =
            known
            ?? Waiting(
                sequence: sequence, batch: batch.digest, view: view, shares: shares(of: batch, vouchers), lookedAt: 0)
        let (isOpen, due) = look(at: &waiting, vouchers, now: now)
        guard isOpen else { return execute(batch.digest) }
        let places = due.flatMap { waiting.shares[$0].places }.sorted()
        let asked = ask(places, of: batch, freshIn: vouchers == nil ? nil : view, now: now)
        for i in due { waiting.shares[i].awaitedUntil = asked.at + limits.checkTimeout }
        self.waiting = waiting
        return asked.places.isEmpty ? .wait : .ask(asked.places)
    }

    /// - Returns: whether anything still needs a look, and of what this replica is to ask for it.
    private func look(at waiting: inout Waiting, _ vouchers: Vouchers?, now: Instant) -> (isOpen: Bool, due: [Int]) {
        (waiting.lookedAt, waiting.missing) = (now.uptime, ReplicaSet())
        var isOpen = false
        var due: [Int] = []
        for (i, share) in waiting.shares.enumerated() where !share.places.isEmpty {
            let missing = share.backups.subtracting(vouchers?.backups ?? ReplicaSet())
            // All of its backups vouch for it.
            if vouchers != nil, missing.isEmpty { continue }
            isOpen = true
            waiting.missing.formUnion(missing)
            let isDue = missing.isEmpty || missing.intersects(lateness.late)
            if isDue, now.uptime >= share.awaitedUntil { due.append(i) }
        }
        return (isOpen, due)
    }

    private func execute(_ batch: Digest) -> Verdict { .execute(skipping: findings[batch]?.wrong.sorted() ?? []) }

    /// What needs this replica's own look unless others vouch for it.
    private func shares(of batch: Batch, _ vouchers: Vouchers?) -> [Share] {
        let known = findings[batch.digest]?.known ?? []
        guard let primary = vouchers?.primary else {
            return [Share(backups: ReplicaSet(), places: requests(of: batch) { place, _ in !known.contains(place) })]
        }
        var shares = (0..<group.n - 1).map {
            Share(backups: ReplicaSet(group.designated(from: $0, under: primary)), places: [])
        }
        for (place, item) in batch.items.enumerated() {
            guard case .request(let request) = item, !known.contains(UInt32(place)) else { continue }
            shares[group.firstDesignated(for: request.digest)].places.append(UInt32(place))
        }
        // Who is designated has looked itself.
        return shares.filter { !$0.places.isEmpty && !$0.backups.contains(me) }
    }

    // MARK: Checks

    /// As soon as a fresh proposal is here: what is designated to a backup that was late lately is not left to it, so
    /// that it is checked while the group agrees.
    package mutating func checkAhead(
        _ batch: Batch, in view: View, primary: ReplicaIndex, now: Instant
    ) -> [UInt32] {
        guard !lateness.late.isEmpty else { return [] }
        let isLate = (0..<group.n - 1).map {
            let backups = ReplicaSet(group.designated(from: $0, under: primary))
            return !backups.contains(me) && backups.intersects(lateness.late)
        }
        let places = requests(of: batch) { isLate[group.firstDesignated(for: $1)] }
        return ask(places, of: batch, freshIn: view, now: now).places
    }

    /// Their places, of those of its requests that are wanted.
    private func requests(of batch: Batch, where isWanted: (UInt32, Digest) -> Bool) -> [UInt32] {
        var places: [UInt32] = []
        for (place, item) in batch.items.enumerated() {
            guard case .request(let request) = item, isWanted(UInt32(place), request.digest) else { continue }
            places.append(UInt32(place))
        }
        return places
    }

    /// - Returns: those that nobody has been asked about, or so long ago that the answer is lost; and when the last
    ///   was asked about.
    private mutating func ask(
        _ places: [UInt32], of batch: Batch, freshIn view: View?, now: Instant
    ) -> (places: [UInt32], at: UInt64) {
        guard !places.isEmpty else { return ([], 0) }
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
        return (new, found.askedAt)
    }

    /// What this replica asked for was looked at.
    /// - Returns: the view whose primary proposed something that nobody signed.
    package mutating func take(_ checked: CheckedSignatures) -> View? {
        guard var found = findings[checked.batch] else { return nil }
        found.known.formUnion(checked.places)
        found.wrong.formUnion(checked.wrong)
        findings[checked.batch] = found
        if var waiting, waiting.batch == checked.batch {
            for i in waiting.shares.indices { waiting.shares[i].places.removeAll { found.known.contains($0) } }
            self.waiting = waiting
        }
        return checked.wrong.isEmpty ? nil : found.view
    }

    package mutating func executed(_ batch: Digest) { (findings[batch], waiting) = (nil, nil) }
}
