import Forecast
import Foundation
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
        #expect(run.load?.rate_tps == 400 && run.load?.arrivals == "poisson")
        #expect(run.validity == RunResult.Validity(reasons: []))
    }

    @Test func `of an open loop that is too much each request counts, and the run is not valid`() throws {
        var costs = CostModel.builtIn
        costs.verify_ns *= 20
        let load = ForecastOptions.Load.open(perSecond: 2000, arrivals: .constant)
        let run = try Forecast(
            options(shards: 1, placement: .together, load: load, costs: costs), workload(shards: 1)
        ).run()
        // 0.4 s are measured. What was meant for that time counts, though much of it ended later.
        let offered = try #require(run.load?.offered)
        #expect(abs(offered - 800) <= 1)
        // Of sixty accounts some have no money for a payment before another one has ended: those are said.
        let (achieved, unstarted) = (run.load?.achieved ?? .max, run.load?.unstarted ?? 0)
        #expect(run.committed + unstarted + (run.load?.never_begun ?? 0) > 760, "\(run.committed), \(unstarted)")
        #expect(achieved < 700 && achieved < run.committed, "\(achieved) of \(run.committed)")
        #expect(run.validity?.reasons.contains { $0.contains("rate was not met") } == true)
    }

    @Test func `a bundle's transfers are all offered, in as many fewer requests`() throws {
        var work = workload(shards: 1)
        work.keys = AccountKeys(accounts: 60, members: 2, seed: 1)
        (work.bundle, work.principals) = (4, 2)
        let load = ForecastOptions.Load.open(perSecond: 800, arrivals: .constant)
        let run = try Forecast(options(shards: 1, load: load, costs: free), work).run()
        #expect(run.simulation?.offered_tps == 800 && run.load?.rate_tps == 800)
        #expect(abs((run.load?.offered ?? 0) - 320) <= 4)
        #expect(run.committed <= 324, "\(run.committed)")
    }

    @Test func `what is left out at the end is not measured`() throws {
        var options = options(shards: 1, load: .open(perSecond: 400, arrivals: .constant), costs: free)
        options.cooldown = 0.2
        let run = try Forecast(options, workload(shards: 1)).run()
        #expect(abs(run.committed - 80) <= 2 && run.load?.cooldown_s == 0.2, "\(run.committed)")
    }

    @Test func `a page of simulations alone claims no more than they checked`() throws {
        let run = try Forecast(options(shards: 1, load: .closed(clients: 4)), workload(shards: 1)).run()
        #expect(run.load?.shape == "closed" && run.validity == RunResult.Validity(reasons: []))
        let path = FileManager.default.temporaryDirectory.path + "/quorate-forecast-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try BenchReport(runs: [run]).write(to: ReportFolder(path), title: "forecast")
        let page = try String(contentsOfFile: "\(path)/report.html", encoding: .utf8)
        #expect(page.contains("every check of the simulation held"))
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
