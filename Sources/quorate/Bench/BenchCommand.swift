import ArgumentParser
import Foundation
import Histories
import HostRuntime
import Messages
import NIOCore
import Workload

struct BenchCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract:
            "Measure transfers, SmallBank, YCSB+T, calls, or transactions whose history is checked, on fresh clusters of real processes, for each shard count.",
        discussion: """
            For each number of shards: starts a cluster of its own in a temporary folder, opens and funds the accounts so \
            that every transfer can be paid, runs the workload, waits until all replicas are at rest, and checks on the \
            state of every replica that money is conserved, that the replicas of a shard are identical and that no lock \
            is left, and on what clients saw that it is strictly serializable. No process is left behind, even if the \
            command is killed.

              quorate bench --shards 1,2,4 --duration 10 --report out
              quorate bench --shards 2 --trace transfers.csv.gz --clients 256
              quorate bench --shards 2,4 --cross-shard 0,50,100 --duration 5 --json > result.json
              quorate bench --shards 4 --principals 16 --bundle 256 --duration 10
              quorate bench --shards 2 --duration 20 --kill-host 1@5 --restart-host 1@12 --report out
              quorate bench --workload list-append --shards 4 --duration 10 --history history.jsonl
              quorate bench --workload list-append --shards 2 --gateways 2 --duration 30 --kill-gateway 0@5 \
                --restart-gateway 0@10 --kill-gateway 1@15 --restart-gateway 1@20 --history history.jsonl
              quorate bench --shards 2 --rate 800 --duration 20 --repeat 6 --report out
              quorate bench --shards 1,2,4 --find-knee --knee-p99 100
              quorate bench --workload bank --shards 2 --duration 5 --history bank.edn
              quorate bench --workload kv --shards 2 --duration 5 --history kv.edn
              quorate bench --latencies
              quorate bench --simulate --shards 1,4,16,64 --cross-shard 0,10 --rate-per-shard 300 --report forecast

            REPORT   --report FOLDER: a page, a table and JSON, with the date, the version, the command line and the processor. Nothing that \
            is there is overwritten without --overwrite.

            FAULTS   --kill-host and the others happen at their second of the load, which is from 0 to less than --duration. \
            --fault does to whoever leads then, or to gateway 0, what its name says (docs/BENCH.md#faults).

            CLIENTS  Each has one signed request in flight, and goes on when it has itself verified the certificates that \
            prove the outcome. Latency is from the first submit to that moment, retries included.

            RATE     --rate R begins R transfers a second whether or not earlier ones are answered, at moments that are fixed \
            beforehand (--arrivals). Latency counts from these moments, and so a stall is in it as its users would find it. Up \
            to \(OpenLoop.usualMaxInFlight) requests are in flight.

            VALID    A run says when its figures say nothing of the cluster: the load or the machine was the bottleneck, the rate \
            was not met, repeated runs vary too much, something broke. INVALID and the reason stand in the table, the report and \
            the JSON (validity); the exit code is that of a run without them.

            ORDER    An account's payments keep the order of the trace, however many of them are in flight: each \
            request names the one before, and the shards keep to it. A payment that its account could not make without \
            money that earlier rows pay in waits for that money. So no row fails for money that the trace had already \
            paid in. Other credits wait for nothing. Waiting rows block no other rows.

            TRACE    CSV or CSV.gz with the header timestamp,from,to,amount. Replayed in row order; the time is not used. \
            Without --trace: transfers between accounts whose popularity follows Zipf's law (exponent 0.9).

            CROSS    Accounts belong to shards by a hash, so the natural share of cross-shard transfers with S shards is \
            about 1 - 1/S. --cross-shard P rewrites the receiving account of rows, to the account with the same \
            popularity rank in a shard that fits, so that exactly P % of the rows cross shards; senders, amounts and \
            order stay. One shard is measured once, whatever the shares.

            \(WorkloadOptions.help)

            LISTS    --workload list-append: each client appends unique values to lists under keys and reads lists, 1 to 4 \
            operations in one transaction over several shards, some lists hot. A transaction that dies because others stand \
            in its way counts neither as committed nor as aborted: it is tried again, as old as it was, and latency is from the first \
            try.

            BANK     --workload bank: transfers of 1 to 5 between eight balances that procedures keep under keys, each 100 at first, and \
            reads of all eight at once. --workload kv: texts under keys are read, replaced and appended to, one key at a time.

            HISTORY  Every call and every answer is noted, and at the end a checker looks for an order of all transactions that \
            explains what each read and never puts one before another that had returned when it began. If there is none the \
            command fails, and shows why. Beside transfers, \(HistoryProbe.clients) clients make \(HistoryProbe.perSecond) small \
            transactions a second in all, on \(HistoryProbe.shape.lists) lists of up to as many shards, whatever the load. The \
            figures do not count them; of a load that is itself a few transactions a second they are a part of the work. At the end \
            everything is read once more. --history FILE writes JSON lines, or EDN, for other checkers, one file for each run (type is \
            invoke, ok, fail or info; after info a process is not used again). At most \(SerializabilityChecker.benchLimit) \
            transactions are recorded: a load that is its own history ends there, and transfers go on without; the result says so (is_full).

            GATEWAYS When a client's gateway is gone it sends the same signed bytes through another one, which cannot make them \
            happen twice. When no gateway is left, and none is to be started again, the command ends with code \
            \(ExitReason.gatewaysLost.rawValue). Of recorded transactions whose outcome nobody could tell in time, the history \
            says info, and it is judged with them; after a fault that was asked for they are no failure.

            NETWORK  --network lan, aws-5-regions or a matrix file: each connection of hosts, gateways and the load gets the delays, \
            jitter, losses and bandwidth of the link between its regions, by delay lines in the processes. Hosts and gateways wait \
            longer before they suspect or repeat, by the longest round trip. docs/BENCH.md has the model, the figures' source and \
            the file.

              quorate bench --shards 1,2 --network aws-5-regions --clients 256 --duration 20 --report wan

            LATENCY  --latencies measures one request at a time, by default on 8 shards: transfers inside a shard, atomic ones over \
            2, 4 and 8 shards, and calls 1, 2 and 4 deep (a procedure that calls one that calls one …, each on another shard), \
            beside the message delays and syncs that each must wait for, with the formula.

            SIMULATE --simulate runs the same code in simulated time, with what things cost on this machine or another: each replica \
            on a machine of its own, for as many shards as are wanted.
            """)

    @Option(
        help:
            "What the clients do: transfers, smallbank, ycsb-t, settlement, calls, procedures, or list-append, bank and kv, of which every answer is checked."
    ) var workload = BenchKind.transfers
    @OptionGroup(title: "Workloads") var workloadOptions: WorkloadOptions
    @Option(
        help: "Numbers of shards, one run each. Default: 1,2,4, for calls as many as they need; 8 with --latencies.")
    var shards: String?
    @Option(
        help: Limits.replicas.help("Replicas of each shard, and so host processes."), transform: Limits.replicas.parse)
    var replicas = 4
    @Option(help: Limits.someGateways.help("Gateway processes."), transform: Limits.someGateways.parse) var gateways = 1
    @Option(
        help: Limits.clients.help("Requests in flight. Default: 64; 16 with list-append, bank and kv."),
        transform: Limits.clients.parse) var clients: Int?
    @Option(
        help: Real(0.01...86_400).help(
            "Seconds; the workload starts over as often as needed. Default: every row once; 10 with other workloads than transfers."
        ),
        transform: Real(0.01...86_400).parse) var duration: Double?
    @Option(
        help: Real(0...86_400).help(
            "Seconds at the start that are left out of the figures. Default: 1 with --duration, else 0."),
        transform: Real(0...86_400).parse) var warmup: Double?
    @Option(help: "A trace to replay.") var trace: String?
    @Option(
        help: Whole(1...10_000_000).help("At most so many rows; without --trace, so many are made (default 20000)."),
        transform: Whole(1...10_000_000).parse) var rows: Int?
    @Option(
        help: Limits.accounts.help("Accounts of the built-in workload, or of settlements. Default: 10000."),
        transform: Limits.accounts.parse) var accounts: Int?
    @Option(help: "Percentages of cross-shard transfers, one run each: 0,50,100. Default: as the workload has it.")
    var crossShard: String?
    @Option(
        help: Whole(1...1_000_000).help(
            "So many members own all accounts. Default: every account has a key of its own; 64 with settlement. With calls, so many keys sign in turn; default 256."
        ),
        transform: Whole(1...1_000_000).parse) var principals: Int?
    @Option(
        help: Whole(1...Request.maxOperations).help(
            "Transfers under one signature at most, each with its own outcome."),
        transform: Whole(1...Request.maxOperations).parse) var bundle = 1
    @Option(help: Limits.seed.help("Repeats a workload: keys, rows, mixes."), transform: Limits.seed.parse) var seed:
        UInt64 = 1
    @Option(
        help: Whole(4...1_000_000).help(
            "Lists in use at a time, with list-append. Default: four for each client, at least 16."),
        transform: Whole(4...1_000_000).parse) var lists: Int?
    @Option(
        help:
            "Write the history of transactions on lists, bank or keys into this file: EDN as Elle, elle-cli and Porcupine read it if it ends in .edn, otherwise JSON lines."
    ) var history: String?
    @Flag(help: "Measure single requests, of each kind, one at a time.") var latencies = false
    @Option(
        help: Whole(1...100_000).help("Requests of each kind with --latencies. Default: 200."),
        transform: Whole(1...100_000).parse) var samples: Int?
    @Option(
        help: Limits.traceRate.help(
            "The share of requests of which it is told where their time went. Default: 1 in 64; 0 with --host-program."),
        transform: Limits.traceRate.parse) var traceRate: Double?
    @OptionGroup var reporting: ReportOption
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false
    @Option(help: "Keep the clusters' folders and logs in this folder.") var keep: String?
    @Option(
        help: ProcessMoment.help("Kill a host as a crash would: HOST@SECONDS. May be repeated."),
        transform: ProcessMoment.parse) var killHost: [ProcessMoment] = []
    @Option(
        help: ProcessMoment.help("Start a killed host again: HOST@SECONDS. May be repeated."),
        transform: ProcessMoment.parse) var restartHost: [ProcessMoment] = []
    @Option(
        help: ProcessMoment.help("Stop a host as a paused machine would (SIGSTOP): HOST@SECONDS. May be repeated."),
        transform: ProcessMoment.parse)
    var stopHost: [ProcessMoment] = []
    @Option(
        help: ProcessMoment.help("Continue a stopped host: HOST@SECONDS, or else when the load ends. May be repeated."),
        transform: ProcessMoment.parse)
    var continueHost: [ProcessMoment] = []
    @Option(
        help: ProcessMoment.help(
            "Kill a gateway: GATEWAY@SECONDS. Clients go on through another one. May be repeated."),
        transform: ProcessMoment.parse)
    var killGateway: [ProcessMoment] = []
    @Option(
        help: ProcessMoment.help("Start a killed gateway again: GATEWAY@SECONDS. May be repeated."),
        transform: ProcessMoment.parse) var restartGateway: [ProcessMoment] = []
    @Option(
        help:
            "Whether clients and gateways speak TLS. Off by default, so that figures compare with those of before there was TLS; the report says which."
    ) var clientTLS = ClientTLS.off
    @OptionGroup var hostProgram: HostProgramOption
    @OptionGroup var network: NetworkOption
    @OptionGroup var load: LoadOptions
    @OptionGroup var faultOption: FaultOption
    @OptionGroup var simulated: SimulatedOption

    func validate() throws {
        _ = try shardCounts()
        if let crossShard { _ = try Self.list(crossShard, "--cross-shard", 0...100) }
        try Limits.checkReplicas(replicas)
        guard bundle == 1 || principals != nil else {
            throw ValidationError(
                "--bundle needs --principals: a bundle is signed by one member who owns all its paying accounts.")
        }
        guard lists == nil || workload == .listAppend else { throw ValidationError("--lists goes with list-append.") }
        guard traceRate == nil || workload.isOfTransfers && !latencies else {
            throw ValidationError("--trace-rate is for transfers and settlements.")
        }
        guard (warmup ?? 0) < (seconds ?? .infinity) else {
            throw ValidationError("--warmup must be shorter than --duration.")
        }
        if !latencies {
            try workloadOptions.validate(
                for: workload, shards: try shardCounts(), hasCrossShard: crossShard != nil)
        }
        try validateKind()
        try load.check(self)
        try validateSimulated()
        for moment in killHost + restartHost + stopHost + continueHost {
            try Limits.checkHost(moment.number, of: replicas)
        }
        for moment in killGateway + restartGateway { try Limits.checkGateway(moment.number, of: gateways) }
        try individualFaults.check(end: seconds)
        try faultOption.check(others: individualFaults, duration: seconds, gateways: gateways)
    }

    private func validateKind() throws {
        switch workload {
        case .transfers, .listAppend, .bank, .keyValue: break
        case .smallbank, .ycsbT, .calls, .procedures, .settlement:
            guard trace == nil, rows == nil, bundle == 1, workload == .settlement || accounts == nil else {
                throw ValidationError(
                    "--trace, --rows and --bundle are for transfers, --accounts also for settlement.")
            }
            guard hostProgram.hostProgram == nil || workload == .settlement || workload == .procedures else {
                throw ValidationError(
                    "--workload \(workload.rawValue) calls procedures of the tool's own hosts; leave --host-program out."
                )
            }
        }
        let ofTransfers =
            trace != nil || rows != nil || accounts != nil || crossShard != nil || principals != nil || bundle != 1
        guard trace == nil || workloadOptions.skew == nil else {
            throw ValidationError("--skew is for the built-in workload; a trace has the skew that it has.")
        }
        if workload.isRecorded, ofTransfers {
            throw ValidationError(
                "--trace, --rows, --accounts, --cross-shard, --principals and --bundle are for transfers.")
        }
        if hostProgram.hostProgram != nil, workload.isRecorded || latencies || history != nil {
            throw ValidationError(
                "--workload list-append, bank and kv, --history and --latencies call procedures of the tool's own hosts; leave --host-program out."
            )
        }
        guard latencies else {
            guard samples == nil else { throw ValidationError("--samples goes with --latencies.") }
            return
        }
        guard workload == .transfers, !ofTransfers, workloadOptions.isEmpty, clients == nil, duration == nil,
            warmup == nil, history == nil, reporting.report == nil, faults.isEmpty, !clientTLS.isOn
        else {
            throw ValidationError(
                "--latencies goes with --shards, --replicas, --gateways, --samples, --seed, --network, --keep and --json only."
            )
        }
        guard try shardCounts().count == 1 else { throw ValidationError("--latencies takes one number of shards.") }
    }

    private func shardCounts() throws -> [Int] {
        try Self.list(shards ?? (latencies ? "8" : workloadOptions.usualShards(of: workload)), "--shards", 1...4096)
    }

    static func list(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws -> [Int] {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map {
            Int($0.trimmingCharacters(in: .whitespaces))
        }
        let valid = numbers.compactMap { $0 }.filter { range.contains($0) }
        guard valid.count == numbers.count, Set(valid).count == valid.count else {
            throw ValidationError(
                "\(option) takes different numbers from \(range.lowerBound) to \(range.upperBound), separated by commas; got \"\(text)\"."
            )
        }
        return valid
    }

    func execute() async throws {
        // One loop for all connections: what an answer releases is sent from the thread on which it arrived.
        NIOSingletons.groupLoopCountSuggestion = 1
        try reporting.prepare()
        try checkHistory()
        if !simulated.simulate, let emulation = try emulation() {
            Console.error(emulation.sentence(hosts: replicas, gateways: gateways))
        }
        let root = try BenchFolder(keep: keep)
        defer { root.remove() }
        if latencies {
            let run = LatencyRun(
                shards: try shardCounts()[0], replicas: replicas, gateways: gateways, samples: samples ?? 200,
                seed: seed, keep: keep != nil, network: try emulation(),
                folder: root.path)
            return try finish(try await run.measure())
        }
        var runs: [RunResult] = []
        var knees: [Knee] = []
        do {
            if load.findKnee {
                try await findKnees(in: root, &knees, &runs)
            } else {
                try await measure(in: root, &runs)
            }
        } catch {
            try finish(runs, knees, without: error)
            throw error
        }
        var result = BenchReport(runs: runs)
        result.knees = load.findKnee ? knees : nil
        load.summarize(&result)
        try finish(result)
    }

    /// All runs that were asked for.
    func measure(in root: BenchFolder, _ runs: inout [RunResult]) async throws {
        if simulated.simulate {
            runs += try await measureSimulated(try plan())
            return
        }
        switch workload {
        case .transfers, .smallbank, .ycsbT, .settlement, .calls, .procedures:
            try await measureTransfers(in: root, &runs)
        case .listAppend, .bank, .keyValue: try await measureHistories(in: root, &runs)
        }
    }

    /// What had been measured before something went wrong, or the command was interrupted, is not lost.
    private func finish(_ runs: [RunResult], _ knees: [Knee], without error: any Error) throws {
        guard !runs.isEmpty || !knees.isEmpty else { return }
        let why = ToolError(error).description.split(separator: "\n").first.map(String.init) ?? "an error"
        var result = BenchReport(runs: runs, made: made, partial: why)
        if load.findKnee { result.knees = knees }
        load.summarize(&result)
        if json {
            Console.json(document: try result.json())
        } else {
            Console.out(result.table())
            let what =
                load.findKnee
                ? "these rates were" : runs.count == 1 ? "this run was" : "these \(runs.count) runs were"
            Console.out("PARTIAL: only \(what) finished, because of: \(why)")
        }
        try write(result)
    }

    private var made: Provenance { keep.map { Made.now(keep: $0) } ?? Made.now }

    private func write(_ result: BenchReport) throws {
        let title = "Quorate bench" + (result.partial == nil ? "" : " (partial: not all runs were finished)")
        try reporting.write { try result.write(to: $0, title: title) }
    }

    private func measureTransfers(in root: BenchFolder, _ runs: inout [RunResult]) async throws {
        let workload = try loadWorkload()
        let keys =
            workload.plan?.keys
            ?? AccountKeys(accounts: workload.trace.accounts.count, members: principals, seed: seed)
        let plan = try plan()
        // In turn, so that what changes on the machine meanwhile meets all of them.
        for repetition in 1...load.repetitions {
            for (count, mix) in plan {
                let run = BenchRun(
                    shards: count, crossShard: mix, options: try options(runs: plan.count), workload: workload,
                    keys: keys, folder: root.path, repetition: load.repetitions > 1 ? repetition : nil)
                runs.append(try await run.measure())
            }
        }
    }

    private func findKnees(
        in root: BenchFolder, _ knees: inout [Knee], _ runs: inout [RunResult]
    ) async throws {
        let workload = try loadWorkload()
        let keys = AccountKeys(accounts: workload.trace.accounts.count, members: principals, seed: seed)
        let plan = try plan()
        for (count, mix) in plan {
            let run = BenchRun(
                shards: count, crossShard: mix, options: try options(runs: plan.count), workload: workload, keys: keys,
                folder: root.path)
            try await KneeRun(load: load, run: run).search(&knees, &runs)
        }
    }

    private func measureHistories(in root: BenchFolder, _ runs: inout [RunResult]) async throws {
        let common = try options(runs: try shardCounts().count)
        for count in try shardCounts() {
            func measure<W: HistoryWorkload>(_ workload: @escaping @Sendable (Manifest) -> W) async throws {
                let run = HistoryRun(shards: count, options: common, folder: root.path, workload: workload)
                runs.append(try await run.measure())
            }
            switch workload {
            case .transfers, .smallbank, .ycsbT, .settlement, .calls, .procedures: return
            case .listAppend:
                try await measure { ListWorkload(clients: common.clients, lists: common.lists, $0) }
            case .bank: try await measure { BankWorkload($0) }
            case .keyValue: try await measure { KeyValueWorkload(clients: common.clients, $0) }
            }
        }
    }

    /// The runs of transfers.
    private func plan() throws -> [(shards: Int, crossShard: Int?)] {
        let mixes: [Int?] = try crossShard.map { try Self.list($0, "--cross-shard", 0...100) } ?? [nil]
        return try shardCounts().flatMap { count in (count == 1 ? [nil] : mixes).map { (count, $0) } }
    }

    /// A history is as hard to get again as a report.
    private func checkHistory() throws {
        guard let history, !reporting.overwrite else { return }
        let plan = try plan()
        for (shards, crossShard) in plan {
            let path = HistoryFile.path(history, shards: shards, crossShard: crossShard, isOnly: plan.count == 1)
            guard FileManager.default.fileExists(atPath: path) else { continue }
            throw ToolError(
                .folderExists, "--history: \(path) exists already; choose another file, or replace it with --overwrite")
        }
    }

    /// How long the load lasts; nil: as long as the rows.
    private var seconds: Double? {
        workload == .transfers
            ? duration ?? (load.findKnee ? LoadOptions.kneeSeconds : nil) : duration ?? BenchKind.usualSeconds
    }

    var faults: BenchFaults {
        var faults = individualFaults
        faultOption.apply(to: &faults, duration: seconds)
        return faults
    }

    private var individualFaults: BenchFaults {
        BenchFaults(
            killHosts: killHost, restartHosts: restartHost, stopHosts: stopHost, continueHosts: continueHost,
            killGateways: killGateway, restartGateways: restartGateway)
    }

    private func options(runs: Int) throws -> BenchOptions {
        let warmup = warmup ?? LoadOptions.usualWarmup(seconds)
        return BenchOptions(
            replicas: replicas, gateways: gateways, clients: clients ?? (workload.isRecorded ? 16 : 64),
            lists: lists, duration: seconds,
            warmup: warmup, principals: principals, bundle: bundle, seed: seed,
            keep: keep != nil,
            faults: faults, history: history, isOnlyRun: runs == 1,
            hostProgram: try hostProgram.path(),
            traceRate: !workload.isOfTransfers ? 0 : traceRate ?? (hostProgram.hostProgram == nil ? 1.0 / 64 : 0),
            clientTLS: clientTLS, network: try emulation(),
            load: load.plan(rate: load.isOpen ? load.kneeStart : nil, duration: seconds, warmup: warmup))
    }

    private func emulation() throws -> NetworkEmulation? {
        try network.emulation(hosts: replicas, gateways: gateways)
    }

    private func loadWorkload() throws -> BenchWorkload {
        guard workload == .transfers else {
            let plan = try WorkloadPlan(
                workload, workloadOptions, accounts: accounts, principals: principals, seed: seed)
            return BenchWorkload(name: plan.name, trace: Trace(accounts: [], rows: []), plan: plan)
        }
        guard let trace else {
            var shape = SkewedWorkload(accounts: accounts ?? 10_000, transfers: rows ?? 20_000, seed: seed)
            guard let skew = workloadOptions.skew else {
                return BenchWorkload(name: "built in, Zipf 0.9", trace: shape.trace())
            }
            shape.skew = skew
            return BenchWorkload(
                name: "built in, \(skew)", trace: shape.trace(),
                parameters: WorkloadParameters(kind: workload.rawValue, skew: skew))
        }
        let read = try TraceReader.read(trace, limit: rows ?? .max)
        var line = "\(trace): \(read.rows.count) transfers between \(read.accounts.count) accounts"
        if read.skippedSelfTransfers > 0 { line += ", left out \(read.skippedSelfTransfers) from an account to itself" }
        if read.skippedZeroAmounts > 0 { line += ", left out \(read.skippedZeroAmounts) of zero" }
        Console.error(line)
        return BenchWorkload(name: URL(fileURLWithPath: trace).lastPathComponent, trace: read)
    }

    private func finish(_ result: LatencyReport) throws {
        if json { Console.json(document: try result.json()) } else { Console.out(result.table()) }
        guard result.invariants.allHold else {
            for problem in result.invariants.problems { Console.error("INVARIANT FAILED: \(problem)") }
            throw ExitCode(ExitReason.invariantFailed.rawValue)
        }
    }

    private func finish(_ result: BenchReport) throws {
        var result = result
        result.made = made
        if json { Console.json(document: try result.json()) } else { Console.out(result.table()) }
        try write(result)
        var failed = false
        for run in result.runs where !run.invariants.allHold {
            failed = true
            for problem in run.invariants.problems {
                Console.error("INVARIANT FAILED, \(run.shards) shards: \(problem)")
            }
        }
        if failed { throw ExitCode(ExitReason.invariantFailed.rawValue) }
        try load.report(result, json: json)
        if !json {
            Console.out("invariants hold on every replica: money conserved, replicas identical, no lock left")
            for check in result.runs.compactMap(\.transactions?.check) { Console.out("\(workload.rawValue): \(check)") }
            let histories = result.runs.compactMap(\.history)
            if !histories.isEmpty, !histories.contains(where: { $0.is_undecided == true }) {
                let checked = histories.reduce(0) { $0 + $1.committed }
                Console.out("histories are strictly serializable: \(checked) committed transactions, checked")
            }
        }
        let missed = Set(result.runs.flatMap(\.missed_events).map { "\($0.what) at \($0.at_s) s" }).sorted()
        if !missed.isEmpty {
            throw ToolError(
                .benchIncomplete,
                "the load had ended before what was asked for: \(missed.joined(separator: ", ")); nothing of it happened"
            )
        }
        // An append that was lost could hide in what was not read.
        let unread = result.runs.reduce(0) { $0 + ($1.history?.unread_lists ?? 0) }
        if unread > 0 {
            throw ToolError(
                .benchIncomplete, "\(unread) lists, accounts or keys of the history could not be read at the end")
        }
        let unreadValues = result.runs.reduce(0) { $0 + ($1.transactions?.unread_values ?? 0) }
        if unreadValues > 0 {
            throw ToolError(
                .benchIncomplete, "\(unreadValues) values that the workload's check needs could not be read at the end")
        }
        if result.runs.contains(where: { $0.history?.is_undecided == true }) {
            throw ToolError(
                .benchIncomplete,
                "too much was under way at once to tell whether the histories are strictly serializable")
        }
        var open = result.runs.reduce(0) { $0 + $1.unknown }
        if open > 0, workload.isRecorded, !faults.isEmpty {
            Console.error(
                "\(open) transactions have no certified outcome: info in the history, which was judged with them")
            open = 0
        }
        let forged = result.runs.reduce(0) { $0 + $1.retries.invalid_receipts }
        guard open == 0, forged == 0 else {
            throw ToolError(
                .benchIncomplete, "\(open) transactions have no certified outcome, \(forged) receipts were not valid")
        }
    }
}

extension BenchKind: ExpressibleByArgument {}

/// `NUMBER@SECONDS`, of a host or gateway.
struct ProcessMoment: Sendable {
    let number: Int
    let seconds: Double

    static func help(_ text: String) -> ArgumentHelp { ArgumentHelp(text, valueName: "number@seconds") }

    static let parse: @Sendable (String) throws -> ProcessMoment = { text in
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int(parts[0]), (0...65535).contains(number),
            let seconds = Double(parts[1]),
            (0...86_400).contains(seconds)
        else {
            throw OutOfRange(
                description: "a number from 0 to 65535, @, and seconds from 0 to 86400 are wanted, as in 1@5")
        }
        return ProcessMoment(number: number, seconds: seconds)
    }
}
