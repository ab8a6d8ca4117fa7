import Cores
import LMDBStore
import Logging
import Messages
import NIOCore

/// The thread that writes states down: all write transactions of all shards run here, as LMDB demands. Lives on its
/// loop. A shard's first failure ends the writing of that shard.
final class StateWriter {
    enum Job: Sendable {
        case stage(BucketStaging)
        case flush(StateFlush)
        /// The state is damaged: the next start puts it aside.
        case condemn(ShardID)
        case close(EventLoopPromise<Void>)
    }

    private var writers: [ShardID: LMDBStoreWriter]
    private let counters: HostCounters
    private let logger: Logger
    private let report: @Sendable (HostInput) -> Void
    private let failed: @Sendable (StorageFailure) -> Void
    private var hasFailed = false

    /// - Parameters:
    ///   - report: says `staged`, `flushed` or `storageFailed`.
    ///   - failed: called beside `storageFailed`.
    init(
        _ writers: [ShardID: LMDBStoreWriter], counters: HostCounters, logger: Logger,
        report: @escaping @Sendable (HostInput) -> Void,
        failed: @escaping @Sendable (StorageFailure) -> Void
    ) {
        (self.writers, self.counters, self.logger) = (writers, counters, logger)
        (self.report, self.failed) = (report, failed)
    }

    func run(_ jobs: [Job]) {
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
            case .flush(let flush): write(flush)
            case .condemn(let shard): condemn(shard)
            case .close(let promise):
                writers = [:]
                promise.succeed(())
            }
        }
        stage(&buckets)
    }

    private func condemn(_ shard: ShardID) {
        do { try writers[shard]?.condemn() } catch {
            logger.critical("shard \(shard)'s state is damaged and cannot be marked so: \(error)")
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

    private func write(_ flush: StateFlush) {
        write(flush.shard) {
            try flush.apply(to: $0)
        } then: {
            counters.noteFlush(of: flush.shard)
            return [.flushed(flush.shard, flush.sequence)]
        }
    }

    private func write(_ shard: ShardID, _ work: (LMDBStoreWriter) throws -> Void, then said: () -> [HostInput]) {
        guard !hasFailed else { return }
        guard let writer = writers[shard] else { preconditionFailure("the host has no replica of shard \(shard)") }
        do {
            try work(writer)
            for input in said() { report(input) }
        } catch {
            hasFailed = true
            let failure = StorageFailure.of(error)
            let what = failure?.description ?? "\(error)"
            let until = failure?.isForRoom == true ? "there is room" : "it is restarted on a sound disk"
            logger.critical(
                "writing the state of shard \(shard) failed; the host stops voting until \(until): \(what)")
            report(.storageFailed("state of shard \(shard): \(what)"))
            if let failure { failed(failure) }
        }
    }
}
