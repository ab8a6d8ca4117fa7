/// Every metric of hosts and gateways. What is not here is not said: `MetricTableTests` holds registries, scrapes,
/// docs/METRICS.md and deploy/monitoring to it.
public enum MetricTable {
    /// By topic, as the page has them.
    public static let all: [MetricDefinition] = process + sessions + ordering + replicas + storage + requests

    /// Names in all programs that Prometheus watches, and what this one is.
    public static let process: [MetricDefinition] = [
        MetricDefinition("quorate_build_info", .gauge, .flag, ["version"], on: .both, "Always 1: which version runs"),
        MetricDefinition(
            "quorate_instance_info", .gauge, .flag, ["cluster_id", "role", "number"], on: .both,
            "Always 1: of which cluster this is which host or gateway; the cluster by the first digits of its identifier"
        ),
        MetricDefinition(
            "quorate_manifest_fingerprint", .gauge, .number, ["part"], on: .both,
            "Of a part of the manifest that the process runs with, 48 bits of its hash; all processes of a cluster have the same"
        ),
        MetricDefinition(
            "quorate_clock_seconds", .gauge, .seconds, on: .both, "The process's clock when it was asked, since 1970"),
        MetricDefinition(
            "process_cpu_seconds_total", .counter, .seconds, on: .both, "Processor time of all threads, user and system"
        ),
        MetricDefinition(
            "process_resident_memory_bytes", .gauge, .bytes, on: .both,
            "Memory that is resident, pages of the state's files among it"),
        MetricDefinition("process_virtual_memory_bytes", .gauge, .bytes, on: .both, "Address space"),
        MetricDefinition("process_open_fds", .gauge, .count, on: .both, "Open descriptors"),
        MetricDefinition("process_max_fds", .gauge, .count, on: .both, "How many descriptors may be open"),
        MetricDefinition("process_threads", .gauge, .count, on: .both, "Threads"),
        MetricDefinition(
            "process_start_time_seconds", .gauge, .seconds, on: .both, "When the process started, since 1970"),
    ]

    /// Between processes.
    public static let sessions: [MetricDefinition] = [
        MetricDefinition(
            "quorate_host_connected", .gauge, .flag, ["host"], on: .both,
            "Whether a session to this host is open: messages to it leave"),
        MetricDefinition(
            "quorate_clients_connected", .gauge, .count, on: .gateways, "Connections of clients that are open"),
        MetricDefinition(
            "quorate_dropped_total", .counter, .count, ["reason"], on: .both,
            "Messages or frames that were dropped; their sender repeats them, or is at fault"),
        MetricDefinition(
            "quorate_sessions_refused_total", .counter, .count, on: .both,
            "Connections that were not accepted, or ended before they were sessions"),
        MetricDefinition(
            "quorate_handshakes_refused_total", .counter, .count, on: .both,
            "Connections that were closed before TLS, because their address began too many handshakes"),
        MetricDefinition(
            "quorate_sessions_displaced_total", .counter, .count, on: .both,
            "Connections that made room for others"),
        MetricDefinition(
            "quorate_sessions_paused_total", .counter, .count, on: .both,
            "How often a session was read no further for a while, because it brought too much in vain"),
        MetricDefinition("quorate_received_bytes_total", .counter, .bytes, on: .both, "Bytes received, within TLS"),
        MetricDefinition("quorate_sent_bytes_total", .counter, .bytes, on: .both, "Bytes sent, within TLS"),
        MetricDefinition(
            "quorate_sent_messages_total", .counter, .count, ["kind"], on: .both,
            "Messages that were handed to sessions, one for each that it is for, connected or not"),
        MetricDefinition(
            "quorate_sent_message_bytes_total", .counter, .bytes, ["kind"], on: .both,
            "Bytes of the frames of these messages"),
        MetricDefinition(
            "quorate_unfinished_bytes_max", .gauge, .bytes, on: .both,
            "The most bytes that frames held at once which had not wholly arrived"),
        MetricDefinition(
            "quorate_outbound_bytes_max", .gauge, .bytes, on: .both,
            "The most bytes that waited at once for all gateways, or clients"),
    ]

