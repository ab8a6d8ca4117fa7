import ArgumentParser
import Foundation
import HostRuntime
import Messages
import NIOCore
import Workload

struct BenchCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure transfers on fresh clusters of real processes, for each shard count.",
        discussion: """
            For each number of shards: starts a cluster of its own in a temporary folder, opens and funds the accounts so \
            that every transfer can be paid, runs the workload, waits until all replicas are at rest, and checks on the \
            state of every replica that money is conserved, that the replicas of a shard are identical and that no lock \
            is left. Nothing is left behind, even if the command is killed.

              quorate bench --shards 1,2,4 --duration 10 --report out
              quorate bench --shards 2 --trace transfers.csv.gz --clients 256
              quorate bench --shards 2,4 --cross-shard 0,50,100 --duration 5 --json > result.json
              quorate bench --shards 4 --principals 16 --bundle 256 --duration 10
              quorate bench --shards 2 --duration 20 --kill-host 1@5 --restart-host 1@12 --report out

            CLIENTS  Each has one signed request in flight, and goes on when it has itself verified the certificates that \
            prove the outcome. Latency is from the first submit to that moment, retries included.

            ORDER    An account's payments keep the order of the trace, and a payment that its account could not make \
            without money that earlier rows pay in waits for that money. So no row fails for money that the trace had \
            already paid in. Other credits wait for nothing. Waiting rows block no other rows.

            TRACE    CSV or CSV.gz with the header timestamp,from,to,amount. Replayed in row order; the time is not used. \
            Without --trace: transfers between accounts whose popularity follows Zipf's law (exponent 0.9).

            CROSS    Accounts belong to shards by a hash, so the natural share of cross-shard transfers with S shards is \
            about 1 - 1/S. --cross-shard P rewrites the receiving account of rows, to the account with the same \
            popularity rank in a shard that fits, so that exactly P % of the rows cross shards; senders, amounts and \
            order stay. One shard is measured once, whatever the shares.
            """)

    @Option(help: "Numbers of shards, one run each: 1,2,4") var shards = "1,2,4"
    @Option(help: "Replicas of each shard, and so host processes.") var replicas = 4
    @Option(help: "Gateway processes.") var gateways = 1
    @Option(help: "Requests in flight.") var clients = 64
    @Option(help: "Seconds; the workload starts over as often as needed. Default: every row once.") var duration: Double?
    @Option(help: "Seconds at the start that are left out of the figures. Default: 1 with --duration, else 0.") var warmup: Double?
    @Option(help: "A trace to replay.") var trace: String?
    @Option(help: "At most so many rows; without --trace, so many are made (default 20000).") var rows: Int?
    @Option(help: "Accounts of the built-in workload.") var accounts = 10_000
    @Option(help: "Percentages of cross-shard transfers, one run each: 0,50,100. Default: as the workload has it.") var crossShard: String?
    @Option(help: "So many members own all accounts. Default: every account has a key of its own.") var principals: Int?
    @Option(help: "Transfers under one signature at most, each with its own outcome.") var bundle = 1
    @Option(help: "Repeats a workload: keys, rows, mixes.") var seed: UInt64 = 1
    @Option(help: "Write report.html, report.csv and report.json into this folder.") var report: String?
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false
    @Option(help: "Keep the clusters' folders and logs in this folder.") var keep: String?
    @Option(help: "Kill a host as a crash would: HOST@SECONDS. May be repeated.") var killHost: [HostMoment] = []
    @Option(help: "Start a killed host again: HOST@SECONDS. May be repeated.") var restartHost: [HostMoment] = []
    @OptionGroup var hostProgram: HostProgramOption

    func validate() throws {
        _ = try Self.list(shards, "--shards", 1...4096)
        if let crossShard { _ = try Self.list(crossShard, "--cross-shard", 0...100) }
        guard replicas >= 4, replicas <= 64, replicas % 3 == 1 else { throw ValidationError("--replicas must be 3f + 1: 4, 7, 10, …") }
        guard gateways >= 1, clients >= 1, accounts >= 2 else { throw ValidationError("--gateways, --clients and --accounts must be positive.") }
        guard (1...Request.maxOperations).contains(bundle) else { throw ValidationError("--bundle must be from 1 to \(Request.maxOperations).") }
        guard bundle == 1 || principals != nil else { throw ValidationError("--bundle needs --principals: a bundle is signed by one member who owns all its paying accounts.") }
        guard (principals ?? 1) >= 1, (rows ?? 1) >= 1 else { throw ValidationError("--principals and --rows must be positive.") }
        guard (duration ?? 1) > 0, (warmup ?? 0) >= 0, (warmup ?? 0) < (duration ?? .infinity) else { throw ValidationError("--warmup must be shorter than --duration, and both positive.") }
        for moment in killHost + restartHost where !(0..<replicas).contains(moment.host) { throw ValidationError("there is no host \(moment.host); hosts are 0 to \(replicas - 1).") }
    }

    private static func list(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws -> [Int] {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0.trimmingCharacters(in: .whitespaces)) }
        let valid = numbers.compactMap { $0 }.filter { range.contains($0) }
        guard valid.count == numbers.count, Set(valid).count == valid.count else {
            throw ValidationError("\(option) takes different numbers from \(range.lowerBound) to \(range.upperBound), separated by commas; got \"\(text)\".")
        }
        return valid
    }

    func execute() async throws {
        // One loop for all connections: what an answer releases is sent from the thread on which it arrived.
        NIOSingletons.groupLoopCountSuggestion = 1
        let options = try options()
        let workload = try loadWorkload()
        let mixes: [Int?] = try crossShard.map { try Self.list($0, "--cross-shard", 0...100) } ?? [nil]
        let keys = AccountKeys(accounts: workload.trace.accounts.count, members: principals, seed: seed)
        let root = try BenchFolder(keep: keep)
        defer { root.remove() }
        var runs: [RunResult] = []
        for count in try Self.list(shards, "--shards", 1...4096) {
            for mix in count == 1 ? [nil] : mixes {
                let run = BenchRun(
                    shards: count, crossShard: mix, options: options, workload: workload, keys: keys, folder: root.path)
                runs.append(try await run.measure())
            }
        }
        try finish(BenchReport(runs: runs))
    }

    private func options() throws -> BenchOptions {
        BenchOptions(
            replicas: replicas, gateways: gateways, clients: clients, duration: duration, warmup: warmup ?? (duration == nil ? 0 : min(1, (duration ?? 1) / 4)),
            principals: principals, bundle: bundle, seed: seed, keep: keep != nil, kills: killHost, restarts: restartHost,
            hostProgram: try hostProgram.path())
    }

    private func loadWorkload() throws -> BenchWorkload {
        guard let trace else {
            let made = SkewedWorkload(accounts: accounts, transfers: rows ?? 20_000, seed: seed).trace()
            return BenchWorkload(name: "built in, Zipf 0.9", trace: made)
        }
        let read = try TraceReader.read(trace, limit: rows ?? .max)
        var line = "\(trace): \(read.rows.count) transfers between \(read.accounts.count) accounts"
        if read.skippedSelfTransfers > 0 { line += ", left out \(read.skippedSelfTransfers) from an account to itself" }
        if read.skippedZeroAmounts > 0 { line += ", left out \(read.skippedZeroAmounts) of zero" }
        Console.error(line)
        return BenchWorkload(name: URL(fileURLWithPath: trace).lastPathComponent, trace: read)
    }

    private func finish(_ result: BenchReport) throws {
        if let report {
            try result.write(to: report, title: "Quorate bench", machine: Machine.description)
            Console.error("report: \(URL(fileURLWithPath: report).standardizedFileURL.path)/report.html")
        }
        if json { Console.out(try result.json()) } else { Console.out(result.table()) }
        var failed = false
        for run in result.runs where !run.invariants.allHold {
            failed = true
            for problem in run.invariants.problems { Console.error("INVARIANT FAILED, \(run.shards) shards: \(problem)") }
        }
        if failed { throw ExitCode(ExitReason.invariantFailed.rawValue) }
        if !json { Console.out("invariants hold on every replica: money conserved, replicas identical, no lock left") }
        let open = result.runs.reduce(0) { $0 + $1.unknown }
        let forged = result.runs.reduce(0) { $0 + $1.retries.invalid_receipts }
        guard open == 0, forged == 0 else {
            throw ToolError(.benchIncomplete, "\(open) transfers have no certified outcome, \(forged) receipts were not valid")
        }
    }
}

/// `HOST@SECONDS`.
struct HostMoment: ExpressibleByArgument, Sendable {
    let host: Int
    let seconds: Double

    init?(argument: String) {
        let parts = argument.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, let host = Int(parts[0]), let seconds = Double(parts[1]), seconds >= 0, seconds < 1e6 else { return nil }
        (self.host, self.seconds) = (host, seconds)
    }
}

enum Machine {
    static var description: String {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let model = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
            .first { $0.hasPrefix("model name") }?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        return "\(cores) cores\(model.map { ", \($0)" } ?? "")."
    }
}
