import Cores
import Messages
import Networks
import Workload

/// One run in simulated time: the cluster from its first step to its audit. Deterministic: the same options and workload
/// give the same result.
public struct Forecast {
    private let options: ForecastOptions
    private let workload: ForecastWorkload
    private let meter: StepMeter?
    /// Nanoseconds of real time, to tell how long it took.
    private let clock: () -> UInt64
    private let isCancelled: () -> Bool
    private static let settleLimit: UInt64 = 120_000_000_000

    /// - Parameters:
    ///   - meter: learns what the steps of this run cost in real time.
    ///   - clock: nanoseconds, for `real_s` alone.
    ///   - isCancelled: looked at now and then.
    public init(
        _ options: ForecastOptions, _ workload: ForecastWorkload, meter: StepMeter? = nil,
        clock: @escaping () -> UInt64 = { 0 }, isCancelled: @escaping () -> Bool = { false }
    ) {
        self.isCancelled = isCancelled
        (self.options, self.workload, self.meter, self.clock) = (options, workload, meter, clock)
    }

    /// - Throws: `ForecastError`, `CancellationError`, and what a store throws.
    public func run() throws -> RunResult {
        let began = clock()
        let world = try makeWorld()
        let shardOf = workload.keys.shards(in: world.manifest.shardMap)
        let balances = Funding.openingBalances(of: workload.trace, passes: passes)
        let funded = try fund(world, balances, shardOf: shardOf)
        let source = TransferSource(
            trace: workload.trace, keys: workload.keys, shardOf: shardOf, openingBalances: balances,
            bundle: workload.bundle, extent: .nanoseconds(UInt64(options.duration * 1e9)),
            warmup: UInt64(options.warmup * 1e9), cooldown: UInt64(options.cooldown * 1e9), isOpen: openLoop != nil,
            passes: passes, lookAhead: lookAhead)
        let load = EngineLoad(
            source, signers: workload.keys.signers.map { CountedSigner($0.publicKey) }, manifest: world.manifest,
            configuration: .init(
                clients: clients, channels: options.gateways, seed: options.seed,
                shape: openLoop.map { .open($0) } ?? .closed))
        return try measure(world, load, shardOf, balances, funded, began)
    }

    private var openLoop: OpenLoop? {
        guard case .open(let perSecond, let arrivals) = options.load else { return nil }
        return OpenLoop(
            requestsPerSecond: perSecond / Double(workload.bundle), arrivals: arrivals, seed: options.seed)
    }

    private var clients: Int {
        switch options.load {
        case .closed(let clients): clients
        // Nobody waits, up to the loop's bound.
        case .open: OpenLoop.usualMaxInFlight
        }
    }

    /// Far more rows than can be in flight, as far as memory allows.
    private var lookAhead: Int {
        let inFlight = openLoop == nil ? clients * workload.bundle : min(262_144, clients * workload.bundle)
        return max(16_384, 4 * inFlight)
    }

    private var passes: Int {
        let most: Double =
            switch options.load {
            case .closed: options.duration * 30_000 * Double(options.shards) * Double(workload.bundle)
            case .open(let perSecond, _): options.duration * perSecond * 1.5 + 1000
            }
        return max(1, Int((most / Double(workload.trace.rows.count)).rounded(.up)))
    }

    // MARK: Making the world

