import Cores
import LMDBStore
import Logging
import Messages
import NIOCore

/// The thread that writes states down: all write transactions of all shards run here, as LMDB demands. Lives on its
/// loop. A shard's first failure ends the writing of that shard.
final class StateWriter {
    enum Job: Sendable {
        case flush(StateFlush)
        /// The state is damaged: the next start puts it aside.
        case condemn(ShardID)
        case close(EventLoopPromise<Void>)
    }

    private var writers: [ShardID: LMDBStoreWriter]
    private let logger: Logger
    private let report: @Sendable (HostInput) -> Void
    private let failed: @Sendable (StorageFailure) -> Void
    private var hasFailed = false

    /// - Parameters:
    ///   - report: says `flushed` or `storageFailed`.
    ///   - failed: called beside `storageFailed`.
    init(
        _ writers: [ShardID: LMDBStoreWriter], logger: Logger, report: @escaping @Sendable (HostInput) -> Void,
        failed: @escaping @Sendable (StorageFailure) -> Void
    ) {
        (self.writers, self.logger, self.report, self.failed) = (writers, logger, report, failed)
    }

    func run(_ jobs: [Job]) {
        for job in jobs {
            switch job {
            case .flush(let flush): write(flush)
            case .condemn(let shard): condemn(shard)
            case .close(let promise):
                writers = [:]
                promise.succeed(())
            }
        }
    }

    private func condemn(_ shard: ShardID) {
        do { try writers[shard]?.condemn() } catch {
            logger.critical("shard \(shard)'s state is damaged and cannot be marked so: \(error)")
        }
    }

    private func write(_ flush: StateFlush) {
        guard !hasFailed else { return }
        guard let writer = writers[flush.shard] else {
            preconditionFailure("the host has no replica of shard \(flush.shard)")
        }
        do {
            try writer.apply(flush.writes, metadata: flush.metadata, seal: flush.digest?.encoded(), clearing: false)
            report(.flushed(flush.shard, flush.sequence))
        } catch {
            hasFailed = true
            let failure = StorageFailure.of(error)
            let what = failure?.description ?? "\(error)"
            let until = failure?.isForRoom == true ? "there is room" : "it is restarted on a sound disk"
            logger.critical(
                "writing the state of shard \(flush.shard) failed; the host stops voting until \(until): \(what)")
            report(.storageFailed("state of shard \(flush.shard): \(what)"))
            if let failure { failed(failure) }
        }
    }
}
