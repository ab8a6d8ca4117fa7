import Cores
import LMDBStore
import Logging
import Messages
import NIOCore

/// The thread that writes states down: all write transactions of all shards run here, as LMDB demands. Lives on its
/// loop. The first write that fails is the last one; a shard whose file is damaged is not written to.
package final class StateWriter {
    package enum Job: Sendable {
        /// The store was opened: what that has left unread is read, before anything is written.
        case check(ShardID)
        case stage(BucketStaging)
        /// What was executed, before any flush that holds it.
        /// - Parameter size: with which it has entered the backlog, which it leaves when it is done.
        case archive([ArchivedBatch], size: Int)
        case flush(StateFlush)
        /// The state is damaged: the next start puts it aside.
        case condemn(ShardID)
        case close(EventLoopPromise<Void>)
    }

    private var writers: [ShardID: LMDBStoreWriter]
    private var turns: [ShardID: FlushTurn]
    /// Nil if none is kept, and when it is closed: its folders are unlocked then.
    private var archives: ArchiveWriter?
    private let backlog: ArchiveBacklog
    private let loop: any EventLoop
    private let counters: HostCounters
    private let logger: Logger
    private let report: @Sendable (HostInput) -> Void
    private let failed: @Sendable (StorageFailure) -> Void
    private var hasFailed = false
    private var damaged: Set<ShardID> = []
    /// What was written down last, until the thread that executes has let go of it too: to free all its records takes
    /// as long as to execute some batches.
    private var written: [ShardID: StateFlush] = [:]
    private static let keepsFlush = TimeAmount.seconds(1)

    /// - Parameters:
    ///   - writers: one for each shard in `turns`.
    ///   - archives: of the same shards; nil if none are kept.
    ///   - backlog: of what waits to be archived.
    ///   - loop: on which it lives.
    ///   - report: says `staged`, `flushed`, `storageFailed` or `stateDamaged`.
    ///   - failed: called beside `storageFailed`.
    package init(
        _ writers: [ShardID: LMDBStoreWriter], turns: [ShardID: FlushTurn], archives: ArchiveWriter? = nil,
        backlog: ArchiveBacklog = .init(), loop: any EventLoop,
        counters: HostCounters, logger: Logger,
        report: @escaping @Sendable (HostInput) -> Void,
        failed: @escaping @Sendable (StorageFailure) -> Void
    ) {
        (self.writers, self.turns, self.archives, self.loop) = (writers, turns, archives, loop)
        (self.counters, self.logger, self.backlog) = (counters, logger, backlog)
        (self.report, self.failed) = (report, failed)
    }

    package func run(_ jobs: [Job]) {
        var buckets: [BucketStaging] = []
        for job in jobs {
            // One transaction, and one sync, for all that wait.
            if case .stage(let bucket) = job {
                if let last = buckets.last, last.shard != bucket.shard { stage(&buckets) }
                buckets.append(bucket)
                continue
            }
            stage(&buckets)
            switch job {
            case .stage: continue
            case .check(let shard): write(shard, { _ in }, then: { [] })
            case .archive(let batches, let size):
                archive(batches)
                backlog.leave(size)
            case .flush(let flush): take(flush)
            case .condemn(let shard): condemn(shard)
            case .close(let promise):
                for shard in writers.keys.sorted() where !hasFailed { keep(shard) { try $0.sync(shard) } }
                (writers, archives) = ([:], nil)
                promise.succeed(())
            }
        }
        stage(&buckets)
    }

    private func archive(_ batches: [ArchivedBatch]) {
        guard let shard = batches.first?.shard, !hasFailed else { return }
        keep(shard) { try $0.append(batches) }
    }

    /// Where there is no room, the archive has a gap. Whatever else fails is a failure of the storage like any other,
    /// and the host stops.
    private func keep(_ shard: ShardID, _ work: (ArchiveWriter) throws -> Void) {
        guard let archives else { return }
        do { try work(archives) } catch { fail(shard, error, what: "archive") }
    }

    private func condemn(_ shard: ShardID) {
        do { try writers[shard]?.condemn() } catch {
            logger.critical(
                "shard \(shard)'s state is damaged and cannot be marked so: \(error)",
                metadata: ["shard": .stringConvertible(shard.number)])
        }
    }

    /// - Parameter buckets: of one shard; none afterwards.
    private func stage(_ buckets: inout [BucketStaging]) {
        defer { buckets = [] }
        guard let shard = buckets.first?.shard else { return }
        write(shard) {
            try $0.stage(buckets.map(\.part))
        } then: {
            buckets.map(\.staged)
        }
    }

    /// A state of its own waits for its turn. Nothing else of the shard depends on when that is: there is one flush at
    /// a time, none with what is staged, and what was not written when the host stops is executed again.
    private func take(_ flush: StateFlush) {
        let wait = flush.installs ? 0 : turns[flush.shard]?.wait(now: Clock.now().uptime) ?? 0
        guard wait > 0 else { return write(flush) }
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(wait))) { self.write(flush) }
    }

    private func write(_ flush: StateFlush) {
        written[flush.shard] = flush
        let (shard, sequence) = (flush.shard, flush.sequence)
        loop.assumeIsolated().scheduleTask(in: Self.keepsFlush) {
            if self.written[shard]?.sequence == sequence { self.written[shard] = nil }
        }
        write(flush.shard) {
            // What the state holds is not executed again.
            try archives?.sync(flush.shard)
            let began = Clock.uptime()
            try flush.apply(to: $0)
            counters.flushTime.recordNanoseconds(Int64(clamping: Clock.uptime() - began))
        } then: {
            counters.noteFlush(of: flush.shard)
            return [.flushed(flush.shard, flush.sequence)]
        }
    }

    private func write(_ shard: ShardID, _ work: (LMDBStoreWriter) throws -> Void, then said: () -> [HostInput]) {
        guard !hasFailed, !writers.isEmpty, !damaged.contains(shard) else { return }
        guard let writer = writers[shard] else { preconditionFailure("the host has no replica of shard \(shard)") }
        do throws(LMDBError) { try writer.checkFile() } catch {
            return error.isDamage ? noteDamage(of: shard, error) : fail(shard, error)
        }
        do {
            try work(writer)
            for input in said() { report(input) }
        } catch { fail(shard, error) }
    }

    /// Marked here and now, because the replica may have halted already, for what it has read.
    private func noteDamage(of shard: ShardID, _ error: LMDBError) {
        damaged.insert(shard)
        condemn(shard)
        report(.stateDamaged(shard, "\(error)"))
    }

    private func fail(_ shard: ShardID, _ error: any Error, what part: String = "state") {
        hasFailed = true
        let failure = StorageFailure.of(error)
        let what = failure?.description ?? "\(error)"
        let until = failure?.isForRoom == true ? "there is room" : "it is restarted on a sound disk"
        logger.critical(
            "writing the \(part) of shard \(shard) failed; the host stops voting until \(until): \(what)",
            metadata: ["shard": .stringConvertible(shard.number)])
        report(.storageFailed("\(part) of shard \(shard): \(what)"))
        if let failure { failed(failure) }
    }
}
