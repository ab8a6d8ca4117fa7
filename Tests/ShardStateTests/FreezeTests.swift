import ExampleProcedures
import Messages
import ShardState
import Testing

/// Accounts that the compliance authority has frozen (docs/decisions/0047).
@Suite struct FreezeTests {
    private var cluster: TestCluster
    private let alice: Person
    private let bob: Person
    private let from: AccountID
    private let near: AccountID
    private let far: AccountID

    init() throws {
        cluster = try TestCluster(shards: 2)
        (alice, bob) = (try Person(1), try Person(2))
        from = try cluster.fund(cluster.account(alice, on: 0), 100)
        near = try cluster.fund(cluster.account(bob, on: 0), 10)
        far = try cluster.fund(cluster.account(bob, on: 1), 0)
    }

    @Test mutating func `a frozen account neither pays nor is paid, each way by itself`() throws {
        func pays(_ number: UInt64) throws -> LegStatus? {
            try cluster.shards[0].status(cluster.transfer(alice, number, from: from, to: near, 1))
        }
        func isPaid(_ number: UInt64) throws -> LegStatus? {
            try cluster.shards[0].status(cluster.transfer(bob, number, from: near, to: from, 1))
        }
        for (number, (direction, out, into)) in zip(
            UInt64(0)...,
            [
                (AccountFreeze.Direction.debits, LegStatus.aborted(.frozen), LegStatus.committed),
                (.credits, .committed, .aborted(.frozen)), (.both, .aborted(.frozen), .aborted(.frozen)),
            ])
        {
            #expect(try cluster.order(.freeze(from, AccountFreeze(direction, reason: 7))) == .committed)
            #expect(try cluster.view(from)?.freeze == AccountFreeze(direction, reason: 7))
            #expect(try pays(number) == out)
            #expect(try isPaid(number) == into)
        }
        let issue = Messages.Operation.issue(to: from, asset: gold, amount: Amount(1))
        let issued = cluster.request(cluster.issuer, 800, acknowledging: 800, mode: .independent, [issue])
        #expect(try cluster.shards[0].status(issued) == .aborted(.frozen))
        #expect(try cluster.order(.release(from)) == .committed)
        #expect(try cluster.view(from)?.freeze == nil)
        #expect(try pays(9) == .committed)
        #expect(try isPaid(9) == .committed)
        try cluster.checkInvariants()
    }

    @Test mutating func `only the compliance authority freezes and releases`() throws {
        for (number, person) in zip(UInt64(900)..., [alice, cluster.issuer]) {
            for operation in [Messages.Operation.freeze(from, AccountFreeze(.both, reason: 1)), .release(from)] {
                let request = cluster.request(person, number, mode: .independent, [operation])
                #expect(try cluster.shards[0].status(request) == .aborted(.notAuthorised))
            }
        }
        #expect(try cluster.view(from)?.freeze == nil)
        let nobody = cluster.account(alice, on: 0, 7).id
        #expect(try cluster.order(.freeze(nobody, AccountFreeze(.both, reason: 1))) == .aborted(.unknownAccount))
        #expect(try cluster.order(.release(from)) == .committed, "there was none")
        let atomic = cluster.request(
            cluster.compliance, 1_100, [.freeze(from, AccountFreeze(.both, reason: 1))])
        #expect(try cluster.shards[0].status(atomic) == .aborted(.malformed))
    }

    @Test mutating func `where the manifest names no authority nobody freezes`() throws {
        cluster = try TestCluster(shards: 1, hasCompliance: false)
        let account = try cluster.fund(cluster.account(alice, on: 0), 100)
        let freeze = AccountFreeze(.both, reason: 1)
        #expect(try cluster.order(.freeze(account, freeze)) == .aborted(.noComplianceAuthority))
        #expect(try cluster.order(.release(account)) == .aborted(.noComplianceAuthority))
    }

