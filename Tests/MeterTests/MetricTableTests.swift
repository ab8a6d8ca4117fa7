import Foundation
import Meter
import Testing

/// The table of all metrics, held to how Prometheus wants them named, to the sources and to docs/METRICS.md.
@Suite struct MetricTableTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    @Test func namesAreUniqueAndSayTheirUnits() {
        #expect(MetricTable.all.count >= 60)
        #expect(Set(MetricTable.all.map(\.name)).count == MetricTable.all.count)
        for metric in MetricTable.all {
            let name = metric.name
            #expect(name.wholeMatch(of: /(quorate|process)_[a-z0-9_]+/) != nil, "\(name)")
            if case .counter = metric.kind {
                #expect(name.hasSuffix("_total"), "\(name) counts")
            } else {
                #expect(!name.hasSuffix("_total"), "\(name) does not count")
            }
            let stem = name.replacing(/_(total|max)$/, with: "")
            switch metric.unit {
            case .seconds: #expect(stem.hasSuffix("_seconds"), "\(name)")
            case .bytes: #expect(stem.hasSuffix("_bytes"), "\(name)")
            case .count, .number, .flag: #expect(!stem.hasSuffix("_seconds") && !stem.hasSuffix("_bytes"), "\(name)")
            }
            for label in metric.labels {
                #expect(label.wholeMatch(of: /[a-z_]+/) != nil, "\(name): \(label)")
                // These are a bucket's bound, and what whoever scrapes adds.
                #expect(!["le", "job", "instance", "cluster"].contains(label), "\(name): \(label)")
            }
        }
    }

    /// A histogram's series are named after it.
    @Test func noNameIsThatOfAHistogramsSeries() {
        let names = Set(MetricTable.all.map(\.name))
        for metric in MetricTable.all where metric.kind.scale != nil {
            for suffix in ["bucket", "sum", "count", "total"] {
                #expect(!names.contains("\(metric.name)_\(suffix)"), "\(metric.name)_\(suffix)")
            }
        }
    }

    @Test func meaningsAreSentencesWithoutFullStop() {
        for metric in MetricTable.all {
            #expect(metric.meaning.first?.isUppercase == true, "\(metric.name)")
            #expect(!metric.meaning.hasSuffix("."), "\(metric.name)")
            #expect(!metric.meaning.contains { "|`\n".contains($0) }, "\(metric.name)")
        }
    }

    /// Names stand in quotes where something is counted or said, and nowhere else but in the table.
    @Test func theSourcesSayWhatTheTableHasAndNothingElse() throws {
        var said: Set<String> = []
        for module in ["HostRuntime", "Meter", "Web", "QuorateHost", "Transport"] {
            let folder = Self.root.appending(path: "Sources/\(module)").path(percentEncoded: false)
            for file in try FileManager.default.subpathsOfDirectory(atPath: folder)
            where file.hasSuffix(".swift") && file != "MetricTable.swift" {
                let text = try Self.text("Sources/\(module)/\(file)")
                for match in text.matches(of: /"((?:quorate|process)_[a-z0-9_]+)"/) { said.insert(String(match.1)) }
            }
        }
        #expect(said.sorted() == MetricTable.all.map(\.name).sorted())
    }

    /// Every metric has a row under its topic's heading, as the table has it.
    @Test func thePageHasTheTable() throws {
        let topics = [
            ("Process", MetricTable.process), ("Sessions", MetricTable.sessions), ("Ordering", MetricTable.ordering),
            ("Replicas", MetricTable.replicas), ("Storage", MetricTable.storage), ("Requests", MetricTable.requests),
        ]
        #expect(topics.flatMap(\.1) == MetricTable.all)
        let lines = try Self.text("docs/METRICS.md").components(separatedBy: "\n")
        for (topic, metrics) in topics {
            let section = lines.drop { $0 != "## \(topic)" }.dropFirst().prefix { !$0.hasPrefix("## ") }
            let rows = section.filter { $0.hasPrefix("| `") }
            #expect(rows == metrics.map(Self.row), "docs/METRICS.md: \(topic)")
        }
    }

    private static func row(_ metric: MetricDefinition) -> String {
        let labels = metric.labels.isEmpty ? "" : "{\(metric.labels.joined(separator: ", "))}"
        let cells = [
            "`\(metric.name)\(labels)`", metric.kind.word, metric.unit.rawValue, metric.side.rawValue, metric.meaning,
        ]
        return "| \(cells.joined(separator: " | ")) |"
    }

    /// What operators are given names only what there is; deploy/monitoring/check looks closer, with promtool.
    @Test func rulesAndDashboardsNameWhatThereIs() throws {
        var series: Set<String> = []
        for metric in MetricTable.all {
            series.insert(metric.name)
            guard metric.kind.scale != nil else { continue }
            for suffix in ["bucket", "sum", "count"] { series.insert("\(metric.name)_\(suffix)") }
        }
        let folder = Self.root.appending(path: "deploy/monitoring/dashboards").path(percentEncoded: false)
        let boards = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }
        #expect(boards.count >= 3)
        for file in ["alerts.yml", "alerts_test.yml"] + boards.map({ "dashboards/\($0)" }) {
            let text = try Self.text("deploy/monitoring/\(file)")
            for match in text.matches(of: /\b(?:quorate|process)_[a-z0-9_]+/) {
                #expect(series.contains(String(match.0)), "deploy/monitoring/\(file)")
            }
        }
    }

    @Test func theVersionIsThatOfTheChangelog() throws {
        let heading = try #require(Self.text("CHANGELOG.md").firstMatch(of: /\n## \[([0-9.]+)\]/))
        #expect(String(heading.1) == Build.version)
    }
}
