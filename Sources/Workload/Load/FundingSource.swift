import Messages

/// Opens the accounts of a workload and issues their opening balances, in bundles signed by the issuer.
public struct FundingSource: WorkSource {
    /// Operations under one signature.
    public static let bundle = 256

    private var bundles: [[Operation]] = []
    private var given = 0
    private var outstanding = 0
    private var done = 0
    private let total: Int
    /// Operations that failed, and the first reason.
    public private(set) var failures = 0
    /// Nil while nothing failed.
    public private(set) var firstFailure: String?

    /// - Parameter balances: by account; zero only opens it.
    public init(specifications: [AccountSpecification], balances: [UInt128]) {
        precondition(specifications.count == balances.count)
        var bundle: [Operation] = []
        var total = 0
        for (specification, balance) in zip(specifications, balances) {
            bundle.append(.open(specification))
            // In the same bundle and behind the opening: legs of one request are executed in order.
            if balance > 0 {
                bundle.append(.issue(to: specification.id, asset: specification.asset, amount: Amount(balance)))
            }
            if bundle.count + 2 > Self.bundle {
                total += bundle.count
                bundles.append(bundle)
                bundle = []
            }
        }
        if !bundle.isEmpty { bundles.append(bundle) }
        self.total = total + bundle.count
    }

    /// Counts operations: one to open each account, and one more to issue its balance, unless that is zero.
    public var progress: WorkProgress { WorkProgress(done: done, total: total) }

    /// The next bundle, of the issuer: principal 0 among the signers.
    public mutating func next(now: Instant) -> Work? {
        guard given < bundles.count else { return nil }
        defer { given += 1 }
        outstanding += 1
        return Work(id: given, principal: 0, operations: bundles[given])
    }

    /// When every bundle has been given and has ended.
    public func isExhausted(now: Instant) -> Bool { given == bundles.count && outstanding == 0 }

    /// Counts the operation as done. That an account exists already is no failure.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        done += 1
        switch outcome {
        case .committed, .aborted(.accountExists): return
        case .aborted(let reason): fail("\(reason)")
        case .unknown(let why): fail(why)
        }
    }

    private mutating func fail(_ why: String) {
        failures += 1
        firstFailure = firstFailure ?? why
    }

    /// All of a bundle's operations have ended.
    public mutating func finished(_ work: Work, now: Instant) { outstanding -= 1 }
}