    @Test mutating func `what was voted on before a freeze commits, and what comes after votes no`() throws {
        let before = cluster.transfer(alice, 0, from: from, to: far, 10)
        let votes = [try cluster.shards[0].certify(before), try cluster.shards[1].certify(before)]
        #expect(try cluster.order(.freeze(from, AccountFreeze(.both, reason: 1))) == .committed)
        #expect(try cluster.order(.freeze(far, AccountFreeze(.both, reason: 1))) == .committed)
        let after = cluster.transfer(alice, 1, from: from, to: far, 10)
        #expect(try cluster.shards[0].status(after) == .votedNo(.frozen))
        #expect(try cluster.shards[1].status(after) == .votedNo(.frozen))
        #expect(try cluster.view(from)?.pendingDebits == Amount(10))
        try cluster.shards[0].decide(before, [votes[1]])
        try cluster.shards[1].decide(before, [votes[0]])
        #expect(try [cluster.posted(from), cluster.posted(far)] == [90, 10])
        #expect(try cluster.view(from)?.freeze != nil && cluster.view(far)?.freeze != nil)
        #expect(try cluster.view(from)?.isPending == false)
        try cluster.checkInvariants()
    }

    @Test mutating func `an abort releases what a frozen account had reserved`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: far, 10)
        _ = try cluster.shards[0].certify(request)
        #expect(try cluster.order(.freeze(from, AccountFreeze(.both, reason: 1))) == .committed)
        #expect(try cluster.order(.freeze(far, AccountFreeze(.credits, reason: 1))) == .committed)
        let no = try cluster.shards[1].certify(request)
        #expect(no.leaf.status(ofLeg: 0) == .votedNo(.frozen))
        try cluster.shards[0].decide(request, [no])
        #expect(try cluster.view(from)?.isPending == false)
        #expect(try cluster.posted(from) == 100)
        #expect(cluster.shards[0].executor.undecidedCount == 0)
        try cluster.checkInvariants()
    }

    @Test mutating func `one frozen account stops an atomic bundle, and one leg of an independent one`() throws {
        let third = try cluster.fund(cluster.account(bob, on: 0, 1), 0)
        #expect(try cluster.order(.freeze(third, AccountFreeze(.credits, reason: 1))) == .committed)
        func step(_ to: AccountID) -> Messages.Operation {
            .transfer(Transfer(from: from, to: to, asset: gold, amount: Amount(1)))
        }
        let atomic = cluster.request(alice, 0, [step(near), step(third)])
        #expect(try cluster.shards[0].status(atomic) == .aborted(.frozen))
        let independent = cluster.request(alice, 1, mode: .independent, [step(near), step(third)])
        #expect(
            try cluster.shards[0].submit(independent).leaves.first?.entries.map(\.status) == [
                .committed, .aborted(.frozen),
            ])
        #expect(try cluster.posted(near) == 11)
    }

    @Test mutating func `a freeze ordered again happens once, and outlives a restart`() throws {
        let freeze = cluster.request(
            cluster.compliance, 40, mode: .independent, [.freeze(from, AccountFreeze(.debits, reason: 3))])
        #expect(try cluster.shards[0].status(freeze) == .committed)
        let release = cluster.request(cluster.compliance, 41, mode: .independent, [.release(from)])
        #expect(try cluster.shards[0].status(release) == .committed)
        #expect(try cluster.shards[0].status(freeze) == .committed, "as it was")
        #expect(try cluster.view(from)?.freeze == nil)
        #expect(try cluster.order(.freeze(from, AccountFreeze(.debits, reason: 4))) == .committed)
        try cluster.shards[0].flush()
        try cluster.shards[0].restart()
        #expect(try cluster.view(from)?.freeze == AccountFreeze(.debits, reason: 4))
    }

    @Test mutating func `an account that is not frozen has the bytes that it always had`() throws {
        let digest = try cluster.shards[0].executor.checkpointDigest()
        let entries = { (cluster: inout TestCluster) throws -> Int in
            var copy = cluster.shards[0]
            let frozen = try #require(try copy.executor.freeze())
            return frozen.writes.compactMap { $0.value?.count }.filter { $0 == 84 || $0 == 89 }.count { $0 == 89 }
        }
        #expect(try entries(&cluster) == 0)
        #expect(try cluster.order(.freeze(from, AccountFreeze(.both, reason: 1))) == .committed)
        #expect(try entries(&cluster) == 1, "five bytes more: direction and reason")
        #expect(try cluster.order(.release(from)) == .committed)
        #expect(try entries(&cluster) == 0)
        #expect(try cluster.shards[0].executor.checkpointDigest() != digest, "the orders are recorded")
    }
}

