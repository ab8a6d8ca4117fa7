import StrictInput

/// What simulations predicted of real runs, and what those came to. The keys are a promise, as those of `RunResult`.
public struct Predictions: Codable, Sendable, Equatable {
    /// One real run beside a simulated one of the same.
    public struct Row: Codable, Sendable, Equatable {
        /// Of both.
        public let shards: Int
        /// Operations a second.
        public let predicted_tps: Double
        /// The same.
        public let measured_tps: Double
        /// Of the measured throughput, above or below it.
        public let tps_error: Double
        /// Of the kind, within a shard or across shards, of which the real run had more.
        public let predicted_p50_us: UInt64
        /// Of the same kind.
        public let measured_p50_us: UInt64
        /// Of the measured median, above or below it.
        public let p50_error: Double
        /// Of all processes, for each committed transfer.
        public let predicted_cpu_us: Double?
        /// The same.
        public let measured_cpu_us: Double?
        /// What the simulation came up against first.
        public let limit: String

        /// Of two runs of one combination.
        public init(predicted: RunResult, measured: RunResult) {
            // One kind for both: they need not have the same one more often.
            let kind = measured.cross.count > measured.intra.count ? \RunResult.cross : \RunResult.intra
            shards = measured.shards
            (predicted_tps, measured_tps) = (predicted.throughput_tps, measured.throughput_tps)
            tps_error = measured_tps > 0 ? predicted_tps / measured_tps - 1 : 0
            (predicted_p50_us, measured_p50_us) = (predicted[keyPath: kind].p50_us, measured[keyPath: kind].p50_us)
            p50_error = Double(predicted_p50_us) / Double(max(1, measured_p50_us)) - 1
            (predicted_cpu_us, measured_cpu_us) = (Self.cpu(predicted), Self.cpu(measured))
            limit = predicted.simulation?.limit ?? ""
        }

        private static func cpu(_ run: RunResult) -> Double? {
            guard let costs = run.costs, let hosts = costs.hosts?.cpu_us, let gateways = costs.gateways?.cpu_us,
                let load = costs.load?.cpu_us
            else { return nil }
            return hosts + gateways + load
        }
    }

    /// The name of the costs.
    public let calibration: String
    /// Requests in flight, of both.
    public let clients: Int
    /// By the real runs.
    public let rows: [Row]

    /// - Parameter calibration: the name of the costs.
    public init(calibration: String, clients: Int, rows: [Row]) {
        (self.calibration, self.clients, self.rows) = (calibration, clients, rows)
    }

    private var cells: [[String]] {
        func percent(_ error: Double) -> String { "\(error < 0 ? "" : "+")\(decimal(error * 100, 0)) %" }
        func text(_ value: Double?) -> String { value.map { decimal($0, 0) } ?? "-" }
        let header = [
            "shards", "tps SIMULATED", "tps measured", "error", "p50 ms SIMULATED", "p50 ms measured", "error",
            "CPU µs SIMULATED", "CPU µs measured", "limited by",
        ]
        return [header]
            + rows.map { row in
                [
                    "\(row.shards)", text(row.predicted_tps), text(row.measured_tps), percent(row.tps_error),
                    decimal(Double(row.predicted_p50_us) / 1000, 2), decimal(Double(row.measured_p50_us) / 1000, 2),
                    percent(row.p50_error), text(row.predicted_cpu_us), text(row.measured_cpu_us), row.limit,
                ]
            }
    }

    /// As a terminal shows it.
    public var text: String { TextTable.aligned(cells) }

    func html() -> String {
        let caption = "Simulated with the costs \"\(calibration)\", beside real runs with \(clients) requests in flight"
        return
            "<div class=\"card wide\"><h2>Predicted and measured</h2>\(HTML.table(cells, caption: caption, text: [0, 9]))</div>\n"
    }
}

extension ReportSection {
    /// How far simulations of the same were off.
    static let predictions = ReportSection(id: "predictions", title: "Predictions") {
        $0.report.predictions?.html() ?? ""
    }
}
