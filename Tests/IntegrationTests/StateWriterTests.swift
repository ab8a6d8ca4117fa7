import Cores
import Foundation
import HostRuntime
import LMDBStore
import Logging
import Messages
import Meter
import NIOCore
import NIOEmbedded
import ShardState
import Simulator
import Synchronization
import Testing

/// The thread that writes states down, with its clock in the test's hand.
@Suite struct StateWriterTests {
    private static let shard = ShardID(0)

    private final class Reports: Sendable {
        let flushed = Mutex<[SequenceNumber]>([])

        func note(_ input: HostInput) {
            if case .flushed(_, let sequence) = input { flushed.withLock { $0.append(sequence) } }
        }
    }

    /// The last host of four, with a state on LMDB.
    private struct Trial {
        static let manifest = Manifest(
            cluster: ClusterID(StandInSigner(4711).publicKey.value), epoch: Epoch(1),
            hosts: (0..<4).map { .init(address: "nowhere", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey) },
            shards: [(0..<4).map { HostID($0) }], issuer: StandInSigner(999).publicKey)

        let loop = EmbeddedEventLoop()
        let reports = Reports()
        let writer: StateWriter
        var executor: ShardExecutor

        init(_ path: String) throws {
            let environment = try LMDBEnvironment(path: path)
            executor = try ShardExecutor(
                shard: shard, manifest: Self.manifest, store: try LMDBStore(environment))
            writer = StateWriter(
                [shard: LMDBStoreWriter(environment)], turns: [shard: FlushTurn(place: 3, of: 4)], loop: loop,
                counters: HostCounters(shards: [shard], registry: MetricsRegistry()),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                report: { [reports] in reports.note($0) }, failed: { _ in })
        }

        var flushed: [SequenceNumber] { reports.flushed.withLock { $0 } }

        /// Of one more batch.
        mutating func flush() throws -> StateFlush {
            let next = executor.lastExecuted.next
            _ = try executor.execute(OrderedBatch(committed: Batch(time: Timestamp(next.number), items: []), at: next))
            let frozen = try #require(try executor.freeze())
            return StateFlush(
                shard: shard, sequence: frozen.sequence, writes: frozen.writes, moves: nil, metadata: frozen.metadata,
                digest: frozen.digest)
        }

        /// A first flush, which nobody waits for, and a second one, which waits for its turn.
        mutating func flushTwice() throws {
            writer.run([.flush(try flush())])
            #expect(flushed == [SequenceNumber(1)])
            try executor.flushed(SequenceNumber(1))
            // The turn goes by the time between the two.
            usleep(20_000)
            writer.run([.flush(try flush())])
            #expect(flushed == [SequenceNumber(1)])
        }
    }

    private func withFolder(_ body: (String) throws -> Void) rethrows {
        let path = "/tmp/quorate-writer-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private static func sequence(in path: String) throws -> SequenceNumber {
        let store = try LMDBStore(LMDBEnvironment(path: path))
        return try ShardExecutor(shard: shard, manifest: Trial.manifest, store: store).lastExecuted
    }

    @Test func `a flush waits for its turn, and is written then`() throws {
        try withFolder { path in
            do {
                var trial = try Trial(path)
                try trial.flushTwice()
                trial.loop.advanceTime(by: .seconds(1))
                #expect(trial.flushed == [SequenceNumber(1), SequenceNumber(2)])
                // What was kept of it goes.
                trial.loop.advanceTime(by: .seconds(2))
            }
            #expect(try Self.sequence(in: path) == SequenceNumber(2))
        }
    }

    @Test func `a flush whose turn comes after the end is not written`() throws {
        try withFolder { path in
            do {
                var trial = try Trial(path)
                try trial.flushTwice()
                let closed = trial.loop.makePromise(of: Void.self)
                trial.writer.run([.close(closed)])
                trial.loop.advanceTime(by: .seconds(5))
                #expect(trial.flushed == [SequenceNumber(1)])
                try closed.futureResult.wait()
            }
            // Nothing holds the database any more.
            #expect(try Self.sequence(in: path) == SequenceNumber(1))
        }
    }

    @Test func `an installed state does not wait, and a file may be checked before anything is written`() throws {
        try withFolder { path in
            var trial = try Trial(path)
            trial.writer.run([.check(Self.shard), .flush(try trial.flush())])
            try trial.executor.flushed(SequenceNumber(1))
            usleep(20_000)
            let flush = try trial.flush()
            let install = StateFlush(
                shard: flush.shard, sequence: flush.sequence, writes: flush.writes, moves: [],
                metadata: flush.metadata, digest: flush.digest)
            trial.writer.run([.flush(install)])
            #expect(trial.flushed == [SequenceNumber(1), SequenceNumber(2)])
        }
    }
}
