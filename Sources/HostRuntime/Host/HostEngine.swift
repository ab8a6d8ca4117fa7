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
    private let transport: PeerTransport
    private let inbound: HostInbound
    private let counters: HostCounters
    /// Nil unless requests are traced.
    private let trace: HostTrace?
    private let logger: Logger

    /// After so many steps what they ask for is handed over, so that a long queue does not hold up its first answer.
    private static let stepsPerRound = 256

    init(
        core: HostCore, journal: Mailbox<JournalWriter.Job>, states: Mailbox<StateWriter.Job>, transport: PeerTransport,
        inbound: HostInbound, counters: HostCounters, trace: HostTrace?, logger: Logger
    ) {
        self.inbound = inbound
        (self.core, self.journal, self.states) = (core, journal, states)
        (self.transport, self.counters, self.trace, self.logger) = (transport, counters, trace, logger)
        core.forEachPrimary { inbound.note($1, of: $0) }
    }

    func run(_ inputs: [HostInput]) {
        guard core != nil else { return }
        var steps = 0
        for input in inputs {
            if let trace { step(input, trace) } else { core?.step(input, now: Clock.now(), into: &ready) }
            steps += 1
            if steps % Self.stepsPerRound == 0 { carryOut() }
        }
        carryOut()
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

    func stop() { core = nil }

    /// In the order of `HostReady`.
    private func carryOut() {
        if !ready.records.isEmpty || ready.awaitsSync || ready.compacts {
            journal.post(ready.compacts ? .compact(ready.records) : .append(ready.records, isAwaited: ready.awaitsSync))
        }
        transport.send(ready.toHosts)
        transport.send(ready.toGateways)
        inbound.check(ready.checks)
        for bucket in ready.stages { states.post(.stage(bucket)) }
        for flush in ready.flushes { states.post(.flush(flush)) }
        transport.pause(ready.pauses)
        for (shard, primary) in ready.primaries { inbound.note(primary, of: shard) }
        for shard in ready.damaged { states.post(.condemn(shard)) }
        for (shard, reason) in ready.halts { logger.critical("the replica of shard \(shard) has halted: \(reason)") }
        for notice in ready.notices { logger.warning("\(notice)") }
        counters.add(ready.counts)
        ready.removeAll()
    }
}
