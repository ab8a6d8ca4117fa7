import Histogram

extension RunResult {
    /// How the load was offered, how well it kept to that, and what it took of the machine. What concerns open loops
    /// only is null of a closed one.
    public struct Load: Codable, Sendable, Equatable {
        /// How late requests were begun, microseconds after the moment that they were meant for. Without those that had
        /// to wait for others (`late_starts`).
        public struct Lag: Codable, Sendable, Equatable {
            /// Requests that were begun without waiting for others.
            public var count: UInt64
            /// The median; 0 if there was none, as all that follow.
            public var p50_us: UInt64
            /// 99 of 100 were no later.
            public var p99_us: UInt64
            /// 999 of 1,000 were no later.
            public var p999_us: UInt64
            /// The latest.
            public var max_us: UInt64

            /// - Parameters: microseconds, but for the count.
            public init(count: UInt64, p50: UInt64, p99: UInt64, p999: UInt64, max: UInt64) {
                (self.count, p50_us, p99_us, p999_us, max_us) = (count, p50, p99, p999, max)
            }

            init(_ histogram: Histogram<UInt64>) {
                let some = histogram.totalCount > 0
                func at(_ percentile: Double) -> UInt64 { some ? histogram.valueAtPercentile(percentile) : 0 }
                count = histogram.totalCount
                (p50_us, p99_us, p999_us, max_us) = (at(50), at(99), at(99.9), some ? histogram.max : 0)
            }
        }

        /// Requests that were signed before the load began.
        public struct Presigned: Codable, Sendable, Equatable {
            /// How many.
            public var requests: Int
            /// Seconds that encoding and signing them took.
            public var seconds: Double
            /// Microseconds of a processor for each: what the load is spared while it is measured.
            public var cpu_us: Double
            /// Requests that were signed during the load all the same, as they had not been foreseen.
            public var signed_late: Int

            /// What was counted while they were signed.
            public init(requests: Int, seconds: Double, cpuMicroseconds: Double, signedLate: Int) {
                (self.requests, self.seconds) = (requests, seconds)
                (cpu_us, signed_late) = (cpuMicroseconds, signedLate)
            }
        }

        /// `closed` or `open`.
        public var shape: String
        /// Seconds at the end that are left out of the figures.
        public var cooldown_s: Double
        /// Operations a second that were asked for.
        public var rate_tps: Double?
        /// `poisson` or `constant`.
        public var arrivals: String?
        /// Operations that were meant for the time that is measured.
        public var offered: Int?
        /// Operations that ended, in whatever way, in that time.
        public var achieved: Int?
        /// Of `achieved`: those that were committed.
        public var committed: Int?
        /// Operations that were meant for the time that is measured and whose request was never begun, for whatever
        /// reason: no latency has them. Null if the load ended with its rows.
        public var never_begun: Int?
        /// Requests that were begun after their moment, because all work that there was had to wait for other work, or
        /// as many were in flight as may be. Their latency counts from their moment.
        public var late_starts: Int?
        /// Requests whose moment came and that were never begun, for the same reasons.
        public var unstarted: Int?
        /// How late the others were begun.
        public var send_lag: Lag?
        /// Most requests that were in flight at one time.
        public var in_flight_max: Int?
        /// As many may be.
        public var in_flight_bound: Int?
        /// The bound was reached, so the load was not open any more.
        public var in_flight_bound_reached: Bool?
        /// Processors that the process of the load used, while it was measured; null if that is not known.
        public var client_cores: Double?
        /// Share of the machine's processor time that was not used, while it was measured, 0 to 1.
        public var machine_idle: Double?
        /// Share of the machine's processor time that its host gave to others, 0 to 1.
        public var machine_steal: Double?
        /// Null if every request was signed when it began.
        public var presigned: Presigned?

        /// Of a closed loop.
        public init(cooldownSeconds: Double) {
            (shape, cooldown_s) = ("closed", cooldownSeconds)
        }

        /// Of an open loop.
        /// - Parameters:
        ///   - bundle: operations of a request.
        ///   - warmupSeconds: left out at the start.
        ///   - seconds: how long the load lasted; nil if it ended with its rows.
        public init(
            _ loop: OpenLoop, bundle: Int, warmupSeconds: Double, cooldownSeconds: Double, seconds: Double?,
            measurements: Measurements, figures: OpenFigures
        ) {
            (shape, cooldown_s) = ("open", cooldownSeconds)
            (rate_tps, arrivals) = (loop.requestsPerSecond * Double(bundle), loop.arrivals.rawValue)
            // Without a fixed end: what would have been meant for the time that the rows took.
            let begin = UInt64(warmupSeconds * 1e9)
            let end = seconds.map { max(0, $0 - cooldownSeconds) } ?? warmupSeconds + measurements.elapsedSeconds
            offered = bundle * loop.count(in: begin..<max(begin, UInt64(end * 1e9)))
            (achieved, committed) = (measurements.endedWithin, measurements.committedWithin)
            if seconds != nil {
                // They are begun in their order, so that those which are missing are the last ones.
                let due = loop.count(in: 0..<max(begin, UInt64(end * 1e9)))
                never_begun = bundle * min(max(0, due - figures.begun), (offered ?? 0) / bundle)
            }
            (late_starts, unstarted) = (figures.lateStarts, figures.unstarted)
            send_lag = Lag(figures.lag)
            (in_flight_max, in_flight_bound) = (figures.maxInFlight, loop.maxInFlight)
            in_flight_bound_reached = figures.isFull
        }

        /// Takes over what the machine says; what it does not say stays null.
        public mutating func take(_ use: MachineUse?) {
            client_cores = use?.clientCores
            (machine_idle, machine_steal) = (use?.idle, use?.steal)
        }
    }
}
