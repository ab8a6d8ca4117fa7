import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

/// What one replica has of its state, without the replica.
private struct Keeper {
    var execution: Execution
    let store = MemoryStore()
    let options: HostOptions

    /// Every batch is a checkpoint, and every checkpoint is to be written down.
    init(_ change: (inout HostOptions) -> Void = { _ in }, store filled: SomeState? = nil) throws {
        var options = HostOptions()
        (options.replica.checkpointInterval, options.checkpointsPerFlush) = (1, 1)
        change(&options)
        self.options = options
        if let filled { try Self.fill(store, with: filled) }
        let setting = ShardSetting(
            shard: ShardID(0), me: ReplicaIndex(0), host: HostID(0), manifest: SomeState.manifest, options: options,
            signer: StandInSigner(0))
        execution = try Execution(setting, store: store)
    }

    private static func fill(_ store: MemoryStore, with state: SomeState) throws {
        var writes: [KeyValueWrite] = []
        try state.snapshot.forEach(from: [], to: nil) { key, value in
            writes.append(KeyValueWrite(key: key, value: value))
            return true
        }
        // The first entry of all is not what was hashed.
        writes[0] = KeyValueWrite(key: writes[0].key, value: [1, 2, 3])
        try store.apply(writes, metadata: state.metadata, seal: nil, clearing: false)
        store.refresh()
    }

    mutating func execute(_ numbers: ClosedRange<UInt64>) throws {
        for number in numbers {
            _ = try execution.execute(OrderedBatch(committed: SomeState.batch(number), at: SequenceNumber(number)))
            _ = try execution.takeCheckpoint(at: SequenceNumber(number), options: options)
        }
    }

    mutating func flush(stable number: UInt64) -> StateFlush? { execution.flush(stable: SequenceNumber(number)) }

    mutating func dueFlush(stable number: UInt64) throws -> StateFlush {
        let flush = flush(stable: number)
        return try #require(flush)
    }

    mutating func finish(_ flush: StateFlush) throws {
        try flush.apply(to: store)
        try execution.flushed(flush.sequence)
    }

    /// As the fetching machine hands it over, from a replica that has nothing.
    func stage(_ state: SomeState) throws -> FetchedState {
        var buckets: [BucketSummary] = []
        for bucket in state.filled {
            let whole = try #require(
                StateDigest.bucket(bucket, of: state.entries(of: bucket), digest: state.buckets[bucket]))
            try store.stage([whole.part])
            buckets.append(whole.summary)
        }
        return FetchedState(checkpoint: state.checkpoint, metadata: state.metadata, buckets: buckets)
    }
}

@Suite struct ExecutionTests {
    @Test func onlyAStableCheckpointIsWrittenDown() throws {
        var keeper = try Keeper()
        try keeper.execute(1...1)
        #expect(keeper.flush(stable: 0) == nil)
        let flush = try keeper.dueFlush(stable: 1)
        #expect(flush.sequence == SequenceNumber(1) && !flush.installs)
        #expect(flush.digest == keeper.execution.taken.first?.digest)
        #expect(keeper.flush(stable: 1) == nil, "once")
    }

    @Test func oneFlushIsUnderWayAtATime() throws {
        var keeper = try Keeper()
        try keeper.execute(1...1)
        let first = try keeper.dueFlush(stable: 1)
        try keeper.execute(2...3)
        #expect(keeper.flush(stable: 3) == nil)
        try keeper.finish(first)
        #expect(keeper.execution.taken.map(\.sequence.number) == [2, 3], "they vouch for what is above the disk")
        #expect(keeper.flush(stable: 3) == nil, "the next checkpoint asks again")
        try keeper.execute(4...4)
        let second = try keeper.dueFlush(stable: 4)
        #expect(second.sequence == SequenceNumber(4))
        try keeper.finish(second)
        #expect(keeper.execution.taken.isEmpty)
        let snapshot = try keeper.execution.snapshot()
        let buckets = try keeper.execution.ownBuckets()
        #expect(try StateDigest.bucketDigests(of: snapshot) == buckets)
    }

