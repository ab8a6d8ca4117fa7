extension RunResult {
    /// Of a run in simulated time: what it was simulated with, and what limits it.
    public struct Simulation: Codable, Sendable, Equatable {
        /// A thread that was at work for much of the measured time.
        public struct Thread: Codable, Sendable, Equatable {
            /// Whose it is: `host 3 (shard 0)`, `gateway 1`, `clients of gateway 1`.
            public var process: String
            /// What it does: `protocol`, `sockets`, `journal`, `stores`, `verifier`.
            public var thread: String
            /// Of the measured time, 0 to 1: with a core, or waiting for the disk.
            public var share: Double

            /// - Parameter share: 0 to 1.
            public init(process: String, thread: String, share: Double) {
                (self.process, self.thread, self.share) = (process, thread, share)
            }
        }

        /// The name of the costs' file.
        public var calibration: String
        /// Where its costs were measured.
        public var calibrated: String
        /// `apart`: each replica, gateway and client on a machine of its own; `together`: all on one.
        public var placement: String
        /// Of each machine.
        public var cores: Int
        /// The network's name.
        public var network: String
        /// Transfers a second that were offered in all; null for a closed loop.
        public var offered_tps: Double?
        /// The busiest thread of each kind, the busiest first.
        public var busiest: [Thread]
        /// Of the busiest machine's cores in the measured time, 0 to 1.
        public var busiest_machine: Double
        /// In words: what the run comes up against first.
        public var limit: String
        /// Views that replicas left.
        public var view_changes: Int
        /// Events of the simulation.
        public var events: Int
        /// Seconds of simulated time, opening and funding included, and of real time.
        public var simulated_s: Double
        /// Seconds that simulating took.
        public var real_s: Double

        /// As `Forecast` has found them.
        public init(
            calibration: String, calibrated: String, placement: String, cores: Int, network: String,
            offered: Double?, busiest: [Thread], busiestMachine: Double, limit: String, viewChanges: Int, events: Int,
            simulatedSeconds: Double, realSeconds: Double
        ) {
            (self.calibration, self.calibrated, self.placement) = (calibration, calibrated, placement)
            (self.cores, self.network, offered_tps) = (cores, network, offered)
            (self.busiest, busiest_machine, self.limit) = (busiest, busiestMachine, limit)
            (view_changes, self.events) = (viewChanges, events)
            (simulated_s, real_s) = (simulatedSeconds, realSeconds)
        }
    }
}
