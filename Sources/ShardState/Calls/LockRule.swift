import Messages

/// Who may wait for a lock, and who dies (R5). A transaction waits by its age, or, if its procedure says that it takes
/// its locks in order and it has not died before, in order:
///
/// 1. Who has no lock at all waits.
/// 2. Who waits by age waits for those who wait in order, and for those by age that are younger than it.
/// 3. Who waits in order waits for those in order, if all its locks come before this one.
///
/// Nobody waits in a circle, whatever the order of grants (docs/decisions/0024-who-waits-for-a-lock.md has the proof,
/// and docs/models/locks.py tries all interleavings): a circle would have to stay among those in order, where the locks
/// that are waited for ascend, or among those by age, where ages do, because nobody in order who holds something waits
/// for one by age. And who has no lock is waited for only in the line in which it stands, by those who have been
/// compared with all for whom it waits.
enum LockRule {
    enum Verdict {
        case wait
        case die
    }

    /// - Parameter rivals: who would be waited for, directly or because somebody in between does.
    static func verdict(_ claim: LockClaim, against rivals: [CallAge]) -> Verdict {
        if claim.isBare { return .wait }
        let byAge = rivals.filter { !$0.waitsInOrder }
        guard claim.age.waitsInOrder else {
            if Mutant.is(.waitsForOlder) { return .wait }
            return byAge.allSatisfy { claim.age < $0 } ? .wait : .die
        }
        if Mutant.is(.classesWaitForEachOther), claim.isAscending { return .wait }
        if Mutant.is(.waitsOutOfOrder), byAge.isEmpty { return .wait }
        return claim.isAscending && byAge.isEmpty ? .wait : .die
    }
}

/// What is known of a transaction that asks for a lock.
struct LockClaim {
    let age: CallAge
    /// It holds nothing on any shard, and nothing else of it runs.
    let isBare: Bool
    /// All its locks, on all shards, come before this one, and nothing else of it runs that could take another one.
    let isAscending: Bool
}

/// Where a transaction's locks are, as far as this shard knows: from its own frames, and from what the callers' shards
/// have certified.
extension CallRecord {
    /// - Parameters:
    ///   - acquired: what `frame` has locked since it was recorded.
    func claim(on resource: [UInt8], by frame: Frame, acquired: [HeldLock], shard: ShardID, map: ShardMap) -> LockClaim
    {
        let reach = isAlone(frame.path, shard) ? entry(of: frame.path, shard)?.reach ?? .any : .any
        let others = answeringShards(but: shard, map)
        let held = frames.flatMap(\.locks) + acquired
        return LockClaim(
            age: CallAge(self), isBare: reach == .bare && others.isEmpty && held.isEmpty,
            isAscending: reach != .any && others.allSatisfy { $0 < shard }
                && held.allSatisfy { StateKey.isLockedBefore($0.resource, resource) })
    }

    /// What this shard certifies of the transaction's locks when `frame` calls `callee` and nobody beside it.
    func reach(ofCallTo callee: ShardID, by frame: Frame, acquired: [HeldLock], shard: ShardID, map: ShardMap)
        -> CallReach
    {
        guard callee != shard, isAlone(frame.path, shard), let entry = entry(of: frame.path, shard), entry.reach != .any
        else { return .any }
        var others = answeringShards(but: shard, map)
        if !acquired.isEmpty || frames.contains(where: { !$0.locks.isEmpty }) { others.append(shard) }
        others.removeAll { $0 == callee }
        if entry.reach == .bare, others.isEmpty { return .bare }
        let isAbove = entry.reach == .bare || shard < callee
        return isAbove && others.allSatisfy { $0 < callee } ? .ascending : .any
    }

    /// The frame through which the transaction came to this shard on the way to `path`.
    private func entry(of path: CallPath, _ shard: ShardID) -> Frame? {
        frames.last { ($0.path == path || $0.path.isAncestor(of: path)) && ($0.path == .root || $0.caller != shard) }
    }

    /// Nothing of the transaction runs on its way here or beside it, as far as it came from this shard.
    private func isAlone(_ path: CallPath, _ shard: ShardID) -> Bool {
        for frame in frames where frame.path.isAncestor(of: path) {
            for call in frame.calls
            where call.response == nil && call.call.path != path && !call.call.path.isAncestor(of: path) {
                return false
            }
        }
        return true
    }

    /// Shards that have answered calls from here, or from below those.
    private func answeringShards(but shard: ShardID, _ map: ShardMap) -> [ShardID] {
        var found: [ShardID] = []
        for call in frames.flatMap(\.calls) {
            guard let response = call.response else { continue }
            for other in [map.shard(of: call.call.invocation.target)] + response.consumed.map(\.shard)
            where other != shard { found.append(other) }
        }
        return found
    }
}
