import Foundation
import Testing
import Workload

struct ValidityTests {
    /// An open loop of which nothing is wrong.
    private func run(_ change: (inout RunResult) -> Void = { _ in }) -> RunResult {
        var run = sampleReport(shards: [2]).runs[0]
        var load = RunResult.Load(cooldownSeconds: 1)
        (load.shape, load.rate_tps, load.offered, load.achieved) = ("open", 1000, 10_000, 9950)
        load.send_lag = .init(count: 10_000, p50: 100, p99: 900, p999: 2000, max: 3000)
        load.take(MachineUse(clientCores: 0.4, idle: 0.3, steal: 0.001))
        (run.load, run.unknown) = (load, 0)
        change(&run)
        return run
    }

    private func reasons(_ change: (inout RunResult) -> Void) -> [String] {
        ValidityRules().reasons(against: run(change))
    }

    @Test func `a run of which nothing is wrong is valid, open or closed, and one of before too`() {
        #expect(reasons { _ in }.isEmpty)
        #expect(reasons { $0.load = nil }.isEmpty)
        // What a closed loop does to a machine that it shares with the hosts.
        let closed = reasons {
            $0.load = .init(cooldownSeconds: 0)
            $0.load?.take(MachineUse(clientCores: 0.8, idle: 0, steal: 0.01))
        }
        #expect(closed.isEmpty)
    }

    @Test func `each reason is found, and no other with it`() {
        let cases: [(String, (inout RunResult) -> Void)] = [
            ("client was the bottleneck: it used 0.95 processors", { $0.load?.client_cores = 0.95 }),
            ("1 in 100 began more than 12.0 ms late", { $0.load?.send_lag?.p99_us = 12_000 }),
            ("6.0 % of its processors' time went to others", { $0.load?.machine_steal = 0.06 }),
            ("offered rate was not met: 90.0 %", { $0.load?.achieved = 9000 }),
            (
                "past the knee",
                {
                    $0.load?.achieved = 9000
                    $0.load?.machine_idle = 0.01
                }
            ),
            (
                "500 requests were in flight",
                {
                    $0.load?.in_flight_bound_reached = true
                    $0.load?.in_flight_bound = 500
                }
            ),
            ("2 operations have no certified outcome", { $0.unknown = 2 }),
            ("3 receipts did not verify", { $0.retries.invalid_receipts = 3 }),
            ("an invariant failed", { $0.invariants.conservation = false }),
            ("an invariant failed", { $0.invariants.at_rest = false }),
            (
                "could not be told",
                {
                    $0.history = RunResult.History(
                        transactions: 1, committed: 1, failed: 0, died: 0, unknown: 0, lists: 1, unreadLists: 0,
                        isFull: false, checkSeconds: 0, file: nil)
                    $0.history?.is_undecided = true
                }
            ),
            (
                "2 values that the workload's check needs could not be read",
                {
                    $0.transactions = RunResult.Transactions(kinds: [], deaths: 0, check: nil, firstFailure: nil)
                    $0.transactions?.unread_values = 2
                }
            ),
            ("not strictly serializable", { $0.invariants.strictly_serializable = false }),
            ("a fault that was asked for did not happen", { $0.missed_events = [.init(atSeconds: 9, what: "x")] }),
            ("lost a connection to a gateway", { $0.retries.connection_failures = 1 }),
        ]
        for (text, change) in cases {
            let found = reasons(change)
            #expect(found.count == 1 && found[0].contains(text), "\(text): \(found)")
        }
    }

    @Test func `what chance explains is no shortfall, and a gateway that was killed loses connections`() {
        // 2.5 % of 400, where twelve are in flight on average: by chance some ten more may be at the end.
        func missing(inFlight: Double) -> [String] {
            reasons {
                $0.load?.offered = 400
                $0.load?.achieved = 390
                $0.in_flight_mean = inFlight
            }
        }
        #expect(missing(inFlight: 12).isEmpty && missing(inFlight: 0.5).count == 1)
        let killed = reasons {
            $0.retries.connection_failures = 1
            $0.events = [.init(atSeconds: 1, what: "kill -9 gateway 0")]
        }
        #expect(killed.isEmpty)
    }

    @Test func `the machine's columns become shares of the time between two looks`() throws {
        func sample(_ at: UInt64, _ cpu: UInt64, _ line: String?) -> MachineSample {
            MachineSample(at: at, clientMicroseconds: cpu, procStat: line)
        }
        let first = sample(0, 0, "cpu  100 0 100 1000 0 0 0 10 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
        let last = sample(2_000_000_000, 500_000, "cpu  150 0 110 1030 5 0 0 15 0 0\n")
        let use = try #require(MachineUse(from: first, to: last))
        #expect(use.clientCores == 0.25 && use.idle == 0.35 && use.steal == 0.05)
        for line in [nil, "", "cpu  1 2 3", "cpu  1 2 x 4 5 6 7 8"] as [String?] {
            let unknown = try #require(MachineUse(from: first, to: sample(1, 1, line)))
            #expect(unknown.idle == nil && unknown.steal == nil && unknown.clientCores != nil)
        }
        #expect(MachineUse(from: last, to: first) == nil)
    }

    @Test func `what is not valid is marked in the table, the JSON, the CSV and the page`() throws {
        var report = sampleReport(shards: [2])
        report.runs[0] = run { $0.validity = .init(reasons: ["the <client> was the bottleneck"]) }
        #expect(report.table().contains("INVALID, 2 shards: the <client> was the bottleneck"))
        #expect(report.table().contains("lag p99 ms"))
        let json = try report.json()
        #expect(json.contains(#""validity":{"reasons":["the <client> was the bottleneck"],"valid":false}"#))
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(json.utf8)) == report)
        let lines = report.csv().split(separator: "\n")
        #expect(lines[0].contains(",valid,invalid_reasons,load,rate_tps,"))
        #expect(lines[1].contains(",false,the <client> was the bottleneck,open,1000.000,"))
        report.runs[0].validity = .init(reasons: [])
        #expect(!report.table().contains("INVALID"))
        #expect(try report.json().contains(#""validity":{"reasons":[],"valid":true}"#))
    }
}

