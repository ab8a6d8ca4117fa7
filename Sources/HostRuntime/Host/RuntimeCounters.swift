import CoreMetrics
import Cores
import Gateway
import Messages
import Meter

/// The counters of one host or gateway, each found once in its registry. `MetricTable` says what they mean.
package final class RuntimeCounters: Sendable {
    package let registry: MetricsRegistry

    // Dropped.
    /// Frames for whom there is no session.
    let notConnected: Counter
    /// Frames that a full connection did not take.
    let outboundFull: Counter
    /// Messages that a full queue behind the transport did not take.
    let inboundFull: Counter
    /// Frames that were no message; each closed its connection.
    let undecodable: Counter
    /// Messages with a signature or proof that is wrong.
    let unverified: Counter
    /// Attestations that were not needed any more, dropped before verification.
    let notNeeded: Counter
    /// Connections ended because there was no room for an unfinished frame, or a client's was not whole in time.
    let unfinished: Counter

    // Sessions.
    /// Connections refused in TLS or hello, or ended before.
    let refusedSessions: Counter
    /// Connections closed before TLS, because their address began too many handshakes.
    let refusedHandshakes: Counter
    /// Connections ended because others needed their places or descriptors.
    let displacedSessions: Counter
    /// Sessions that were read no further for a while, because they brought too much in vain.
    let pausedSessions: Counter

    // Bytes.
    let receivedBytes: Counter
    let sentBytes: Counter
    /// The most bytes of memory that unfinished frames held at once.
    let mostUnfinished: Recorder
    /// The most bytes that waited at once for all gateways, or all clients.
    let mostOutbound: Recorder

    package init(registry: MetricsRegistry = MetricsRegistry()) {
        func dropped(_ reason: String) -> Counter { Self.dropped(reason, registry) }
        self.registry = registry
        (notConnected, outboundFull, inboundFull) = (
            dropped("not_connected"), dropped("outbound_full"), dropped("inbound_full")
        )
        (undecodable, unverified) = (dropped("undecodable"), dropped("unverified"))
        (notNeeded, unfinished) = (dropped("not_needed"), dropped("unfinished"))
        refusedSessions = Counter(label: "quorate_sessions_refused_total", factory: registry)
        refusedHandshakes = Counter(label: "quorate_handshakes_refused_total", factory: registry)
        displacedSessions = Counter(label: "quorate_sessions_displaced_total", factory: registry)
        pausedSessions = Counter(label: "quorate_sessions_paused_total", factory: registry)
        receivedBytes = Counter(label: "quorate_received_bytes_total", factory: registry)
        sentBytes = Counter(label: "quorate_sent_bytes_total", factory: registry)
        mostUnfinished = Recorder(label: "quorate_unfinished_bytes_max", factory: registry)
        mostOutbound = Recorder(label: "quorate_outbound_bytes_max", factory: registry)
    }

    fileprivate static func dropped(_ reason: String, _ registry: MetricsRegistry) -> Counter {
        Counter(label: "quorate_dropped_total", dimensions: [("reason", reason)], factory: registry)
    }

    /// What the process runs with, for who compares it with others.
    func note(_ manifest: Manifest) {
        for part in Manifest.Part.allCases {
            let recorder = Recorder(
                label: "quorate_manifest_fingerprint", dimensions: [("part", part.rawValue)], aggregate: false,
                factory: registry)
            recorder.record(Int64(clamping: manifest.fingerprint(of: part)))
        }
    }

    /// As many as one answer has room for.
    var samples: [MetricSample] { Array(registry.samples.prefix(MetricSample.maximum)) }
}

