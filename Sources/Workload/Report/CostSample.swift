import Messages

/// What the processes of a cluster and its load had used and counted at one moment, since each of them started.
public struct CostSample: Sendable {
    /// What a process does.
    public enum Role: Hashable, Sendable {
        case host
        case gateway
        /// Who makes the load: clients that sign and verify, and whatever else their process does.
        case load
    }

    /// What the system says of a process, over all its threads.
    public struct Usage: Sendable, Equatable {
        /// Of the processors, in user and system mode.
        public var cpuMicroseconds: UInt64
        /// Its threads gave a processor up, to wait for something.
        public var voluntarySwitches: UInt64
        /// Another thread took the processor from one of them.
        public var involuntarySwitches: UInt64

        /// Counted since the process started.
        public init(cpuMicroseconds: UInt64, voluntarySwitches: UInt64, involuntarySwitches: UInt64) {
            self.cpuMicroseconds = cpuMicroseconds
            (self.voluntarySwitches, self.involuntarySwitches) = (voluntarySwitches, involuntarySwitches)
        }
    }

    /// One process.
    public struct Process: Sendable {
        /// What it does.
        public var role: Role
        /// Which host or gateway it is.
        public var number: Int
        /// Tells it from a later one in the same role: its number at the system, and when it started.
        public var identity: [UInt64]
        /// Nil if it could not be looked at.
        public var usage: Usage?
        /// What it counts of itself; nil if it did not answer.
        public var metrics: [MetricSample]?

        /// What was found out about a process that ran.
        public init(role: Role, number: Int, identity: [UInt64], usage: Usage?, metrics: [MetricSample]?) {
            (self.role, self.number, self.identity) = (role, number, identity)
            (self.usage, self.metrics) = (usage, metrics)
        }
    }

    /// Monotonic nanoseconds.
    public var at: UInt64
    /// Transfers, or transactions on lists, committed until then, since the load began.
    public var committed: Int
    /// Those that ran.
    public var processes: [Process]

    /// - Parameter at: monotonic nanoseconds, near those at which the processes were looked at.
    public init(at: UInt64, committed: Int, processes: [Process]) {
        (self.at, self.committed, self.processes) = (at, committed, processes)
    }
}

/// The processes of one role that were the same at both ends of a time.
struct CostDifference {
    private let pairs: [(before: CostSample.Process, after: CostSample.Process)]

    /// Nil if there is none, or one of them was started or ended meanwhile: what it had used is not known.
    init?(_ role: CostSample.Role, from before: CostSample, to after: CostSample) {
        let earlier = before.processes.filter { $0.role == role }
        let later = after.processes.filter { $0.role == role }
        var pairs: [(before: CostSample.Process, after: CostSample.Process)] = []
        for process in later {
            guard let same = earlier.first(where: { $0.number == process.number && $0.identity == process.identity })
            else { return nil }
            pairs.append((same, process))
        }
        guard !pairs.isEmpty, pairs.count == earlier.count else { return nil }
        self.pairs = pairs
    }

    var count: Int { pairs.count }

    /// Nil if one could not be looked at. What counts backwards was not counted by one process.
    func usage(_ what: KeyPath<CostSample.Usage, UInt64>) -> UInt64? {
        sum { pair in
            guard let before = pair.before.usage?[keyPath: what], let after = pair.after.usage?[keyPath: what] else {
                return nil
            }
            return after >= before ? after - before : nil
        }
    }

    /// Of all samples of a name, with this label if one is given; nil if one process did not answer, or does not count
    /// it.
    func counted(_ name: String, _ label: String? = nil) -> UInt64? {
        sum { pair in
            guard let before = Self.total(name, label, pair.before.metrics),
                let after = Self.total(name, label, pair.after.metrics)
            else { return nil }
            return after >= before ? after - before : nil
        }
    }

    private func sum(_ value: ((before: CostSample.Process, after: CostSample.Process)) -> UInt64?) -> UInt64? {
        var sum: UInt64 = 0
        for pair in pairs {
            guard let value = value(pair) else { return nil }
            // What a process says of itself may be anything.
            let (total, isTooLarge) = sum.addingReportingOverflow(value)
            guard !isTooLarge else { return nil }
            sum = total
        }
        return sum
    }

    /// The values of a name's one label, ascending.
    func labels(of name: String) -> [String] {
        let all = pairs.flatMap { $0.after.metrics ?? [] }.filter { $0.name == name }
        return Set(all.compactMap(\.labels.first?.value)).sorted()
    }

    private static func total(_ name: String, _ label: String?, _ metrics: [MetricSample]?) -> UInt64? {
        guard let metrics else { return nil }
        let found = metrics.filter { sample in
            sample.name == name && (label == nil || sample.labels.contains { $0.value == label })
        }
        return found.isEmpty ? nil : found.reduce(0) { $0.addingReportingOverflow($1.value).partialValue }
    }
}
