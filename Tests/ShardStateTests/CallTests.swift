import ExampleProcedures
import Messages
import ShardState
import Testing

/// Shards with procedures, and what a coordinator does for a root call, in the test's hand.
struct CallCluster {
    var base: TestCluster
    /// The newest certificate of each shard of each call.
    private var newest: [Digest: [ShardID: Certificate]] = [:]

    init(shards: Int, limits: ShardLimits = .init(), extra: (inout ProcedureRegistry) -> Void = { _ in }) throws {
        var procedures = ExampleProcedures.registry
        extra(&procedures)
        base = try TestCluster(shards: shards, limits: limits, procedures: procedures)
    }

    func call(
        _ person: Person, _ number: UInt64, _ target: CallTarget, _ procedure: String,
        _ arguments: some CanonicalEncodable,
        continues: UInt64? = nil, acknowledging below: UInt64 = 0, deadline: Timestamp = seconds(30)
    ) -> SignedRequest {
        let invocation = Invocation(target: target, procedure: procedure, version: 1, arguments: arguments.encoded())
        let call = Messages.Operation.call(invocation, continues: continues.map { RequestNumber($0) })
        return base.request(person, number, acknowledging: below, deadline: deadline, [call])
    }

    func shard(of target: CallTarget) -> Int { Int(base.manifest.shardMap.shard(of: target).number) }
    func home(_ root: SignedRequest) -> Int { root.request.rootCall.map { shard(of: $0.target) } ?? 0 }

    private mutating func note(_ executed: ExecutedBatch) {
        for certificate in executed.certificates {
            newest[certificate.leaf.request, default: [:]][certificate.shard] = certificate
        }
    }

    @discardableResult
    mutating func submit(_ root: SignedRequest, at time: Timestamp? = nil) throws -> ExecutedBatch {
        let executed = try base.shards[home(root)].submit(root, at: time)
        note(executed)
        return executed
    }

    /// Shows one shard what another has certified last.
    @discardableResult
    mutating func show(_ root: SignedRequest, from: Int, to: Int, at time: Timestamp? = nil) throws -> ExecutedBatch? {
        guard let certificate = newest[root.digest]?[ShardID(UInt16(from))] else { return nil }
        let executed = try base.shards[to].run(
            .evidence(CallEvidence(root: root, certificates: [certificate])), at: time)
        note(executed)
        return executed
    }

    @discardableResult
    mutating func poke(_ root: SignedRequest, _ shard: Int, at time: Timestamp? = nil) throws -> ExecutedBatch {
        let executed = try base.shards[shard].run(.evidence(CallEvidence(root: root, certificates: [])), at: time)
        note(executed)
        return executed
    }

    func status(_ root: SignedRequest, on shard: Int? = nil) -> LegStatus? {
        newest[root.digest]?[ShardID(UInt16(shard ?? home(root)))]?.leaf.status(ofLeg: 0)
    }

    func report(_ root: SignedRequest, on shard: Int) -> CallReport? {
        newest[root.digest]?[ShardID(UInt16(shard))]?.leaf.calls
    }

    /// Shows everybody everything until nothing is new.
    mutating func relay(_ root: SignedRequest, at time: Timestamp? = nil) throws {
        for _ in 0..<40 {
            let before = newest[root.digest] ?? [:]
            for from in base.shards.indices {
                for to in base.shards.indices where from != to {
                    guard let certificate = newest[root.digest]?[ShardID(UInt16(from))] else { continue }
                    let evidence = CallEvidence(root: root, certificates: [certificate])
                    guard try base.shards[to].executor.effect(of: evidence) != .nothing else { continue }
                    note(try base.shards[to].run(.evidence(evidence), at: time))
                }
            }
            if (newest[root.digest] ?? [:]).mapValues(\.leaf) == before.mapValues(\.leaf) { return }
        }
        Issue.record("never ends")
    }

    /// Runs a root call to its end.
    @discardableResult
    mutating func run(_ root: SignedRequest) throws -> LegStatus? {
        try submit(root)
        try relay(root)
        try base.checkInvariants()
        return status(root)
    }

    func result<R: CanonicalDecodable>(_ status: LegStatus?, as _: R.Type = R.self) throws -> R? {
        guard case .returned(let bytes, _)? = status else { return nil }
        return try R(decoding: bytes)
    }

    /// A key of a shard.
    func key(on shard: Int, _ prefix: String = "k", not others: [String] = []) -> String {
        var i = 0
        while self.shard(of: .key("\(prefix)\(i)")) != shard || others.contains("\(prefix)\(i)") { i += 1 }
        return "\(prefix)\(i)"
    }

