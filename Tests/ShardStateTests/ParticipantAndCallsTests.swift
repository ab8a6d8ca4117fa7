import ExampleProcedures
import Messages
import ShardState
import Testing

/// The two that execute a batch, each without the executor, on a context of the test's.
@Suite struct ParticipantAndCallsTests {
    private let alice: Person
    private let bob: Person
    /// For accounts, requests and manifest; its executors do nothing here.
    private let cluster: TestCluster
    init() throws {
        (alice, bob) = (try Person(1), try Person(2))
        cluster = try TestCluster(shards: 2, procedures: ExampleProcedures.registry)
    }

    private func context(on shard: UInt16, at time: Timestamp = start, _ limits: ShardLimits = .init()) throws
        -> ExecutionContext
    {
        try ExecutionContext(
            shard: ShardID(shard), map: cluster.manifest.shardMap, store: TestStore(TestDisk()), time: time,
            limits: limits)
    }

    private func open(
        _ account: AccountSpecification, _ amount: UInt128, _ number: UInt64, by participant: Participant,
        in context: inout ExecutionContext
    ) throws {
        var results = BatchResults()
        let request = cluster.request(
            cluster.issuer, number, mode: .independent,
            [.open(account), .issue(to: account.id, asset: gold, amount: Amount(amount))])
        try participant.execute(request, in: &context, into: &results)
        #expect(results.leaves.first?.entries.map(\.status) == [.committed, .committed])
    }

    /// What `shard` would have certified of the only leg.
    private func certificate(_ request: SignedRequest, by shard: UInt16, _ status: LegStatus) -> Certificate {
        let leaf = Leaf(request: request.digest, entries: [Leaf.Entry(leg: 0, status: status)])
        let tree = MerkleTree(leaves: [leaf])
        let statement = AttestationStatement(
            cluster: cluster.manifest.cluster, epoch: cluster.manifest.epoch, shard: ShardID(shard),
            sequence: SequenceNumber(1), previousHistory: .null, batch: .null, leavesRoot: tree.root)
        return Certificate(statement: statement, leaf: leaf, path: tree.path(at: 0), signatures: [])
    }

    /// A vote that came before its request lets the credit in when there is room for nothing else, in that batch and
    /// in no other (R12).
    @Test func aVoteBacksACreditUntilTheBatchIsOver() throws {
        var limits = ShardLimits()
        limits.maxUndecided = 1
        var context = try context(on: 0, limits)
        var participant = Participant(issuer: cluster.issuer.key)
        let (mine, other) = (cluster.account(alice, on: 0), cluster.account(bob, on: 1))
        try open(mine, 1, 0, by: participant, in: &context)
        let transfer = cluster.transfer(bob, 0, from: other.id, to: mine.id, 5)
        let vote = certificate(transfer, by: 1, .votedYes)

        var results = BatchResults()
        try participant.execute(.of(transfer, [vote]), in: &context, into: &results)
        participant.finish()
        try participant.execute(transfer, in: &context, into: &results)
        #expect(results.refusals.map(\.reason) == [.overloaded] && results.leaves.isEmpty)

        results = BatchResults()
        try participant.execute(.of(transfer, [vote]), in: &context, into: &results)
        try participant.execute(transfer, in: &context, into: &results)
        #expect(results.leaves.map { $0.status(ofLeg: 0) } == [.votedYes] && results.refusals.isEmpty)
        #expect(try context.account(mine.id)?.pendingCredits == Amount(5))

        results = BatchResults()
        try participant.execute(
            .of(transfer, [certificate(transfer, by: 1, .committed)]), in: &context, into: &results)
        #expect(results.leaves.map { $0.status(ofLeg: 0) } == [.committed])
        #expect(try context.account(mine.id)?.posted == Amount(6))
    }

    /// Each sees of the other only what the state says: a lock keeps a vote away, a reservation keeps a call away (R6).
    @Test func whatOneLeavesInTheStateIsAllThatTheOtherKnows() throws {
        var context = try context(on: 0)
        let participant = Participant(issuer: cluster.issuer.key)
        var procedures = ExampleProcedures.registry
        procedures.register(Keep.self)
        var calls = Calls(procedures: procedures)
        let (a, b) = (cluster.account(alice, on: 0), cluster.account(alice, on: 0, 1))
        let other = cluster.account(bob, on: 1)
        try open(a, 100, 0, by: participant, in: &context)
        try open(b, 100, 1, by: participant, in: &context)

        // Until its deadline the call waits for the other shard, and keeps the account.
        var results = BatchResults()
        calls.begin(SequenceNumber(1))
        try execute(keeping(a.id, 0, until: seconds(30)), by: &calls, in: &context, into: &results)
        #expect(results.leaves.map { $0.status(ofLeg: 0) } == [.running] && context.isLocked(a.id))
        let early = cluster.transfer(alice, 1, from: a.id, to: b.id, 10, deadline: seconds(90))
        try participant.execute(early, in: &context, into: &results)
        #expect(results.refusals.map(\.reason) == [.conflict])

        results = BatchResults()
        context.time = seconds(31)
        calls.begin(SequenceNumber(2))
        try calls.expire(in: &context, into: &results)
        #expect(!context.isLocked(a.id))
        try participant.execute(early, in: &context, into: &results)
        #expect(results.leaves.last?.status(ofLeg: 0) == .committed)

        // A vote reserves money of the account, and the call does not wait for what becomes of it.
        results = BatchResults()
        let voted = cluster.transfer(alice, 2, from: a.id, to: other.id, 10, deadline: seconds(90))
        try participant.execute(voted, in: &context, into: &results)
        try execute(keeping(a.id, 3, until: seconds(90)), by: &calls, in: &context, into: &results)
        guard case .failed(let failure)? = results.leaves.last?.status(ofLeg: 0) else {
            Issue.record("\(results.leaves)")
            return
        }
        #expect(failure.reason == .died && !context.isLocked(a.id))
    }

    private func keeping(_ account: AccountID, _ number: UInt64, until deadline: Timestamp) -> SignedRequest {
        let elsewhere = (0...).lazy.map { "k\($0)" }.first {
            cluster.manifest.shardMap.shard(of: .key($0)) == ShardID(1)
        }
        let invocation = Invocation(
            target: .account(account), procedure: Keep.name, version: 1,
            arguments: [account.hex, elsewhere ?? ""].encoded())
        return cluster.request(alice, number, deadline: deadline, [.call(invocation, continues: nil)])
    }

    private func execute(
        _ root: SignedRequest, by calls: inout Calls, in context: inout ExecutionContext,
        into results: inout BatchResults
    ) throws {
        try calls.execute(root, try #require(root.request.rootCall), in: &context, into: &results)
    }
}

/// Locks an account, and waits for another shard.
private struct Keep: Procedure {
    static let name = "keep"
    static func run(_ arguments: [String], _ context: ProcedureContext) throws -> Nothing {
        if let id = AccountID(hex: arguments[0]) { _ = try context.account(id) }
        let _: [UInt64] = try context.call(
            .key(arguments[1]), Chain.name, Chain.Arguments(keys: [arguments[1]]))
        return Nothing()
    }
}
