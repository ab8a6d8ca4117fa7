import Messages

/// Checks the final state of every replica: money is conserved, the replicas of a shard are identical, no lock is left.
public enum InvariantCheck {
    /// - Parameters:
    ///   - audits: of every replica that is expected to be there.
    ///   - expected: how many replicas of each shard must have answered.
    ///   - issued: what was issued of each asset, as far as the caller knows it from receipts.
    ///   - isAllKnown: false where others may have issued more.
    public static func check(
        _ audits: [ShardAudit], shards: Int, expected: Int, issued: [(asset: AssetID, amount: UInt128)],
        isAllKnown: Bool = true
    ) -> RunResult.Invariants {
        var problems: [String] = []
        var (conservation, agree, noLocks) = (true, true, true)
        var finals: [ShardAudit] = []
        for shard in 0..<shards {
            let replicas = audits.filter { Int($0.shard.number) == shard }.sorted { $0.replica < $1.replica }
            if replicas.count != expected {
                agree = false
                problems.append("shard \(shard): \(replicas.count) of \(expected) replicas answered")
            }
            guard let first = replicas.first else { continue }
            for other in replicas.dropFirst() {
                if other.sequence != first.sequence {
                    agree = false
                    problems.append(
                        "shard \(shard): replica \(first.replica) has executed \(first.sequence) batches, replica \(other.replica) \(other.sequence)"
                    )
                } else if other.stateDigest != first.stateDigest || other.history != first.history {
                    agree = false
                    problems.append(
                        "shard \(shard): replicas \(first.replica) and \(other.replica) differ at batch \(first.sequence)"
                    )
                }
            }
            for replica in replicas {
                let pending = replica.assets.contains { $0.pendingDebits != 0 || $0.pendingCredits != 0 }
                if replica.undecided != 0 || pending {
                    noLocks = false
                    problems.append(
                        "shard \(shard), replica \(replica.replica): \(replica.undecided) transactions undecided\(pending ? ", money reserved" : "")"
                    )
                }
            }
            // The replica that is furthest on stands for its shard.
            finals.append(replicas.dropFirst().reduce(first) { $1.sequence > $0.sequence ? $1 : $0 })
        }
        var assets = Set(issued.map(\.asset))
        for shard in finals { assets.formUnion(shard.assets.map(\.asset)) }
        for asset in assets.sorted() {
            let sums = finals.flatMap { $0.assets.filter { $0.asset == asset } }
            // Signed: a debit that was applied before its credit leaves the sum short until the credit is applied too.
            let posted = sums.reduce(UInt128(0)) { $0 + $1.posted }
            let created = sums.reduce(UInt128(0)) { $0 + $1.issued }
            let known = issued.filter { $0.asset == asset }.reduce(UInt128(0)) { $0 + $1.amount }
            if posted != created {
                conservation = false
                problems.append("asset \(asset): \(created) was issued and \(posted) is there")
            }
            if isAllKnown ? created != known : created < known {
                conservation = false
                problems.append("asset \(asset): the shards say that \(created) was issued; receipts prove \(known)")
            }
        }
        return RunResult.Invariants(
            conservation: conservation, replicasAgree: agree, noLocks: noLocks, problems: problems)
    }
}