/// Calls and freezes.
@Suite struct FrozenCallTests {
    private var cluster: CallCluster
    private let alice: Person
    private let bob: Person
    private let from: AccountID
    private let to: AccountID

    init() throws {
        cluster = try CallCluster(shards: 2) { $0.register(MoveMoney.self) }
        (alice, bob) = (try Person(1), try Person(2))
        from = try cluster.base.fund(cluster.base.account(alice, on: 0), 100)
        to = try cluster.base.fund(cluster.base.account(bob, on: 1), 0)
    }

    /// Pays before and after it asks another shard for something.
    private struct MoveMoney: Procedure {
        static let name = "test.move"
        static func run(_ payment: Payment, _ context: ProcedureContext) throws -> Nothing {
            guard case .account(let own) = context.root.target else { throw CallFailureOfTest() }
            try context.debit(own, payment.asset, payment.amount)
            try context.pay(payment)
            return Nothing()
        }
    }
    private struct CallFailureOfTest: Error {}

    private func move(_ number: UInt64) -> SignedRequest {
        cluster.call(
            alice, number, .account(from), MoveMoney.name, Payment(account: to, asset: gold, amount: Amount(10)))
    }

    private static func isFrozen(_ status: LegStatus?) -> Bool {
        if case .failed(let failure)? = status { failure.reason == .frozen } else { false }
    }

    @Test mutating func `a call neither takes from a frozen account nor gives to one`() throws {
        #expect(try cluster.base.order(.freeze(from, AccountFreeze(.debits, reason: 1))) == .committed)
        #expect(Self.isFrozen(try cluster.run(move(0))))
        #expect(try cluster.base.order(.release(from)) == .committed)
        #expect(try cluster.base.order(.freeze(to, AccountFreeze(.credits, reason: 1))) == .committed)
        #expect(Self.isFrozen(try cluster.run(move(1))))
        #expect(try cluster.base.order(.release(to)) == .committed)
        guard case .returned? = try cluster.run(move(2)) else {
            Issue.record("it runs again")
            return
        }
        #expect(try [cluster.base.posted(from), cluster.base.posted(to)] == [90, 10])
    }

    /// The callee's answer is its vote.
    @Test mutating func `what a callee has answered before a freeze commits, and the freeze stays`() throws {
        let root = move(0)
        try cluster.submit(root)
        try cluster.show(root, from: 0, to: 1)
        // It has the account locked, and does not keep the authority waiting.
        #expect(try cluster.base.order(.freeze(to, AccountFreeze(.both, reason: 1))) == .committed)
        try cluster.relay(root)
        guard case .returned? = cluster.status(root) else {
            Issue.record("it was answered before the freeze: \(String(describing: cluster.status(root)))")
            return
        }
        #expect(try [cluster.base.posted(from), cluster.base.posted(to)] == [90, 10])
        #expect(try cluster.base.view(to)?.freeze == AccountFreeze(.both, reason: 1))
        try cluster.base.checkInvariants()
    }

