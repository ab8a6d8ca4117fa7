import Cores
import Messages
import PBFT

/// A scripted run of a whole cluster: one script is a test, a golden trace and a sequence diagram. The grammar is in
/// `ScenarioParser.grammar`. The `Checks` of the simulation hold after every step of every host.
///
///     cluster shards 1 replicas 4
///     account a shard 0 balance 100
///     account b shard 0
///     trace on
///     submit a->b 10
///     run 50ms
///     expect outcome committed
///     expect balance b 10
public struct Scenario {
    private struct Account {
        let specification: AccountSpecification
        let signer: StandInSigner
        var nextNumber = RequestNumber(1)
    }

    private let lines: [ScenarioParser.Line]
    private var cluster: ScenarioCluster?
    private var accounts: [String: Account] = [:]
    private var issued = RequestNumber(1)
    private var lastSubmission: SignedRequest?

    /// The commands of scripts, one a line, for help and error messages.
    public static var grammar: String { ScenarioParser.grammar }

    /// - Throws: `ScenarioFailure` for the first line that is no command.
    public init(_ script: String) throws(ScenarioFailure) { lines = try ScenarioParser.parse(script) }

    /// Runs the script and returns its trace: one event a line, each with its time in milliseconds.
    /// - Throws: `ScenarioFailure` with the line that did not go as it should.
    public mutating func run() throws(ScenarioFailure) -> [String] {
        // The setting up is not drawn.
        let setUp = lines.lastIndex { line in
            switch line.command {
            case .cluster, .account: true
            default: false
            }
        }
        for (i, line) in lines.enumerated() {
            if i == (setUp ?? -1) + 1 { cluster?.isDrawing = true }
            func failure(_ what: String) -> ScenarioFailure {
                ScenarioFailure(line: line.number, command: line.text, what: what)
            }
            do { try carryOut(line.command) } catch let problem as ScenarioCluster.Problem {
                throw failure(problem.what)
            } catch { throw failure("\(error)") }
        }
        return cluster?.trace ?? []
    }

    /// What was sent and done since the accounts are there, also after a run that failed.
    public var diagram: SequenceDiagram {
        SequenceDiagram(hosts: cluster?.hostCount ?? 0, steps: cluster?.drawing ?? [])
    }

    private mutating func carryOut(_ command: ScenarioCommand) throws {
        if case .cluster(let shards, let replicas) = command {
            cluster = try ScenarioCluster(shards: shards, replicas: replicas)
            return
        }
        guard let hostCount = cluster?.hostCount else { throw ScenarioCluster.Problem(what: "there is no cluster yet") }
        func chosen(_ hosts: ScenarioCommand.Hosts) throws -> [Int] {
            switch hosts {
            case .all: return Array(0..<hostCount)
            case .some(let hosts):
                if let unknown = hosts.first(where: { $0 >= hostCount || $0 < 0 }) {
                    throw ScenarioCluster.Problem(what: "there is no host \(unknown)")
                }
                return hosts
            }
        }
        switch command {
        case .cluster: break
        case .account(let name, let shard, let balance): try open(name, shard: shard, balance: balance)
        case .submit(let from, let to, let amount): try submit(from, to, amount)
        case .run(let duration): try run(for: duration)
        case .crash(let hosts): for i in try chosen(hosts) { try cluster?.crash(i) }
        case .restart(let hosts): for i in try chosen(hosts) { try cluster?.start(i) }
        case .partition(let sides): cluster?.partition(try sides.map { try chosen(.some($0)) })
        case .heal: cluster?.partition([])
        case .clock(let hosts, let ahead): cluster?.setClocks(try chosen(hosts), ahead: ahead)
        case .trace(let trace): cluster?.tracing = trace
        case .expect(let expectation): try check(expectation)
        }
    }

    private mutating func run(for duration: UInt64) throws {
        if let now = cluster?.now { try cluster?.run(until: now + duration) }
    }

    // MARK: Requests

    private mutating func open(_ name: String, shard: Int, balance: UInt64) throws {
        guard let manifest = cluster?.manifest, shard < manifest.shardCount else {
            throw ScenarioCluster.Problem(what: "there is no shard \(shard)")
        }
        guard accounts[name] == nil else { throw ScenarioCluster.Problem(what: "account \(name) exists") }
        let signer = StandInSigner(1_000 + UInt64(accounts.count))
        // The first index whose identifier falls to the shard.
        var specification = AccountSpecification(owner: signer.publicKey, asset: AssetID(1), index: 0)
        while manifest.shardMap.shard(of: specification.id) != ShardID(UInt16(shard)) {
            specification = AccountSpecification(
                owner: signer.publicKey, asset: AssetID(1), index: specification.index + 1)
        }
        accounts[name] = Account(specification: specification, signer: signer)
        try issue([.open(specification)])
        if balance > 0 {
            try issue([.issue(to: specification.id, asset: AssetID(1), amount: Amount(UInt128(balance)))])
        }
    }