    /// Of the batches of a host's replicas.
    public static let ordering: [MetricDefinition] = [
        MetricDefinition(
            "quorate_batches_total", .counter, .count, ["shard"], on: .hosts,
            "Batches that the replica pre-prepared for the first time"),
        MetricDefinition(
            "quorate_batch_items_total", .counter, .count, ["kind"], on: .hosts,
            "Requests, decides and evidence in these batches, over all shards"),
        MetricDefinition(
            "quorate_batch_size", .histogram(.items), .count, on: .hosts,
            "Requests, decides and evidence in a batch, over all shards"),
        MetricDefinition(
            "quorate_ordering_seconds", .histogram(.latency), .seconds, ["shard"], on: .hosts,
            "From a batch's PRE-PREPARE, made or received here, to its execution here"),
        MetricDefinition(
            "quorate_prepare_round_trip_seconds", .histogram(.storage), .seconds, ["host"], on: .hosts,
            "From a PRE-PREPARE of this host to the other host's PREPARE for it, read here: there and back, with what the other does in between"
        ),
        MetricDefinition(
            "quorate_last_prepare_lag_seconds", .histogram(.storage), .seconds, ["shard"], on: .hosts,
            "How much later than a quorum's the last replica's PREPARE was read here, of batches that this host proposed and all prepared"
        ),
        MetricDefinition(
            "quorate_view_changes_total", .counter, .count, ["shard"], on: .hosts,
            "How often the replica left its view for a later one"),
        MetricDefinition(
            "quorate_state_fetches_total", .counter, .count, ["shard"], on: .hosts,
            "How often the replica began to fetch a state, because its peers no longer had the batches"),
    ]

    /// Each replica as it is now.
    public static let replicas: [MetricDefinition] = [
        MetricDefinition(
            "quorate_shard_quorum_replicas", .gauge, .count, ["shard"], on: .both,
            "Replicas of the shard that must vote for it to commit: 2f + 1"),
        MetricDefinition(
            "quorate_replica_voting", .gauge, .flag, ["shard"], on: .hosts,
            "Whether the replica takes part in ordering: it has not halted, and waits for nothing"),
        MetricDefinition(
            "quorate_replica_halted", .gauge, .flag, ["shard"], on: .hosts,
            "Whether the replica has stopped for good; its log says why"),
        MetricDefinition(
            "quorate_replica_primary", .gauge, .flag, ["shard"], on: .hosts, "Whether the replica leads its view"),
        MetricDefinition(
            "quorate_replica_changing_view", .gauge, .flag, ["shard"], on: .hosts,
            "Whether the replica has left a view and waits for the next one's primary"),
        MetricDefinition(
            "quorate_replica_view", .gauge, .number, ["shard"], on: .hosts,
            "The view that the replica is in, or wants to enter"),
        MetricDefinition(
            "quorate_replica_executed_sequence", .gauge, .number, ["shard"], on: .hosts,
            "The last batch that the replica has executed"),
        MetricDefinition(
            "quorate_replica_known_sequence", .gauge, .number, ["shard"], on: .hosts,
            "The last batch of which the replica knows that a correct one has executed it; it lags if this is larger"),
        MetricDefinition(
            "quorate_replica_stable_sequence", .gauge, .number, ["shard"], on: .hosts,
            "The last checkpoint of which 2f + 1 replicas have the same state"),
        MetricDefinition(
            "quorate_replica_flushed_sequence", .gauge, .number, ["shard"], on: .hosts,
            "The last batch whose state is written to LMDB; the journal has what is above it"),
        MetricDefinition(
            "quorate_replica_waiting_items", .gauge, .count, ["shard"], on: .hosts,
            "Requests, decides and evidence that wait in the replica to be ordered"),
        MetricDefinition(
            "quorate_replica_undecided_legs", .gauge, .count, ["shard"], on: .hosts,
            "Legs and calls that are recorded and not decided"),
        MetricDefinition(
            "quorate_replica_oldest_undecided_seconds", .gauge, .seconds, ["shard"], on: .hosts,
            "For how long the replica has seen the oldest of its open records undecided; 0 if none is"),
        MetricDefinition(
            "quorate_replica_open_records", .gauge, .count, ["shard"], on: .hosts,
            "Records that are pushed to other shards until they say that they are done"),
        MetricDefinition(
            "quorate_replica_time_ahead_seconds", .gauge, .seconds, ["shard"], on: .hosts,
            "How far the shard's time is ahead of the host's clock; negative after it was idle for so long"),
    ]

