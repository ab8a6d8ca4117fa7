import ExampleProcedures
import Messages
import ShardState
import Testing

/// Who waits for a lock, and who dies (R5, decision 0024).
@Suite struct WaitingTests {
    private let alice: Person
    private let bob: Person
    private let carol: Person
    init() throws { (alice, bob, carol) = (try Person(1), try Person(2), try Person(3)) }

    private func cluster() throws -> CallCluster {
        try CallCluster(shards: 3) {
            $0.register(OrderedChain.self)
            $0.register(Increments.self)
            $0.register(Reads.self)
        }
    }

    private func chain(
        _ cluster: CallCluster, _ person: Person, _ number: UInt64, _ keys: [String], inOrder: Bool = false,
        continues: UInt64? = nil
    ) -> SignedRequest {
        cluster.call(
            person, number, .key(keys[0]), inOrder ? OrderedChain.name : Chain.name, Chain.Arguments(keys: keys),
            continues: continues)
    }

    /// Its keys on other shards than home are locked, and home has not heard of it.
    private func hold(_ cluster: inout CallCluster, _ root: SignedRequest, on shard: Int, at time: Timestamp) throws {
        try cluster.submit(root, at: time)
        try cluster.show(root, from: cluster.home(root), to: shard, at: time)
        #expect(cluster.report(root, on: shard)?.responses.count == 1)
    }

    /// Two frames of one transaction are let in together, and what the first runs into makes all of it start over.
    @Test func framesThatAreLetInTogetherMayBeGoneWhenTheyWouldRun() throws {
        var cluster = try CallCluster(shards: 3) {
            $0.register(OrderedChain.self)
            $0.register(ReadInTurn.self)
            $0.register(ReadSideBySide.self)
        }
        let a = cluster.key(on: 0)
        let b = cluster.key(on: 0, not: [a])
        let first = chain(cluster, alice, 0, [a, cluster.key(on: 1)], inOrder: true)
        let second = chain(cluster, carol, 0, [b, cluster.key(on: 1)])
        try cluster.submit(first, at: start)
        try cluster.submit(second, at: start)
        let reader = cluster.call(bob, 0, .key(a), ReadSideBySide.name, [[a, b], [a]])
        try cluster.submit(reader, at: seconds(1))
        #expect(cluster.status(reader) == .running)
        // The first of the two frames would die for the older one, so both are gone, and the root waits.
        try cluster.relay(first)
        #expect(cluster.status(reader) == .running)
        try cluster.base.checkInvariants()
        try cluster.relay(second)
        try cluster.poke(reader, 1)
        if case .returned? = cluster.status(reader) {
        } else {
            Issue.record("\(String(describing: cluster.status(reader)))")
        }
        try cluster.base.checkInvariants()
    }

    @Test func whoHasNoLockWaitsWhateverItsAge() throws {
        var cluster = try cluster()
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let older = chain(cluster, alice, 0, [a, b])
        try hold(&cluster, older, on: 1, at: start)
        let younger = chain(cluster, bob, 0, [b])
        try cluster.submit(younger, at: seconds(1))
        #expect(cluster.status(younger) == .running)
        try cluster.relay(older)
        try cluster.poke(younger, 1)
        #expect(try cluster.result(cluster.status(younger)) == [2] as [UInt64])
        try cluster.base.checkInvariants()
    }

    /// It is behind one who holds nothing and waits for an older one, and so it waits for that one too.
    @Test func whoStandsBehindSomebodyIsComparedWithAllThatHeWaitsFor() throws {
        var cluster = try cluster()
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let reader = cluster.call(alice, 0, .key(a), Reads.name, [a, b])
        try hold(&cluster, reader, on: 1, at: start)
        let middle = chain(cluster, carol, 0, [b])
        try cluster.submit(middle, at: seconds(2))
        #expect(cluster.status(middle) == .running)
        // Older than the one in the middle, and a reader like the oldest, which it does not hinder.
        let last = cluster.call(bob, 0, .key(c), Reads.name, [c, b])
        try cluster.submit(last, at: seconds(1))
        try cluster.relay(last)
        #expect(cluster.status(last)?.failure?.reason == .died)
        try cluster.relay(reader)
        try cluster.base.checkInvariants()
    }

