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

    private func history(unread: Int) -> RunResult.History {
        var history = RunResult.History(
            transactions: 9, committed: 9, failed: 0, died: 0, unknown: 0, lists: 9, unreadLists: unread, isFull: false,
            checkSeconds: 1, file: nil)
        history.things = "keys"
        return history
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
            ("what the workload left is not what was certified", { $0.invariants.workload_consistent = false }),
            ("gateway 0 ended unexpectedly", { $0.events = [.ended("gateway 0", atSeconds: 1)] }),
            ("nothing was committed", { $0.committed = 0 }),
            ("2 keys of the history could not be read", { $0.history = history(unread: 2) }),
            ("50 operations of the measured time were never begun", { $0.load?.never_begun = 50 }),
            ("only 90.0 % of the operations were committed", { $0.load?.committed = 9000 }),
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
        // One that ends by itself is no excuse.
        let crashed = reasons {
            $0.retries.connection_failures = 1
            $0.events = [.ended("gateway 0", atSeconds: 1)]
        }
        #expect(crashed.count == 2, "\(crashed)")
    }

    @Test func `some requests of the last moments may be late, and of mixes some may abort`() {
        let late = reasons { $0.load?.never_begun = 10 }
        #expect(late.isEmpty, "\(late)")
        let mix = reasons {
            $0.load?.committed = 9000
            $0.transactions = .init(kinds: [], deaths: 0, check: "", firstFailure: nil)
        }
        #expect(mix.isEmpty, "\(mix)")
    }

    @Test func `unknown outcomes of a recorded history are no reason after a fault that was asked for`() {
        func unknown(_ what: String?) -> [String] {
            reasons {
                ($0.unknown, $0.history) = (2, history(unread: 0))
                ($0.setup.rows, $0.setup.accounts) = (0, 0)
                $0.events = what.map { [.init(atSeconds: 1, what: $0)] } ?? []
            }
        }
        let (asked, alone) = (unknown("kill -9 host 1"), unknown(nil))
        #expect(asked.isEmpty && alone.count == 1, "\(asked), \(alone)")
    }

    @Test func `what was never begun of the measured time is counted, and what was committed in it`() {
        let second: UInt64 = 1_000_000_000
        let loop = OpenLoop(requestsPerSecond: 100, arrivals: .constant, seed: 1)
        func load(begun: Int, seconds: Double? = 10) -> RunResult.Load {
            var measurements = Measurements(start: 0, warmup: second, length: 9 * second, isOpen: true)
            measurements.record(.committed, isCross: false, microseconds: 10, now: 2 * second)
            measurements.record(.aborted(.insufficientFunds), isCross: false, microseconds: 10, now: 2 * second)
            var figures = OpenFigures()
            figures.begun = begun
            return RunResult.Load(
                loop, bundle: 2, warmupSeconds: 1, cooldownSeconds: 1, seconds: seconds, measurements: measurements,
                figures: figures)
        }
        #expect(load(begun: 850).offered == 1600 && load(begun: 850).never_begun == 100)
        #expect(load(begun: 900).never_begun == 0 && load(begun: 1000).never_begun == 0)
        // Not more than was meant for that time.
        #expect(load(begun: 0).never_begun == 1600 && load(begun: 0, seconds: nil).never_begun == nil)
        #expect(load(begun: 900).achieved == 2 && load(begun: 900).committed == 1)
    }

    @Test func `a workload's check that failed is in the CSV and on the page, with reasons and without`() throws {
        var report = sampleReport(shards: [2])
        report.runs[0] = run { $0.invariants.workload_consistent = false }
        report.runs[0].validity = .init(reasons: reasons { $0.invariants.workload_consistent = false })
        #expect(report.csv().contains(",false,what the workload left is not what was certified,open,"))
        report.runs[0].validity = nil
        #expect(try page(report).contains("check failed"))
    }

    private func page(_ report: BenchReport) throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/quorate-validity-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try report.write(to: ReportFolder(path), title: "bench")
        return try String(contentsOfFile: path + "/report.html", encoding: .utf8)
    }

    @Test func `only runs of one load are repeats, and the page speaks of an open loop as of one`() throws {
        var report = sampleReport(shards: [2])
        report.runs = [run(), run()]
        let same = try page(report)
        #expect(same.contains("run 2 of 2"))
        #expect(same.contains("1,000 operations a second (open loop)") && !same.contains("64 clients over"))
        #expect(same.contains("The moment that a request was meant for"))
        report.runs[1].setup.rate_tps = 500
        #expect(!(try page(report).contains("run 2 of 2")))
        // Of a search, whose set-up has no rate.
        report.runs[1].setup.rate_tps = nil
        report.runs[1].load?.rate_tps = 500
        #expect(!(try page(report).contains("run 2 of 2")))
        report.runs.removeLast()
        report.runs[0].setup.rows = 0
        (report.runs[0].setup.principals, report.runs[0].load) = (16, nil)
        let mix = try page(report)
        #expect(!mix.contains("(0 rows") && !mix.contains("signing bundles") && mix.contains("64 clients over"))
        #expect(mix.contains("First submit to verified receipt"))
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
        // In the rows of two kinds of two shards, but that there is no second kind on one.
        #expect(report.table().occurrences(of: "75.0 %") >= 5 && !report.table().contains(" 95 %  "))
    }

    @Test func `in an open loop latencies that vary speak against the runs, as throughput is the rate`() throws {
        var report = report([100, 100, 100])
        for (i, p99) in [(0, 100_000 as UInt64), (2, 300_000), (4, 900_000)] {
            report.runs[i].intra.p99_us = p99
            report.runs[i].cross.p99_us = p99
        }
        report.runs.removeAll { $0.shards == 2 }
        var closed = report
        closed.summarizeRepeats(gate: 0.15)
        #expect(closed.runs.allSatisfy { $0.validity?.valid ?? true })
        for i in report.runs.indices {
            var load = RunResult.Load(cooldownSeconds: 1)
            load.shape = "open"
            report.runs[i].load = load
        }
        report.summarizeRepeats(gate: 0.15)
        let reasons = report.runs.flatMap { $0.validity?.reasons ?? [] }
        #expect(reasons.count == 3 && reasons.allSatisfy { $0.hasPrefix("p99 varies by ") }, "\(reasons)")
    }

    @Test func `cells of a grid are held against themselves alone`() throws {
        var report = report([100, 101, 300, 303, 100, 200])
        report.runs.removeAll { $0.shards == 2 }
        for i in report.runs.indices {
            let values = ["shards": "1", "fault": ["none", "slow-disk", "slow-primary"][i / 2]]
            report.runs[i].grid = GridCell(values: values, repetition: i % 2 + 1)
        }
        report.summarizeRepeats(gate: 0.15)
        #expect(report.repeats?.map(\.runs) == [2, 2, 2])
        #expect(report.runs.map { $0.validity?.valid ?? true } == [true, true, true, true, false, false])
        #expect(report.table().contains("INVALID, 1 shard, fault slow-primary, all runs: throughput varies"))
    }

    @Test func `one run that is not valid is said of all`() throws {
        var report = report([100, 101])
        report.runs[0].validity = .init(reasons: ["it rained"])
        report.summarizeRepeats(gate: 0.15)
        #expect(report.repeats?.map(\.valid_runs) == [1, 2])
        #expect(report.invalidLines.contains("INVALID, 1 shard, all runs: 1 of 2 runs are not valid"))
    }
}

