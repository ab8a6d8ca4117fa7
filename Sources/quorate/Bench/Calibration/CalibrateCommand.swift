import ArgumentParser
import Forecast
import Foundation
import NIOCore
import Workload

/// Measures what `quorate bench --simulate` charges.
struct CalibrateCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate",
        abstract: "Measure on this machine what quorate bench --simulate charges.",
        discussion: """
            Signatures, threads, sockets and syncs are measured each by itself; the steps of hosts, gateways and clients, and \
            the coding of their messages, while a simulation runs them.

              quorate bench calibrate --fit --output here.json
              quorate bench --simulate --calibration here.json --shards 1,4,16,64 --cross-shard 10
              quorate bench calibrate --calibration here.json --validate

            FIT      --fit starts two real clusters, with 1 client and with 256, and fits what is not explained by the parts: what \
            it costs to wake a thread and to pass a message on, and how long a sync takes.

            VALIDATE --validate runs real benches and simulates them, all processes on one machine, and shows both. --report FOLDER \
            writes that down, with the real runs.

            Nothing else should run meanwhile.
            """)

    @Option(help: ArgumentHelp("Write the costs here.", valueName: "file")) var output: String?
    @OptionGroup var reporting: ReportOption
    @Option(help: "What the costs are called in reports.") var name = "calibrated"
    @Flag(help: "Fit two real runs.") var fit = false
    @Flag(name: .customLong("validate"), help: "Show predictions beside real runs.") var validates = false
    @Option(help: ArgumentHelp("Validate these costs instead of measuring.", valueName: "file")) var calibration:
        String?
    @Option(help: "Numbers of shards to validate with.") var shards = "1,2,4,8"
    @Option(help: Limits.clients.help("Requests in flight while validating."), transform: Limits.clients.parse)
    var clients = 64
    @Option(help: Real(1...3600).help("Seconds of each real run."), transform: Real(1...3600).parse) var duration = 8.0
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false

    func validate() throws {
        _ = try BenchCommand.list(shards, "--shards", 1...64)
        guard calibration == nil || (!fit && output == nil) else {
            throw ValidationError("--calibration goes with --validate, and without --fit and --output.")
        }
        guard reporting.report == nil || validates else { throw ValidationError("--report goes with --validate.") }
        guard calibration == nil || validates else { throw ValidationError("--calibration goes with --validate.") }
    }

    func execute() async throws {
        try reporting.prepare()
        if let output, !reporting.overwrite, FileManager.default.fileExists(atPath: output) {
            throw ToolError(.folderExists, "--output: \(output) exists already; choose another file, or --overwrite")
        }
        // As the bench has it.
        NIOSingletons.groupLoopCountSuggestion = 1
        let root = try BenchFolder(keep: nil)
        defer { root.remove() }
        var costs = try calibration.map { try CostFile.read($0) } ?? measure(in: root)
        let runs = ComparedRuns(folder: root.path, duration: duration)
        if fit {
            costs = try await runs.fit(costs)
            costs.source += ", fitted to two runs"
        }
        if let output {
            do {
                try Data(try CostFile.text(costs).utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
            } catch {
                throw ToolError(.failure, "--output: cannot write \(output)")
            }
        }
        guard validates else {
            if json { try Console.json(costs) } else if output == nil { Console.out(try CostFile.text(costs)) }
            return
        }
        let compared = try await runs.compare(
            costs, shards: try BenchCommand.list(shards, "--shards", 1...64), clients: clients)
        guard let predictions = compared.predictions else { return }
        if json { try Console.json(predictions) } else { Console.out(predictions.text) }
        try reporting.write { try compared.write(to: $0, title: "Quorate bench calibrate") }
    }

    private func measure(in root: BenchFolder) throws -> CostModel {
        let folder = root.path + "/parts"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        Console.error("measuring signatures, threads, sockets and the disk")
        let parts = MachineMeasurement(folder: folder)
        let signatures = parts.signatures()
        var costs = CostModel.builtIn
        (costs.verify_ns, costs.sign_ns) = (signatures.verify, signatures.sign)
        do { costs.machine = try parts.machine() } catch let error as MeasurementError {
            throw ToolError(.failure, "calibrate: \(error.description)")
        }
        Console.error("measuring the steps of hosts, gateways and clients")
        let meter = StepMeter(clock: ProcessorTime.thread)
        for (shards, clients) in [(1, 1), (2, 64), (1, 256), (4, 256)] {
            let trace = SkewedWorkload(accounts: 10_000, transfers: 20_000, seed: 1).trace()
            let keys = AccountKeys(accounts: 10_000, seed: 1)
            let options = ForecastOptions(
                shards: shards, cores: 2, placement: .together, load: .closed(clients: clients), duration: 2,
                warmup: 0.5, costs: costs)
            _ = try Forecast(
                options, ForecastWorkload(name: "calibration", trace: trace, keys: keys, crossShardPercent: nil),
                meter: meter
            ).run()
        }
        costs.steps = meter.steps()
        (costs.encode, costs.decode) = try meter.coding()
        costs.name = name
        let made = Made.now
        costs.source =
            "\(made.cpu ?? "an unknown processor"), \(made.cores) cores, \(made.date), version \(made.version)"
        return costs
    }
}