    private mutating func issue(_ operations: [Operation]) throws {
        guard let request = sign(operations, .independent, by: StandInSigner(999), number: issued) else { return }
        issued = issued.next
        try cluster?.submit(request)
        try run(for: 40_000_000)
        guard cluster?.decision(request) == .commit else {
            throw ScenarioCluster.Problem(what: "\(operations) did not commit")
        }
    }

    private mutating func submit(_ from: String, _ to: String, _ amount: UInt64) throws {
        guard let source = accounts[from] else { throw ScenarioCluster.Problem(what: "there is no account \(from)") }
        guard let target = accounts[to] else { throw ScenarioCluster.Problem(what: "there is no account \(to)") }
        let transfer = Transfer(
            from: source.specification.id, to: target.specification.id, asset: AssetID(1),
            amount: Amount(UInt128(amount)))
        guard let request = sign([.transfer(transfer)], .atomic, by: source.signer, number: source.nextNumber) else {
            return
        }
        accounts[from]?.nextNumber = source.nextNumber.next
        lastSubmission = request
        try cluster?.submit(request)
    }

    private func sign(_ operations: [Operation], _ mode: Request.Mode, by signer: StandInSigner, number: RequestNumber)
        -> SignedRequest?
    {
        guard let cluster else { return nil }
        // As `QuorateClient` does.
        let times = RequestTimes(own: cluster.instant.wall, clocks: cluster.shardClocks(), lifetime: 20_000_000)
        return SignedRequest(
            Request(
                cluster: cluster.manifest.cluster, epoch: cluster.manifest.epoch, principal: signer.publicKey,
                number: number,
                acknowledgedBelow: RequestNumber(1), issuedAt: times.issuedAt, deadline: times.deadline, mode: mode,
                operations: operations),
            signedBy: signer)
    }

    // MARK: Expectations

    private func check(_ expectation: ScenarioCommand.Expectation) throws {
        guard let cluster else { return }
        let cores = cluster.live.compactMap { i in cluster.core(i).map { (i, $0) } }
        func require(_ condition: Bool, _ what: String) throws {
            if !condition { throw ScenarioCluster.Problem(what: what) }
        }
        func concerns(_ status: ReplicaStatus, _ shard: Int?) -> Bool {
            shard.map { $0 == Int(status.shard.number) } ?? true
        }
        switch expectation {
        case .view(let view, let shard):
            for (i, core) in cores {
                for status in core.status() where concerns(status, shard) {
                    try require(
                        status.view.number == view && !status.isChangingView,
                        "host \(i) shard \(status.shard) is in view \(status.view)\(status.isChangingView ? ", changing" : "")"
                    )
                }
            }
        case .executed(let sequence, let shard):
            for (i, core) in cores {
                for status in core.status() where concerns(status, shard) {
                    try require(
                        status.lastExecuted.number == sequence,
                        "host \(i) shard \(status.shard) has executed \(status.lastExecuted)")
                }
            }
        case .executedAllEqual:
            guard let (first, reference) = cores.first else { return }
            for (i, core) in cores {
                for (a, b) in zip(reference.progress(), core.progress()) {
                    try require(
                        a.sequence == b.sequence && a.history == b.history,
                        "shard \(a.shard): host \(first) has executed \(a.sequence), host \(i) \(b.sequence)")
                }
            }
        case .balance(let name, let amount):
            guard let account = accounts[name] else {
                throw ScenarioCluster.Problem(what: "there is no account \(name)")
            }
            for (i, core) in cores {
                let balance = core.balance(account.specification.id)
                try require(
                    balance == UInt128(amount), "\(name) has \(balance.map { "\($0)" } ?? "no account") on host \(i)")
            }
        case .outcome(let outcome):
            guard let lastSubmission else { throw ScenarioCluster.Problem(what: "nothing was submitted") }
            let decision = cluster.decision(lastSubmission)
            let actual: ScenarioCommand.Outcome =
                switch decision {
                case .commit: .committed
                case .abort: .aborted
                case nil: .unknown
                }
            try require(actual == outcome, "the outcome is \(decision.map { "\($0)" } ?? "unknown")")
        case .undecided(let count):
            for (i, core) in cores {
                let undecided = core.progress().reduce(0) { $0 + $1.undecided }
                try require(undecided == count, "host \(i) has \(undecided) undecided")
            }
        }
    }
}