    func number(_ key: String) throws -> UInt64? {
        try base.shards[shard(of: .key(key))].executor.value(ofKey: Array(key.utf8)).map { try UInt64(decoding: $0) }
    }

    mutating func undecided() -> Int { base.shards.reduce(0) { $0 + $1.executor.undecidedCount } }
}

/// Synchronous calls across shards (R13, R14).
@Suite struct CallTests {
    private let alice: Person
    private let bob: Person
    init() throws { (alice, bob) = (try Person(1), try Person(2)) }

    // MARK: The examples

    @Test func aPaymentDependsOnAPriceThatAnotherShardKeeps() throws {
        var cluster = try CallCluster(shards: 3)
        let buyer = try cluster.base.fund(cluster.base.account(alice, on: 0), 1000)
        let seller = try cluster.base.fund(cluster.base.account(bob, on: 1), 0)
        let symbol = (0...).lazy.map { "S\($0)" }.first { cluster.shard(of: .key(Oracle.priceKey($0))) == 2 } ?? ""
        func publish(_ person: Person, _ number: UInt64, _ price: UInt64) -> SignedRequest {
            cluster.call(
                person, number, .key(Oracle.priceKey(symbol)), PublishPrice.name,
                PublishPrice.Arguments(symbol: symbol, price: price))
        }
        func buy(_ number: UInt64, most: UInt64) -> SignedRequest {
            cluster.call(
                alice, number, .account(buyer), BuyAtMost.name,
                BuyAtMost.Arguments(
                    buyer: buyer, seller: seller, asset: gold, symbol: symbol, quantity: 3, mostPerUnit: most))
        }
        let early = buy(0, most: 50)
        #expect(try cluster.run(early)?.description.contains("has no price") == true)
        #expect(try cluster.run(publish(bob, 0, 40)) == .returned([], consumed: []))
        let bought = try cluster.run(buy(1, most: 50))
        #expect(try cluster.result(bought) == UInt128(120))
        #expect(try cluster.base.posted(buyer) == 880 && cluster.base.posted(seller) == 120)
        // Two calls were answered, and the outcome lists them.
        guard case .returned(_, let consumed)? = bought else { return }
        #expect(consumed.map(\.shard) == [ShardID(2), ShardID(1)])
        #expect(try cluster.run(publish(bob, 1, 60)) != nil)
        let refused = try cluster.run(buy(2, most: 50))
        #expect(refused?.description.contains("the price is 60, above 50") == true)
        #expect(try cluster.run(publish(alice, 3, 1))?.description.contains("another key publishes") == true)
        #expect(try cluster.base.posted(buyer) == 880)
        #expect(cluster.undecided() == 0)
    }

