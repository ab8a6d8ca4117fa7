import ArgumentParser
import Foundation
import Workload

/// What was asked for.
struct DrillSetup: Codable, Sendable {
    var shards: Int
    var replicas: Int
    var gateways: Int
    var clients: Int
    var accounts: Int
    /// Null: every account has a key of its own.
    var principals: Int?
    var seed: UInt64
    var machine: String
}

/// What the clients got from first to last.
struct DrillLoad: Codable, Sendable {
    var committed: Int
    var aborted: Int
    /// Transfers without a certified outcome.
    var unknown: Int
    /// Signed requests in flight on average.
    var in_flight_mean: Double
    var retries: RunResult.Retries
}

/// What one kind of drill found.
protocol DrillFindings: Codable, Sendable {
    /// What the cluster did not do and must; empty if all is well.
    var problems: [String] { get }
    /// Hosts that do not run at the end.
    var down: Set<Int> { get }
    /// For people.
    func text() -> String
    /// What was compared, where one load came after the other.
    var loads: [(name: String, load: LoadResult)] { get }
    /// Figures over time, for the page.
    var plots: [DrillPage.Plot] { get }
}

extension DrillFindings {
    var loads: [(name: String, load: LoadResult)] { [] }
    var plots: [DrillPage.Plot] { [] }
}

struct DrillReport<Findings: DrillFindings>: Codable, Sendable {
    var schema = 1
    var drill: String
    var setup: DrillSetup
    var findings: Findings
    var load: DrillLoad
    var invariants: RunResult.Invariants
    var made = Made.now
    /// Commits over time, and what was done meanwhile; null where one load came after the other.
    var timeline: RunResult.Timeline?
    var events: [RunResult.Event] = []

    /// Prints it, and writes it where it was asked for; throws the exit code of what is wrong.
    func finish(_ options: DrillOptions) throws {
        if options.json { try Console.json(self) } else { Console.out(findings.text()) }
        // Whoever cannot have the file has been told.
        try options.reporting.write { try write(to: $0) }
        for problem in findings.problems { Console.error("DRILL FAILED: \(problem)") }
        guard invariants.allHold else {
            for problem in invariants.problems { Console.error("INVARIANT FAILED: \(problem)") }
            throw ExitCode(ExitReason.invariantFailed.rawValue)
        }
        if !options.json {
            Console.out("invariants hold on every replica: money conserved, replicas identical, no lock left")
        }
        guard findings.problems.isEmpty else { throw ExitCode(ExitReason.drillFailed.rawValue) }
        guard load.unknown == 0, load.retries.invalid_receipts == 0 else {
            throw ToolError(
                .benchIncomplete,
                "\(load.unknown) transfers have no certified outcome, \(load.retries.invalid_receipts) receipts were not valid"
            )
        }
    }
}

extension DrillReport {
    private func write(to folder: ReportFolder) throws -> String {
        let json = try Console.document(self)
        return try folder.write([
            ("report.json", json + "\n"), ("report.csv", try DrillPage.csv(json: json)), ("report.html", page.text()),
        ])
    }

    private var page: DrillPage {
        func comparison(_ title: String, _ figure: (LoadResult) -> Double?) -> DrillPage.Comparison {
            DrillPage.Comparison(
                title: title, figures: findings.loads.compactMap { name, load in figure(load).map { (name, $0) } })
        }
        let comparisons = [
            comparison("Committed transfers / s") { $0.tps.rounded() }, comparison("Latency p50, ms") { $0.p50_ms },
            comparison("Latency p99, ms") { $0.p99_ms },
            comparison("p99 of what was admitted, ms") { $0.admitted_p99_ms },
        ]
        let keys = setup.principals.map { "\($0) principals" } ?? "a key each"
        return DrillPage(
            title: "Quorate drill: \(drill)",
            subtitle:
                "\(setup.shards) \(setup.shards == 1 ? "shard" : "shards") on \(setup.replicas) hosts, \(setup.clients) clients over "
                + "\(setup.gateways == 1 ? "1 gateway" : "\(setup.gateways) gateways"), \(setup.accounts) accounts (\(keys)), seed \(setup.seed).",
            made: made,
            facts: [
                (load.committed, "transfers committed"), (load.aborted, "aborted"),
                (load.unknown, "without a certified outcome"),
            ],
            invariants: invariants, problems: findings.problems, findings: findings.text(),
            comparisons: comparisons.filter { !$0.figures.isEmpty }, timeline: timeline, events: events,
            plots: findings.plots)
    }
}

/// p50 (the lower one of the middle two) and maximum.
struct Spread: Codable, Sendable {
    var p50: Double
    var max: Double

    /// Nil for nothing.
    init?(_ figures: [Double]) {
        let sorted = figures.sorted()
        guard let last = sorted.last else { return nil }
        (p50, max) = (sorted[(sorted.count - 1) / 2], last)
    }
}

enum Figures {
    /// With a point, whatever the locale; a dash for what was not seen.
    static func text(_ value: Double?, digits: Int = 1) -> String {
        guard let value else { return "-" }
        return String(format: "%.\(digits)f", locale: Locale(identifier: "en_US_POSIX"), value)
    }

    /// One decimal, for reports that are compared.
    static func milliseconds(_ nanoseconds: UInt64) -> Double { (Double(nanoseconds) / 1e5).rounded() / 10 }

    static func seconds(_ nanoseconds: UInt64) -> Double { (Double(nanoseconds) / 1e7).rounded() / 100 }

    static func megabytes(_ bytes: Int) -> String { text(Double(bytes) / 1e6) + " MB" }

    /// Columns under their headers, to the right.
    static func table(_ rows: [[String]]) -> String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
