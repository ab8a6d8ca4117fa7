import Cores
import WriteAheadLog
import LMDBStore
import Messages
import PBFT

/// One host, started from an image of its disk, held against what it had said.
struct Restart {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// One replica's journal.
    private struct Remembered {
        /// Q: the highest view of each digest.
        var prePrepared: [SequenceNumber: [Digest: View]] = [:]
        /// P.
        var prepared: [SequenceNumber: (view: View, digest: Digest)] = [:]
        var viewChanges: [View: Digest] = [:]
        var newViews: [View: Digest] = [:]
    }

    private let host: Int
    private var core: HostCore
    private var remembered: [Remembered]
    private let status: [ReplicaStatus]
    private let now: Instant

    init(host: Int, below folder: String, now: Instant) throws {
        let opened = try PowerLossCluster.openHost(host, below: folder, now: now)
        (self.host, self.now, core) = (host, now, opened.core)
        status = core.status()
        remembered = Array(repeating: Remembered(), count: PowerLossCluster.shardCount)
        for bytes in opened.records {
            var reader = ByteReader(bytes)
            let shard: ShardID = try reader.value()
            remember(try reader.value(), &remembered[Int(shard.number)])
        }
    }

    private func remember(_ record: JournalRecord, _ memory: inout Remembered) {
        switch record {
        case .prePrepared(let view, let sequence, let batch): preprepared(view, sequence, batch.digest, &memory)
        case .prePreparedAgain(let view, let sequence, let digest): preprepared(view, sequence, digest, &memory)
        case .prepared(let view, let sequence, let digest):
            if let known = memory.prepared[sequence], known.view > view { return }
            memory.prepared[sequence] = (view, digest)
        case .viewChange(let message): memory.viewChanges[message.view] = Hasher256.hash(.viewChange, message.encoded())
        case .newView(let message): memory.newViews[message.view] = Hasher256.hash(.newView, message.encoded())
        case .committed, .committedBody, .stable, .quarantine, .peerIncarnation: return
        }
    }

    private func preprepared(_ view: View, _ sequence: SequenceNumber, _ digest: Digest, _ memory: inout Remembered) {
        memory.prePrepared[sequence, default: [:]][digest] = max(view, memory.prePrepared[sequence]?[digest] ?? view)
    }

    // MARK: - Checks

    /// - Throws: what the host has forgotten, or says differently now.
    mutating func check(against evidence: Evidence) throws {
        try core.checkInvariants()
        try core.checkStateInvariants()
        for progress in core.progress() where progress.sequence > .zero {
            let expected = evidence.histories[.init(shard: progress.shard, sequence: progress.sequence)]
            guard progress.history == expected else {
                throw Violation(
                    description:
                        "host \(host) restarts shard \(progress.shard) at \(progress.sequence) with another history")
            }
        }
        for (said, digest) in evidence.said[host] {
            guard remembers(said, digest) else {
                let status = status[Int(said.shard.number)]
                throw Violation(
                    description:
                        "host \(host) had sent its \(said) (\(digest.short)) and has forgotten it; it restarts in view \(status.view), executed \(status.lastExecuted), stable \(status.stable), flushed \(status.flushed)"
                )
            }
        }
        try checkWords(evidence)
    }

    private func remembers(_ said: Said, _ digest: Digest) -> Bool {
        let status = status[Int(said.shard.number)]
        let memory = remembered[Int(said.shard.number)]
        switch said.kind {
        // No vote: its record may be lost. What it proposes must not contradict it (`checkWords`).
        case .prePrepare: return true
        case .prepare:
            if said.sequence <= status.stable { return true }
            // Q keeps, of each digest, the highest view.
            guard let view = memory.prePrepared[said.sequence]?[digest] else { return false }
            return view >= said.view
        case .commit:
            if said.sequence <= status.stable { return true }
            guard let entry = memory.prepared[said.sequence] else { return false }
            return entry.view > said.view || (entry.view == said.view && entry.digest == digest)
        case .viewChange:
            // Below, it was in the view; above, it has left it.
            if status.view != said.view { return status.view > said.view }
            return !status.isChangingView || memory.viewChanges[said.view] == digest
        case .newView:
            return status.view > said.view || (status.view == said.view && memory.newViews[said.view] == digest)
        case .checkpoint: return status.lastExecuted >= said.sequence
        }
    }

    /// What it says first: again what it had said, byte for byte, or nothing about it (R3).
    private mutating func checkWords(_ evidence: Evidence) throws {
        var evidence = evidence
        var ready = HostReady()
        core.step(.tick, now: now, into: &ready)
        let appended = UInt64(ready.records.count)
        if appended > 0 { core.step(.persisted(JournalPosition(appended)), now: now, into: &ready) }
        if let (shard, reason) = ready.halts.first {
            throw Violation(description: "host \(host) shard \(shard) halted: \(reason)")
        }
        for outgoing in ready.toHosts {
            guard case .pbft(let shard, let message) = outgoing.message else { continue }
            let own = PowerLossCluster.manifest.replica(of: shard, on: HostID(UInt16(host)))
            if let (said, digest) = Said.of(message, shard, own: own) {
                try evidence.add(.sent(host: UInt16(host), said, digest))
            }
        }
    }

    /// Whether it would defend an attested result: it has executed it, or says in every view change that it prepared.
    func holds(_ statement: AttestationStatement) -> Bool {
        let shard = Int(statement.shard.number)
        if status[shard].lastExecuted >= statement.sequence { return true }
        return remembered[shard].prepared[statement.sequence]?.digest == statement.batch
    }
}