    @Test func aRootThatHasCalledNobodyStartsOverInsteadOfDying() throws {
        var cluster = try cluster()
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let other = cluster.key(on: 1, not: [b])
        let older = chain(cluster, alice, 0, [a, b])
        try hold(&cluster, older, on: 1, at: start)
        let younger = chain(cluster, bob, 0, [other, b])
        try cluster.submit(younger, at: seconds(1))
        #expect(cluster.status(younger) == .running)
        // It has let go what it had.
        #expect(try cluster.result(cluster.run(chain(cluster, carol, 0, [other]))) == [0] as [UInt64])
        try cluster.base.checkInvariants()
        try cluster.relay(older)
        try cluster.poke(younger, 1)
        #expect(try cluster.result(cluster.status(younger)) == [1, 2] as [UInt64], "as if it had come now")
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
    }

    @Test func whoTakesLocksInOrderWaitsForOlderOnes() throws {
        var cluster = try cluster()
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let another = cluster.key(on: 0, not: [a])
        let older = chain(cluster, alice, 0, [a, b], inOrder: true)
        try hold(&cluster, older, on: 1, at: start)
        let younger = chain(cluster, bob, 0, [another, b], inOrder: true)
        try cluster.submit(younger, at: seconds(1))
        try cluster.relay(younger)
        #expect(cluster.status(younger) == .running)
        // From a higher shard to a lower one: not in order.
        let wrong = chain(cluster, carol, 0, [c, b], inOrder: true)
        try cluster.submit(wrong, at: seconds(2))
        try cluster.relay(wrong)
        #expect(cluster.status(wrong)?.failure?.reason == .died)
        try cluster.relay(older)
        try cluster.poke(younger, 1)
        try cluster.relay(younger)
        #expect(try cluster.result(cluster.status(younger)) == [0, 2] as [UInt64])
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
    }

    @Test func whoWaitsInOrderDoesNotWaitForWhoWaitsByAgeUntilItHasDied() throws {
        var cluster = try cluster()
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        let another = cluster.key(on: 0, not: [a])
        let ordered = chain(cluster, alice, 0, [another, b], inOrder: true)
        try cluster.submit(ordered, at: start)
        let byAge = chain(cluster, bob, 0, [a, b])
        try hold(&cluster, byAge, on: 1, at: seconds(1))
        try cluster.relay(ordered)
        #expect(cluster.status(ordered)?.failure?.reason == .died, "although it is older")
        let again = chain(cluster, alice, 1, [another, b], inOrder: true, continues: 0)
        try cluster.submit(again, at: seconds(2))
        try cluster.relay(again)
        #expect(cluster.status(again) == .running, "by its age, which is that of the first")
        // And who waits by age waits for those in order, even if they are older.
        try cluster.relay(byAge)
        try cluster.poke(again, 1)
        try cluster.relay(again)
        #expect(try cluster.result(cluster.status(again)) == [0, 2] as [UInt64])
        let older = chain(cluster, carol, 0, [a, b], inOrder: true)
        try hold(&cluster, older, on: 1, at: seconds(3))
        let younger = chain(cluster, bob, 1, [another, b])
        try cluster.submit(younger, at: seconds(4))
        try cluster.relay(younger)
        #expect(cluster.status(younger) == .running)
        try cluster.relay(older)
        try cluster.poke(younger, 1)
        try cluster.relay(younger)
        #expect(cluster.status(younger)?.isFailure == false)
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
    }