    @Test func securitiesAndCashChangeHandsOverThreeShardsOrNotAtAll() throws {
        var cluster = try CallCluster(shards: 3)
        let authority = ProcedureRegistry.authority(ReleaseDelivery.name)
        var index: UInt64 = 0
        var custodyAccount = AccountSpecification(owner: authority, asset: silver, index: index)
        while cluster.shard(of: .account(custodyAccount.id)) != 2 {
            index += 1
            custodyAccount = AccountSpecification(owner: authority, asset: silver, index: index)
        }
        let custody = try cluster.base.fund(custodyAccount, 0)
        let sellerSilver = try cluster.base.fund(cluster.base.account(bob, on: 2, asset: silver), 50)
        let sellerGold = try cluster.base.fund(cluster.base.account(bob, on: 1), 0)
        let buyerGold = try cluster.base.fund(cluster.base.account(alice, on: 0), 100)
        let buyerSilver = try cluster.base.fund(cluster.base.account(alice, on: 1, asset: silver), 0)
        let offer = Offer(
            id: "7", cash: sellerGold, price: .init(80, of: gold), custody: custody, quantity: .init(30, of: silver))
        let offered = cluster.call(
            bob, 0, .account(sellerSilver), OfferForSale.name,
            OfferForSale.Arguments(securities: sellerSilver, offer: offer))
        #expect(try cluster.run(offered)?.isFailure == false)
        #expect(try cluster.base.posted(sellerSilver) == 20 && cluster.base.posted(custody) == 30)
        // Nobody takes them out by hand.
        let release = ReleaseDelivery.Arguments(
            custody: custody, payment: Payment(account: sellerSilver, asset: silver, amount: Amount(30)))
        #expect(
            try cluster.run(cluster.call(bob, 1, .account(custody), ReleaseDelivery.name, release))?.isFailure == true)
        func settle(_ number: UInt64) -> SignedRequest {
            cluster.call(
                alice, number, .account(buyerGold), Settle.name,
                Settle.Arguments(offer: "7", cash: buyerGold, securities: buyerSilver))
        }
        #expect(try cluster.run(settle(0))?.isFailure == false)
        #expect(try cluster.base.posted(buyerGold) == 20 && cluster.base.posted(sellerGold) == 80)
        #expect(try cluster.base.posted(custody) == 0 && cluster.base.posted(buyerSilver) == 30)
        // It was the only one.
        #expect(try cluster.run(settle(1))?.description.contains("there is no offer 7") == true)
        #expect(try cluster.base.posted(buyerGold) == 20)
    }

    @Test func aChainOfFourCallsThatComesBackSeesWhatItLeft() throws {
        var cluster = try CallCluster(shards: 3)
        let a = cluster.key(on: 0)
        let keys = [a, cluster.key(on: 1), cluster.key(on: 2), a]
        let outcome = try cluster.run(cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: keys)))
        // The last visit finds the 1 of the first.
        #expect(try cluster.result(outcome) == [0, 0, 0, 1] as [UInt64])
        #expect(try cluster.number(a) == 1 + 4 && cluster.number(keys[1]) == 2 && cluster.number(keys[2]) == 3)
        let again = try cluster.run(
            cluster.call(alice, 1, .key(a), Chain.name, Chain.Arguments(keys: keys + [keys[2]])))
        #expect(try cluster.result(again) == [5, 2, 3, 6, 6] as [UInt64])
    }

    // MARK: All or nothing

    @Test func aFailedCallUndoesEverythingAndItsTextReachesTheClient() throws {
        var cluster = try CallCluster(shards: 2) { $0.register(Catching.self) }
        let (mine, other) = (cluster.key(on: 0), cluster.key(on: 1))
        // The procedure catches the failure and goes on; the transaction is doomed all the same.
        let outcome = try cluster.run(cluster.call(alice, 0, .key(mine), Catching.name, [mine, other]))
        #expect(outcome?.description == "aborted: catching on shard 1: nobody wants this")
        #expect(try cluster.number(mine) == nil && cluster.number(other) == nil)
        #expect(cluster.undecided() == 0)
    }

    @Test func moneyFromNowhereAborts() throws {
        var cluster = try CallCluster(shards: 2)
        let account = try cluster.base.fund(cluster.base.account(alice, on: 1), 5)
        let payment = Payment(account: account, asset: gold, amount: Amount(7))
        let outcome = try cluster.run(cluster.call(alice, 0, .account(account), Credit.name, payment))
        #expect(outcome?.description.contains("does not balance") == true)
        #expect(try cluster.base.posted(account) == 5)
    }

    @Test func aCalleeHoldsItsLocksUntilHomeHasDecided() throws {
        var cluster = try CallCluster(shards: 3)
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let older = cluster.call(bob, 0, .key(c), Chain.name, Chain.Arguments(keys: [c, b]))
        try cluster.submit(older, at: start)
        let root = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        try cluster.submit(root, at: seconds(1))
        #expect(cluster.report(root, on: 0)?.issued.count == 1)
        try cluster.show(root, from: 0, to: 1)
        #expect(cluster.report(root, on: 1)?.responses.count == 1)
        #expect(try cluster.number(b) == nil, "not before home has decided")
        let d = cluster.key(on: 0, not: [a])
        let younger = cluster.call(bob, 1, .key(d), Chain.name, Chain.Arguments(keys: [d, b]))
        try cluster.submit(younger, at: seconds(2))
        try cluster.relay(younger)
        #expect(cluster.status(younger)?.failure?.reason == .died)
        // Older, it waits.
        try cluster.show(older, from: 2, to: 1)
        #expect(cluster.report(older, on: 1) == nil)
        try cluster.relay(root)
        // What it waited for came with the decision.
        try cluster.poke(older, 1)
        try cluster.relay(older)
        #expect(try cluster.result(cluster.status(older)) == [0, 2] as [UInt64])
        #expect(try cluster.number(b) == 4)
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
    }

    /// R5: whoever died is as old in his next attempt, once, and what he signs himself makes nobody older.
    @Test func anAttemptThatContinuesOneThatDiedIsAsOld() throws {
        var cluster = try CallCluster(shards: 3)
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let carol = try Person(3)
        func chain(
            _ person: Person, _ number: UInt64, _ keys: [String], continues: UInt64? = nil, acknowledging: UInt64 = 0
        ) -> SignedRequest {
            cluster.call(
                person, number, .key(keys[0]), Chain.name, Chain.Arguments(keys: keys), continues: continues,
                acknowledging: acknowledging,
                deadline: seconds(29))
        }
        // Holds b.
        func hold(_ person: Person, _ number: UInt64, from home: String, at time: Timestamp) throws -> SignedRequest {
            let root = chain(person, number, [home, b])
            try cluster.submit(root, at: time)
            try cluster.show(root, from: cluster.home(root), to: 1, at: time)
            #expect(cluster.report(root, on: 1)?.responses.count == 1)
            return root
        }
        // Holds its own key, and wants b.
        let own = cluster.key(on: 2, not: [c])
        func attempt(
            _ number: UInt64, from home: String? = nil, continues: UInt64?, acknowledging: UInt64 = 0,
            at time: Timestamp
        ) throws -> LegStatus? {
            let root = chain(carol, number, [home ?? own, b], continues: continues, acknowledging: acknowledging)
            try cluster.submit(root, at: time)
            try cluster.relay(root)
            return cluster.status(root)
        }
        func expectDeath(_ status: LegStatus?, _ why: Comment) { #expect(status?.failure?.reason == .died, why) }

        let first = try hold(alice, 0, from: a, at: start)
        expectDeath(try attempt(1, continues: nil, at: seconds(1)), "younger than the holder")
        expectDeath(try attempt(2, continues: 1, at: seconds(2)), "still younger than the holder")
        try cluster.relay(first)
        let second = try hold(bob, 0, from: c, at: seconds(3))
        expectDeath(try attempt(3, continues: nil, at: seconds(4)), "new, so younger")
        expectDeath(try attempt(4, continues: 1, at: seconds(4)), "the age of number 1 is number 2's already")
        expectDeath(try attempt(6, continues: 6, at: seconds(4)), "itself")
        expectDeath(try attempt(7, continues: 9, at: seconds(4)), "a later one")
        // As old as number 1: older than the holder. That it acknowledges what it continues is no hindrance.
        #expect(try attempt(8, continues: 2, acknowledging: 3, at: seconds(5)) == .running)
        expectDeath(
            try attempt(9, from: cluster.key(on: 2, not: [c, own]), continues: 2, at: seconds(6)),
            "acknowledged, and taken over")
        try cluster.relay(second)
        let eighth = chain(carol, 8, [own, b], continues: 2, acknowledging: 3)
        try cluster.poke(eighth, 1)
        try cluster.relay(eighth)
        #expect(try cluster.result(cluster.status(eighth), as: [UInt64].self) != nil)
        try cluster.base.checkInvariants()

        // An age is not kept for later: only as long past the deadline as a request may live.
        let third = chain(alice, 1, [a, b])
        try cluster.submit(third, at: seconds(20))
        try cluster.show(third, from: 0, to: 1, at: seconds(20))
        expectDeath(try attempt(10, continues: nil, at: seconds(21)), "younger")
        try cluster.relay(third)
        let lifetime = cluster.base.shards[1].executor.limits.maxLifetimeMicroseconds
        let late = Timestamp(seconds(29).number + lifetime + 1)
        let kept = cluster.base.request(
            carol, 11, issuedAt: late, deadline: late.adding(microseconds: 1_000_000),
            [
                .call(
                    Invocation(
                        target: .key(own), procedure: Chain.name, version: 1,
                        arguments: Chain.Arguments(keys: [own, a]).encoded()), continues: RequestNumber(10))
            ])
        try cluster.submit(kept, at: late)
        #expect(cluster.report(kept, on: 2)?.age == late)
    }

    /// R5: whoever waited until his deadline keeps his age, whoever held his locks and let it pass does not.
    @Test func whoWaitedUntilTheDeadlineIsAsOldInTheNextAttempt() throws {
        var cluster = try CallCluster(shards: 3)
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let older = cluster.call(bob, 0, .key(c), Chain.name, Chain.Arguments(keys: [c, b]))
        try cluster.submit(older, at: start)
        let holder = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        try cluster.submit(holder, at: seconds(1))
        try cluster.show(holder, from: 0, to: 1)
        try cluster.show(older, from: 2, to: 1)
        try cluster.poke(older, 1, at: seconds(31))
        try cluster.show(older, from: 1, to: 2)
        #expect(cluster.status(older)?.failure?.reason == .waited)
        let again = cluster.call(bob, 1, .key(c), Chain.name, Chain.Arguments(keys: [c, a]), continues: 0)
        try cluster.submit(again, at: seconds(5))
        #expect(cluster.report(again, on: 2)?.age == start)
        try cluster.poke(holder, 0, at: seconds(31))
        #expect(cluster.status(holder)?.failure?.reason == .deadline)
        let late = cluster.base.request(
            alice, 1, issuedAt: seconds(31), deadline: seconds(40),
            [
                .call(
                    Invocation(
                        target: .key(a), procedure: Chain.name, version: 1,
                        arguments: Chain.Arguments(keys: [a, b]).encoded()), continues: RequestNumber(0))
            ])
        try cluster.submit(late, at: seconds(32))
        #expect(cluster.report(late, on: 0)?.age == seconds(32))
    }

    @Test func escrowAndProceduresKeepOutOfEachOthersWay() throws {
        var cluster = try CallCluster(shards: 2) { $0.register(Hold.self) }
        let from = try cluster.base.fund(cluster.base.account(alice, on: 0), 100)
        let to = try cluster.base.fund(cluster.base.account(bob, on: 1), 0)
        let transfer = cluster.base.transfer(alice, 0, from: from, to: to, 10)
        let votes = try [0, 1].map { try cluster.base.shards[$0].certify(transfer) }
        // Undecided escrow is in the account: a procedure does not wait for it, because it may hold what the escrow
        // waits for elsewhere.
        let credit = Payment(account: to, asset: gold, amount: Amount(1))
        let early = cluster.call(alice, 1, .account(to), Credit.name, credit)
        try cluster.submit(early)
        #expect(cluster.status(early)?.failure?.text.contains("an undecided transfer uses account") == true)
        try cluster.base.shards[1].decide(transfer, votes)
        try cluster.base.shards[0].decide(transfer, votes)
        let again = cluster.call(alice, 4, .account(to), Credit.name, credit, continues: 1)
        try cluster.submit(again)
        #expect(cluster.status(again)?.failure?.reason == .unbalanced, "it ran when the escrow was gone")
        // And escrow keeps away from what a procedure has locked.
        let holder = cluster.call(alice, 2, .account(from), Hold.name, [from.hex, cluster.key(on: 1)])
        try cluster.submit(holder)
        #expect(cluster.status(holder) == .running)
        let late = cluster.base.transfer(alice, 3, from: from, to: to, 10)
        #expect(try cluster.base.shards[0].submit(late).refusals.map(\.reason) == [.conflict])
        try cluster.relay(holder)
        #expect(cluster.status(holder)?.isFailure == true)
        #expect(try cluster.base.shards[0].submit(late).refusals.isEmpty)
        try cluster.base.checkInvariants()
    }

    @Test func parallelCallsThatTouchTheSameAbort() throws {
        var cluster = try CallCluster(shards: 2) { $0.register(Parallel.self) }
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let c = cluster.key(on: 1, not: [b])
        #expect(
            try cluster.run(cluster.call(alice, 0, .key(a), Parallel.name, [b, b]))?.description.contains(
                "parallel calls") == true)
        #expect(try cluster.run(cluster.call(alice, 1, .key(a), Parallel.name, [b, c]))?.isFailure == false)
        #expect(try cluster.number(b) == 1 && cluster.number(c) == 1)
    }

    // MARK: Time

    @Test func pastTheDeadlineHomeAbortsAndCalleesFollow() throws {
        var cluster = try CallCluster(shards: 2)
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let root = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        try cluster.submit(root)
        try cluster.show(root, from: 0, to: 1)
        #expect(cluster.undecided() == 2)
        // Home never hears of the answer; its clock passes the deadline.
        try cluster.poke(root, 0, at: seconds(31))
        #expect(cluster.status(root)?.description.contains("deadline") == true)
        // The callee does not end by itself, whatever its clock says.
        try cluster.poke(root, 1, at: seconds(40))
        #expect(cluster.status(root, on: 1) == nil)
        try cluster.show(root, from: 0, to: 1)
        #expect(cluster.status(root, on: 1) == .aborted(.participantAborted))
        try cluster.show(root, from: 1, to: 0)
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
        #expect(try cluster.number(a) == nil && cluster.number(b) == nil)
        // And then the records go, past the deadline on both.
        for shard in 0...1 { try cluster.base.shards[shard].run(at: seconds(50)) }
        #expect(try cluster.base.shards.allSatisfy { try $0.executor.unfinishedCalls(after: nil, limit: 9).isEmpty })
        try cluster.poke(root, 1, at: seconds(51))
        #expect(cluster.status(root, on: 1) == .closed)
        // Home keeps the outcome until it is acknowledged.
        try cluster.poke(root, 0, at: seconds(51))
        #expect(cluster.status(root)?.isFailure == true)
    }

    @Test func aCallThatComesTooLateIsNeverRun() throws {
        var cluster = try CallCluster(shards: 2)
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let root = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        try cluster.submit(root)
        try cluster.base.shards[1].run(at: seconds(31))
        try cluster.show(root, from: 0, to: 1)
        #expect(cluster.report(root, on: 1)?.never.count == 1)
        #expect(try cluster.number(b) == nil)
        // That is an answer: home need not wait for its own clock.
        try cluster.show(root, from: 1, to: 0)
        #expect(cluster.status(root)?.isFailure == true)
    }

    // MARK: Exactly once

    @Test func aSecondAttemptUnderANumberThatRunsOrCommittedIsRefused() throws {
        var cluster = try CallCluster(shards: 2)
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let first = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        let second = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]), deadline: seconds(20))
        try cluster.submit(first)
        try cluster.submit(second)
        #expect(cluster.status(second) == .aborted(.superseded))
        try cluster.relay(first)
        #expect(cluster.status(first)?.isFailure == false)
        let third = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]), deadline: seconds(25))
        #expect(try cluster.run(third) == .aborted(.superseded))
        // Ordered again, everything is answered and nothing runs again.
        try cluster.submit(first)
        try cluster.show(first, from: 0, to: 1)
        #expect(try cluster.number(a) == 1 && cluster.number(b) == 2)
    }

    @Test func acknowledgingDropsNothingThatOthersNeed() throws {
        var cluster = try CallCluster(shards: 2)
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let root = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b]))
        try cluster.submit(root)
        try cluster.show(root, from: 0, to: 1)
        try cluster.show(root, from: 1, to: 0)
        #expect(cluster.status(root)?.isFailure == false)
        // The next request acknowledges it, while the callee has not heard of the outcome.
        let next = cluster.base.request(
            alice, 1, acknowledging: 1,
            [
                .call(
                    Invocation(
                        target: .key(a), procedure: Chain.name, version: 1,
                        arguments: Chain.Arguments(keys: [a]).encoded()))
            ])
        try cluster.submit(next)
        try cluster.base.shards[0].run(at: seconds(60))
        try cluster.poke(root, 0, at: seconds(60))
        try cluster.show(root, from: 0, to: 1)
        #expect(try cluster.number(b) == 2, "what home committed is applied")
        try cluster.show(root, from: 1, to: 0)
        try cluster.base.shards[0].run(at: seconds(61))
        try cluster.poke(root, 0, at: seconds(61))
        #expect(cluster.status(root) == .acknowledged)
        try cluster.base.checkInvariants()
    }

    // MARK: Replicas

    /// A replica that was restarted, or whose state was fetched, goes on as one that never stopped.
    @Test func aRestartInTheMiddleChangesNothing() throws {
        func play(restarting: Bool) throws -> [Digest] {
            var cluster = try CallCluster(shards: 3)
            func restart() throws {
                guard restarting else { return }
                for shard in cluster.base.shards.indices {
                    try cluster.base.shards[shard].flush()
                    try cluster.base.shards[shard].restart()
                }
            }
            let keys = [0, 1, 2].map { cluster.key(on: $0) }
            let roots = try (0..<6).map { i -> SignedRequest in
                let person = try Person(10 + i)
                let visited = [keys[i % 3], keys[(i + 1) % 3], keys[i % 3], keys[(i + 2) % 3]]
                return cluster.call(person, 0, .key(visited[0]), Chain.name, Chain.Arguments(keys: visited))
            }
            for (i, root) in roots.enumerated() {
                // Those that come later at one shard are older at the next.
                try cluster.submit(root, at: Timestamp(start.number + UInt64(2 - i % 3)))
                try restart()
            }
            for _ in 0..<6 {
                for root in roots {
                    try cluster.relay(root)
                    try restart()
                }
            }
            for root in roots { for shard in 0..<3 { try cluster.poke(root, shard, at: seconds(40)) } }
            for root in roots { try cluster.relay(root, at: seconds(41)) }
            try cluster.base.checkInvariants()
            #expect(cluster.undecided() == 0)
            return try cluster.base.shards.indices.map { try cluster.base.shards[$0].executor.checkpointDigest() }
        }
        #expect(try play(restarting: true) == play(restarting: false))
    }

    @Test func aStateOfOtherProceduresIsNotOpened() throws {
        var cluster = try CallCluster(shards: 1)
        try cluster.base.shards[0].run(at: start)
        try cluster.base.shards[0].flush()
        let (manifest, disk) = (cluster.base.manifest, cluster.base.shards[0].disk)
        #expect(throws: ShardStateError.otherProcedures(names: [])) {
            _ = try ShardExecutor(shard: ShardID(0), manifest: manifest, store: TestStore(disk))
        }
    }

    // MARK: Frames

    /// Two parallel frames that both wait for the same account must not both get it.
    @Test func parallelFramesThatWaitForTheSameAbort() throws {
        var cluster = try CallCluster(shards: 2) {
            $0.register(DoubleDebit.self)
            $0.register(Hold.self)
        }
        let from = try cluster.base.fund(cluster.base.account(alice, on: 1), 100)
        let mine = try cluster.base.fund(cluster.base.account(alice, on: 0), 10)
        // Older, both of its frames would wait.
        let root = cluster.call(alice, 1, .account(mine), DoubleDebit.name, [from.hex, mine.hex])
        try cluster.submit(root, at: start)
        let holder = cluster.call(alice, 0, .account(from), Hold.name, [from.hex, cluster.key(on: 0)])
        try cluster.submit(holder, at: seconds(1))
        try cluster.relay(root)
        try cluster.relay(holder)
        try cluster.poke(root, 1)
        try cluster.relay(root)
        #expect(cluster.status(root)?.description.contains("parallel calls") == true)
        #expect(try cluster.base.posted(from) == 100 && cluster.base.posted(mine) == 10)
        #expect(cluster.undecided() == 0)
        try cluster.base.checkInvariants()
    }

    /// Two callbacks within one call: the second sees what the first has changed, before the caller has gone on.
    @Test func aSecondCallbackSeesTheFirst() throws {
        var cluster = try CallCluster(shards: 2) {
            $0.register(CallsBackTwice.self)
            $0.register(Increment.self)
            $0.register(StartsCallbacks.self)
        }
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let outcome = try cluster.run(cluster.call(alice, 0, .key(a), StartsCallbacks.name, [a, b]))
        #expect(try cluster.result(outcome) == UInt64(3))
        #expect(try cluster.number(a) == 3)
    }

    /// R14: what a caller holds, a callback may use, whoever waits for it.
    @Test func aCallbackInheritsItsCallersLocks() throws {
        var cluster = try CallCluster(shards: 3)
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let older = cluster.call(bob, 0, .key(c), Chain.name, Chain.Arguments(keys: [c, a]))
        try cluster.submit(older, at: start)
        let root = cluster.call(alice, 0, .key(a), Chain.name, Chain.Arguments(keys: [a, b, a]))
        try cluster.submit(root, at: seconds(1))
        try cluster.show(older, from: 2, to: 0)
        #expect(cluster.report(older, on: 0) == nil, "it waits")
        try cluster.relay(root)
        #expect(try cluster.result(cluster.status(root)) == [0, 0, 1] as [UInt64])
        try cluster.poke(older, 0)
        try cluster.relay(older)
        #expect(try cluster.result(cluster.status(older)) == [0, 4] as [UInt64])
    }

    // MARK: Bounds

    @Test func boundsAbortWithTheirReason() throws {
        var limits = ShardLimits()
        (limits.maxStepsPerFrame, limits.maxLocksPerFrame) = (50, 4)
        var cluster = try CallCluster(shards: 2, limits: limits) {
            $0.register(Endless.self)
            $0.register(Greedy.self)
        }
        let a = cluster.key(on: 0)
        #expect(
            try cluster.run(cluster.call(alice, 0, .key(a), Endless.name, a))?.description.contains(
                "more than 50 steps") == true)
        #expect(
            try cluster.run(cluster.call(alice, 1, .key(a), Greedy.name, a))?.description.contains("too many keys")
                == true)
        let deep = (0..<12).map { _ in a }
        #expect(
            try cluster.run(cluster.call(alice, 2, .key(a), Chain.name, Chain.Arguments(keys: deep)))?.description
                .contains("deeper than 8") == true)
        #expect(
            try cluster.run(cluster.call(alice, 3, .key(a), "nothing", Nothing()))?.description.contains(
                "there is no procedure nothing@1") == true)
        #expect(try cluster.run(cluster.call(alice, 4, .key(a), Chain.name, "what?"))?.isFailure == true)
        #expect(cluster.undecided() == 0)
    }

    @Test func aPrincipalsCallsOnAnotherShardAreBounded() throws {
        var limits = ShardLimits()
        limits.maxCallsPerPrincipal = 2
        var cluster = try CallCluster(shards: 2, limits: limits)
        var roots: [SignedRequest] = []
        for i in 0..<3 {
            let a = cluster.key(on: 0, "a\(i)-")
            let root = cluster.call(
                alice, UInt64(i), .key(a), Chain.name, Chain.Arguments(keys: [a, cluster.key(on: 1, "b\(i)-")]))
            roots.append(root)
            try cluster.submit(root)
            try cluster.show(root, from: 0, to: 1)
        }
        #expect(roots.map { cluster.report($0, on: 1)?.responses.count ?? 0 } == [1, 1, 0])
        // When one has ended there is room again.
        try cluster.relay(roots[0])
        try cluster.show(roots[2], from: 0, to: 1)
        #expect(cluster.report(roots[2], on: 1)?.responses.count == 1)
    }
}