    @Test func aFetchedStateWaitsForAFlushUnderWay() throws {
        let state = try SomeState(batches: 8)
        var keeper = try Keeper()
        try keeper.execute(1...2)
        let flush = try keeper.dueFlush(stable: 2)
        let own = try keeper.execution.ownBuckets()
        var fetched = try keeper.stage(state)
        let differing = fetched.buckets.filter { own[$0.bucket] != $0.digest }
        fetched = FetchedState(checkpoint: state.checkpoint, metadata: state.metadata, buckets: differing)
        #expect(try keeper.execution.install(fetched) == nil)
        try keeper.finish(flush)
        let installing = try keeper.execution.install(fetched)
        let installs = try #require(installing)
        #expect(installs.installs && installs.sequence == state.checkpoint.sequence)
        #expect(try keeper.execution.install(fetched) == nil, "once")
        #expect(keeper.execution.executor.lastExecuted == SequenceNumber(2), "not before it is durable")
        try keeper.finish(installs)
        try keeper.expect(state)
    }

    /// A checkpoint that is not stable is not written down any more; what it had and no peer sent again is.
    @Test func whatIsNotWrittenDownYetGoesIntoTheFetchedState() throws {
        let state = try SomeState(batches: 8)
        var keeper = try Keeper()
        try keeper.execute(1...2)
        let own = try keeper.execution.ownBuckets()
        let all = try keeper.stage(state)
        let differing = all.buckets.filter { own[$0.bucket] != $0.digest }
        try #require(differing.count < all.buckets.count)
        let fetched = FetchedState(checkpoint: state.checkpoint, metadata: state.metadata, buckets: differing)
        let installing = try keeper.execution.install(fetched)
        let installs = try #require(installing)
        #expect(keeper.flush(stable: 2) == nil)
        try keeper.finish(installs)
        try keeper.expect(state)
    }

    @Test func whatDoesNotMakeTheChosenStateIsNotInstalled() throws {
        let state = try SomeState(batches: 8)
        var keeper = try Keeper()
        let fetched = try keeper.stage(state)
        let incomplete = FetchedState(
            checkpoint: state.checkpoint, metadata: state.metadata, buckets: Array(fetched.buckets.dropLast()))
        #expect(throws: ShardFailure.self) { try keeper.execution.install(incomplete) }
        #expect(keeper.store.snapshot().metadata() == nil)
    }

    @Test func whatHasRottedIsSaidToBeDamage() throws {
        var keeper = try Keeper(store: try SomeState(batches: 8))
        var failure: ShardFailure?
        do { try keeper.execution.check(now: keeper.options.checkInterval, options: keeper.options) } catch {
            failure = error
        }
        #expect(failure?.isDamage == true)
    }

    @Test func anAuditIsMadeAgainAfterItsInterval() throws {
        var keeper = try Keeper { $0.auditInterval = 100 }
        try keeper.execute(1...1)
        let first = try keeper.execution.audit(now: 1000)
        #expect(first.sequence == SequenceNumber(1))
        try keeper.execute(2...2)
        #expect(try keeper.execution.audit(now: 1099) == first)
        let second = try keeper.execution.audit(now: 1100)
        #expect(second.sequence == SequenceNumber(2))
        #expect(try keeper.execution.audit(now: 5000) == second, "nothing has changed")
    }
}

extension Keeper {
    fileprivate mutating func expect(_ state: SomeState) throws {
        let executor = execution.executor
        #expect(executor.lastExecuted == state.checkpoint.sequence)
        #expect(try execution.ownBuckets() == state.buckets)
        var (here, there): ([KeyValueWrite], [KeyValueWrite]) = ([], [])
        let snapshot = store.snapshot()
        try snapshot.forEach(from: [], to: nil) { key, value in
            here.append(KeyValueWrite(key: key, value: value))
            return true
        }
        try state.snapshot.forEach(from: [], to: nil) { key, value in
            there.append(KeyValueWrite(key: key, value: value))
            return true
        }
        #expect(here == there, "entries and nodes, and nothing else")
    }
}
