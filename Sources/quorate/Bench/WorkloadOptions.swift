import ArgumentParser
import Messages
import Workload

/// What the workloads of `quorate bench` can be told, beside what all of them share.
struct WorkloadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How unevenly accounts, customers or records are used: uniform, zipf:EXPONENT or hot:COUNT:SHARE. Default: zipf:0.9 for transfers, hot:1000:0.9 for smallbank, zipf:0.99 for ycsb-t, uniform for settlement and calls.",
            valueName: "skew"),
        transform: WorkloadOptions.skew) var skew: Skew?
    @Option(
        help: Whole(2...10_000_000).help("Customers of smallbank. Default: 1000000."),
        transform: Whole(2...10_000_000).parse) var customers: Int?
    @Option(help: "Whose mix and amounts of smallbank: benchbase or basil. Default: benchbase.")
    var preset: SmallBankMix.Preset?
    @Option(
        help: ArgumentHelp(
            "Weights of smallbank or ycsb-t by kind; kinds that are not named get none: read=50,rmw=50.",
            valueName: "kind=weight,…")) var mix: String?
    @Option(
        help: Whole(2...10_000_000).help("Records of ycsb-t, counters of calls. Default: 100000 and 10000."),
        transform: Whole(2...10_000_000).parse) var records: Int?
    @Option(
        help: Whole(1...CallPath.maxDepth).help("How deep calls go, each on another shard. Default: 1."),
        transform: Whole(1...CallPath.maxDepth).parse) var depth: Int?
    @Option(
        help: Whole(1...64).help("Transfers in a settlement, of which all or none happen. Default: 4."),
        transform: Whole(1...64).parse) var legs: Int?
    @Option(
        help: ArgumentHelp(
            "Shards of a settlement that is over several: a number from 2 to 64, or all. Default: 2 with --cross-shard, else as it comes.",
            valueName: "2..64|all"),
        transform: Participants.parse) var participants: Participants?
    @Option(help: "A JSON file of procedures and how their arguments are drawn, with --workload procedures.")
    var procedures: String?

    enum Participants: Sendable {
        case number(Int)
        case all

        static let parse: @Sendable (String) throws -> Participants = { text in
            if text == "all" { return .all }
            guard let number = Int(text), (2...64).contains(number) else {
                throw OutOfRange(description: "a number from 2 to 64, or all, is wanted")
            }
            return .number(number)
        }

        /// - Parameter shards: of the cluster; one more than there are is as many as there are.
        func count(shards: Int) -> Int {
            switch self {
            case .number(let number): min(number, shards)
            case .all: min(64, shards)
            }
        }
    }

    private static let skew: @Sendable (String) throws -> Skew = { text in
        guard let skew = Skew(text) else { throw OutOfRange(description: "\(Skew.forms) is wanted") }
        return skew
    }

    /// - Returns: weights in the order of `kinds`; nil if there is no `--mix`.
    func weights(of kinds: [String]) throws -> [Int]? {
        guard let mix else { return nil }
        var weights = [Int](repeating: 0, count: kinds.count)
        var seen: Set<Int> = []
        for part in mix.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let kind = kinds.firstIndex(of: String(sides[0])), let weight = Int(sides[1]),
                (0...10_000).contains(weight), seen.insert(kind).inserted
            else {
                throw ValidationError(
                    "--mix takes different kinds of \(kinds.joined(separator: ", ")), each with = and a weight from 0 to 10000, separated by commas; got \"\(part)\"."
                )
            }
            weights[kind] = weight
        }
        guard WeightedChoice(weights) != nil else { throw ValidationError("--mix needs a weight above zero.") }
        return weights
    }

    var isEmpty: Bool {
        skew == nil && customers == nil && preset == nil && mix == nil && records == nil && depth == nil && legs == nil
            && participants == nil && procedures == nil
    }

    /// Calls need a shard for each of them and one more.
    func usualShards(of kind: BenchKind) -> String {
        guard kind == .calls else { return "1,2,4" }
        return [2, 4, 8, 16].filter { $0 > depth ?? 1 }.prefix(2).map(String.init).joined(separator: ",")
    }

    /// - Parameter shards: of every run.
    func validate(for kind: BenchKind, shards: [Int], hasCrossShard: Bool) throws {
        try check("--skew", skew != nil, for: kind, [.transfers, .smallbank, .ycsbT, .settlement, .calls])
        try check("--customers", customers != nil, for: kind, [.smallbank])
        try check("--preset", preset != nil, for: kind, [.smallbank])
        try check("--mix", mix != nil, for: kind, [.smallbank, .ycsbT])
        try check("--records", records != nil, for: kind, [.ycsbT, .calls])
        try check("--depth", depth != nil, for: kind, [.calls])
        try check("--legs", legs != nil, for: kind, [.settlement])
        try check("--participants", participants != nil, for: kind, [.settlement])
        try check("--procedures", procedures != nil, for: kind, [.procedures])
        try check("--cross-shard", hasCrossShard, for: kind, [.transfers, .smallbank, .ycsbT, .settlement])
        switch kind {
        case .transfers, .listAppend, .bank, .keyValue: return
        case .smallbank: _ = try weights(of: SmallBankMix.allKinds)
        case .ycsbT: _ = try weights(of: ClosedEconomyMix.allKinds)
        case .settlement:
            let legs = legs ?? SettlementMix.usualLegs
            let most =
                participants.map { participants in shards.map { participants.count(shards: $0) }.max() ?? 0 } ?? 0
            guard most <= legs + 1 else {
                throw ValidationError(
                    "a settlement of \(legs) legs concerns \(legs + 1) shards at most; for \(most) give --legs \(most - 1) or more."
                )
            }
        case .calls:
            let depth = depth ?? 1
            guard shards.allSatisfy({ $0 > depth }) else {
                throw ValidationError(
                    "calls \(depth) deep need \(depth + 1) shards, as each is on another one; give --shards \(depth + 1) or more."
                )
            }
        case .procedures:
            guard procedures != nil else { throw ValidationError("--workload procedures needs --procedures FILE.") }
        }
    }

    private func check(_ option: String, _ isGiven: Bool, for kind: BenchKind, _ kinds: [BenchKind]) throws {
        guard isGiven, !kinds.contains(kind) else { return }
        let names = kinds.map(\.rawValue)
        let text =
            names.count == 1 ? names[0] : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
        throw ValidationError("\(option) goes with \(text).")
    }

    /// For `quorate bench --help`.
    static let help = """
        WORKLOADS  transfers: between accounts, or a trace. list-append: see LISTS. smallbank: six kinds of transactions on a \
        million customers, of whom 1,000 get nine tenths (Alomari et al., ICDE 2008; --preset has the mix of BenchBase or of Basil, \
        SOSP 2021). ycsb-t: reads, updates and moves of one unit in a closed economy (YCSB+T, Dey et al., ICDEW 2014). settlement: \
        --legs transfers of one member, all or none, over --participants shards. calls: procedures that call each other --depth \
        deep, each on another shard. procedures: your own, from a file. All but transfers last --duration, or 10 s. At the end each \
        checks that what is there is what was certified: balances and the bank's total, records and their sum, accounts leg by leg, \
        counters. Customers, records and counters need no loading: one that was never touched has its opening balance. \
        Calls that a procedure refuses, as for want of money, count as aborted, and are shown apart as refused. Calls that die because \
        others stand in their way are tried again, as old as they were. docs/BENCH.md has the sources and the files.

          quorate bench --workload smallbank --shards 1,2,4 --duration 10
          quorate bench --workload ycsb-t --shards 2 --skew hot:100:0.5 --mix read=50,rmw=50
          quorate bench --workload settlement --shards 8 --legs 8 --participants all
          quorate bench --workload calls --shards 8 --depth 4
          quorate bench --workload procedures --procedures mine.json --host-program .build/release/my-host
        """
}

extension SmallBankMix.Preset: ExpressibleByArgument {}
