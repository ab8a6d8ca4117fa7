extension RunResult {
    /// Whether the figures of a run say something of the cluster.
    public struct Validity: Codable, Sendable, Equatable {
        /// Nothing speaks against it.
        public var valid: Bool { reasons.isEmpty }
        /// What does, in words.
        public var reasons: [String]

        private enum CodingKeys: String, CodingKey { case valid, reasons }

        /// - Parameter reasons: empty of a valid run.
        public init(reasons: [String]) { self.reasons = reasons }

        /// `valid` follows from the reasons.
        public init(from decoder: any Decoder) throws {
            reasons = try decoder.container(keyedBy: CodingKeys.self).decode([String].self, forKey: .reasons)
        }

        /// With `valid`, for who reads only that.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(valid, forKey: .valid)
            try container.encode(reasons, forKey: .reasons)
        }
    }
}

/// When a run says nothing of the cluster: it shows how fast the load is, or the machine, or that something broke.
///
/// In a closed loop on one machine hosts, gateways and clients use up the processors together: that is what a closed
/// loop does, and its throughput is what this machine can do with its load on it. So a machine without idle time is no
/// reason there. It is one in an open loop whose rate is not met.
public struct ValidityRules: Sendable {
    /// Processors that the load's process may use: all its requests go over one thread.
    public var clientCores = 0.9
    /// 99 of 100 requests must be begun this soon after their moment: microseconds.
    public var sendLag: UInt64 = 10_000
    /// Share of processor time that the machine's host may give to others.
    public var steal = 0.05
    /// Share of processor time that is idle at least on a machine that is not used up.
    public var idle = 0.02
    /// Share of the offered operations that must be met.
    public var met = 0.98
    /// Share of the offered operations whose requests may be left out at the end of the time that is measured.
    public var neverBegun = 0.001

    /// The usual limits.
    public init() {}

    /// What speaks against a run; empty if it is valid.
    public func reasons(against run: RunResult) -> [String] {
        broken(run) + client(run) + machine(run) + rate(run)
    }

    private func broken(_ run: RunResult) -> [String] {
        var reasons: [String] = []
        let invariants = run.invariants
        if invariants.strictly_serializable == false {
            reasons.append("what clients saw is not strictly serializable")
        }
        if invariants.workload_consistent == false {
            reasons.append("what the workload left is not what was certified")
        }
        // Whatever else there is to hold.
        var others = invariants
        (others.strictly_serializable, others.workload_consistent) = (nil, nil)
        if !others.allHold { reasons.append("an invariant failed") }
        if run.unknown > 0, !run.mayHaveUnknown {
            reasons.append("\(run.unknown) operations have no certified outcome")
        }
        if let unread = run.history?.unread_lists, unread > 0 {
            reasons.append("\(unread) \(run.history?.things ?? "lists") of the history could not be read at the end")
        }
        if run.committed == 0 { reasons.append("nothing was committed") }
        for event in run.events where event.isUnasked { reasons.append(event.what) }
        if run.retries.invalid_receipts > 0 {
            reasons.append("\(run.retries.invalid_receipts) receipts did not verify")
        }
        if run.history?.is_undecided == true {
            reasons.append("whether what clients saw is strictly serializable could not be told")
        }
        if let unread = run.transactions?.unread_values, unread > 0 {
            reasons.append("\(unread) values that the workload's check needs could not be read")
        }
        if !run.missed_events.isEmpty { reasons.append("a fault that was asked for did not happen") }
        return reasons
    }

    private func client(_ run: RunResult) -> [String] {
        var reasons: [String] = []
        if let cores = run.load?.client_cores, cores > clientCores {
            reasons.append(
                "the client was the bottleneck: it used \(decimal(cores, 2)) processors, and sends from one thread")
        }
        if let lag = run.load?.send_lag, lag.count > 0, lag.p99_us > sendLag {
            reasons.append(
                "the client was the bottleneck: of its requests 1 in 100 began more than \(decimal(Double(lag.p99_us) / 1000, 1)) ms late"
            )
        }
        if run.load?.in_flight_bound_reached == true {
            reasons.append(
                "\(run.load?.in_flight_bound ?? 0) requests were in flight, which is the bound: the load was not open any more"
            )
        }
        let hasGatewayFault = run.events.contains { $0.what.contains("gateway") && !$0.isUnasked }
        if run.retries.connection_failures > 0, !hasGatewayFault {
            reasons.append("the client lost a connection to a gateway, which was no fault that was asked for")
        }
        return reasons
    }

    private func machine(_ run: RunResult) -> [String] {
        guard let share = run.load?.machine_steal, share > steal else { return [] }
        return ["the machine was the bottleneck: \(decimal(share * 100, 1)) % of its processors' time went to others"]
    }

    /// An operation that ends in the measured time may have begun before it, and the reverse. In a steady state as many
    /// do the one as the other, but for chance: what is in flight varies by the root of its mean at either end.
    private func rate(_ run: RunResult) -> [String] {
        guard let load = run.load, let offered = load.offered, let achieved = load.achieved, offered > 0 else {
            return []
        }
        let chance = 3 * (2 * run.in_flight_mean).squareRoot() * Double(run.setup.bundle)
        func isShort(_ count: Int) -> Bool {
            let missing = Double(offered - count)
            return missing > (1 - met) * Double(offered) && missing > chance
        }
        func share(_ count: Int) -> String { "\(decimal(Double(count) / Double(offered) * 100, 1)) %" }
        let left = neverBegun(load, offered)
        guard isShort(achieved) else {
            // A transfer that is refused is not what was asked for. Other workloads have aborts that belong to them.
            guard run.transactions == nil, let committed = load.committed, isShort(committed) else { return left }
            return left + ["the offered rate was not met: only \(share(committed)) of the operations were committed"]
        }
        let words = "\(share(achieved)) of the offered operations"
        if let idle = load.machine_idle, idle < self.idle {
            return ["past the knee: the machine had nothing idle, and \(words) were met"] + left
        }
        return ["the offered rate was not met: \(words) were"] + left
    }

    /// Their latency is in no figure. What was meant for the last moments may just be late.
    private func neverBegun(_ load: RunResult.Load, _ offered: Int) -> [String] {
        guard let count = load.never_begun, let rate = load.rate_tps else { return [] }
        let justLate = rate * Double(sendLag) / 1e6
        guard Double(count) > neverBegun * Double(offered), Double(count) > justLate else { return [] }
        return ["\(count) operations of the measured time were never begun: they are in no latency"]
    }
}

extension RunResult {
    /// Its history is its result: no transfers, and no mix of kinds.
    private var isRecorded: Bool { history != nil && transactions == nil && setup.rows == 0 && setup.accounts == 0 }

    /// After something that was asked for was done to the cluster a history is judged with those transactions of which
    /// nobody could tell.
    fileprivate var mayHaveUnknown: Bool { isRecorded && events.contains { !$0.isUnasked } }
}