    /// Two wait to read. The first goes on to change what he has read: he waits for the second, who is younger, and not
    /// the other way.
    @Test func allWhoMayReadAreLetInBeforeOneOfThemRuns() throws {
        var cluster = try cluster()
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        let other = cluster.key(on: 0, not: [a])
        let first = cluster.call(alice, 0, .key(a), Increments.name, [a, b])
        let second = cluster.call(bob, 0, .key(other), Reads.name, [other, b])
        try cluster.submit(first, at: start)
        try cluster.submit(second, at: seconds(1))
        let holder = chain(cluster, carol, 0, [b, c])
        try cluster.submit(holder, at: seconds(2))
        try cluster.show(first, from: 0, to: 1)
        try cluster.show(second, from: 0, to: 1)
        #expect(cluster.report(first, on: 1) == nil && cluster.report(second, on: 1) == nil, "both wait")
        try cluster.relay(holder)
        #expect(cluster.report(second, on: 1)?.responses.count == 1)
        #expect(cluster.report(first, on: 1)?.responses.isEmpty != false)
        try cluster.relay(second)
        try cluster.relay(first)
        try cluster.poke(first, 1)
        try cluster.relay(first)
        #expect(try cluster.result(cluster.status(second)) == [0, 1] as [UInt64])
        #expect(cluster.status(first)?.isFailure == false)
        #expect(try cluster.number(b) == 2)
        try cluster.base.checkInvariants()
        #expect(cluster.undecided() == 0)
    }

    /// A call tells its callee how far its locks reach.
    @Test func aCallSaysWhatItsTransactionHolds() throws {
        var cluster = try cluster()
        let (a, b, c) = (cluster.key(on: 0), cluster.key(on: 1), cluster.key(on: 2))
        func reach(_ number: UInt64, _ keys: [String]) throws -> CallReach? {
            let root = chain(cluster, alice, number, keys)
            try cluster.submit(root)
            let said = cluster.report(root, on: cluster.home(root))?.issued.first?.reach
            try cluster.relay(root)
            return said
        }
        #expect(try reach(0, [a, b]) == .ascending)
        #expect(try reach(1, [c, b]) == .any)
        // Its home holds nothing.
        let bare = cluster.call(alice, 2, .key(c), Increments.name, [c, b])
        try cluster.submit(bare)
        #expect(cluster.report(bare, on: 2)?.issued.first?.reach == .bare)
    }
}

/// `Chain`, and says that its keys ascend.
private struct OrderedChain: Procedure {
    static let name = "ordered-chain"
    static let locksInOrder = true
    static func run(_ arguments: Chain.Arguments, _ context: ProcedureContext) throws -> [UInt64] {
        try Chain.run(arguments, context)
    }
}

/// Reads its first key, and the others on their shards.
private struct Reads: Procedure {
    static let name = "reads"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> [UInt64] {
        guard let key = keys.first else { return [] }
        let value: UInt64 = try context.value(of: key) ?? 0
        guard let next = keys.dropFirst().first else { return [value] }
        let rest: [UInt64] = try context.call(.key(next), name, Array(keys.dropFirst()))
        return [value] + rest
    }
}

/// Reads and then changes its last key, on that one's shard.
private struct Increments: Procedure {
    static let name = "increments"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> UInt64 {
        guard let key = keys.last else { return 0 }
        if keys.count > 1 { return try context.call(.key(key), name, [key]) }
        let next: UInt64 = try (context.value(of: key) ?? 0) + 1
        try context.set(key, to: next)
        return next
    }
}

/// Reads keys of its shard, one after the other.
private struct ReadInTurn: Procedure {
    static let name = "read in turn"
    static func run(_ keys: [String], _ context: ProcedureContext) throws -> Nothing {
        for key in keys { _ = try context.value(of: key, as: UInt64.self) }
        return Nothing()
    }
}

private struct ReadSideBySide: Procedure {
    static let name = "read side by side"
    static func run(_ groups: [[String]], _ context: ProcedureContext) throws -> Nothing {
        _ = try context.callAll(
            groups.map {
                Invocation(target: .key($0[0]), procedure: ReadInTurn.name, version: 1, arguments: $0.encoded())
            })
        return Nothing()
    }
}
