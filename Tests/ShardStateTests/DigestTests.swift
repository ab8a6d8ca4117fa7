import Messages
import ShardState
import Testing

@Suite struct DigestTests {
    /// Certificates of shards that do not run in the test, made up: whatever they say, replicas must agree.
    private static func invented(_ request: SignedRequest, _ workload: inout RandomWorkload) -> [Certificate] {
        let statuses: [LegStatus] = [
            .votedYes, .votedYes, .votedNo(.overflow), .committed, .aborted(.superseded), .noRecordAbort, .acknowledged,
        ]
        var certificates: [Certificate] = []
        for shard in 1..<workload.cluster.shards.count where workload.chance(80) {
            let entries = (0..<request.request.legCount).map {
                Leaf.Entry(leg: UInt16($0), status: statuses[workload.int(0..<statuses.count)])
            }
            let leaf = Leaf(request: request.digest, entries: entries)
            let tree = MerkleTree(leaves: [leaf])
            let statement = AttestationStatement(
                cluster: workload.cluster.manifest.cluster, epoch: workload.cluster.manifest.epoch,
                shard: ShardID(UInt16(shard)),
                sequence: SequenceNumber(1), previousHistory: .null, batch: .null, leavesRoot: tree.root)
            certificates.append(Certificate(statement: statement, leaf: leaf, path: tree.path(at: 0), signatures: []))
        }
        return certificates
    }

    private static func setUp(seed: UInt64) throws -> (TestShard, RandomWorkload) {
        var cluster = try TestCluster(shards: 3)
        let people = try (0..<3).map { try Person($0) }
        let accounts = people.flatMap { person in
            (0..<3).flatMap { shard in (0..<2).map { cluster.account(person, on: shard, $0) } }
        }
        for account in accounts where cluster.manifest.shardMap.shard(of: account.id) == ShardID(0) {
            try cluster.fund(account, 200)
        }
        return (cluster.shards[0], RandomWorkload(seed: seed, cluster, people: people, accounts: accounts))
    }

    private static func batches(_ count: Int, _ workload: inout RandomWorkload) -> [Batch] {
        var time = Messages.Timestamp(1_000_000_000)
        return (0..<count).map { _ in
            time = time.adding(microseconds: UInt64(workload.int(0..<(workload.chance(10) ? 8_000_000 : 400_000))))
            for _ in 0..<3 {
                if let request = workload.oldRequest() {
                    workload.certificates[request.digest] = invented(request, &workload)
                }
            }
            return workload.batch(at: time)
        }
    }