    private func makeWorld() throws -> ForecastWorld {
        let issuer = CountedSigner(Self.key("issuer", 0))
        let isApart = options.placement == .apart
        let hostCount = isApart ? options.shards * options.replicas : options.replicas
        let shards = (0..<options.shards).map { shard in
            (0..<options.replicas).map { HostID(UInt16(isApart ? shard * options.replicas + $0 : $0)) }
        }
        let manifest = Manifest(
            cluster: ClusterID(Self.digest("cluster", options.seed).value), epoch: Epoch(1),
            hosts: (0..<hostCount).map {
                .init(address: "simulated", port: 1, publicKey: Self.key("host", UInt64($0)))
            },
            shards: shards, issuer: issuer.publicKey)
        let world = ForecastWorld(
            manifest: manifest, network: options.network, costs: Costs(options.costs), seed: options.seed,
            isCancelled: isCancelled)
        let shared = isApart ? nil : world.addMachine(cores: options.cores)
        func machine() -> Int { shared ?? world.addMachine(cores: options.cores) }
        var host = HostOptions()
        host.archives = true
        host.lengthen(byRoundTrip: roundTrip(hosts: hostCount))
        for i in 0..<hostCount {
            world.hosts.append(try ForecastHost(i, in: world, machine: machine(), options: host))
        }
        var gateway = GatewayOptions()
        gateway.lengthen(byRoundTrip: roundTrip(hosts: hostCount))
        for i in 0..<options.gateways {
            world.gateways.append(
                ForecastGateway(i, in: world, machine: machine(), options: gateway, seed: options.seed))
        }
        for i in 0..<options.gateways {
            let thread = shared == nil ? nil : world.channels.first?.thread
            world.channels.append(ForecastChannel(i, in: world, machine: machine(), thread: thread))
        }
        for replicas in isApart ? shards : [shards[0]] {
            for host in replicas { world.hosts[Int(host.number)].connect(replicas.filter { $0 != host }) }
        }
        world.startTicks()
        return world
    }

    /// As real processes are told: by whole milliseconds.
    private func roundTrip(hosts: Int) -> UInt64 {
        options.network.roundTripMilliseconds(hosts: hosts, gateways: options.gateways) * 1_000_000
    }

    private static func digest(_ name: String, _ number: UInt64) -> Digest {
        var hasher = Hasher256(.stateKey)
        hasher.update(Array("forecast \(name)".utf8))
        hasher.update(integer: number)
        return hasher.finish()
    }

    private static func key(_ name: String, _ number: UInt64) -> PublicKey { PublicKey(digest(name, number).value) }

    /// Opens and funds the accounts, those of a shard together: a bundle for all shards would be executed by all.
    /// - Returns: the simulated seconds that it took.
    private func fund(_ world: ForecastWorld, _ balances: [UInt128], shardOf: [ShardID]) throws -> Double {
        let order = shardOf.indices.sorted { (shardOf[$0], $0) < (shardOf[$1], $1) }
        let source = FundingSource(
            specifications: order.map { workload.keys.specifications[$0] }, balances: order.map { balances[$0] })
        let load = EngineLoad(
            source, signers: [CountedSigner(world.manifest.issuer)], manifest: world.manifest,
            configuration: .init(
                clients: max(16, 2 * options.shards), channels: options.gateways, lifetime: 60_000_000,
                seed: options.seed))
        world.load = load
        let begin = world.now
        let isDone = try world.run(limit: world.now + 10 * Self.settleLimit) {
            load.isDone(now: ForecastWorld.instant(world.now))
        }
        guard isDone, load.engine.source.failures == 0 else {
            throw ForecastError.notFunded(load.engine.source.firstFailure ?? "it took too long")
        }
        return Double(world.now - begin) / 1e9
    }

    // MARK: Measuring

