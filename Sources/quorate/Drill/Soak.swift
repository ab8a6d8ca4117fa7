import ArgumentParser
import Foundation
import Messages
import Workload

extension DrillCommand {
    struct Soak: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Run for long at a share of the peak while hosts die, stand still and are cut off, and see that nothing is lost or grows.",
            discussion: """
                A closed loop of --clients finds the peak; --load of it, or --rate, is then offered at fixed moments for --minutes, and \
                latencies count from these moments. Every --every seconds a random host is killed (SIGKILL) and started again, \
                stopped (SIGSTOP) and continued, or cut off from all others and gateways and mended; never more than one at once, and the next one only when it has caught up. Two clients \
                with transactions on lists record a history meanwhile.

                The drill fails if a receipt that was given decides something else when it is asked for again, if an account does not \
                hold what receipts prove, if a host does not catch up, or if memory, descriptors or disk of a process grow over the \
                last two thirds of the run by more than they may. Ctrl-C shows what was found until then.

                  quorate drill soak --minutes 30 --report out
                  quorate drill soak --minutes 5 --rate 200 --shards 1 --json

                docs/DRILLS.md says what is checked.
                """)
        @Option(help: Real(0.05...10_080).help("Minutes of load."), transform: Real(0.05...10_080).parse)
        var minutes = 30.0
        @Option(
            help: Real(1...1_000_000).help("Transfers offered a second, instead of a share of the peak."),
            transform: Real(1...1_000_000).parse) var rate: Double?
        @Option(
            help: Real(0.01...1).help("Of the peak, what is offered."), transform: Real(0.01...1).parse) var load = 0.7
        @Option(
            help: Real(2...3600).help("Seconds from one fault to the next."), transform: Real(2...3600).parse)
        var every = 20.0
        @Option(help: "What is done to hosts: kill, stop and cut, with commas between them; none for nothing.")
        var faults = "kill,stop,cut"
        @Option(help: Limits.clients.help("Transfers in flight at most."), transform: Limits.clients.parse)
        var clients = 128
        @Option(help: Limits.keyedAccounts.help("Accounts, a key each."), transform: Limits.keyedAccounts.parse)
        var accounts = 5_000
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        private var shards: Int { options.givenShards ?? 2 }

        private func acts() throws -> [SoakSchedule.Act] {
            if faults == "none" { return [] }
            return try faults.split(separator: ",").map { word in
                guard let act = SoakSchedule.Act(rawValue: String(word)) else {
                    throw ValidationError(
                        "--faults takes kill, stop and cut, with commas between them, or none; got \(faults).")
                }
                return act
            }
        }

        func validate() throws {
            guard try faults == "none" || !acts().isEmpty else {
                throw ValidationError("--faults takes kill, stop and cut, with commas between them, or none.")
            }
        }

        func execute() async throws {
            try options.prepare()
            let run = SoakRun(
                setup: options.setup(clients: clients, accounts: accounts, shards: shards),
                plan: .init(seconds: minutes * 60, rate: rate, load: load, every: every, acts: try acts()),
                keep: options.keep, hostProgram: try options.hostProgram.path(), json: json,
                reporting: options.reporting, say: options.say)
            try (try await run.run()).finish(options)
        }
    }
}

struct SoakFindings: DrillFindings {
    struct Fault: Codable, Sendable {
        /// Seconds since the load began.
        var at_s: Double
        var host: Int
        var act: SoakSchedule.Act
        /// Until it was started again, continued, or mended.
        var away_s: Double
        /// From then until it had caught up; null if it did not.
        var caught_up_s: Double?
    }
    struct Balances: Codable, Sendable {
        var checked = 0
        var wrong = 0
        /// Left out, because a transfer of theirs has no certified outcome.
        var unproven = 0
    }
    /// From the moments that transfers were meant for.
    struct Latency: Codable, Sendable {
        var p50_ms: Double
        var p99_ms: Double
        var p999_ms: Double
        var max_ms: Double
    }
    /// Whether a figure of one process stays where it is.
    struct Trend: Codable, Sendable {
        var process: String
        var figure: String
        /// When the process was first seen, in seconds since the load began.
        var from_s: Double
        var flatness: Flatness
    }
    /// One process, as the page draws it: fewer points than were taken where these were many.
    struct Process: Codable, Sendable {
        struct Life: Codable, Sendable {
            var at_s: [Double]
            var memory_bytes: [Double]
            var descriptors: [Double]
        }
        var process: String
        var lives: [Life]
        var disk_at_s: [Double]
        var disk_bytes: [Double]
    }

    /// Of load, as far as it came.
    var seconds = 0.0
    /// The closed loop with which the peak was looked for; null with `--rate`.
    var peak: LoadResult?
    /// Transfers offered a second.
    var offered_tps = 0.0
    /// Committed a second, on average.
    var tps = 0.0
    var latency: Latency?
    /// How long after its moment a transfer left, at most: because all clients had something in flight.
    var most_late_s = 0.0
    var faults: [Fault] = []
    /// Asked again while the load went on, after each fault.
    var receipts_meanwhile = ReceiptKeeper.Answers()
    /// Asked again at the end, of a gateway that was started anew.
    var receipts_at_the_end = ReceiptKeeper.Answers()
    var balances = Balances()
    var history: RunResult.History?
    var trends: [Trend] = []
    /// Of the load, from the first.
    var by_second: [SecondFigures.Second] = []
    var processes: [Process] = []
    var problems: [String] = []
    var down: Set<Int> = []

