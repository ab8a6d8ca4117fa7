import Messages

/// What a procedure sees: its shard's keys and accounts as its transaction has left them, and other shards by calls.
/// Everything that it reads is locked until the transaction ends (R14).
public final class ProcedureContext {
    /// Thrown through the procedure when it cannot go on now. It is run again from the start.
    private struct Suspension: Error {}

    enum Stop {
        /// Waits for answers of `issued`, or of what was issued before.
        case calling
        case blocked(resource: [UInt8], isExclusive: Bool)
        /// It may not wait for this one (R5).
        case died(resource: [UInt8], isExclusive: Bool)
        case failed(CallFailure)
    }

    /// Who signed.
    public let principal: PublicKey
    /// The shard's time when this procedure was first run in this transaction.
    public var now: Timestamp { frame.now }
    /// Where the procedure runs, and whose keys and accounts it can reach without a call.
    public let shard: ShardID
    /// What was signed: the call from which all others come.
    public let root: Invocation

    private let map: ShardMap
    private let limits: ShardLimits
    private let state: StateView
    private let table: LockTable
    private let record: CallRecord
    private let frame: Frame
    private let age: CallAge
    /// What frames before this one left, and then what this one changes.
    private var before: [[UInt8]: [UInt8]?] = [:]
    private(set) var writes: [[UInt8]: [UInt8]?] = [:]
    private(set) var flows: [AssetFlow] = []
    private(set) var acquired: [HeldLock] = []
    private(set) var issued: [IssuedCall] = []
    private(set) var consumed: [ConsumedCall] = []
    private(set) var stop: Stop?
    /// What a damaged state made of it: the replica halts.
    private(set) var damage: ShardStateError?
    private var groups = 0
    private var steps = 0

    init(
        shard: ShardID, map: ShardMap, limits: ShardLimits, state: StateView, table: LockTable, record: CallRecord,
        frame: Frame
    ) {
        (self.shard, self.map, self.limits, self.state, self.table) = (shard, map, limits, state, table)
        (self.record, self.frame) = (record, frame)
        principal = record.root.request.principal
        root = record.root.request.rootCall ?? frame.invocation
        age = CallAge(record)
        // From the outside in: what returned before an ancestor was called, that ancestor, and so on (R14).
        var caller: CallPath?
        while true {
            var next: CallPath?
            for other in record.frames(below: caller) where other.path != frame.path && other.path < frame.path {
                if other.path.isAncestor(of: frame.path) {
                    take(other)
                    next = other.path
                } else if !other.path.isConcurrent(with: frame.path),
                    Self.isUnderSameCall(other.path, frame.path, of: caller)
                {
                    // Its call has returned, and nobody on this shard has taken over yet what it left.
                    take(other)
                }
            }
            guard let next else { break }
            caller = next
        }
    }

    /// Whether both were called from within one call of `caller` that has not returned. What returned to `caller` is in
    /// its changes.
    private static func isUnderSameCall(_ a: CallPath, _ b: CallPath, of caller: CallPath?) -> Bool {
        guard let caller else { return true }
        return a.steps[caller.depth] == b.steps[caller.depth]
    }

    private func take(_ other: Frame) {
        for write in other.writes { before[write.key] = .some(write.value) }
    }

    // MARK: Failing

    func failure(_ reason: CallFailure.Reason, _ text: String = "") -> CallFailure {
        CallFailure(reason, shard: shard, procedure: frame.invocation.procedure, text: text)
    }

    /// Dooms the transaction, whether or not the procedure catches it.
    private func fail(_ reason: CallFailure.Reason, _ text: String = "") -> any Error { fail(failure(reason, text)) }

    private func fail(_ failure: CallFailure) -> any Error {
        if stop == nil { stop = .failed(failure) }
        return failure
    }

    private func step() throws {
        if case .failed(let failure)? = stop { throw failure }
        guard stop == nil else { throw Suspension() }
        steps += 1
        guard steps <= limits.maxStepsPerFrame else { throw fail(.limit, "more than \(limits.maxStepsPerFrame) steps") }
    }

    // MARK: Keys

    /// The shard of a key or an account. Who takes his locks in ascending order, by shard, accounts before keys, and by
    /// their bytes, waits where others die (R5).
    public func shard(of target: CallTarget) -> ShardID { map.shard(of: target) }

    /// The value of a key; nil if there is none.
    /// - Parameter toChange: it will be set. Who says so at once is not killed by another reader that wants the same.
    /// - Throws: when the key is another shard's, or the transaction may not wait for who holds it; ends the
    ///   transaction.
    public func value<T: CanonicalDecodable>(of key: String, toChange: Bool = false, as _: T.Type = T.self) throws -> T?
    {
        guard let bytes = try bytes(of: Array(key.utf8), toChange: toChange) else { return nil }
        do { return try T(decoding: bytes) } catch {
            throw fail(.badArguments, "\(key) holds something else: \(error)")
        }
    }

