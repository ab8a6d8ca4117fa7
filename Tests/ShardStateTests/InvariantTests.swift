import Messages
import ShardState
import Testing

/// The checks of the state bite: each is shown a state that breaks it, and says which.
@Suite struct InvariantTests {
    private var cluster: TestCluster
    private let alice: Person
    private let from: AccountID
    private let open: SignedRequest
    private let settled: SignedRequest

    /// Shard 0 with a yes vote that reserves 30, and a committed transfer of its own.
    init() throws {
        cluster = try TestCluster(shards: 2)
        alice = try Person(1)
        from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let near = try cluster.fund(cluster.account(alice, on: 0, 1), 0)
        let to = try cluster.fund(cluster.account(alice, on: 1), 0)
        open = cluster.transfer(alice, 5, from: from, to: to, 30)
        settled = cluster.transfer(alice, 6, from: from, to: near, 1)
        _ = try cluster.shards[0].run(.request(open), .request(settled))
        try cluster.shards[0].flush()
        try cluster.shards[0].executor.checkInvariants()
    }

    /// Keys are bucket, place, kind, and what the kind is kept by.
    private func keys(_ kind: Character) -> [[UInt8]] {
        TestStore(cluster.shards[0].disk).snapshot().keys.filter { $0.count > 8 && $0[6] == kind.asciiValue }
    }

    /// The state with one entry changed.
    private func changed(_ key: [UInt8], _ change: (inout [UInt8]) -> Void) throws -> TestDisk {
        let image = TestStore(cluster.shards[0].disk).snapshot()
        var value = image.value(forKey: key) ?? []
        change(&value)
        let disk = TestDisk()
        let writes = image.keys.map { KeyValueWrite(key: $0, value: image.value(forKey: $0)) }
        let changed = KeyValueWrite(key: key, value: value.isEmpty ? nil : value)
        disk.apply(writes + [changed], metadata: image.metadata() ?? [], clearing: true)
        return disk
    }

    /// What a replica finds that starts from the state with one entry changed.
    private func violation(_ key: [UInt8], _ change: (inout [UInt8]) -> Void) throws -> InvariantViolation? {
        let disk = try changed(key, change)
        var executor = try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
        do {
            try executor.checkInvariants()
            return nil
        } catch { return error }
    }

