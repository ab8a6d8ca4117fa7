import ArgumentParser
import Forecast
import Foundation
import Networks

/// A bench in simulated time.
struct SimulatedOption: ParsableArguments {
    @Flag(help: "Simulate instead of running processes: docs/BENCH.md, Beyond one machine.") var simulate = false
    @Option(
        help: ArgumentHelp(
            "What things cost, as quorate bench calibrate has written it. Default: measured on the machine of docs/FIGURES.md.",
            valueName: "file")) var calibration: String?
    @Flag(help: "With --simulate: all processes on one machine, as a real bench has them.") var together = false
    @Option(
        help: Whole(1...1024).help("Cores of each simulated machine. Default: 4; with --together this machine's."),
        transform: Whole(1...1024).parse) var cores: Int?
    @Option(
        help: Real(0.1...1_000_000).help(
            "With --simulate: transfers a second for each shard, whatever is answered; --rate has it for all shards together. Default: clients that wait."
        ),
        transform: Real(0.1...1_000_000).parse) var ratePerShard: Double?
    @Option(
        help: Whole(1...10_000).help(
            "With --simulate: clients for each shard, if there is no --rate-per-shard. Default: 16."),
        transform: Whole(1...10_000).parse) var clientsPerShard: Int?
    @Option(
        help: Whole(2...100_000).help("With --simulate: accounts for each shard, all as popular. Default: 200."),
        transform: Whole(2...100_000).parse) var accountsPerShard: Int?
    @Option(
        help: Whole(1...1024).help("With --simulate: runs at a time. Default: the cores."),
        transform: Whole(1...1024).parse)
    var jobs: Int?

    func validate() throws {
        let others =
            calibration != nil || together || cores != nil || ratePerShard != nil || clientsPerShard != nil
            || accountsPerShard != nil || jobs != nil
        guard simulate || !others else {
            throw ValidationError(
                "--calibration, --together, --cores, --rate-per-shard, --clients-per-shard, --accounts-per-shard and --jobs go with --simulate."
            )
        }
        guard ratePerShard == nil || clientsPerShard == nil else {
            throw ValidationError("Give one of --rate-per-shard and --clients-per-shard.")
        }
    }

    /// - Throws: `ToolError` for a file that cannot be used.
    func costs() throws -> CostModel {
        guard let calibration else { return .builtIn }
        return try CostFile.read(calibration)
    }
}

/// Costs on disk.
enum CostFile {
    /// More is no file of costs.
    private static let maxBytes = 1 << 20

    static func read(_ path: String) throws -> CostModel {
        let url = URL(fileURLWithPath: path)
        guard let handle = try? FileHandle(forReadingFrom: url), let data = try? handle.read(upToCount: maxBytes + 1)
        else { throw ToolError(.failure, "--calibration: cannot read \(path)") }
        guard data.count <= maxBytes else {
            throw ToolError(.failure, "--calibration: \(path) is larger than \(maxBytes) bytes: it is no file of costs")
        }
        let model: CostModel
        do { model = try JSONDecoder().decode(CostModel.self, from: data) } catch {
            throw ToolError(
                .failure,
                "--calibration: \(path) is no file of costs (\(why(error))); quorate bench calibrate --output makes one"
            )
        }
        if let problem = model.problem { throw ToolError(.failure, "--calibration: \(path): \(problem)") }
        return model
    }

    private static func why(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        func place(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        return switch error {
        case .keyNotFound(let key, let context):
            "\((context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: ".")) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): "\(place(context)) is not what it should be"
        case .dataCorrupted: "it is not JSON"
        @unknown default: "it cannot be decoded"
        }
    }

    static func text(_ model: CostModel) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(model), as: UTF8.self) + "\n"
    }
}