    /// Puts the value's canonical encoding under a key, which has 1 to 240 bytes in UTF-8.
    /// - Throws: when the key is another shard's, key or value is too long (16 KiB for a value), or the transaction may
    ///   not wait for who holds the key; ends the transaction.
    public func set(_ key: String, to value: some CanonicalEncodable) throws {
        try set(Array(key.utf8), to: value.encoded())
    }
    /// Removes a key, as setting its bytes to nil does. That there is none is no error.
    /// - Throws: as `set`.
    public func remove(_ key: String) throws { try set(Array(key.utf8), to: nil) }

    /// The value of a key that need not be text, undecoded; nil if there is none.
    /// - Parameter toChange: it will be set. Who says so at once is not killed by another reader that wants the same.
    /// - Throws: when the key is another shard's or has not 1 to 240 bytes, or the transaction may not wait for who
    ///   holds it; ends the transaction.
    public func bytes(of key: [UInt8], toChange: Bool = false) throws -> [UInt8]? {
        let resource = try resource(of: key)
        try lock(resource, isExclusive: toChange)
        return try read(resource)
    }

    /// - Parameter value: nil removes the key.
    public func set(_ key: [UInt8], to value: [UInt8]?) throws {
        let resource = try resource(of: key)
        guard value?.count ?? 0 <= Invocation.maxValueBytes else {
            throw fail(.limit, "a value of \(value?.count ?? 0) bytes")
        }
        try lock(resource, isExclusive: true)
        try write(resource, value)
    }

    private func resource(of key: [UInt8]) throws -> [UInt8] {
        guard 1...CallTarget.maxKeyBytes ~= key.count else { throw fail(.limit, "a key of \(key.count) bytes") }
        let owner = map.shard(ofKey: key)
        guard owner == shard else {
            throw fail(.badArguments, "\(String(decoding: key, as: UTF8.self)) is a key of shard \(owner)")
        }
        return StateKey.value(key, in: map)
    }

    // MARK: Accounts

    /// An account with no transaction under way but this one; nil if there is none.
    public func account(_ id: AccountID) throws -> AccountView? {
        try locked(id, isExclusive: false).map {
            AccountView(
                owner: $0.owner, asset: $0.asset, posted: Amount($0.posted), pendingDebits: .zero,
                pendingCredits: .zero, freeze: $0.freeze)
        }
    }

    /// Takes money out of an account of whoever signed, or of this procedure (`ProcedureRegistry.authority`). All
    /// debits and credits of a transaction must balance in the end, over all shards.
    public func debit(_ id: AccountID, _ asset: AssetID, _ amount: Amount) throws {
        guard var account = try locked(id, isExclusive: true) else { throw fail(.account, "no account \(id)") }
        let authority = ProcedureRegistry.authority(frame.invocation.procedure, version: frame.invocation.version)
        guard account.owner == principal || account.owner == authority else {
            throw fail(.account, "the signer does not own \(id)")
        }
        guard account.asset == asset else { throw fail(.account, "\(id) holds asset \(account.asset)") }
        guard !account.refusesDebits else { throw fail(.frozen, "\(id) is frozen for debits") }
        guard amount > .zero else { throw fail(.account, "an amount of zero") }
        guard amount.number <= account.posted else {
            throw fail(.account, "\(id) holds \(account.posted), not \(amount)")
        }
        account.posted -= amount.number
        try write(StateKey.account(id, in: map).bytes, account.encoded())
        try flow(asset, credits: 0, debits: amount.number)
    }

    /// Puts money into an account of this shard, whoever owns it. Without a debit somewhere in the transaction it
    /// aborts.
    /// - Throws: when there is no such account, it holds another asset, the amount is zero, or the sum would pass the
    ///   limit; ends the transaction.
    public func credit(_ id: AccountID, _ asset: AssetID, _ amount: Amount) throws {
        guard var account = try locked(id, isExclusive: true) else { throw fail(.account, "no account \(id)") }
        guard account.asset == asset else { throw fail(.account, "\(id) holds asset \(account.asset)") }
        guard !account.refusesCredits else { throw fail(.frozen, "\(id) is frozen for credits") }
        guard amount > .zero else { throw fail(.account, "an amount of zero") }
        guard amount <= .limit, amount.number <= account.headroom else {
            throw fail(.account, "\(id) would hold too much")
        }
        account.posted += amount.number
        try write(StateKey.account(id, in: map).bytes, account.encoded())
        try flow(asset, credits: amount.number, debits: 0)
    }

