/// What a machine, and the process of a load on it, had used at one moment.
public struct MachineSample: Sendable, Equatable {
    /// Monotonic nanoseconds.
    public var at: UInt64
    /// Of the load's process, over all its threads; nil if it could not be looked at.
    public var clientMicroseconds: UInt64?
    /// Ticks of all processors since the machine started, by the columns of `cpu` in `/proc/stat`: user, nice, system,
    /// idle, iowait, irq, softirq, steal (proc_stat(5)). Nil if they are not known.
    public var ticks: [UInt64]?

    /// - Parameters:
    ///   - at: monotonic nanoseconds.
    ///   - procStat: the text of `/proc/stat`; nil if there is none.
    public init(at: UInt64, clientMicroseconds: UInt64?, procStat: String?) {
        (self.at, self.clientMicroseconds) = (at, clientMicroseconds)
        let line = procStat?.split(separator: "\n").first { $0.hasPrefix("cpu ") }
        let numbers = line.map { $0.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) } }
        if let numbers, numbers.count == 8, !numbers.contains(nil) { ticks = numbers.compactMap(\.self) }
    }
}

/// What was used between two moments.
public struct MachineUse: Sendable, Equatable {
    /// Processors that the load's process used; nil if that is not known.
    public var clientCores: Double?
    /// Share of all processors' time in which they had nothing to do, waiting for a disk included; nil if that is not
    /// known.
    public var idle: Double?
    /// Share of it that the machine's own host gave to others; nil if that is not known.
    public var steal: Double?

    /// - Parameters: shares from 0 to 1.
    public init(clientCores: Double?, idle: Double?, steal: Double?) {
        (self.clientCores, self.idle, self.steal) = (clientCores, idle, steal)
    }

    /// Nil if no time lies between the two.
    public init?(from before: MachineSample, to after: MachineSample) {
        guard after.at > before.at else { return nil }
        if let earlier = before.clientMicroseconds, let later = after.clientMicroseconds, later >= earlier {
            clientCores = Double(later - earlier) * 1000 / Double(after.at - before.at)
        }
        guard let earlier = before.ticks, let later = after.ticks, earlier.count == later.count else { return }
        // A column may count backwards by a tick (iowait): that is no time.
        let used = zip(earlier, later).map { Double($1 - min($0, $1)) }
        let total = used.reduce(0, +)
        guard total > 0 else { return }
        (idle, steal) = ((used[3] + used[4]) / total, used[7] / total)
    }
}
