import Messages

/// Who waits for locks: how they are given on, and how a transaction comes to wait for one instead of dying.
extension Calls {
    /// Gives what was let go to who waited for it, first come, first served, and runs them on.
    package mutating func runWaiters(
        in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        while !grants.isEmpty {
            let resource = grants.removeFirst()
            // All who may have it at once get it before the first of them runs: if he goes on to change what he has
            // read, he waits for the others as they would for him (R5).
            var granted: [LockTable.Waiter] = []
            while let waiter = context.state.indexes.locks.grantable(resource) {
                try grant(resource, to: waiter, in: &context)
                granted.append(waiter)
                if Mutant.is(.readersLetInOneByOne) {
                    try run(granted.removeLast(), in: &context, into: &results)
                }
            }
            for waiter in granted { try run(waiter, in: &context, into: &results) }
        }
    }

    private func record(
        of waiter: LockTable.Waiter, in context: ExecutionContext
    ) throws(ShardStateError) -> CallRecord {
        guard let record = try context.state.call(waiter.age.transaction), record.index(of: waiter.path) != nil else {
            throw .corruptEntry(key: StateKey.call(waiter.age.transaction).bytes, what: "waits and is not there")
        }
        return record
    }

    private func grant(
        _ resource: [UInt8], to waiter: LockTable.Waiter, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        let stored = try record(of: waiter, in: context)
        guard let index = stored.index(of: waiter.path) else { return }
        var (record, frame) = (stored, stored.frames[index])
        frame.phase = .calling
        if let place = frame.locks.firstIndex(where: { $0.resource == resource }) {
            frame.locks[place].isExclusive = frame.locks[place].isExclusive || waiter.isExclusive
        } else {
            frame.locks.append(HeldLock(resource: resource, isExclusive: waiter.isExclusive))
        }
        record.put(frame)
        try context.state.put(record)
    }

    private mutating func run(
        _ waiter: LockTable.Waiter, in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        // Another frame of its transaction, let in with it, may have run before, and had all of it start over or end.
        guard var record = try context.state.call(waiter.age.transaction), let index = record.index(of: waiter.path),
            record.frames[index].phase == .calling
        else { return }
        let isHome = context.state.isHome(record.root)
        context.state.lift(record)
        let outcome = try advance(&record, [waiter.path], in: &context)
        try context.state.put(record)
        if isHome { try settleHome(record.root, outcome, in: &context) }
        try context.emit(call: record.root, into: &results)
    }

    /// A transaction that would die before anybody else has heard of it need not (R5): its home lets go all that it
    /// holds, and it waits, with nothing in its hands, for the lock that would have killed it. Then it runs from its
    /// start.
    /// - Returns: false if it has to die: another shard was called, or it has started over too often.
    mutating func startOver(
        _ record: inout CallRecord, waitingFor resource: [UInt8], isExclusive: Bool, in context: ExecutionContext
    ) -> Bool {
        guard context.state.isHome(record.root), record.startOvers < context.limits.maxStartOvers,
            !record.hasCalledOthers(but: context.shard, context.map),
            let index = record.index(of: .root)
        else { return false }
        for frame in record.frames {
            grants += frame.locks.map(\.resource)
            if case .waiting(let resource, _, _) = frame.phase { grants.append(resource) }
        }
        // What it takes along is the moment at which it ran first.
        let root = record.frames[index]
        var frame = Frame(path: .root, invocation: root.invocation, caller: root.caller, now: root.now, reach: .bare)
        frame.phase = .waiting(resource: resource, isExclusive: isExclusive, ordinal: nextOrdinal())
        record.startOver(frame)
        return true
    }
}