struct RepeatTests {
    @Test(
        arguments: [(1, 1, 0.0), (5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9922), (9, 2, 0.9609), (10, 2, 0.9785)]
            + [(20, 6, 0.9586), (100, 40, 0.9648)])
    func `the interval of a median is between the k-th of both ends`(_ n: Int, _ k: Int, _ confidence: Double) throws {
        let values = (1...n).map(Double.init).reversed()
        let interval = try #require(MedianInterval(Array(values)))
        #expect(interval.median == Double(n + 1) / 2)
        #expect(interval.low == Double(k) && interval.high == Double(n + 1 - k))
        #expect(abs(interval.confidence - confidence) < 0.0001, "\(interval.confidence)")
    }

    @Test func `nothing has no median`() { #expect(MedianInterval([]) == nil) }

    private func report(_ throughputs: [Double]) -> BenchReport {
        let base = sampleReport(shards: [1, 2])
        return BenchReport(
            runs: throughputs.enumerated().flatMap { place, throughput in
                base.runs.map {
                    var run = $0
                    (run.throughput_tps, run.repetition) = (throughput * Double(run.shards), place + 1)
                    return run
                }
            })
    }

    @Test func `runs of one combination become medians with intervals, in the table and the JSON`() throws {
        var report = report([100, 104, 98, 101, 103, 99])
        report.summarizeRepeats(gate: 0.15)
        let repeats = try #require(report.repeats)
        #expect(repeats.map(\.shards) == [1, 2] && repeats.map(\.runs) == [6, 6])
        #expect(repeats[1].throughput_tps.median == 201 && repeats[1].throughput_tps.low == 196)
        #expect(repeats.allSatisfy(\.validity.valid) && repeats[0].cross == nil && repeats[1].cross != nil)
        #expect(report.table().contains("196 .. 208") && report.table().contains("confidence of 96.9 %"))
        #expect(report.invalidLines.isEmpty)
        let decoded = try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8))
        #expect(decoded == report)
    }

    @Test func `runs that vary too much are not valid, none of them`() throws {
        var report = report([100, 150, 80])
        report.summarizeRepeats(gate: 0.15)
        #expect(report.repeats?.contains { $0.validity.valid } == false)
        #expect(report.runs.allSatisfy { $0.validity?.valid == false })
        #expect(report.table().contains("INVALID, 2 shards, all runs: throughput varies by 32.8 %"))
        #expect(report.table().contains("so few runs give no 95 % interval"))
    }

    @Test func `one run that is not valid is said of all`() throws {
        var report = report([100, 101])
        report.runs[0].validity = .init(reasons: ["it rained"])
        report.summarizeRepeats(gate: 0.15)
        #expect(report.repeats?.map(\.valid_runs) == [1, 2])
        #expect(report.invalidLines.contains("INVALID, 1 shard, all runs: 1 of 2 runs are not valid"))
    }
}

struct KneeTests {
    /// A queue with one server and exponential service times: 99 of 100 wait no longer than 4.6 / (μ - λ).
    private func measure(_ rate: Double, capacity: Double, limit: Double) -> KneeSearch.Step {
        let p99 = rate < capacity ? 4605 / (capacity - rate) : 60_000
        return .init(
            rate: rate, throughput: min(rate, capacity), p99Milliseconds: p99,
            reasons: p99 > limit ? ["p99 is above \(limit) ms"] : [])
    }

    private func search(from start: Double, capacity: Double, limit: Double) -> KneeSearch {
        var search = KneeSearch(start: start)
        while let rate = search.next { search.record(measure(rate, capacity: capacity, limit: limit), at: rate) }
        return search
    }

    @Test(arguments: [1.0, 100, 977, 40_000]) func `the highest rate that is borne is found from both sides`(
        _ start: Double
    ) throws {
        let search = search(from: start, capacity: 1000, limit: 100)
        // 4.6 / (1000 - λ) is 100 ms at 954 a second.
        let knee = try #require(search.knee)
        #expect(knee <= 954 && knee * KneeSearch.resolution > 953, "\(knee)")
        let report = Knee(search, shards: 2, crossShardPercent: 10, limit: 100)
        #expect(report.rate_tps == knee && report.reasons == ["p99 is above 100.0 ms"])
        #expect((report.not_met_tps ?? 0) / knee <= KneeSearch.resolution * 1.0001)
        var bench = sampleReport(shards: [2])
        bench.knees = [report]
        #expect(
            bench.table().contains("knee, 2 shards, 10 % cross: \(Int(knee.rounded())) a second (p99 up to 100 ms)"))
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(try bench.json().utf8)) == bench)
    }

    @Test func `where nothing is borne there is no knee, and the search ends`() {
        let search = search(from: 64, capacity: 0.5, limit: 100)
        #expect(search.knee == nil && search.steps.map(\.rate_tps) == [64, 32, 16, 8, 4, 2, 1])
    }

    @Test func `a search ends where everything is borne`() {
        #expect(search(from: 1, capacity: 1e12, limit: 100).steps.count == KneeSearch.maxSteps)
    }
}
