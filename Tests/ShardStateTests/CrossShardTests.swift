import Messages
import ShardState
import Testing

/// Three shards and a coordinator that replays, reorders and loses what it likes.
@Suite struct CrossShardTests {
    /// What has been certified, and that it does not contradict itself.
    private struct Ledger {
        private var outcomes: [TransactionID: [ShardID: LegStatus]] = [:]
        private var yes: [TransactionID: Set<ShardID>] = [:]
        private var no: Set<TransactionID> = []
        private(set) var commits: Set<TransactionID> = []

        mutating func note(_ executed: ExecutedBatch, _ requests: [Digest: SignedRequest], _ map: ShardMap, seed: Int)
            throws
        {
            let shard = executed.statement.shard
            for leaf in executed.leaves {
                let request = try #require(requests[leaf.request])
                for entry in leaf.entries {
                    let id = TransactionID(request: leaf.request, mode: request.request.mode, leg: entry.leg)
                    let participants = request.request.participants(ofLeg: Int(entry.leg), in: map)
                    #expect(participants.contains(shard))
                    switch entry.status {
                    case .votedYes: yes[id, default: []].insert(shard)
                    case .votedNo: no.insert(id)
                    case .committed, .aborted, .noRecordAbort, .acknowledged, .read, .running, .returned, .failed,
                        .closed:
                        break
                    }
                    // "A complete set of yes votes is never contradicted by a vote" (R10, as models/commit.py has it).
                    #expect(
                        !(no.contains(id) && yes[id]?.count == participants.count), "seed \(seed): contradictory votes")
                    guard entry.status.isDecided else { continue }
                    let before = outcomes[id]?[shard]
                    if before == .committed {
                        #expect(
                            entry.status == .committed || entry.status == .acknowledged,
                            "seed \(seed): \(entry.status) after a commit")
                    } else if before != nil {
                        #expect(entry.status != .committed, "seed \(seed): a commit after \(before?.description ?? "")")
                    }
                    if before != .committed { outcomes[id, default: [:]][shard] = entry.status }
                    if entry.status == .committed { commits.insert(id) }
                    for other in participants {
                        guard let status = outcomes[id]?[other] else { continue }
                        let contradicts =
                            entry.status == .committed && status.isAbort || status == .committed && entry.status.isAbort
                        #expect(!contradicts, "seed \(seed): shards \(shard) and \(other) decide differently")
                    }
                }
            }
        }
    }

    private static func setUp(seed: Int) throws -> (TestCluster, RandomWorkload) {
        var cluster = try TestCluster(shards: 3)
        let people = try (0..<4).map { try Person($0) }
        let accounts = people.flatMap { person in (0..<3).map { cluster.account(person, on: $0) } }
        for account in accounts { try cluster.fund(account, 100) }
        return (cluster, RandomWorkload(seed: UInt64(seed), cluster, people: people, accounts: accounts))
    }

    /// Invariants 2, 3, 4 and 7 of the design, by recovery alone once the coordinator is gone.
    @Test(arguments: 0..<40)
    func `no coordinator can split a decision or lose money, and recovery ends every transaction`(seed: Int) throws {
        var (cluster, workload) = try Self.setUp(seed: seed)
        let map = cluster.manifest.shardMap
        var ledger = Ledger()
        var requests: [Digest: SignedRequest] = [:]
        var times = [Timestamp](repeating: start, count: 3)
        func note(_ executed: ExecutedBatch) throws {
            for request in workload.requests.suffix(16) { requests[request.digest] = request }
            workload.collect(executed)
            try ledger.note(executed, requests, map, seed: seed)
        }
        for step in 0..<1500 {
            let shard = workload.int(0..<3)
            // Shards' clocks drift apart by seconds, past deadlines.
            times[shard] = times[shard].adding(
                microseconds: UInt64(workload.int(0..<(workload.chance(5) ? 5_000_000 : 300_000))))
            try note(try cluster.shards[shard].run(workload.batch(at: times[shard])))
            if workload.chance(2) { try cluster.shards[shard].flush() }
            if step % 500 == 0 { try cluster.checkInvariants() }
        }
        let end = (times.max() ?? start).adding(microseconds: 60_000_000)
        try recover(&cluster, at: end, note)
        for shard in cluster.shards { #expect(shard.executor.undecidedCount == 0, "seed \(seed)") }
        try cluster.checkInvariants()
        #expect(ledger.commits.count > 20, "the workload does something")

        var (posted, issued): (UInt128, UInt128) = (0, 0)
        for shard in 0..<3 {
            for asset in try cluster.shards[shard].executor.audit(replica: ReplicaIndex(0)).assets {
                #expect(asset.pendingDebits == 0 && asset.pendingCredits == 0)
                posted += asset.posted
                issued += asset.issued
            }
        }
        #expect(posted == issued && issued == 1200, "seed \(seed): \(posted) of \(issued)")
        // With everything decided, each account holds what the committed transfers make of it.
        var balances: [AccountID: Int] = [:]
        for account in workload.accounts { balances[account.id] = 100 }
        for request in workload.requests {
            for leg in 0..<request.request.legCount
            where ledger.commits.contains(
                TransactionID(request: request.digest, mode: request.request.mode, leg: UInt16(leg)))
            {
                for case .transfer(let transfer) in request.request.operations(ofLeg: leg) {
                    balances[transfer.from, default: 0] -= Int(transfer.amount.number)
                    balances[transfer.to, default: 0] += Int(transfer.amount.number)
                }
            }
        }
        for account in workload.accounts {
            #expect(try cluster.posted(account.id).map { Int($0) } == balances[account.id], "seed \(seed)")
        }
    }

    /// What hosts do for each other: push records with their statuses to whoever is not known to have decided.
    private func recover(_ cluster: inout TestCluster, at end: Timestamp, _ note: (ExecutedBatch) throws -> Void) throws
    {
        for shard in 0..<3 { try note(try cluster.shards[shard].run(at: end)) }
        for round in 0..<8 {
            var open = 0
            for shard in 0..<3 {
                for record in try cluster.shards[shard].executor.unforgotten(after: nil, limit: .max) {
                    open += 1
                    // The pusher's record is certified by a batch; the others answer, and whoever has all votes
                    // decides.
                    var known: [Certificate] = []
                    for member in [shard] + record.waitingFor.map({ Int($0.number) }) {
                        let answer = try cluster.shards[member].run(.request(record.request))
                        try note(answer)
                        known += answer.certificates.filter { $0.leaf.request == record.request.digest }
                    }
                    for member in record.waitingFor.map({ Int($0.number) }) + [shard] {
                        let decided = try cluster.shards[member].run(.decide(.of(record.request, known)))
                        try note(decided)
                        known += decided.certificates.filter { $0.leaf.request == record.request.digest }
                    }
                }
            }
            if open == 0 { return }
            #expect(round < 7, "\(open) records are still open")
        }
    }
}

extension LegStatus {
    /// A decided abort; `acknowledged` proves nothing but itself (R11).
    fileprivate var isAbort: Bool {
        switch self {
        case .votedNo, .aborted, .noRecordAbort: true
        case .votedYes, .committed, .acknowledged, .read, .running, .returned, .failed, .closed: false
        }
    }
}