extension LegStatus {
    var failure: CallFailure? {
        guard case .failed(let failure) = self else { return nil }
        return failure
    }
    var isFailure: Bool {
        switch self {
        case .failed, .aborted, .noRecordAbort, .votedNo: true
        case .votedYes, .committed, .acknowledged, .read, .running, .returned, .closed: false
        }
    }
}

/// Calls itself elsewhere, where it throws, and goes on as if nothing had been.
private struct Catching: Procedure {
    struct Unwanted: Error, CustomStringConvertible { let description = "nobody wants this" }
    static let name = "catching"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> Nothing {
        guard let next = keys.dropFirst().first else { throw Unwanted() }
        try context.set(keys[0], to: UInt64(1))
        do { let _: Nothing = try context.call(.key(next), name, [next]) } catch {}
        return Nothing()
    }
}

/// Takes 60 out of one account twice, beside each other, and puts 120 into another one.
private struct DoubleDebit: Procedure {
    static let name = "double-debit"
    static func run(_ accounts: [String], _ context: ProcedureContext) throws -> Nothing {
        guard let from = AccountID(hex: accounts[0]) else {
            throw CallFailure(.badArguments, shard: context.shard, procedure: name)
        }
        guard accounts.count > 1 else {
            try context.debit(from, gold, Amount(60))
            return Nothing()
        }
        _ = try context.callAll(
            (0..<2).map { _ in
                Invocation(target: .account(from), procedure: name, version: 1, arguments: [accounts[0]].encoded())
            })
        if let to = AccountID(hex: accounts[1]) { try context.credit(to, gold, Amount(120)) }
        return Nothing()
    }
}