    private func measure(
        _ world: ForecastWorld, _ load: EngineLoad<TransferSource>, _ shardOf: [ShardID], _ balances: [UInt128],
        _ funded: Double, _ began: UInt64
    ) throws -> RunResult {
        // From rest: what funding left behind is not what is measured.
        _ = try world.run(limit: world.now + 10_000_000_000) { Self.isAtRest(world) }
        (world.load, world.meter) = (load, meter)
        load.pump(now: ForecastWorld.instant(world.now))
        world.issue()
        let start = world.now
        var looks: [Look] = []
        world.onSample = {
            looks.append(Look(world, committed: load.engine.source.measurements?.commits ?? 0))
        }
        world.sample(at: start + UInt64(options.warmup * 1e9))
        world.sample(at: start + UInt64((options.duration - options.cooldown) * 1e9))
        let limit = UInt64(options.duration * 1e9) + Self.settleLimit
        let hasEnded = try world.run(limit: start + limit) { load.isDone(now: ForecastWorld.instant(world.now)) }
        guard hasEnded else { throw ForecastError.neverEnds(seconds: Double(limit) / 1e9) }
        let ended = world.now
        let isAtRest = try world.run(limit: world.now + Self.settleLimit) { Self.isAtRest(world) }
        if let halt = world.hosts.lazy.compactMap(\.tally.halts.first).first { throw ForecastError.halted(halt) }
        guard let measurements = load.engine.source.measurements, measurements.committed > 0 else {
            throw ForecastError.nothingMeasured
        }
        var invariants = InvariantCheck.check(
            try world.hosts.flatMap { try $0.core.audits() }, shards: options.shards, expected: options.replicas,
            issued: [(AccountKeys.asset, balances.reduce(0, +))])
        if isAtRest {
            invariants.came_to_rest_s = Double(world.now - ended) / 1e9
        } else {
            invariants.at_rest = false
            invariants.problems.append("the cluster did not come to rest")
        }
        var setup = RunResult.Setup(
            shards: options.shards, replicas: options.replicas, gateways: options.gateways, clients: clients,
            durability: "strict", workload: workload.name, rows: workload.trace.rows.count,
            accounts: workload.trace.accounts.count, seed: options.seed,
            crossShardPercent: workload.crossShardPercent,
            crossShare: CrossShardMix.crossShare(of: workload.trace, shardOf: shardOf),
            principals: workload.principals, bundle: workload.bundle, warmupSeconds: options.warmup, clientTLS: false)
        setup.simulated = true
        setup.parameters = workload.parameters
        setup.network = options.network.name
        (setup.cores, setup.placement) = (options.cores, options.placement.rawValue)
        (setup.calibration, setup.duration_s) = (options.costs.name, options.duration)
        if case .open(let perSecond, let arrivals) = options.load {
            (setup.rate_tps, setup.arrivals) = (perSecond, arrivals.rawValue)
        }
        var result = RunResult(
            setup: setup, measurements: measurements, retries: RunResult.Retries(load.engine.counters),
            meanInFlight: load.engine.meanInFlight(now: ended), fundingSeconds: funded, invariants: invariants,
            events: [])
        if let first = looks.first, let last = looks.dropFirst().last {
            result.costs = RunResult.Costs(from: first.sample, to: last.sample)
            result.simulation = simulation(world, first, last, began)
        }
        result.load = offered(measurements, load.engine.openFigures)
        // What they ask of the machine and of the load's process has no answer here, and so they find nothing in that.
        result.validity = RunResult.Validity(reasons: ValidityRules().reasons(against: result))
        return result
    }

    private func offered(_ measurements: Measurements, _ figures: OpenFigures?) -> RunResult.Load {
        guard let openLoop, let figures else { return RunResult.Load(cooldownSeconds: options.cooldown) }
        return RunResult.Load(
            openLoop, bundle: workload.bundle, warmupSeconds: options.warmup, cooldownSeconds: options.cooldown,
            seconds: options.duration, measurements: measurements, figures: figures)
    }

    /// Every replica of a shard has executed the same, and nothing waits or is pushed.
    private static func isAtRest(_ world: ForecastWorld) -> Bool {
        var executed: [Digest?] = Array(repeating: nil, count: world.manifest.shardCount)
        for host in world.hosts {
            for activity in host.core.activity() where !activity.isNothing { return false }
            var isSame = true
            host.core.forEachProgress { progress in
                let shard = Int(progress.shard.number)
                if progress.undecided > 0 || executed[shard].map({ $0 != progress.history }) == true { isSame = false }
                executed[shard] = progress.history
            }
            guard isSame else { return false }
        }
        return true
    }

    private func simulation(_ world: ForecastWorld, _ first: Look, _ last: Look, _ began: UInt64)
        -> RunResult.Simulation
    {
        let usage = Usage(world, from: first, to: last, cores: options.cores)
        var offered: Double?
        if case .open(let perSecond, _) = options.load { offered = perSecond }
        return RunResult.Simulation(
            calibration: options.costs.name, calibrated: options.costs.source, placement: options.placement.rawValue,
            cores: options.cores, network: options.network.name, offered: offered, busiest: usage.busiest,
            busiestMachine: usage.busiestMachine, limit: usage.limit,
            viewChanges: world.hosts.reduce(0) { $0 + $1.tally.viewChanges }, events: world.steps,
            simulatedSeconds: Double(world.now) / 1e9, realSeconds: Double(clock() - began) / 1e9)
    }
}
