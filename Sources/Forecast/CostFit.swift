import Workload

/// Fits what small measurements do not explain: what it takes to wake a thread and to pass a message on, in real
/// processes with cold caches, and how long a sync takes on the disk that they use. Two real runs give two equations for
/// processor time: with one client nearly everything is waking, with many it is passing on. The lone client's latency
/// has two syncs in a row, which gives the third.
public struct CostFit: Sendable {
    /// One real run beside its forecast.
    public struct Observation: Sendable {
        /// Microseconds of processor time of all processes for each committed transfer.
        public var realCPU: Double
        /// Median latency, in microseconds.
        public var realMedian: Double
        /// What the forecast said.
        public var forecastCPU: Double
        /// What the forecast said.
        public var forecastMedian: Double
        /// Of the forecast, for each committed transfer: threads woken.
        public var wakes: Double
        /// Of the forecast, for each committed transfer: messages, each sent and received.
        public var messages: Double

        /// Nil where one of the runs has no costs.
        public init?(real: RunResult, forecast: RunResult) {
            guard let measured = Self.cpu(real), let predicted = Self.cpu(forecast), let costs = forecast.costs,
                let messages = costs.messages
            else { return nil }
            (realCPU, forecastCPU) = (measured, predicted)
            (realMedian, forecastMedian) = (Double(real.intra.p50_us), Double(forecast.intra.p50_us))
            wakes = [costs.hosts, costs.gateways, costs.load].reduce(0) { $0 + ($1?.voluntary_switches ?? 0) }
            // And the request of the client, which nobody counts.
            self.messages = messages + 1
        }

        /// For tests of the arithmetic.
        public init(
            realCPU: Double, realMedian: Double, forecastCPU: Double, forecastMedian: Double, wakes: Double,
            messages: Double
        ) {
            (self.realCPU, self.realMedian) = (realCPU, realMedian)
            (self.forecastCPU, self.forecastMedian) = (forecastCPU, forecastMedian)
            (self.wakes, self.messages) = (wakes, messages)
        }

        private static func cpu(_ run: RunResult) -> Double? {
            guard let costs = run.costs, let hosts = costs.hosts?.cpu_us, let gateways = costs.gateways?.cpu_us,
                let load = costs.load?.cpu_us
            else { return nil }
            return hosts + gateways + load
        }
    }

    /// Syncs that a lone transfer waits for, one after the other (docs/ARCHITECTURE.md).
    private static let syncsInRow = 2.0

    /// A model that explains both runs, as far as costs that are not below zero can. One step of an iteration: forecasts
    /// with the new model differ a little in what they wake.
    /// - Parameters:
    ///   - lone: of one client.
    ///   - many: of as many as keep the machine busy.
    public static func refine(_ model: CostModel, lone: Observation, many: Observation) -> CostModel {
        var model = model
        func gap(_ run: Observation) -> Double {
            // With what the model has for both, so that they may also become less.
            (run.realCPU - run.forecastCPU) * 1000 + run.wakes * model.machine.wake_ns
                + 2 * run.messages * model.machine.frame_ns
        }
        let rows = [(lone.wakes, 2 * lone.messages, gap(lone)), (many.wakes, 2 * many.messages, gap(many))]
        // Each run counts alike, however long its transfers take.
        let scaled = rows.map { ($0.0 / abs($0.2), $0.1 / abs($0.2), $0.2 / abs($0.2)) }.filter { $0.0.isFinite }
        var (products, targets) = ([0.0, 0, 0, 0], [0.0, 0])
        for (wakes, messages, gap) in scaled {
            for (i, a) in [wakes, messages].enumerated() {
                targets[i] += a * gap
                for (j, b) in [wakes, messages].enumerated() { products[2 * i + j] += a * b }
            }
        }
        let solution = LeastSquares.solve(products, targets)
        (model.machine.wake_ns, model.machine.frame_ns) = (solution[0], solution[1])
        let late = (lone.realMedian - lone.forecastMedian) * 1000 / syncsInRow
        model.machine.sync_wait_ns = max(0, model.machine.sync_wait_ns + late)
        return model
    }
}