    /// Replicas at one sequence agree on everything, whatever happened to each: flushes that overlap execution,
    /// restarts from the last flush, state transfers.
    @Test(arguments: 0..<200)
    func `replicas agree whatever they flushed, and however often they restarted`(seed: Int) throws {
        var (steady, workload) = try Self.setUp(seed: UInt64(seed))
        let batches = Self.batches(60, &workload)
        var troubled = steady
        troubled.disk = TestDisk()
        troubled.executor = try ShardExecutor(
            shard: steady.shard, manifest: steady.manifest, store: TestStore(troubled.disk))
        let freezing = try steady.executor.freeze()
        let frozen = try #require(freezing)
        let entries = frozen.entries
        try steady.finish(frozen)
        try troubled.finish(
            try troubled.replacement(sequence: frozen.sequence, metadata: frozen.metadata, all: entries))

        let base = steady.executor.lastExecuted.number
        func batch(after sequence: SequenceNumber) -> Batch { batches[Int(sequence.number - base)] }
        var flushing: FrozenState?
        for step in batches.indices {
            let expected = try steady.run(batch(after: steady.executor.lastExecuted))
            let got = try troubled.run(batch(after: troubled.executor.lastExecuted))
            #expect(got == expected, "seed \(seed), step \(step)")
            switch workload.int(0..<12) {
            case 0..<2: flushing = try troubled.executor.freeze() ?? flushing
            case 2..<5:
                if let frozen = flushing { try troubled.finish(frozen) }
                flushing = nil
            case 5:
                // A flush may be durable, or not, when the process dies.
                if let frozen = flushing, workload.chance(50) {
                    troubled.write(frozen)
                }
                flushing = nil
                try troubled.restart()
                while troubled.executor.lastExecuted < steady.executor.lastExecuted {
                    try troubled.run(batch(after: troubled.executor.lastExecuted))
                }
            case 6 where workload.chance(30):
                if let frozen = flushing {
                    // What was set apart and not yet handed to the store is taken back; what was, has to arrive first.
                    if workload.chance(50) { troubled.executor.thaw() } else { try troubled.finish(frozen) }
                }
                flushing = nil
                try Self.transfer(from: &steady, to: &troubled, &workload)
                while troubled.executor.lastExecuted < steady.executor.lastExecuted {
                    try troubled.run(batch(after: troubled.executor.lastExecuted))
                }
            default: break
            }
            if workload.chance(20) {
                #expect(
                    try troubled.executor.checkpointDigest() == steady.executor.checkpointDigest(),
                    "seed \(seed), step \(step)")
            }
        }
        #expect(try troubled.executor.checkpointDigest() == steady.executor.checkpointDigest(), "seed \(seed)")
        let audits = (
            try steady.executor.audit(replica: ReplicaIndex(0)), try troubled.executor.audit(replica: ReplicaIndex(0))
        )
        #expect(audits.0 == audits.1)
        #expect(
            try steady.executor.unforgotten(after: nil, limit: 1000).map(\.cursor)
                == troubled.executor.unforgotten(after: nil, limit: 1000).map(\.cursor))
        try steady.executor.checkInvariants()
        try troubled.executor.checkInvariants()
    }

    /// Takes a checkpoint from one replica's snapshot, checks it by the digest, and installs it in another, which may
    /// die before that is durable, or just after.
    private static func transfer(
        from source: inout TestShard, to target: inout TestShard, _ workload: inout RandomWorkload
    ) throws {
        let digest = try source.executor.checkpointDigest()
        try source.flush()
        let snapshot = TestStore(source.disk).snapshot()
        let metadata = try #require(snapshot.metadata())
        let digests = try StateDigest.bucketDigests(of: snapshot)
        #expect(StateDigest.checkpoint(metadata: metadata, bucketDigests: digests) == digest)
        let sequence = try #require(StateDigest.sequence(ofMetadata: metadata))
        var entries: [StateTransferMessage.StateEntry] = []
        for bucket in 0..<StateDigest.bucketCount { entries += try StateDigest.entries(ofBucket: bucket, in: snapshot) }
        let before = target.disk.image.values
        let frozen = try target.replacement(sequence: sequence, metadata: metadata, all: entries)
        #expect(target.disk.image.values == before, "what is staged shows in nothing")
        if workload.chance(30) { return try target.restart() }
        if workload.chance(30) {
            target.write(frozen)
            try target.restart()
        } else {
            try target.finish(frozen)
        }
        #expect(try target.executor.checkpointDigest() == digest)
        #expect(target.disk.image.values == snapshot.values, "entries and nodes, and nothing else")
    }

    @Test func `a state from a peer replaces only what differs`() throws {
        var cluster = try TestCluster(shards: 1)
        let (alice, bob) = (try Person(1), try Person(2))
        for i in 0..<3 { try cluster.fund(cluster.account(alice, on: 0, i), 10) }
        try cluster.shards[0].flush()
        var target = cluster.shards[0]
        target.disk = TestDisk()
        try target.restart()
        // From nothing, everything is written.
        let first = try cluster.shards[0].copy(into: &target)
        #expect(target.disk.image.values == cluster.shards[0].disk.image.values)
        try cluster.fund(cluster.account(bob, on: 0), 5)
        try cluster.shards[0].flush()
        let second = try cluster.shards[0].copy(into: &target)
        #expect(target.disk.image.values == cluster.shards[0].disk.image.values)
        #expect(try #require(second.moves).count < #require(first.moves).count)
        #expect(try target.executor.checkpointDigest() == cluster.shards[0].executor.checkpointDigest())
        #expect(try target.executor.account(cluster.account(bob, on: 0).id)?.posted == Amount(5))
    }

    @Test func `a state of another shard or a damaged one is refused, and nothing changes`() throws {
        var cluster = try TestCluster(shards: 2)
        let alice = try Person(1)
        try cluster.fund(cluster.account(alice, on: 0), 10)
        let freezing = try cluster.shards[0].executor.freeze()
        let frozen = try #require(freezing)
        let entries = frozen.entries
        let before = try cluster.shards[1].executor.checkpointDigest()
        #expect(throws: ShardStateError.foreignState(cluster: cluster.manifest.cluster, shard: ShardID(0))) {
            try cluster.shards[1].replacement(sequence: frozen.sequence, metadata: frozen.metadata, all: entries)
        }
        #expect(try cluster.shards[1].executor.checkpointDigest() == before)
        try cluster.shards[0].finish(frozen)
        #expect(throws: ShardStateError.sequenceMismatch(got: frozen.sequence, expected: SequenceNumber(99))) {
            try cluster.shards[0].replacement(
                sequence: SequenceNumber(99), metadata: frozen.metadata, all: entries)
        }
        var damaged = entries
        damaged[0] = StateTransferMessage.StateEntry(key: damaged[0].key, value: damaged[0].value + [1])
        let wrong =
            StateDigest.bucket(of: damaged[0].key, in: cluster.manifest.shardMap).map { [($0, [damaged[0]])] } ?? []
        let digest = try cluster.shards[0].executor.checkpointDigest()
        #expect(throws: ShardStateError.self) {
            try cluster.shards[0].replacement(
                sequence: frozen.sequence, metadata: frozen.metadata, buckets: wrong, digest: digest)
        }
    }

    @Test func `a store that fails to read stops the replica with the store's error`() throws {
        let cluster = try TestCluster(shards: 1)
        let alice = try Person(1)
        var store = TestStore(TestDisk())
        store.fails = true
        var executor = try ShardExecutor(shard: ShardID(0), manifest: cluster.manifest, store: store)
        let id = cluster.account(alice, on: 0).id
        let request = cluster.transfer(alice, 0, from: id, to: id, 1)
        #expect(throws: ShardStateError.store("Failure()")) {
            try executor.execute(
                OrderedBatch(committed: Batch(time: start, items: [.request(request)]), at: SequenceNumber(1)))
        }
    }
}

extension TestShard {
    /// What another replica writes down when it becomes this one's state.
    fileprivate mutating func copy(into target: inout TestShard) throws -> FrozenState {
        let snapshot = TestStore(disk).snapshot()
        let metadata = try #require(snapshot.metadata())
        let sequence = try #require(StateDigest.sequence(ofMetadata: metadata))
        var entries: [StateTransferMessage.StateEntry] = []
        for bucket in 0..<StateDigest.bucketCount { entries += try StateDigest.entries(ofBucket: bucket, in: snapshot) }
        let frozen = try target.replacement(sequence: sequence, metadata: metadata, all: entries)
        try target.finish(frozen)
        return frozen
    }
}