    private func locked(_ id: AccountID, isExclusive: Bool) throws -> AccountRecord? {
        let owner = map.shard(of: id)
        guard owner == shard else { throw fail(.badArguments, "\(id) is an account of shard \(owner)") }
        let resource = StateKey.account(id, in: map).bytes
        try lock(resource, isExclusive: isExclusive)
        guard let bytes = try read(resource) else { return nil }
        do {
            var account: AccountRecord = try decodeEntry(bytes, of: resource)
            // What this transaction has changed of it may be older than the freeze, which waits for nobody's lock.
            if let current = try stored(resource) {
                account.freeze = (try decodeEntry(current, of: resource) as AccountRecord).freeze
            }
            return account
        } catch let error as ShardStateError {
            damage = error
            throw fail(.account)
        }
    }

    private func flow(_ asset: AssetID, credits: UInt128, debits: UInt128) throws {
        guard let sum = AssetFlow.sum(flows, [AssetFlow(asset: asset, credits: credits, debits: debits)]) else {
            throw fail(.limit, "sums")
        }
        flows = sum
    }

    // MARK: Locks and values

    private func lock(_ resource: [UInt8], isExclusive: Bool) throws {
        try step()
        for held in frame.locks + acquired where held.resource == resource && (held.isExclusive || !isExclusive) {
            return
        }
        // Descendants inherit; frames side by side must not touch the same.
        for other in record.frames where other.path.isConcurrent(with: frame.path) {
            var touches = other.locks.contains { $0.resource == resource && (isExclusive || $0.isExclusive) }
            if case .waiting(resource, let waitsExclusive, _) = other.phase, isExclusive || waitsExclusive {
                touches = true
            }
            if touches {
                throw fail(.parallelConflict, "parallel calls touch \(Self.describe(resource))")
            }
        }
        guard frame.locks.count + acquired.count < limits.maxLocksPerFrame else { throw fail(.limit, "too many keys") }
        // What a caller, or a call that has returned, holds is this transaction's already.
        let isInherited = record.frames.contains { other in
            other.path != frame.path && !other.path.isConcurrent(with: frame.path)
                && other.locks.contains { $0.resource == resource && ($0.isExclusive || !isExclusive) }
        }
        if isInherited {
            acquired.removeAll { $0.resource == resource }
            return acquired.append(HeldLock(resource: resource, isExclusive: isExclusive))
        }
        // What was only read since this run began is given up for the exclusive lock: who waits for it runs from the
        // start again.
        acquired.removeAll { $0.resource == resource }
        let isUpgrade = record.frames.contains { $0.locks.contains { $0.resource == resource } }
        let rivals = table.rivals(for: resource, isExclusive: isExclusive, isUpgrade: isUpgrade, age: age)
        if !rivals.isEmpty {
            let claim = record.claim(on: resource, by: frame, acquired: acquired, shard: shard, map: map)
            switch LockRule.verdict(claim, against: rivals) {
            case .wait: stop = .blocked(resource: resource, isExclusive: isExclusive)
            case .die: stop = .died(resource: resource, isExclusive: isExclusive)
            }
            throw Suspension()
        }
        // Escrow may itself hang on an account of another shard that this transaction has locked, and is refused there
        // until then. So nobody waits for it (R6 lets reads of one shard wait; a procedure may hold more).
        let ignoresEscrow = Mutant.is(.procedureIgnoresEscrow)
        if StateKey.kind(of: resource) == .account, !ignoresEscrow, let bytes = try stored(resource) {
            let account: AccountRecord
            do { account = try decodeEntry(bytes, of: resource) } catch {
                damage = error
                throw fail(.account)
            }
            if account.pendingDebits > 0 || account.pendingCredits > 0 {
                throw fail(.died, "an undecided transfer uses account \(StateKey.decodeAccount(resource)?.hex ?? "")")
            }
        }
        acquired.append(HeldLock(resource: resource, isExclusive: isExclusive))
    }

    private static func describe(_ resource: [UInt8]) -> String {
        if StateKey.kind(of: resource) == .account, let id = StateKey.decodeAccount(resource) { return "account \(id)" }
        return String(decoding: resource.dropFirst(StateKey.prefixLength), as: UTF8.self)
    }

    private func stored(_ key: [UInt8]) throws -> [UInt8]? {
        do { return try state.bytes(key) } catch {
            damage = error
            throw fail(.account)
        }
    }

    private func read(_ key: [UInt8]) throws -> [UInt8]? {
        if let value = writes[key] ?? before[key] { return value }
        return try stored(key)
    }

    private func write(_ key: [UInt8], _ value: [UInt8]?) throws {
        writes[key] = .some(value)
        guard writes.count <= limits.maxWritesPerFrame else {
            throw fail(.limit, "more than \(limits.maxWritesPerFrame) keys written")
        }
    }

    // MARK: Calls