    /// Of a host's disk.
    public static let storage: [MetricDefinition] = [
        MetricDefinition(
            "quorate_host_running", .gauge, .flag, on: .hosts,
            "Whether the host runs in its process; 0 while it waits for room on its disk"),
        MetricDefinition(
            "quorate_disk_free_bytes", .gauge, .bytes, on: .hosts,
            "What the process may still write on the disk of the host's folder"),
        MetricDefinition("quorate_disk_size_bytes", .gauge, .bytes, on: .hosts, "The size of that disk"),
        MetricDefinition("quorate_journal_syncs_total", .counter, .count, on: .hosts, "Syncs of the journal"),
        MetricDefinition(
            "quorate_journal_sync_seconds", .histogram(.storage), .seconds, on: .hosts, "How long a sync took"),
        MetricDefinition(
            "quorate_journal_records_total", .counter, .count, on: .hosts, "Records written to the journal"),
        MetricDefinition("quorate_journal_bytes_total", .counter, .bytes, on: .hosts, "Bytes of these records"),
        MetricDefinition(
            "quorate_journal_compactions_total", .counter, .count, on: .hosts, "How often the journal was written anew"
        ),
        MetricDefinition(
            "quorate_flushes_total", .counter, .count, ["shard"], on: .hosts,
            "States written to LMDB, each with a sync"),
        MetricDefinition(
            "quorate_flush_seconds", .histogram(.storage), .seconds, on: .hosts,
            "How long it took to write a state to LMDB, with its sync"),
        MetricDefinition(
            "quorate_archive_bytes", .gauge, .bytes, ["shard"], on: .hosts,
            "What the files of the shard's archive take of the disk; 0 without an archive"),
        MetricDefinition(
            "quorate_archive_first_batch", .gauge, .number, ["shard"], on: .hosts,
            "The oldest batch that the archive keeps; 0 if it keeps none"),
        MetricDefinition(
            "quorate_archive_last_batch", .gauge, .number, ["shard"], on: .hosts,
            "The newest batch that the archive keeps; there may be gaps between the two"),
        MetricDefinition(
            "quorate_unarchived_total", .counter, .count, ["reason"], on: .hosts,
            "Executed batches that the archive left out"),
    ]

    /// Of a gateway's clients.
    public static let requests: [MetricDefinition] = [
        MetricDefinition(
            "quorate_request_seconds", .histogram(.latency), .seconds, ["kind", "outcome"], on: .gateways,
            "From a request's arrival at the gateway to its answer"),
        MetricDefinition(
            "quorate_aborted_legs_total", .counter, .count, ["reason"], on: .gateways,
            "Transactions that were answered as aborted, by what is certified"),
        MetricDefinition(
            "quorate_admitted_total", .counter, .count, on: .gateways, "Requests that were taken into the queue"),
        MetricDefinition(
            "quorate_completed_total", .counter, .count, on: .gateways, "Requests that were answered with a receipt"),
        MetricDefinition(
            "quorate_rejected_total", .counter, .count, ["reason"], on: .gateways,
            "Requests and reads that ended without an outcome"),
        MetricDefinition(
            "quorate_retries_total", .counter, .count, ["cause"], on: .gateways,
            "Requests sent again, or to be sent again after their backoff"),
        MetricDefinition(
            "quorate_queued_requests", .gauge, .count, on: .gateways, "Requests that wait for a place in flight"),
        MetricDefinition(
            "quorate_in_flight_requests", .gauge, .count, on: .gateways,
            "Requests that were sent and hold their places in flight"),
        MetricDefinition(
            "quorate_breaker_open", .gauge, .flag, ["shard"], on: .gateways,
            "Whether the gateway keeps requests from the shard, because it has certified nothing for long"),
        MetricDefinition(
            "quorate_breakers_opened_total", .counter, .count, on: .gateways,
            "How often a shard had certified nothing for so long that requests were kept from it"),
    ]
}
