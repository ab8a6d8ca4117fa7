import Forecast
import Messages
import Networks
import Testing
import Workload

struct ForecastTests {
    /// Small, so that a run takes a fraction of a second.
    private func workload(shards: Int, cross: Int? = nil) -> ForecastWorkload {
        let accounts = 60 * shards
        let natural = SkewedWorkload(accounts: accounts, transfers: 400 * shards, exponent: 0, seed: 1).trace()
        let keys = AccountKeys(accounts: accounts, seed: 1)
        guard let cross else {
            return ForecastWorkload(name: "test", trace: natural, keys: keys, crossShardPercent: nil)
        }
        let shardOf = keys.shards(in: ShardMap(shardCount: shards))
        let mixed = CrossShardMix.rewrite(natural, percent: cross, shardOf: shardOf, shardCount: shards, seed: 1)
        return ForecastWorkload(name: "test", trace: mixed, keys: keys, crossShardPercent: cross)
    }

    private func options(
        shards: Int, placement: ForecastOptions.Placement = .apart, load: ForecastOptions.Load,
        network: NetworkProfile = .lan, costs: CostModel = .builtIn, duration: Double = 0.5
    ) -> ForecastOptions {
        ForecastOptions(
            shards: shards, cores: 2, placement: placement, load: load, duration: duration, warmup: duration / 5,
            network: network,
            costs: costs)
    }

    /// Nothing costs anything: what is left is the network.
    private var free: CostModel {
        var costs = CostModel.builtIn
        (costs.verify_ns, costs.sign_ns) = (0, 0)
        costs.machine = .init(
            wake: 0, write: 0, read: 0, frame: 0, byte: 0, loopback: 0, record: .init(0), syncCPU: 0, syncWait: 0,
            flush: .init(0), archiveByte: 0)
        costs.steps = costs.steps.mapValues { _ in .init(0) }
        costs.encode = costs.encode.mapValues { _ in .init(0) }
        costs.decode = costs.decode.mapValues { _ in .init(0) }
        return costs
    }

    @Test func `the same options give the same result`() throws {
        let options = options(shards: 2, load: .closed(clients: 8))
        let first = try Forecast(options, workload(shards: 2, cross: 50)).run()
        let second = try Forecast(options, workload(shards: 2, cross: 50)).run()
        #expect(first == second)
        #expect(first.setup.simulated == true)
        #expect(first.simulation?.calibration == "built in")
        let report = BenchReport(runs: [first])
        #expect(report.table().hasPrefix("SIMULATED: no process ran"))
        #expect(report.csv().contains("simulated"))
    }

    @Test(arguments: ForecastOptions.Placement.allCases)
    func `money is conserved and no lock is left`(placement: ForecastOptions.Placement) throws {
        let run = try Forecast(
            options(shards: 3, placement: placement, load: .closed(clients: 12)), workload(shards: 3, cross: 40)
        ).run()
        #expect(run.invariants.allHold, "\(run.invariants.problems)")
        #expect(run.committed > 50 && run.cross.count > 10)
        #expect(run.unknown == 0 && run.aborted == 0)
    }

    @Test func `dearer verification means less throughput`() throws {
        let throughput = try [1.0, 4, 16].map { factor in
            var costs = CostModel.builtIn
            costs.verify_ns *= factor
            return try Forecast(
                options(shards: 1, placement: .together, load: .closed(clients: 32), costs: costs), workload(shards: 1)
            ).run().throughput_tps
        }
        #expect(throughput[0] > throughput[1] && throughput[1] > throughput[2], "\(throughput)")
    }

    @Test(arguments: [(1, nil as Int?), (2, 100)])
    func `a transfer takes seven message delays`(shards: Int, cross: Int?) throws {
        let run = try Forecast(
            options(shards: shards, load: .closed(clients: 1), costs: free, duration: 0.1),
            workload(shards: shards, cross: cross)
        ).run()
        let link = NetworkProfile.lan.link(from: 0, to: 0)
        let latency = shards == 1 ? run.intra : run.cross
        let delays = Double(latency.p50_us) * 1000 / Double(link.delay)
        // Who waits for several waits for the slowest of them, which jitter makes a little slower.
        #expect((6.5...8).contains(delays), "\(delays) delays")
    }

    @Test func `a wide network adds its delays`() throws {
        let near = try Forecast(
            options(shards: 1, load: .closed(clients: 4), costs: free, duration: 0.1), workload(shards: 1)
        ).run()
        let far = try Forecast(
            options(shards: 1, load: .closed(clients: 4), network: .aws5Regions, costs: free, duration: 4),
            workload(shards: 1)
        ).run()
        #expect(far.intra.p50_us > 100 * near.intra.p50_us)
        #expect(far.invariants.allHold)
    }

    @Test func `an open loop offers what it was told`() throws {
        let run = try Forecast(
            options(shards: 2, load: .open(perSecond: 400), costs: free), workload(shards: 2, cross: 10)
        ).run()
        // 160 arrivals are expected in 0.4 s: three standard deviations of a Poisson number are 38.
        #expect((122...198).contains(run.committed), "\(run.committed)")
        #expect(run.simulation?.offered_tps == 400)
    }

    @Test func `what is busiest is named`() throws {
        var costs = CostModel.builtIn
        costs.machine.sync_wait_ns = 20_000_000
        let run = try Forecast(
            options(shards: 1, load: .closed(clients: 16), costs: costs), workload(shards: 1)
        ).run()
        #expect(run.simulation?.busiest.first?.thread == "journal")
        #expect(run.simulation?.limit.contains("journal") == true)
    }
}
