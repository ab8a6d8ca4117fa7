import ArgumentParser
import Foundation
import Messages
import Workload

extension DrillCommand {
    struct HotAccount: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let all clients use one account, and measure that against accounts drawn at random.",
            discussion: """
                Three loads with the same number of clients, one after the other: between accounts drawn at random; everybody pays \
                one account; one account pays everybody, with as many payments under way as there are clients, which the shards \
                keep in order. Escrow lets transfers of one account run at the same time, so the ratios say what contention costs \
                that is left. One hot payer is to reach \(HotAccountFindings.target) of many; whether it did is said, and fails the drill \
                only with --require-ratio.

                  quorate drill hot-account
                  quorate drill hot-account --require-ratio 0.8
                  quorate drill hot-account --shards 2 --clients 256 --seconds 10 --json
                """)
        // One principal has 1,024 numbers open at most (R11).
        @Option(help: Whole(1...1024).help("Transfers in flight."), transform: Whole(1...1024).parse) var clients = 64
        @Option(help: Limits.phase.help("Seconds of each load."), transform: Limits.phase.parse) var seconds = 8.0
        @Option(help: Limits.keyedAccounts.help("Accounts, a key each."), transform: Limits.keyedAccounts.parse)
        var accounts = 10_000
        @Option(
            help: Limits.ratio.help("Fail if one hot payer reaches less than this share of uniform load."),
            transform: Limits.ratio.parse) var requireRatio: Double?
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        func execute() async throws {
            try options.prepare()
            let drill = HotAccountDrill(required: requireRatio, clients: clients, seconds: seconds, say: options.say)
            let run = LoadPhases(
                kind: "hot-account", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path())
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct HotAccountFindings: DrillFindings {
    var uniform: LoadResult
    /// Everybody pays one account.
    var paid_by_all: LoadResult
    /// One account pays everybody.
    var pays_all: LoadResult
    var paid_by_all_ratio: Double?
    var pays_all_ratio: Double?
    /// Of `pays_all_ratio`, and whether it was reached; nil if nothing was measured.
    var pays_all_target = HotAccountFindings.target
    var pays_all_target_met: Bool?
    /// What one hot payer is to reach of many.
    static let target = 0.8
    var problems: [String] = []
    var down: Set<Int> = []

    /// - Parameter required: less than this share for one hot payer is a problem.
    init(uniform: LoadResult, paidByAll: LoadResult, paysAll: LoadResult, required: Double? = nil) {
        (self.uniform, paid_by_all, pays_all) = (uniform, paidByAll, paysAll)
        for (name, load) in [("uniform", uniform), ("paid by all", paidByAll), ("pays all", paysAll)]
        where load.tps == 0 {
            problems.append("\(name): nothing committed")
        }
        guard uniform.tps > 0 else { return }
        let ratio = paysAll.tps / uniform.tps
        (paid_by_all_ratio, pays_all_ratio) = (paidByAll.tps / uniform.tps, ratio)
        pays_all_target_met = ratio >= Self.target
        if let required, ratio < required {
            problems.append(
                "one hot payer reached \(Figures.text(ratio, digits: 2)) of uniform load, \(required) is required")
        }
    }

    var loads: [(name: String, load: LoadResult)] {
        [("uniform", uniform), ("paid by all", paid_by_all), ("pays all", pays_all)]
    }

    func text() -> String {
        let loads = [
            ("uniform", uniform, 1), ("paid by all", paid_by_all, paid_by_all_ratio),
            ("pays all", pays_all, pays_all_ratio),
        ]
        return Figures.table(
            [LoadResult.header + ["conflicts", "of uniform"]]
                + loads.map {
                    $0.1.row($0.0) + ["\($0.1.conflicts)", Figures.text($0.2.map { $0 * 100 }, digits: 0) + " %"]
                }) + verdict
    }

    private var verdict: String {
        guard let ratio = pays_all_ratio, let isMet = pays_all_target_met else { return "" }
        return
            "\none hot payer reaches \(Figures.text(ratio, digits: 2)) of many; the target of \(Self.target) is \(isMet ? "" : "not ")met"
    }
}

struct HotAccountDrill: Sendable {
    /// Of uniform load, by one hot payer.
    let required: Double?
    let clients: Int
    let seconds: Double
    let say: @Sendable (String) -> Void

    func run(_ stage: LoadStage) async throws -> HotAccountFindings {
        let uniform = try await measure(stage, .uniform, "uniform")
        let paid = try await measure(stage, .into(0), "paid by all")
        let pays = try await measure(stage, .outOf(0), "pays all")
        return HotAccountFindings(uniform: uniform, paidByAll: paid, paysAll: pays, required: required)
    }

    private func measure(_ stage: LoadStage, _ shape: RandomTransfers.Shape, _ name: String) async throws -> LoadResult
    {
        let result = try await stage.run(shape, clients: clients, seconds: seconds, warmup: seconds / 4)
        say(
            "\(name): \(Figures.text(result.tps, digits: 0)) transfers/s, p99 \(Figures.text(result.p99_ms)) ms, "
                + "\(result.conflicts) conflicts")
        return result
    }
}