    @Test mutating func `a procedure that runs again after a freeze is refused, and leaves no lock`() throws {
        let root = move(0)
        try cluster.submit(root)
        #expect(try cluster.base.order(.freeze(from, AccountFreeze(.both, reason: 1))) == .committed)
        try cluster.show(root, from: 0, to: 1)
        try cluster.relay(root)
        #expect(Self.isFrozen(cluster.status(root)))
        #expect(try [cluster.base.posted(from), cluster.base.posted(to)] == [100, 0])
        #expect(try cluster.base.order(.release(from)) == .committed)
        let after = cluster.base.transfer(alice, 1, from: from, to: to, 5)
        #expect(try cluster.base.shards[0].status(after) == .votedYes, "nobody has it locked")
        try cluster.base.checkInvariants()
    }

    @Test mutating func `a screened transfer is held against limits and lists`() throws {
        let authority = try Person(5)
        let specification = Screening.account(gold, index: 3)
        let account = try cluster.base.fund(specification, 1_000)
        func pay(_ number: UInt64, _ amount: UInt128, by person: Person? = nil, at day: UInt64 = 0) -> SignedRequest {
            let payment = Payment(account: to, asset: gold, amount: Amount(amount))
            return cluster.call(
                person ?? alice, number, .account(account), ScreenedTransfer.name,
                ScreenedTransfer.Arguments(from: account, payment: payment))
        }
        func why(_ status: LegStatus?) -> String {
            if case .failed(let failure)? = status { failure.text } else { "\(String(describing: status))" }
        }
        #expect(why(try cluster.run(pay(0, 10))).contains("under no screening policy"))
        let limits = SetScreeningLimits.Arguments(policy: "retail", perTransfer: Amount(100), perDay: Amount(150))
        func set(_ number: UInt64, _ person: Person) throws -> String {
            why(
                try cluster.run(
                    cluster.call(
                        person, number, .key(Screening.limitsKey("retail")), SetScreeningLimits.name, limits)))
        }
        #expect(try set(0, authority).contains("returned"))
        #expect(try set(0, bob).contains("not the policy's authority"))
        let admit = AdmitHolder.Arguments(account: account, policy: "retail", holder: alice.key)
        let admitted = cluster.call(
            authority, 1, .key(Screening.holderKey(account)), AdmitHolder.name, admit)
        guard case .returned? = try cluster.run(admitted) else {
            Issue.record("not admitted: \(why(cluster.status(admitted)))")
            return
        }
        #expect(why(try cluster.run(pay(1, 101))).contains("above 100 a transfer"))
        #expect(why(try cluster.run(pay(1, 10, by: bob))).contains("does not hold"))
        guard case .returned? = try cluster.run(pay(2, 100)) else {
            Issue.record("it is within the limits")
            return
        }
        #expect(why(try cluster.run(pay(3, 51))).contains("above 150 a day"))
        let list = ListParties.Arguments(policy: "retail", accounts: [to], listed: true)
        let listed = cluster.call(authority, 2, .key(Screening.limitsKey("retail")), ListParties.name, list)
        guard case .returned? = try cluster.run(listed) else {
            Issue.record("not listed")
            return
        }
        #expect(why(try cluster.run(pay(4, 10))).contains("is listed"))
        // No other way out: neither a transfer nor a step by itself.
        let transfer = cluster.base.transfer(alice, 5, from: account, to: to, 1)
        let home = Int(cluster.base.manifest.shardMap.shard(of: account).number)
        #expect(try cluster.base.shards[home].status(transfer) == cluster.refusal(transfer, .notAuthorised))
        #expect(try [cluster.base.posted(account), cluster.base.posted(to)] == [900, 100])
        try cluster.base.checkInvariants()
    }
}

extension CallCluster {
    /// As a shard says no: to others, or by itself.
    fileprivate func refusal(_ request: SignedRequest, _ reason: AbortReason) -> LegStatus {
        request.request.participants(in: base.manifest.shardMap).count > 1 ? .votedNo(reason) : .aborted(reason)
    }
}
