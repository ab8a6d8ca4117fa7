import HostCore
import LMDBStore
import Logging
import Messages
import NIOCore

/// The thread that writes states down: all write transactions of all shards run here, as LMDB demands. Lives on its
/// loop. A shard's first failure ends the writing of that shard.
final class StateWriter {
    enum Job: Sendable {
        case flush(StateFlush)
        case close(EventLoopPromise<Void>)
    }

    private var writers: [ShardID: LMDBStoreWriter]
    private let logger: Logger
    private let report: @Sendable (HostInput) -> Void
    private var hasFailed = false

    init(_ writers: [ShardID: LMDBStoreWriter], logger: Logger, report: @escaping @Sendable (HostInput) -> Void) {
        (self.writers, self.logger, self.report) = (writers, logger, report)
    }

    func run(_ jobs: [Job]) {
        for job in jobs {
            switch job {
            case .flush(let flush): write(flush)
            case .close(let promise):
                writers = [:]
                promise.succeed(())
            }
        }
    }

    private func write(_ flush: StateFlush) {
        guard !hasFailed else { return }
        guard let writer = writers[flush.shard] else {
            preconditionFailure("the host has no replica of shard \(flush.shard)")
        }
        do {
            try writer.apply(flush.writes, metadata: flush.metadata, clearing: false)
            report(.flushed(flush.shard, flush.sequence))
        } catch {
            hasFailed = true
            logger.critical(
                "writing the state of shard \(flush.shard) failed; the host stops voting until it is restarted on a sound disk: \(error)")
            report(.storageFailed("state of shard \(flush.shard): \(error)"))
        }
    }
}