struct PredictionTests {
    @Test func `both medians are of the kind of which the real run had more`() throws {
        let measured = sampleReport(shards: [2], mixes: [30]).runs[0]
        var predicted = measured
        (predicted.intra, predicted.cross) = (measured.cross, measured.intra)
        (predicted.intra.p50_us, predicted.cross.p50_us) = (1111, 2222)
        let row = Predictions.Row(predicted: predicted, measured: measured)
        let isCross = measured.cross.count > measured.intra.count
        #expect(measured.cross.count != measured.intra.count)
        #expect(row.predicted_p50_us == (isCross ? 2222 : 1111))
        #expect(row.measured_p50_us == (isCross ? measured.cross : measured.intra).p50_us)
    }

    @Test func `the page and the JSON have predictions beside what was measured`() throws {
        var report = sampleReport(shards: [2])
        var predicted = report.runs[0]
        predicted.throughput_tps = report.runs[0].throughput_tps * 1.5
        report.predictions = Predictions(
            calibration: "here", clients: 64, rows: [.init(predicted: predicted, measured: report.runs[0])])
        #expect(report.predictions?.text.contains("+50 %") == true)
        let path = FileManager.default.temporaryDirectory.path + "/quorate-predictions-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try report.write(to: ReportFolder(path), title: "calibrate")
        let page = try String(contentsOfFile: "\(path)/report.html", encoding: .utf8)
        #expect(page.contains("Predicted and measured") && page.contains("+50 %"))
        let decoded = try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8))
        #expect(decoded == report)
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
