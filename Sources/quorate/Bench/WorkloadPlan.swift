import ExampleProcedures
import Messages
import Workload

/// A workload other than transfers: what its mix is on a cluster, who signs, and what has to be funded.
struct WorkloadPlan: Sendable {
    let kind: BenchKind
    let options: WorkloadOptions
    /// Of procedures.
    let file: ProcedureFile?
    /// Of settlements and procedures, or of who signs where no account is needed.
    let keys: AccountKeys
    /// By account; empty where none is needed.
    let balances: [UInt128]

    /// So many keys sign in turn, where nobody says: more than have something under way, mostly.
    private static let signers = 256
    private static let members = 64
    private static let accounts = 10_000

    /// - Throws: when the file cannot be read.
    init(_ kind: BenchKind, _ options: WorkloadOptions, accounts: Int?, principals: Int?, seed: UInt64) throws {
        (self.kind, self.options) = (kind, options)
        file = try options.procedures.map { try ProcedureFile(reading: $0) }
        switch kind {
        case .settlement:
            let accounts = accounts ?? Self.accounts
            keys = AccountKeys(accounts: accounts, members: min(principals ?? Self.members, accounts), seed: seed)
            balances = Array(repeating: SettlementMix.openingBalance, count: accounts)
        case .procedures:
            let count = file?.accounts ?? 0
            let signers = principals ?? Self.signers
            keys =
                count == 0
                ? AccountKeys(accounts: signers, seed: seed)
                : AccountKeys(accounts: count, members: min(signers, count), seed: seed)
            balances = Array(repeating: UInt128(file?.balance ?? 0), count: count)
        case .transfers, .listAppend, .bank, .keyValue, .smallbank, .ycsbT, .calls:
            keys = AccountKeys(accounts: principals ?? Self.signers, seed: seed)
            balances = []
        }
    }

    /// Of accounts that are opened.
    var funded: AccountKeys? {
        guard !balances.isEmpty else { return nil }
        return keys
    }

    /// For the report, and on the progress bar.
    var name: String { kind.rawValue }

    var skew: Skew? {
        switch kind {
        case .smallbank: options.skew ?? SmallBankMix.usualSkew
        case .ycsbT: options.skew ?? ClosedEconomyMix.usualSkew
        case .settlement, .calls: options.skew ?? .uniform
        case .transfers: options.skew
        case .listAppend, .bank, .keyValue, .procedures: nil
        }
    }

    /// Runs `body` with the mix of this plan on a cluster.
    func withMix<R>(
        _ map: ShardMap, crossShard: Int?, _ body: (any TransactionMix) async throws -> R
    ) async throws -> R {
        switch kind {
        case .smallbank:
            return try await body(
                SmallBankMix(
                    customers: options.customers ?? SmallBankMix.usualCustomers, skew: skew ?? .uniform,
                    preset: options.preset ?? .benchbase, weights: try options.weights(of: SmallBankMix.allKinds),
                    crossPercent: crossShard, map: map))
        case .ycsbT:
            return try await body(
                ClosedEconomyMix(
                    records: options.records ?? ClosedEconomyMix.usualRecords, skew: skew ?? .uniform,
                    weights: try options.weights(of: ClosedEconomyMix.allKinds) ?? ClosedEconomyMix.usualWeights,
                    crossPercent: crossShard, map: map))
        case .settlement:
            return try await body(
                SettlementMix(
                    keys: keys, legs: options.legs ?? SettlementMix.usualLegs,
                    participants: participants(map.shardCount),
                    crossPercent: crossShard, skew: skew ?? .uniform, map: map))
        case .calls:
            guard
                let mix = CallMix(
                    depth: options.depth ?? 1, counters: options.records ?? CallMix.usualCounters,
                    skew: skew ?? .uniform, map: map)
            else {
                throw ToolError(.failure, "some shard has no counter; give --records a larger number")
            }
            return try await body(mix)
        case .procedures, .transfers, .listAppend, .bank, .keyValue:
            guard let file else { throw ToolError(.failure, "\(kind.rawValue) has no mix of transactions") }
            return try await body(ProcedureMix(file, keys: funded, map: map))
        }
    }

    private func participants(_ shards: Int) -> Int? {
        guard let count = options.participants?.count(shards: shards), count >= 2 else { return nil }
        return count
    }

    /// - Parameter isCrossGiven: whether a share of settlements over several shards is asked for.
    func parameters(shards: Int, isCrossGiven: Bool) throws -> WorkloadParameters {
        let source: String? =
            switch kind {
            case .smallbank: SmallBankMix.source
            case .ycsbT: ClosedEconomyMix.source
            case .settlement: SettlementMix.source
            case .calls: CallMix.source
            case .procedures: ProcedureMix.source
            case .transfers, .listAppend, .bank, .keyValue: nil
            }
        var result = WorkloadParameters(kind: kind.rawValue, source: source, skew: skew)
        result.signers = keys.signers.count
        func mix(_ kinds: [String], _ weights: [Int]) -> [String: Int] {
            Dictionary(uniqueKeysWithValues: zip(kinds, weights))
        }
        switch kind {
        case .smallbank:
            result.customers = options.customers ?? SmallBankMix.usualCustomers
            let preset = options.preset ?? .benchbase
            result.preset = preset.rawValue
            let kinds = SmallBankMix.allKinds
            result.mix = mix(kinds, try options.weights(of: kinds) ?? preset.weights)
        case .ycsbT:
            result.records = options.records ?? ClosedEconomyMix.usualRecords
            let kinds = ClosedEconomyMix.allKinds
            result.mix = mix(kinds, try options.weights(of: kinds) ?? ClosedEconomyMix.usualWeights)
        case .settlement:
            result.legs = options.legs ?? SettlementMix.usualLegs
            result.participants = participants(shards) ?? (isCrossGiven ? 2 : nil)
        case .calls:
            result.depth = options.depth ?? 1
            result.records = options.records ?? CallMix.usualCounters
        case .procedures:
            result.file = options.procedures
        case .transfers, .listAppend, .bank, .keyValue: break
        }
        return result
    }
}
