extension RunResult {
    /// What a committed transfer cost, by what the cluster's processes had used and counted after the warm-up and at
    /// the end of the load. Everything that happened between is in it: batches, checkpoints, flushes, the few
    /// transactions of the history. A value is null where a process was started or ended between, did not answer, or
    /// does not count it.
    public struct Costs: Codable, Sendable, Equatable {
        /// Of all processes of a role together, for each committed transfer.
        public struct Role: Codable, Sendable, Equatable {
            /// How many there were.
            public var processes: Int
            /// Microseconds of a processor.
            public var cpu_us: Double?
            /// How often a thread waited for something.
            public var voluntary_switches: Double?
            /// How often a thread had to make room for another.
            public var involuntary_switches: Double?

            init?(_ difference: CostDifference?, each: (UInt64?) -> Double?) {
                guard let difference else { return nil }
                processes = difference.count
                cpu_us = each(difference.usage(\.cpuMicroseconds))
                voluntary_switches = each(difference.usage(\.voluntarySwitches))
                involuntary_switches = each(difference.usage(\.involuntarySwitches))
            }
        }

        /// Messages of one kind, for each committed transfer.
        public struct Sent: Codable, Sendable, Equatable {
            /// One for each that it went to.
            public var messages: Double
            /// Of their frames, before TLS.
            public var bytes: Double

            /// Both for each committed transfer.
            public init(messages: Double, bytes: Double) { (self.messages, self.bytes) = (messages, bytes) }
        }

        /// Transfers, or transactions on lists, committed between the two samples: what all else is divided by.
        public var committed: Int
        /// Seconds between the two.
        public var interval_s: Double
        /// All host processes.
        public var hosts: Role?
        /// All gateway processes.
        public var gateways: Role?
        /// The process of the bench: its clients, which sign and verify, the two that make the history, and the rest.
        public var load: Role?
        /// Of journals, over all hosts.
        public var syncs: Double?
        /// Of states that were written down, each with a sync of its own, over all hosts.
        public var flushes: Double?
        /// Records in journals, over all hosts.
        public var journal_records: Double?
        /// Bytes of these records.
        public var journal_bytes: Double?
        /// Messages that hosts and gateways sent.
        public var messages: Double?
        /// Of their frames, before TLS.
        public var message_bytes: Double?
        /// The same by kind, of hosts and gateways together.
        public var by_kind: [String: Sent]?
        /// Items of a batch on average: requests, decides, evidence.
        public var batch_items: Double?
        /// Of these: requests.
        public var batch_requests: Double?

        /// Nil if nothing was committed between the two.
        public init?(from before: CostSample, to after: CostSample) {
            guard after.committed > before.committed, after.at > before.at else { return nil }
            committed = after.committed - before.committed
            interval_s = Double(after.at - before.at) / 1e9
            let count = Double(committed)
            func each(_ value: UInt64?) -> Double? { value.map { Double($0) / count } }

            let hosts = CostDifference(.host, from: before, to: after)
            let gateways = CostDifference(.gateway, from: before, to: after)
            self.hosts = Role(hosts, each: each)
            self.gateways = Role(gateways, each: each)
            load = Role(CostDifference(.load, from: before, to: after), each: each)
            syncs = each(hosts?.counted("quorate_journal_syncs_total"))
            flushes = each(hosts?.counted("quorate_flushes_total"))
            journal_records = each(hosts?.counted("quorate_journal_records_total"))
            journal_bytes = each(hosts?.counted("quorate_journal_bytes_total"))
            if let batches = hosts?.counted("quorate_batches_total"), batches > 0 {
                func perBatch(_ items: UInt64?) -> Double? { items.map { Double($0) / Double(batches) } }
                batch_items = perBatch(hosts?.counted("quorate_batch_items_total"))
                batch_requests = perBatch(hosts?.counted("quorate_batch_items_total", "request"))
            }
            guard let hosts, let gateways else { return }
            func both(_ name: String, _ label: String? = nil) -> UInt64? {
                guard let a = hosts.counted(name, label), let b = gateways.counted(name, label) else { return nil }
                let (sum, isTooLarge) = a.addingReportingOverflow(b)
                return isTooLarge ? nil : sum
            }
            let (messageName, byteName) = ("quorate_sent_messages_total", "quorate_sent_message_bytes_total")
            (messages, message_bytes) = (each(both(messageName)), each(both(byteName)))
            guard messages != nil, message_bytes != nil else { return }
            var kinds: [String: Sent] = [:]
            for kind in Set(hosts.labels(of: messageName)).union(gateways.labels(of: messageName)).sorted() {
                guard let messages = each(both(messageName, kind)), let bytes = each(both(byteName, kind)),
                    messages > 0
                else { continue }
                kinds[kind] = Sent(messages: messages, bytes: bytes)
            }
            by_kind = kinds
        }
    }
}
