import Cores
import LMDBStore
import Logging
import Messages
import Transport

/// The protocol's thread: steps the core over what has arrived and has what it asks for carried out. Lives on its loop.
final class HostEngine {
    /// Nil after `stop`, which closes the stores that it reads.
    private var core: HostCore?
    private var ready = HostReady()
    private let journal: Mailbox<JournalWriter.Job>
    private let states: Mailbox<StateWriter.Job>
    /// Nil unless archives are kept.
    private let archives: ArchiveService?
    /// What is not handed on to be archived yet, and since when.
    private var unarchived: (batches: [ArchivedBatch], since: UInt64) = ([], 0)
    private static let archivedTogether = 64
    private let backlog: ArchiveBacklog
    private let log: LimitedLog
    private let transport: PeerTransport
    private let inbound: HostInbound
    private let counters: HostCounters
    /// Nil unless requests are traced.
    private let trace: HostTrace?
    private let logger: Logger
    /// Records that nobody waits for, and since when.
    private var unawaited: (records: [HostRecord], since: UInt64) = ([], 0)
    private var orderingTimes = OrderingTimes()
    private let batchTimes: BatchTimes

    /// After so long they are written after all. Until then whatever somebody waits for takes them along, and the
    /// journal's thread is not woken for them.
    private static let laziness: UInt64 = 20_000_000
    /// As of when they were last asked for.
    private var undecided: (at: UInt64, records: [UndecidedRecord])?
    /// After so many steps what they ask for is handed over, so that a long queue does not hold up its first answer.
    private static let stepsPerRound = 256

    init(
        core: HostCore, journal: Mailbox<JournalWriter.Job>, states: Mailbox<StateWriter.Job>,
        archives: ArchiveService?, backlog: ArchiveBacklog, transport: PeerTransport,
        inbound: HostInbound, counters: HostCounters, batchTimes: BatchTimes, trace: HostTrace?, logger: Logger
    ) {
        (self.inbound, self.backlog, log) = (inbound, backlog, LimitedLog(logger))
        (self.core, self.journal, self.states, self.archives) = (core, journal, states, archives)
        (self.transport, self.counters, self.trace, self.logger) = (transport, counters, trace, logger)
        self.batchTimes = batchTimes
        core.forEachPrimary { inbound.note($1, of: $0) }
    }

    func run(_ inputs: [HostInput]) {
        guard core != nil else { return }
        var steps = 0
        for input in inputs {
            if !(archives.map { asks($0, input) } ?? false), !observes(input) { step(input) }
            // Questions count too: what was asked for before them is not held up by many of them.
            steps += 1
            if steps % Self.stepsPerRound == 0 { carryOut() }
        }
        carryOut()
    }

    /// What each replica says of itself; nil once the host is stopping.
    var replicas: [ReplicaStatus]? { core?.status(now: Clock.now()) }

    /// The same, with how far each knows its shard to be.
    var health: [ReplicaHealth]? {
        guard let core else { return nil }
        return zip(core.status(now: Clock.now()), core.known()).map { ReplicaHealth(status: $0, known: $1) }
    }

    /// - Returns: whether the core asked for anything.
    func tick() -> Bool {
        guard core != nil else { return false }
        step(.tick)
        let hasAsked = !ready.isEmpty
        if hasAsked { carryOut() }
        appendOverdue()
        return hasAsked
    }

    private func step(_ input: HostInput) {
        let before = ready.records.count
        if let trace { step(input, trace) } else { core?.step(input, now: Clock.now(), into: &ready) }
        // A compaction repeats what has happened before.
        if ready.records.count > before, !ready.compacts { batchTimes.noteExecuted(ready.records[before...]) }
    }

    /// How batches travelled is kept here; what is undecided the core says.
    private func observes(_ input: HostInput) -> Bool {
        guard case .gateway(let session, let message) = input, case .observe(let id, let query) = message.value else {
            return false
        }
        let now = Clock.now()
        let (moments, next) = batchTimes.answer(query, now: now)
        let answer = HostObservation(
            now: now, next: next, moments: moments,
            undecided: query.wantsRecords ? undecidedRecords(now: now) : [])
        transport.send([.init(to: [session], reply: .observation(id: id, answer))])
        return true
    }

    /// Looked for four times a second at most, however many ask: all open records are gone through for it.
    private func undecidedRecords(now: Instant) -> [UndecidedRecord] {
        if let known = undecided, now.uptime < known.at + 250_000_000 { return known.records }
        let records = core?.undecided(now: now) ?? []
        undecided = (now.uptime, records)
        return records
    }