    func text() -> String {
        let caughtUp = Spread(faults.compactMap(\.caught_up_s))
        let acts = SoakSchedule.Act.allCases.map { act in
            "\(faults.count { $0.act == act }) \(act.past)"
        }.joined(separator: ", ")
        func answers(_ answers: ReceiptKeeper.Answers) -> String {
            "\(answers.same) same, \(answers.different) different, \(answers.acknowledged) acknowledged, \(answers.no_answer) without an answer"
        }
        var lines = [
            "\(Figures.text(seconds, digits: 0)) s at \(Figures.text(offered_tps, digits: 0)) transfers/s offered"
                + (peak.map { ", the peak being \(Figures.text($0.tps, digits: 0))" } ?? "")
                + ": \(Figures.text(tps, digits: 0)) committed/s",
            "latency from the intended moment, ms: p50 \(Figures.text(latency?.p50_ms)), p99 \(Figures.text(latency?.p99_ms)), "
                + "p99.9 \(Figures.text(latency?.p999_ms)), max \(Figures.text(latency?.max_ms)); at most \(Figures.text(most_late_s, digits: 2)) s late",
            "hosts: \(acts); caught up after p50 \(Figures.text(caughtUp?.p50)) s, max \(Figures.text(caughtUp?.max)) s",
            "receipts asked for again meanwhile: \(answers(receipts_meanwhile))",
            "receipts asked for again at the end: \(answers(receipts_at_the_end))",
            "balances: \(balances.checked) accounts hold what receipts prove, \(balances.wrong) do not, \(balances.unproven) cannot be told",
        ]
        if let history {
            lines.append(
                "history: \(history.transactions) transactions on \(history.lists) lists, \(history.unknown) of unknown outcome"
                    + (history.is_full ? "; it was full before the end" : ""))
        }
        guard !trends.isEmpty else {
            return (lines + ["too short a run to say whether anything grows"]).joined(separator: "\n")
        }
        let rows = trends.map { trend in
            let isCount = trend.figure == "descriptors"
            func text(_ value: Double) -> String { isCount ? Figures.text(value) : Figures.text(value / 1e6) + " MB" }
            return [
                trend.process, trend.figure, Figures.text(trend.from_s, digits: 0),
                Figures.text(trend.flatness.seconds, digits: 0), text(trend.flatness.mean),
                text(trend.flatness.growth), text(trend.flatness.slope_per_hour),
                trend.flatness.is_flat ? "flat" : "GROWS",
            ]
        }
        return lines.joined(separator: "\n") + "\n"
            + Figures.table(
                [["process", "figure", "from s", "over s", "mean", "growth", "per hour", ""]] + rows)
    }

    var plots: [DrillPage.Plot] {
        func seconds(_ name: String, _ colour: Int, _ figure: (SecondFigures.Second) -> Double?) -> DrillPage.Plot.Line
        {
            let points = by_second.enumerated().compactMap { i, second in
                figure(second).map { (x: Double(i) + 0.5, y: $0) }
            }
            return .init(name: name, points: Thinned.points(points), colour: colour)
        }
        func lives(_ figure: (Process.Life) -> [Double], _ scale: Double) -> [DrillPage.Plot.Line] {
            processes.enumerated().flatMap { colour, process in
                process.lives.map { life in
                    DrillPage.Plot.Line(
                        name: process.process,
                        points: zip(life.at_s, figure(life)).map { (x: $0, y: $1 / scale) }, colour: colour)
                }
            }
        }
        let disk = processes.enumerated().map { colour, process in
            DrillPage.Plot.Line(
                name: process.process, points: zip(process.disk_at_s, process.disk_bytes).map { (x: $0, y: $1 / 1e6) },
                colour: colour)
        }
        return [
            .init(
                title: "Latency from the intended moment", yTitle: "ms",
                lines: [seconds("p50", 0) { $0.p50_ms }, seconds("p99", 1) { $0.p99_ms }], isLogarithmic: true),
            .init(title: "Resident memory", yTitle: "MB", lines: lives(\.memory_bytes, 1e6)),
            .init(title: "Descriptors", yTitle: "open", lines: lives(\.descriptors, 1)),
            .init(title: "Disk", yTitle: "MB", lines: disk),
        ]
    }
}

/// Few enough points for a page.
enum Thinned {
    private static let most = 400

    /// The mean of so many neighbours.
    static func points(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        let step = (points.count + most - 1) / most
        guard step > 1 else { return points }
        return stride(from: 0, to: points.count, by: step).map { first in
            let part = points[first..<min(points.count, first + step)]
            let count = Double(part.count)
            return (part.reduce(0) { $0 + $1.x } / count, part.reduce(0) { $0 + $1.y } / count)
        }
    }
}