    /// alice's account: owner, asset, posted, pending debits, pending credits.
    private var accountKey: [UInt8] {
        get throws {
            try #require(
                keys("A").first { $0.suffix(16) == withUnsafeBytes(of: from.number.bigEndian) { Array($0) }[...] })
        }
    }

    private func principalKey(_ person: Person) throws -> [UInt8] {
        try #require(keys("P").first { $0.suffix(32) == person.key.bytes[...] })
    }

    @Test func `reservations are those of the undecided legs`() throws {
        let key = try accountKey
        #expect(try violation(key) { _ in } == nil)
        #expect(
            try violation(key) { $0[52] -= 10 }
                == .reservations(from, debits: 20, expectedDebits: 30, credits: 0, expectedCredits: 0))
        #expect(
            try violation(key) { $0[68] += 1 }
                == .reservations(from, debits: 30, expectedDebits: 30, credits: 1, expectedCredits: 0))
    }

    @Test func `an account that reserves more than it has cannot be read`() throws {
        let key = try accountKey
        guard case .state(.corruptEntry(key, let what)) = try violation(key, { $0[52] = 200 }) else {
            Issue.record("a debit reservation above what is posted passes")
            return
        }
        #expect(what.contains("balance"))
    }

    @Test func `a principal's undecided legs are counted`() throws {
        let found = try violation(try principalKey(alice)) { $0[16] = 3 }
        #expect(found == .undecidedOfPrincipal(alice.key, recorded: 3, counted: 1))
    }

    @Test func `what is acknowledged and needed by nobody is gone`() throws {
        #expect(try violation(try principalKey(alice)) { $0[0] = 7 } == .notForgotten(alice.key, RequestNumber(6)))
        // The cross-shard record below stays whatever is acknowledged: others may need it.
        guard case .digest? = try violation(try principalKey(alice), { $0[0] = 6 }) else {
            Issue.record("something else than the tree is wrong with it")
            return
        }
    }

    @Test func `an undecided leg has its signed request`() throws {
        let key = try #require(keys("B").first)
        #expect(try violation(key) { $0 = [] } == .state(.corruptEntry(key: key, what: "missing")))
    }

    @Test mutating func `signed requests are kept for those who may need them and for nobody else`() throws {
        // Decided, and not yet certified decided by the other shard: nothing is reserved, the body is still needed.
        let key = try #require(keys("B").first)
        try cluster.shards[0].decide(open, [try cluster.shards[1].certify(open)])
        try cluster.shards[0].flush()
        #expect(try violation(key) { $0 = [] } == .bodies(kept: 0, needed: 1))
        // The body of a request that this shard never saw.
        var twin = try TestCluster(shards: 2)
        try twin.fund(twin.account(alice, on: 0), 100)
        _ = try twin.shards[0].submit(twin.transfer(alice, 7, from: from, to: twin.account(alice, on: 1).id, 30))
        try twin.shards[0].flush()
        let foreign = TestStore(twin.shards[0].disk).snapshot()
        let foreignKey = try #require(foreign.keys.first { $0.count > 8 && $0[6] == UInt8(ascii: "B") })
        let body = try #require(foreign.value(forKey: foreignKey))
        let orphaned = #expect(throws: ShardStateError.self) { try violation(foreignKey) { $0 = body } }
        guard case .corruptEntry(_, "missing") = orphaned else {
            throw orphaned ?? ShardStateError.corruptMetadata("nothing was thrown")
        }
        // Under another request's digest it is no body at all.
        #expect(throws: ShardStateError.corruptEntry(key: key, what: "another request")) {
            try violation(key) { $0 = body }
        }
    }

    @Test func `one attempt with a number holds a leg`() throws {
        // The record of the committed transfer twice, under two digests.
        let number = withUnsafeBytes(of: UInt64(6).bigEndian) { Array($0) }
        let key = try #require(
            keys("R").first { $0.suffix(8) == number[...] && $0.dropFirst(7).prefix(32) == alice.key.bytes[...] })
        let found = try violation(key) { value in
            let count = value.prefix(4)
            var attempt = value.dropFirst(4)
            let first = Array(attempt)
            attempt[attempt.startIndex] ^= 1
            value = [UInt8](repeating: 0, count: 4)
            for i in count.indices { value[i] = count[i] * 2 }
            value += first + attempt
        }
        #expect(found == .twoAttempts(alice.key, RequestNumber(6), leg: 0))
    }

    @Test func `a key that is no key of the state is found by reading it`() throws {
        let key = try accountKey
        let others =
            [[key[0] ^ 1] + key.dropFirst(), key[..<6] + [0x5a] + key.dropFirst(7), [key[0], key[1]], [0, 0, 0]]
            as [[UInt8]]
        for strange in others {
            let disk = try changed(strange) { $0 = [1] }
            var executor = try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
            #expect(throws: ShardStateError.self) { try executor.check(entries: .max) }
            #expect(throws: InvariantViolation.self) { try executor.checkInvariants() }
        }
    }

    @Test func `a decide that finds no reservation stops the replica`() throws {
        var cluster = cluster
        let vote = try cluster.shards[1].certify(open)
        let disk = try changed(try accountKey) { $0[52] = 0 }
        var executor = try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
        let error = #expect(throws: ShardStateError.self) {
            try executor.execute(
                OrderedBatch(
                    committed: Batch(time: start, items: [.decide(.of(open, [vote]))]), at: executor.lastExecuted.next))
        }
        #expect(error?.description.contains("reservation is not there") == true)
    }

    @Test func `a state of a later version is refused by its number`() throws {
        let image = TestStore(cluster.shards[0].disk).snapshot()
        var metadata = try #require(image.metadata())
        metadata[0] = 9
        let disk = TestDisk()
        disk.apply([], metadata: metadata, clearing: true)
        #expect(throws: ShardStateError.stateVersion(got: 9, supported: 8)) {
            try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
        }
        disk.apply([], metadata: Array(metadata.dropLast()), clearing: true)
        let error = #expect(throws: ShardStateError.self) {
            try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
        }
        #expect(error?.description.hasPrefix("corrupt metadata: ") == true)
    }

    /// In the version, the cluster, and the procedures. Without the seal the host would refuse with what is not so.
    @Test(arguments: [0, 5, 90])
    func `a rotted byte of the metadata is damage, and no other cluster's state`(offset: Int) throws {
        var shard = cluster.shards[0]
        let digest = try shard.executor.checkpointDigest()
        let image = TestStore(shard.disk).snapshot()
        let metadata = try #require(image.metadata())
        var rotted = metadata
        rotted[offset] ^= 0xff
        func open(_ metadata: [UInt8], seal: Digest?) throws -> ShardExecutor {
            let disk = TestDisk()
            disk.apply(
                image.keys.map { KeyValueWrite(key: $0, value: image.value(forKey: $0)) }, metadata: metadata,
                seal: seal?.encoded(),
                clearing: true)
            return try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: TestStore(disk))
        }
        let sealed = try open(metadata, seal: digest)
        #expect(sealed.history == shard.executor.history)
        let error = #expect(throws: ShardStateError.self) { try open(rotted, seal: digest) }
        guard case .digestMismatch(_, digest) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // A state that says so itself, with a seal of its own, is no damaged one.
        let buckets = try StateDigest.bucketDigests(of: image)
        let own = try #require(StateDigest.checkpoint(metadata: rotted, bucketDigests: buckets))
        for seal in [own, nil] as [Digest?] {
            let error = #expect(throws: ShardStateError.self) { try open(rotted, seal: seal) }
            switch error {
            case .stateVersion, .foreignState, .otherProcedures: break
            default: Issue.record("\(String(describing: error))")
            }
        }
    }

    @Test func `violations say what was found and what should be`() {
        let view = AccountView(
            owner: alice.key, asset: gold, posted: Amount(1), pendingDebits: Amount(2), pendingCredits: .zero)
        let violations: [(InvariantViolation, String)] = [
            (.state(.corruptMetadata("short")), "corrupt metadata: short"),
            (.balance(from, view), "\(from)"),
            (
                .reservations(from, debits: 1, expectedDebits: 2, credits: 3, expectedCredits: 4),
                "reserves 1 / 3, its undecided legs 2 / 4"
            ),
            (
                .undecidedOfPrincipal(alice.key, recorded: 3, counted: 1),
                "has 3 undecided legs by its record, 1 by its requests"
            ),
            (.undecided(recorded: 3, counted: 1), "3 undecided legs by the index, 1 by the records"),
            (.twoAttempts(alice.key, RequestNumber(6), leg: 2), "two attempts hold leg 2"),
            (.bodies(kept: 2, needed: 1), "2 signed requests kept, 1 needed"),
            (.notForgotten(alice.key, RequestNumber(6)), "is acknowledged and still there"),
            (
                .index(open: 1, expectedOpen: 2, due: 3, expectedDue: 4),
                "1 open and 3 due in the index, 2 and 4 in the records"
            ),
            (
                .digest(.corruptEntry(key: [7], what: "gone")),
                "the tree is not that of the entries: corrupt entry 07: gone"
            ),
        ]
        for (violation, words) in violations { #expect(violation.description.contains(words), "\(violation)") }
    }

    @Test func `errors of the state say what was found and what was expected`() throws {
        let errors: [(ShardStateError, String)] = [
            (.store("no disk"), "the store failed: no disk"), (.damagedStore("page 7"), "the store is damaged: page 7"),
            (.corruptEntry(key: [0xab], what: "balance"), "corrupt entry ab: balance"),
            (.corruptMetadata("short"), "corrupt metadata: short"),
            (.foreignState(cluster: cluster.manifest.cluster, shard: ShardID(3)), "shard 3"),
            (.stateVersion(got: 9, supported: 1), "state version 9; this build reads version 1"),
            (
                .sequenceMismatch(got: SequenceNumber(1), expected: SequenceNumber(2)),
                "the state is at sequence 1, not 2"
            ),
            (
                .digestMismatch(got: .null, expected: cluster.shards[0].executor.history),
                "not \(cluster.shards[0].executor.history.short)"
            ),
        ]
        for (error, words) in errors { #expect(error.description.contains(words), "\(error)") }
    }
}