    /// With what is stamped around it. Questions about stamps end here.
    private func step(_ input: HostInput, _ trace: HostTrace) {
        let now = Clock.now()
        if case .gateway(let session, let message) = input, case .stamps(let id, let query) = message.value {
            guard let answer = trace.ring.answer(query, now: now) else { return }
            return transport.send([.init(to: [session], reply: .stamps(id: id, answer))])
        }
        trace.begin(input, now: now, ready)
        core?.step(input, now: now, into: &ready)
        trace.end(ready)
    }

    /// The archive answers on its own thread; whether this host may sign is known here.
    private func asks(_ archives: ArchiveService, _ input: HostInput) -> Bool {
        guard case .gateway(let session, let message) = input, case .archive(let id, let query) = message.value else {
            return false
        }
        if core?.mayAttest(query.shard) == true {
            archives.ask(query, id: id, from: session)
        } else {
            archives.refuse(.silent, id: id, to: session)
        }
        return true
    }

    func stop() {
        archiveWaiting()
        archives?.stop()
        core = nil
        appendUnawaited()
    }

    /// Their replicas left a view for another one.
    private func sayViews(of shards: [ShardID]) {
        guard logger.logLevel <= .info else { return }
        for replica in core?.status(now: Clock.now()) ?? [] where shards.contains(replica.shard) {
            logger.info(
                "shard \(replica.shard) \(replica.isChangingView ? "goes to" : "is in") view \(replica.view)",
                metadata: [
                    "shard": .stringConvertible(replica.shard.number), "view": .stringConvertible(replica.view.number),
                    "sequence": .stringConvertible(replica.lastExecuted.number),
                ])
        }
    }

    // MARK: The journal

    private func append() {
        inbound.note(ready.records)
        if ready.compacts {
            appendUnawaited()
            journal.post(.compact(ready.records))
            return
        }
        orderingTimes.note(ready.records, counters)
        if unawaited.records.isEmpty, !ready.records.isEmpty { unawaited.since = Clock.uptime() }
        unawaited.records += ready.records
        if ready.awaitsSync { appendUnawaited() }
    }

    private func appendOverdue() {
        let now = Clock.uptime()
        if now >= unawaited.since + Self.laziness { appendUnawaited() }
        if now >= unarchived.since + Self.laziness { archiveWaiting() }
    }

    private func archive() {
        if unarchived.batches.isEmpty, !ready.executed.isEmpty { unarchived.since = Clock.uptime() }
        unarchived.batches += ready.executed
        // What is flushed must be there before.
        if unarchived.batches.count >= Self.archivedTogether || !ready.flushes.isEmpty { archiveWaiting() }
    }

    private func archiveWaiting() {
        guard let first = unarchived.batches.first else { return }
        let batches = unarchived.batches
        unarchived.batches = []
        let size = batches.reduce(0) { $0 + $1.roughSize }
        guard backlog.enter(size) else {
            counters.noteUnarchived(.backlog, batches.count)
            return log.warning(
                "the archive has a gap",
                "\(batches.count) batches from batch \(first.sequence) of shard \(first.shard) on are not archived: the disk is slower than the shards"
            )
        }
        states.post(.archive(batches, size: size))
    }

    private func appendUnawaited() {
        guard !unawaited.records.isEmpty else { return }
        journal.post(.append(unawaited.records))
        unawaited.records = []
    }

    // MARK: What is asked

    /// In the order of `HostReady`.
    private func carryOut() {
        append()
        if !ready.toHosts.isEmpty { batchTimes.noteSent(ready.toHosts) }
        transport.send(ready.toHosts, ready.toGateways, pausing: ready.pauses)
        inbound.check(ready.checks)
        for bucket in ready.stages { states.post(.stage(bucket)) }
        archive()
        for flush in ready.flushes { states.post(.flush(flush)) }
        for (shard, primary) in ready.primaries { inbound.note(primary, of: shard) }
        if !ready.primaries.isEmpty { sayViews(of: ready.primaries.map(\.0)) }
        for shard in ready.damaged { states.post(.condemn(shard)) }
        for (shard, reason) in ready.halts {
            logger.critical(
                "the replica of shard \(shard) has halted: \(reason)",
                metadata: ["shard": .stringConvertible(shard.number)])
        }
        for notice in ready.notices { logger.warning("\(notice)") }
        counters.add(ready.counts)
        ready.removeAll()
    }
}