/// A host's counters of what its core, its journal and its stores do.
package struct HostCounters: Sendable {
    /// Why an archive leaves out a batch.
    package enum Unarchived: String, CaseIterable, Sendable {
        case tooLarge, noRoom, backlog
    }

    /// By raw value.
    private let drops: [Counter]
    private let viewChanges: [ShardID: Counter]
    private let stateFetches: [ShardID: Counter]
    private let flushes: [ShardID: Counter]
    let journalSyncs: Counter
    let journalSyncTime: Timer
    let flushTime: Timer
    private let journalRecords: Counter
    private let journalBytes: Counter
    let journalCompactions: Counter
    private let unarchived: [Unarchived: Counter]
    private let archiveBytes: [ShardID: Recorder]
    private let archiveFirst: [ShardID: Recorder]
    private let archiveLast: [ShardID: Recorder]
    private let batches: [ShardID: Counter]
    private let batchSize: Recorder
    private let orderingTimes: [ShardID: Timer]
    private let batchedRequests: Counter
    private let batchedDecides: Counter
    private let batchedEvidence: Counter

    package init(shards: [ShardID], registry: MetricsRegistry) {
        func byShard(_ name: String) -> [ShardID: Counter] {
            Dictionary(
                uniqueKeysWithValues: shards.map {
                    ($0, Counter(label: name, dimensions: [("shard", "\($0.number)")], factory: registry))
                })
        }
        func gauges(_ name: String) -> [ShardID: Recorder] {
            Dictionary(
                uniqueKeysWithValues: shards.map {
                    let dimensions = [("shard", "\($0.number)")]
                    return ($0, Recorder(label: name, dimensions: dimensions, aggregate: false, factory: registry))
                })
        }
        archiveBytes = gauges("quorate_archive_bytes")
        archiveFirst = gauges("quorate_archive_first_batch")
        archiveLast = gauges("quorate_archive_last_batch")
        drops = MessageDrop.allCases.map { RuntimeCounters.dropped(Self.label("\($0)"), registry) }
        viewChanges = byShard("quorate_view_changes_total")
        stateFetches = byShard("quorate_state_fetches_total")
        flushes = byShard("quorate_flushes_total")
        journalSyncs = Counter(label: "quorate_journal_syncs_total", factory: registry)
        journalSyncTime = Timer(label: "quorate_journal_sync_seconds", factory: registry)
        flushTime = Timer(label: "quorate_flush_seconds", factory: registry)
        batchSize = Recorder(label: "quorate_batch_size", factory: registry)
        orderingTimes = Dictionary(
            uniqueKeysWithValues: shards.map {
                let dimensions = [("shard", "\($0.number)")]
                return ($0, Timer(label: "quorate_ordering_seconds", dimensions: dimensions, factory: registry))
            })
        journalRecords = Counter(label: "quorate_journal_records_total", factory: registry)
        journalBytes = Counter(label: "quorate_journal_bytes_total", factory: registry)
        journalCompactions = Counter(label: "quorate_journal_compactions_total", factory: registry)
        unarchived = Dictionary(
            uniqueKeysWithValues: Unarchived.allCases.map {
                let dimensions = [("reason", Self.label($0.rawValue))]
                return ($0, Counter(label: "quorate_unarchived_total", dimensions: dimensions, factory: registry))
            })
        batches = byShard("quorate_batches_total")
        func items(_ kind: String) -> Counter {
            Counter(label: "quorate_batch_items_total", dimensions: [("kind", kind)], factory: registry)
        }
        (batchedRequests, batchedDecides, batchedEvidence) = (items("request"), items("decide"), items("evidence"))
    }

    func add(_ counts: [HostCount]) {
        for count in counts {
            switch count {
            case .dropped(let reason): drops[Int(reason.rawValue)].increment()
            case .viewChange(let shard): viewChanges[shard]?.increment()
            case .stateFetch(let shard): stateFetches[shard]?.increment()
            }
        }
    }

    func noteUnarchived(_ reason: Unarchived, _ count: Int) { unarchived[reason]?.increment(by: count) }

    func noteArchive(of shard: ShardID, bytes: Int, first: SequenceNumber, last: SequenceNumber) {
        archiveBytes[shard]?.record(bytes)
        archiveFirst[shard]?.record(Int64(clamping: first.number))
        archiveLast[shard]?.record(Int64(clamping: last.number))
    }

    func noteFlush(of shard: ShardID) { flushes[shard]?.increment() }

    /// - Parameter nanoseconds: from a batch's PRE-PREPARE to its execution.
    func noteOrdered(in shard: ShardID, nanoseconds: UInt64) {
        orderingTimes[shard]?.recordNanoseconds(Int64(clamping: nanoseconds))
    }

    /// Records that were handed to the journal together. Off the protocol's thread.
    /// - Parameter isRepetition: of a compaction, whose batches were counted before.
    func noteWritten(_ records: [HostRecord], isRepetition: Bool) {
        var bytes = 0
        var (requests, decides, evidence) = (0, 0, 0)
        for record in records {
            bytes += record.encodedSize
            guard !isRepetition, case .prePrepared(_, _, let batch) = record.record else { continue }
            batches[record.shard]?.increment()
            batchSize.record(batch.items.count)
            for item in batch.items {
                switch item {
                case .request: requests += 1
                case .decide: decides += 1
                case .evidence: evidence += 1
                }
            }
        }
        journalRecords.increment(by: records.count)
        journalBytes.increment(by: bytes)
        if requests > 0 { batchedRequests.increment(by: requests) }
        if decides > 0 { batchedDecides.increment(by: decides) }
        if evidence > 0 { batchedEvidence.increment(by: evidence) }
    }

    /// `wrongView` as Prometheus writes it: `wrong_view`.
    static func label(_ name: String) -> String {
        name.reduce(into: "") { label, letter in
            if letter.isUppercase { label += "_" }
            label += letter.lowercased()
        }
    }
}

/// A gateway's counters of what its core does.
package struct GatewayCounters: Sendable {
    private let rejections: [GatewayRejection: Counter]
    private let retries: [RetryCause: Counter]
    private let breakers: Counter

    package init(registry: MetricsRegistry) {
        rejections = Dictionary(
            uniqueKeysWithValues: GatewayRejection.allCases.map {
                let dimensions = [("reason", Self.label($0))]
                return ($0, Counter(label: "quorate_rejected_total", dimensions: dimensions, factory: registry))
            })
        retries = Dictionary(
            uniqueKeysWithValues: RetryCause.allCases.map {
                let dimensions = [("cause", HostCounters.label("\($0)"))]
                return ($0, Counter(label: "quorate_retries_total", dimensions: dimensions, factory: registry))
            })
        breakers = Counter(label: "quorate_breakers_opened_total", factory: registry)
    }

    /// Its description is a sentence.
    static func label(_ reason: GatewayRejection) -> String {
        switch reason {
        case .queueFull: "queue_full"
        case .invalid: "invalid"
        case .retriesExhausted: "retries_exhausted"
        case .deadlinePassed: "deadline_passed"
        case .refused: "refused"
        case .shuttingDown: "shutting_down"
        case .shardUnavailable: "shard_unavailable"
        }
    }

    /// Before the core saw it.
    func noteRejected(_ reason: GatewayRejection) { rejections[reason]?.increment() }

    func add(_ counts: [GatewayCount]) {
        for count in counts {
            switch count {
            case .rejected(let reason): noteRejected(reason)
            case .retried(let cause): retries[cause]?.increment()
            case .breakerOpened: breakers.increment()
            }
        }
    }
}
