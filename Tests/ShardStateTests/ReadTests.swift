import Messages
import ShardState
import Testing

/// Reads in order (R6).
@Suite struct ReadTests {
    @Test func aReadInOrderGivesTheAccountAtItsPlace() throws {
        var cluster = try TestCluster(shards: 1)
        let (alice, bob) = (try Person(1), try Person(2))
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 0), 0)
        let read = cluster.request(alice, 1, [.read(from)])
        #expect(try cluster.shards[0].status(read)?.posted == 100)
        #expect(try cluster.shards[0].status(cluster.transfer(alice, 2, from: from, to: to, 30)) == .committed)
        // A number has one answer (R11), a new one sees what is new.
        #expect(try cluster.shards[0].status(read)?.posted == 100)
        #expect(
            try cluster.shards[0].status(cluster.request(alice, 3, mode: .independent, [.read(from)]))?.posted == 70)
        try cluster.checkInvariants()
    }

    @Test func onlyTheOwnerReadsInOrderAndWhatThereIsNotIsNothing() throws {
        var cluster = try TestCluster(shards: 1)
        let (alice, bob) = (try Person(1), try Person(2))
        let account = try cluster.fund(cluster.account(alice, on: 0), 100)
        #expect(try cluster.shards[0].status(cluster.request(bob, 1, [.read(account)])) == .aborted(.notAuthorised))
        #expect(
            try cluster.shards[0].status(cluster.request(bob, 2, [.read(cluster.account(bob, on: 0).id)])) == .read(nil)
        )
    }

    @Test func aReadDoesNotSeeUndecidedEscrowAndDoesNotBlockIt() throws {
        var cluster = try TestCluster(shards: 2)
        let (alice, bob) = (try Person(1), try Person(2))
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 1), 0)
        let transfer = cluster.transfer(alice, 1, from: from, to: to, 30)
        let votes = [try cluster.shards[0].certify(transfer), try cluster.shards[1].certify(transfer)]
        for (shard, read) in [(0, cluster.request(alice, 2, [.read(from)])), (1, cluster.request(bob, 1, [.read(to)]))]
        {
            let refused = try cluster.shards[shard].submit(read)
            #expect(refused.leaves.isEmpty && refused.refusals.map(\.reason) == [.conflict])
            // Nothing was recorded: the same bytes are answered when the transfer is decided.
            try cluster.shards[shard].decide(transfer, votes)
            #expect(try cluster.shards[shard].status(read)?.posted == (shard == 0 ? 70 : 30))
        }
        try cluster.checkInvariants()
    }

    @Test func amongOtherOperationsAReadIsMalformed() throws {
        var cluster = try TestCluster(shards: 1)
        let alice = try Person(1)
        let account = try cluster.fund(cluster.account(alice, on: 0), 100)
        let other = try cluster.fund(cluster.account(alice, on: 0, 1), 0)
        let transfer = Operation.transfer(Transfer(from: account, to: other, asset: gold, amount: Amount(1)))
        for operations in [[.read(account), transfer], [transfer, .read(account)], [.read(account), .read(other)]]
            as [[Operation]]
        {
            #expect(try cluster.shards[0].status(cluster.request(alice, 1, operations)) == .aborted(.malformed))
        }
        let legs = try cluster.shards[0].submit(
            cluster.request(alice, 2, mode: .independent, [transfer, .read(account), .read(other)]))
        #expect(legs.leaves.first?.status(ofLeg: 1)?.posted == 99)
        #expect(legs.leaves.first?.status(ofLeg: 2)?.posted == 1)
    }
}

extension LegStatus {
    /// Of a read.
    fileprivate var posted: UInt128? { if case .read(let view) = self { view?.posted.number } else { nil } }
}
