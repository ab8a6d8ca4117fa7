import Messages

/// What one leg takes from and gives to accounts of this shard, added up per account, and whether it may.
///
/// A debit reserves against posted - pendingDebits; a credit takes no lock but reserves headroom, so that no decide
/// can fail. A leg's own credits never pay for its own debits.
struct Escrow {
    struct Slot {
        let id: AccountID
        var record: AccountRecord
        var debits: UInt128 = 0
        var credits: UInt128 = 0
    }

    enum Answer: Equatable {
        case possible
        /// True with every pending credit applied and every pending debit released, and the other way round.
        case never(AbortReason)
        /// May pass once undecided transactions are decided: not a vote (R9).
        case conflict
    }

    private(set) var slots: [Slot] = []
    /// Where each account is, once there are more than a few: most legs touch two, which are found sooner by looking.
    private var position: [AccountID: Int] = [:]
    private static let few = 8
    /// Money that the leg creates. At most one operation of a leg issues.
    private(set) var issued: (asset: AssetID, amount: UInt128)?

    /// Forgets what was added, to take another leg in the same memory.
    mutating func removeAll() {
        slots.removeAll(keepingCapacity: true)
        if !position.isEmpty { position.removeAll() }
        issued = nil
    }

    /// Adds up what a leg does on the state's shard, and checks all that no pending transaction can change: existence,
    /// owner, asset, and, where the leg is voted on, freezes.
    /// - Parameter isVoted: this shard has voted yes on the leg. A freeze that came after its vote does not undo it.
    /// - Returns: why the leg cannot be, if so.
    mutating func add(
        leg: Int, of request: Request, issuer: PublicKey, isVoted: Bool, in state: StateView
    ) throws(ShardStateError) -> AbortReason? {
        try request.firstEffect(ofLeg: leg, on: state.shard, in: state.map) {
            (effect) throws(ShardStateError) -> AbortReason? in
            try add(effect, principal: request.principal, issuer: issuer, isVoted: isVoted, in: state)
        }
    }

    private mutating func add(
        _ effect: Effect, principal: PublicKey, issuer: PublicKey, isVoted: Bool, in state: StateView
    ) throws(ShardStateError) -> AbortReason? {
        switch effect {
        case .debit(let id, let asset, let amount):
            guard let slot = try slot(id, state) else { return .unknownAccount }
            guard slots[slot].record.owner == principal else { return .notAuthorised }
            guard slots[slot].record.asset == asset else { return .wrongAsset }
            guard isVoted || !slots[slot].record.refusesDebits else { return .frozen }
            slots[slot].debits = Self.sum(slots[slot].debits, amount.number)
        case .credit(let id, let asset, let amount):
            guard let slot = try slot(id, state) else { return .unknownAccount }
            guard slots[slot].record.asset == asset else { return .wrongAsset }
            guard isVoted || !slots[slot].record.refusesCredits else { return .frozen }
            slots[slot].credits = Self.sum(slots[slot].credits, amount.number)
        case .issue(let id, let asset, let amount):
            guard principal == issuer else { return .notAuthorised }
            guard let slot = try slot(id, state) else { return .unknownAccount }
            guard slots[slot].record.asset == asset else { return .wrongAsset }
            guard isVoted || !slots[slot].record.refusesCredits else { return .frozen }
            slots[slot].credits = Self.sum(slots[slot].credits, amount.number)
            issued = (asset, Self.sum(issued?.amount ?? 0, amount.number))
        case .open(let specification):
            let id = specification.id
            guard try slot(id, state) == nil else { return .accountExists }
            append(Slot(id: id, record: AccountRecord(owner: specification.owner, asset: specification.asset)))
        }
        return nil
    }

    /// Whether there is enough on every account, and room.
    var answer: Answer {
        var conflict = false
        for slot in slots {
            let record = slot.record
            if Mutant.is(.escrowIgnoresReserved), slot.debits <= record.posted { continue }
            if slot.debits > record.available {
                if slot.debits > record.posted + record.pendingCredits { return .never(.insufficientFunds) }
                conflict = true
            }
            if slot.credits > record.headroom {
                if slot.credits > Amount.limit.number - record.available { return .never(.overflow) }
                conflict = true
            }
        }
        return conflict ? .conflict : .possible
    }

    /// Reserves everything.
    /// - Precondition: `answer` is `.possible`.
    func reserve(in state: inout StateView) throws(ShardStateError) {
        try put(into: &state) { slot, record in
            record.pendingDebits += slot.debits
            record.pendingCredits += slot.credits
        }
    }

    /// Applies a leg with one participant.
    /// - Precondition: `answer` is `.possible`.
    func apply(to state: inout StateView) throws(ShardStateError) {
        try put(into: &state) { slot, record in record.posted = record.posted - slot.debits + slot.credits }
    }

    /// Spends what was reserved, or releases it. Checks nothing of the request again.
    /// - Returns: false, and nothing has changed, if an account does not hold the reservation, which only a damaged
    ///   state explains.
    func settle(commits: Bool, in state: inout StateView) throws(ShardStateError) -> Bool {
        for slot in slots {
            guard slot.record.pendingDebits >= slot.debits, slot.record.pendingCredits >= slot.credits else {
                return false
            }
        }
        try put(into: &state) { slot, record in
            record.pendingDebits -= slot.debits
            record.pendingCredits -= slot.credits
            if commits { record.posted = record.posted - slot.debits + slot.credits }
        }
        return true
    }

    private func put(
        into state: inout StateView, _ change: (Slot, inout AccountRecord) -> Void
    ) throws(ShardStateError) {
        for slot in slots {
            var record = slot.record
            change(slot, &record)
            guard record.isSound else {
                throw .corruptEntry(key: StateKey.account(slot.id, in: state.map).bytes, what: "balance")
            }
            state.put(record, slot.id)
        }
    }

    private mutating func slot(
        _ id: AccountID, _ state: StateView
    ) throws(ShardStateError) -> Int? {
        if let known = slots.count > Self.few ? position[id] : slots.firstIndex(where: { $0.id == id }) { return known }
        guard let record = try state.account(id) else { return nil }
        append(Slot(id: id, record: record))
        return slots.count - 1
    }

    private mutating func append(_ slot: Slot) {
        slots.append(slot)
        if slots.count == Self.few + 1 {
            for (index, slot) in slots.enumerated() { position[slot.id] = index }
        } else if slots.count > Self.few {
            position[slot.id] = slots.count - 1
        }
    }

    /// Saturates: 1,024 amounts may exceed 128 bits, and no balance comes near.
    private static func sum(_ a: UInt128, _ b: UInt128) -> UInt128 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }
}