/// Locks an account, waits for a call, and then does not balance.
private struct Hold: Procedure {
    static let name = "hold"
    static func run(_ names: [String], _ context: ProcedureContext) throws -> Nothing {
        guard let account = AccountID(hex: names[0]) else {
            throw CallFailure(.badArguments, shard: context.shard, procedure: name)
        }
        try context.debit(account, gold, Amount(1))
        let _: [UInt64] = try context.call(.key(names[1]), Chain.name, Chain.Arguments(keys: [names[1]]))
        return Nothing()
    }
}

private struct StartsCallbacks: Procedure {
    static let name = "starts-callbacks"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> UInt64 {
        try context.set(keys[0], to: UInt64(1))
        let _: Nothing = try context.call(.key(keys[1]), CallsBackTwice.name, keys[0])
        return try context.value(of: keys[0]) ?? 0
    }
}

private struct CallsBackTwice: Procedure {
    static let name = "calls-back-twice"
    static func run(_ key: String, _ context: ProcedureContext) throws -> Nothing {
        for _ in 0..<2 { let _: UInt64 = try context.call(.key(key), Increment.name, key) }
        return Nothing()
    }
}

private struct Increment: Procedure {
    static let name = "increment"
    static func run(_ key: String, _ context: ProcedureContext) throws -> UInt64 {
        let next: UInt64 = try (context.value(of: key) ?? 0) + 1
        try context.set(key, to: next)
        return next
    }
}

private struct Parallel: Procedure {
    static let name = "parallel"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> Nothing {
        _ = try context.callAll(
            keys.map {
                Invocation(
                    target: .key($0), procedure: Chain.name, version: 1,
                    arguments: Chain.Arguments(keys: [$0]).encoded())
            })
        return Nothing()
    }
}

private struct Endless: Procedure {
    static let name = "endless"
    static func run(_ key: String, _ context: ProcedureContext) throws -> Nothing {
        while true { try context.set(key, to: UInt64(1)) }
    }
}

private struct Greedy: Procedure {
    static let name = "greedy"
    static func run(_ key: String, _ context: ProcedureContext) throws -> Nothing {
        for i in 0..<9 { try context.set("{\(key)}\(i)", to: UInt64(1)) }
        return Nothing()
    }
}
