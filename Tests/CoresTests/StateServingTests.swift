import Cores
import Messages
import ShardState
import Testing

/// A replica of four that has a state on disk.
private struct Server {
    let state: SomeState
    var serving: StateServing
    var now: UInt64 = 0
    var taken: [Checkpoint] = []
    var sent: [(peer: Int, message: StateServing.Message)] = []
    var snapshots = 0

    init(_ state: SomeState, options: HostOptions = HostOptions()) {
        self.state = state
        serving = StateServing(group: SomeState.group, options: options)
    }

    mutating func step(_ input: StateServing.Input) {
        var ready = StateServing.Ready()
        serving.step(input, now: moment(now), into: &ready)
        sent += ready.sends.map { ($0.to.index, $0.message) }
        #expect(ready.failure == nil)
        guard let (sequence, peer) = ready.wantsSnapshot else { return }
        snapshots += 1
        step(.snapshot(state.snapshot, of: sequence, for: peer))
    }

    mutating func fetchCheckpoint(_ peer: UInt8, atLeast minimum: UInt64 = 1, stable: UInt64? = nil) {
        let servable = ServableState(
            flushed: state.checkpoint.sequence,
            stable: stable.map { SequenceNumber($0) } ?? state.checkpoint.sequence, taken: taken)
        step(.fetchCheckpoint(from: ReplicaIndex(peer), atLeast: SequenceNumber(minimum), servable))
    }

    mutating func fetchBuckets(_ peer: UInt8, _ buckets: [Int]) {
        step(.fetchBuckets(from: ReplicaIndex(peer), state.checkpoint.sequence, buckets.map { UInt16($0) }))
    }

    mutating func tick(after milliseconds: UInt64) {
        now += milliseconds
        step(.tick)
    }

    /// Of the buckets that were sent, those that are whole.
    func bucketsSent(to peer: Int) -> [Int] {
        sent.compactMap {
            guard $0.peer == peer, case .state(.bucket(_, let bucket, _, isLast: true, _)) = $0.message else {
                return nil
            }
            return Int(bucket)
        }
    }
}

@Suite struct StateServingTests {
    @Test func peersAreServedFromOneSnapshot() throws {
        let state = try SomeState(batches: 5)
        var server = Server(state)
        server.fetchCheckpoint(1)
        server.fetchCheckpoint(2)
        #expect(server.snapshots == 1 && server.serving.snapshotCount == 1)
        #expect(server.sent.map(\.peer) == [1, 2])
        let offer = StateTransferMessage.checkpoint(
            sequence: state.checkpoint.sequence, metadata: state.metadata, buckets: state.buckets)
        #expect(server.sent.allSatisfy { $0.message == .state(offer) })
        server.fetchBuckets(2, state.filled)
        #expect(server.bucketsSent(to: 2) == state.filled)
        for (_, message) in server.sent.dropFirst(2) {
            guard case .state(.bucket(_, let bucket, _, _, let entries)) = message else { continue }
            #expect(StateDigest.bucketDigest(entries, of: Int(bucket)) == state.buckets[Int(bucket)])
        }
    }

    @Test func aStateThatIsNotStableOrTooOldIsNotOffered() throws {
        var server = Server(try SomeState(batches: 5))
        server.fetchCheckpoint(1, stable: 4)
        server.fetchCheckpoint(2, atLeast: 6)
        #expect(server.sent.isEmpty && server.snapshots == 0)
    }

    @Test func checkpointsThatWereTakenVouchForTheStatesOfOthersOnceTheyAreStable() throws {
        var server = Server(try SomeState(batches: 5))
        server.taken = (6...8).map { Checkpoint(sequence: SequenceNumber($0), digest: .null) }
        server.fetchCheckpoint(1, atLeast: 6, stable: 7)
        #expect(server.sent.map(\.message) == server.taken.prefix(2).map { .checkpoint($0) })
    }

    @Test func whoHoldsNothingIsToldThatItIsGone() throws {
        let state = try SomeState(batches: 1)
        var server = Server(state)
        server.fetchBuckets(1, state.filled)
        #expect(server.sent.map(\.message) == [.state(.gone(sequence: state.checkpoint.sequence))])
    }

    @Test func aPeerGetsNoMoreThanItsShareOfASecondAndTheRestWithTheTicks() throws {
        let state = try SomeState(batches: 60)
        var options = HostOptions()
        // An offer takes 128 KiB of the 256 KiB that may be sent at once, a small bucket some hundred bytes.
        options.stateBytesPerSecond = 8 * (128 << 10) + 8 * 1024
        var server = Server(state, options: options)
        server.fetchCheckpoint(1)
        let asked = Array(state.filled.prefix(options.stateTransferBuckets))
        server.fetchBuckets(1, asked)
        let atOnce = server.bucketsSent(to: 1).count
        #expect(atOnce > 0 && atOnce < asked.count)
        for _ in 0..<200 { server.tick(after: 5) }
        #expect(server.bucketsSent(to: 1) == asked)
    }

    @Test func aSnapshotGoesWhenNobodyAsksAnyMoreOrAfterItsLifetime() throws {
        let state = try SomeState(batches: 5)
        var options = HostOptions()
        options.snapshotLifetime = 15_000_000_000
        var server = Server(state, options: options)
        server.fetchCheckpoint(1)
        server.fetchCheckpoint(2)
        server.tick(after: 9_000)
        server.fetchBuckets(2, [0])
        server.tick(after: 2_000)
        #expect(server.serving.snapshotCount == 1, "peer 2 still reads")
        server.sent = []
        server.fetchBuckets(1, [0])
        #expect(server.sent.map(\.message) == [.state(.gone(sequence: state.checkpoint.sequence))])
        server.tick(after: 5_000)
        #expect(server.serving.snapshotCount == 0)
    }
}
