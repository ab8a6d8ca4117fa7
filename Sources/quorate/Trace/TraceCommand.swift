import ArgumentParser
import Foundation
import HostRuntime
import Messages
import Workload

struct TraceCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Show where the time of one transaction went.",
        discussion: """
            Asks all hosts and gateways for the moments at which the transaction passed them, and draws them, in \
            milliseconds from its signing. A cluster traces what it was told to when it was started, and keeps the \
            newest some thousand requests:

              quorate cluster up demo --trace-rate 1
              quorate transfer alice bob 250 --cluster demo
              quorate trace TXID --cluster demo
              quorate trace TXID --cluster demo --perfetto trace.json     # for https://ui.perfetto.dev

            If there is nothing to show, the exit code is \(ExitReason.notTraced.rawValue).
            """)

    @Argument(help: "The transaction: 64 hexadecimal digits, as transfer prints them.") var txid: String
    @OptionGroup var cluster: ClusterOption
    @Option(help: "Write the trace into this file too, in the trace-event format, which ui.perfetto.dev opens.")
    var perfetto: String?
    @Flag(help: "Replace the file, if there is one.") var overwrite = false
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        guard Digest(hex: txid.lowercased()) != nil else {
            throw ValidationError("TXID has 64 hexadecimal digits; got \"\(txid)\".")
        }
    }

    func execute() async throws {
        let processes = try cluster.open()
        try TraceReport.checkFile(perfetto, overwrite: overwrite)
        guard let given = Digest(hex: txid.lowercased()) else { throw ToolError(.failure, "no transaction: \(txid)") }
        // An independent leg has an id of its own, and its receipt says of which request it is.
        let request = Self.request(named: given, in: processes.folder.path) ?? given
        let trace = try await TraceSearch(processes: processes).trace(of: request)
        let report = TraceReport(trace, txid: given.hex, processes.folder.manifest)
        try report.write(perfetto: perfetto)
        if json { try Console.json(report) } else { Console.out(report.text) }
    }

    /// As the receipt in the cluster's folder has it; nil without one.
    private static func request(named txid: Digest, in folder: String) -> Digest? {
        let path = "\(folder)/receipts/\(txid.hex).json"
        guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
        return (try? ReceiptDocument(Array(bytes), file: path))?.receipt.request.digest
    }
}

/// What is printed and written of a trace.
struct TraceReport: Encodable, Sendable {
    struct Moment: Encodable, Sendable {
        /// `host 2`.
        var process: String
        /// As the protocol calls it: `pre_prepared`.
        var what: String
        var shard: Int?
        var batch: UInt64?
        /// From the first moment.
        var at_ms: Double
    }

    var schema = 1
    var txid: String
    /// The digest of the signed request that it is a part of.
    var request: String
    var shards: [Int]
    /// From signing to the verified outcome, as far as it is known.
    var total_ms: Double?
    /// By phase, of the slowest shard; those that are not known are left out.
    var phases_ms: [String: Double]
    var moments: [Moment]
    private let trace: RequestTrace

    private enum CodingKeys: String, CodingKey {
        case schema, txid, request, shards, total_ms, phases_ms, moments
    }

    init(_ trace: RequestTrace, txid: String, _ manifest: Manifest) {
        (self.trace, self.txid, request) = (trace, txid, trace.request.hex)
        shards = trace.shards.map { Int($0.number) }
        let quorum = trace.shards.first.flatMap { manifest.hasShard($0) ? manifest.group(of: $0).weakQuorum : nil } ?? 1
        let times = PhaseTimes(trace, quorum: quorum)
        total_ms = times[.total].map(Self.milliseconds)
        phases_ms = [:]
        for phase in Phase.allCases where phase != .total {
            if let time = times[phase] { phases_ms[phase.rawValue] = Self.milliseconds(time) }
        }
        let zero = trace.entries.first?.stamp.at ?? 0
        moments = trace.entries.map { entry in
            let stamp = entry.stamp
            return Moment(
                process: "\(entry.source)", what: Self.name(stamp.kind), shard: stamp.shard.map { Int($0.number) },
                batch: stamp.kind.rawValue >= StampKind.prePrepared.rawValue ? stamp.number : nil,
                at_ms: Self.milliseconds(stamp.at - zero))
        }
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> Double { (Double(nanoseconds) / 1e3).rounded() / 1e3 }

    /// `prePrepared` as JSON has it.
    private static func name(_ kind: StampKind) -> String {
        "\(kind)".reduce(into: "") { text, letter in
            if letter.isUppercase { text += "_" }
            text += letter.lowercased()
        }
    }

    var text: String {
        let places = "\(shards.count == 1 ? "shard" : "shards") \(shards.map(String.init).joined(separator: " and "))"
        let took = total_ms.map { ", \($0) ms from its signing to the last that is known of its answer" } ?? ""
        return "\(txid) on \(places)\(took)\n\n" + Waterfall(trace).text
    }

    /// Before anything is asked.
    static func checkFile(_ path: String?, overwrite: Bool) throws {
        guard let path, !overwrite, FileManager.default.fileExists(atPath: path) else { return }
        throw ToolError(
            .folderExists, "--perfetto: \(path) exists already; choose another file, or replace it with --overwrite")
    }

    func write(perfetto path: String?) throws {
        guard let path else { return }
        let text = try Console.document(PerfettoTrace(trace)) + "\n"
        do { try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw ToolError(.output, "--perfetto: cannot write \(path): \(ToolError(error).description)")
        }
    }
}
