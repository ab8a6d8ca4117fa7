import CoreMetrics
import Cores
import WriteAheadLog
import Logging
import NIOCore

#if canImport(Glibc)
import Glibc
#endif

/// The journal's thread: appends everything that has queued up, over all steps and shards, and syncs once (group
/// commit). What nobody waits for is not brought here alone (`HostEngine`). Lives on its loop. The first failure ends
/// it: a failed sync is never retried (R7).
final class JournalWriter {
    enum Job: Sendable {
        case append([HostRecord])
        /// These records repeat all that is needed: older segments go once they are durable.
        case compact([HostRecord])
        case close(EventLoopPromise<Void>)
    }

    /// Nil once it has failed or was closed.
    private var journal: Journal<PosixJournalStorage>?
    private let counters: HostCounters
    private let logger: Logger
    /// Each sync takes so much longer (`HostRuntimeOptions.syncDelay`).
    private let syncDelay: Duration
    private let report: @Sendable (HostInput) -> Void
    private let failed: @Sendable (StorageFailure) -> Void
    private var position: UInt64 = 0
    private var durable: UInt64 = 0

    /// - Parameters:
    ///   - syncDelay: by how much each sync takes longer.
    ///   - report: says `persisted` or `storageFailed`.
    ///   - failed: called beside `storageFailed`.
    init(
        _ journal: consuming Journal<PosixJournalStorage>, counters: HostCounters, logger: Logger, syncDelay: Duration,
        report: @escaping @Sendable (HostInput) -> Void,
        failed: @escaping @Sendable (StorageFailure) -> Void
    ) {
        (self.journal, self.counters, self.logger) = (journal, counters, logger)
        (self.syncDelay, self.report, self.failed) = (syncDelay, report, failed)
    }

    func run(_ jobs: [Job]) {
        var closing: EventLoopPromise<Void>?
        // Known first: whoever stops the host waits for it, although something before it fails.
        for case .close(let promise) in jobs { closing = promise }
        attempt {
            for job in jobs {
                switch job {
                case .append(let records): try append(records, isRepetition: false)
                case .compact(let records):
                    try journal?.beginCompaction()
                    try append(records, isRepetition: true)
                    try journal?.finishCompaction()
                    counters.journalCompactions.increment()
                case .close: try journal?.syncAndMark()
                }
            }
            try sync()
        }
        if let closing {
            journal = nil
            closing.succeed(())
        }
    }

    private func sync() throws {
        guard position != durable, journal != nil else { return }
        let began = Clock.uptime()
        try journal?.sync()
        if syncDelay > .zero { Self.wait(syncDelay) }
        counters.journalSyncTime.recordNanoseconds(Int64(clamping: Clock.uptime() - began))
        durable = position
        counters.journalSyncs.increment()
        report(.persisted(JournalPosition(position)))
    }

    /// This thread has nothing to do but what a disk would keep it from.
    private static func wait(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            usleep(UInt32(clamping: Int64(max(1, (end - .now) / .microseconds(1)))))
        }
    }

    private func attempt(_ body: () throws -> Void) {
        do { try body() } catch {
            journal = nil
            let failure = StorageFailure.of(error)
            let what = failure?.description ?? "journal: \(error)"
            let until = failure?.isForRoom == true ? "there is room" : "it is restarted on a sound disk"
            logger.critical("the journal failed; the host stops voting until \(until): \(what)")
            report(.storageFailed(what))
            if let failure { failed(failure) }
        }
    }

    private func append(_ records: [HostRecord], isRepetition: Bool) throws {
        guard journal != nil else { return }
        for record in records { try journal?.append(record) }
        position += UInt64(records.count)
        counters.noteWritten(records, isRepetition: isRepetition)
    }
}