    /// Runs a procedure on the shard of `target`, and goes on with what it returns.
    /// - Throws: what ends the transaction, also when it is caught: the callee failed, or a bound is exceeded.
    public func call<R: CanonicalDecodable>(
        _ target: CallTarget, _ procedure: String, version: UInt16 = 1, _ arguments: some CanonicalEncodable,
        returning _: R.Type = R.self
    ) throws -> R {
        let results = try callAll([
            Invocation(target: target, procedure: procedure, version: version, arguments: arguments.encoded())
        ])
        do { return try R(decoding: results[0]) } catch {
            throw fail(.badArguments, "the result of \(procedure): \(error)")
        }
    }

    /// Runs procedures beside each other, and goes on when all have returned. They must not touch the same keys.
    /// - Returns: their results' encodings, in order.
    public func callAll(_ invocations: [Invocation]) throws -> [[UInt8]] {
        try step()
        guard frame.path.depth < CallPath.maxDepth else { throw fail(.limit, "deeper than \(CallPath.maxDepth) calls") }
        guard groups < 255, invocations.count <= limits.maxCallsPerGroup else { throw fail(.limit, "too many calls") }
        let group = UInt8(groups)
        groups += 1
        var results: [[UInt8]] = []
        var isWaiting = false
        var answers: [(shard: ShardID, response: CallResponse)] = []
        for (i, invocation) in invocations.enumerated() {
            guard invocation.arguments.count <= Invocation.maxValueBytes,
                invocation.procedure.utf8.count <= Invocation.maxNameBytes / 2
            else {
                throw fail(.limit, "the arguments of \(invocation.procedure)")
            }
            if case .key(let key) = invocation.target, !(1...CallTarget.maxKeyBytes ~= key.count) {
                throw fail(.limit, "a key of \(key.count) bytes")
            }
            let path = frame.path.appending(.init(group: group, index: UInt8(i)))
            guard let known = frame.calls.first(where: { $0.call.path == path }) else {
                let callee = map.shard(of: invocation.target)
                let reach =
                    invocations.count > 1
                    ? .any : record.reach(ofCallTo: callee, by: frame, acquired: acquired, shard: shard, map: map)
                issued.append(IssuedCall(path: path, invocation: invocation, reach: reach))
                isWaiting = true
                continue
            }
            // Answers are for what was asked (R14).
            guard known.call.invocation == invocation else { throw fail(.notDeterministic) }
            guard let response = known.response else {
                isWaiting = true
                continue
            }
            answers.append((map.shard(of: invocation.target), response))
        }
        let calls =
            record.frames.reduce(0) { $0 + ($1.path == frame.path ? 0 : $1.calls.count) } + frame.calls.count
            + issued.count
        guard calls <= limits.maxCallsPerRecord else {
            throw fail(.limit, "more than \(limits.maxCallsPerRecord) calls")
        }
        guard !isWaiting else {
            stop = .calling
            throw Suspension()
        }
        for (shard, response) in answers {
            switch response.answer {
            case .failed(let failure): throw fail(failure)
            case .returned(let bytes): results.append(bytes)
            }
            consumed.append(ConsumedCall(path: response.path, shard: shard, response: response.digest))
            consumed += response.consumed
            guard let sum = AssetFlow.sum(flows, response.flows) else { throw fail(.limit, "sums") }
            flows = sum
            try replay(below: response.path)
        }
        guard consumed.count <= CallResponse.maxConsumed else {
            throw fail(.limit, "more than \(CallResponse.maxConsumed) calls")
        }
        return results
    }

    /// What frames below a call that has returned changed on this shard is part of this frame's changes from here on.
    private func replay(below path: CallPath) throws {
        if Mutant.is(.callbackDropped) { return }
        for other in record.frames(below: frame.path) where other.path == path || path.isAncestor(of: other.path) {
            for write in other.writes { try self.write(write.key, write.value) }
        }
    }

    /// Ascending by key.
    var sortedWrites: [FrameWrite] {
        writes.keys.sorted(by: precedes).map { FrameWrite(key: $0, value: writes[$0] ?? nil) }
    }
}

extension AssetFlow {
    /// Both together, ascending by asset; nil on overflow, or if there are too many assets.
    static func sum(_ a: [AssetFlow], _ b: [AssetFlow]) -> [AssetFlow]? {
        var sum = a
        for flow in b {
            let place = sum.firstIndex { $0.asset >= flow.asset } ?? sum.count
            if place == sum.count || sum[place].asset != flow.asset {
                sum.insert(flow, at: place)
                continue
            }
            let (credits, tooMuch) = sum[place].credits.addingReportingOverflow(flow.credits)
            let (debits, tooMany) = sum[place].debits.addingReportingOverflow(flow.debits)
            guard !tooMuch, !tooMany else { return nil }
            sum[place] = AssetFlow(asset: flow.asset, credits: credits, debits: debits)
        }
        return sum.count <= CallResponse.maxConsumed ? sum : nil
    }
}
