import Foundation
import Messages
import Meter
import Testing
import Workload

/// The forms of a report that other programs read.
struct ReportFormatTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func latency(_ microseconds: [UInt64]) -> RunResult.Latency {
        var measurements = Measurements(start: 0, warmup: 0)
        for (i, value) in microseconds.enumerated() {
            measurements.record(.committed, isCross: false, microseconds: value, now: UInt64(i + 1) * 1_000_000)
        }
        return RunResult.Latency(measurements.intra)
    }

    /// The header, and counts of 1 at index 1, 2 at 3, after a gap, as HdrHistogram 2.1 writes them.
    @Test func `a histogram is written as HdrHistogram's tools read it`() throws {
        let text = try #require(latency([1, 3, 3]).hdr)
        #expect(text.hasPrefix("HISTFAAA"))
        let packed = try #require(Data(base64Encoded: text))
        // The length of what follows the eight bytes of the head, and zlib's first byte.
        #expect(packed.count == 8 + Int(packed[6]) << 8 + Int(packed[7]) && packed[8] == 0x78)
        #expect(latency([]).hdr == nil && latency([]).count == 0)
    }

    @Test func `the log has a line a run and kind, each with a tag of its own`() throws {
        var report = sampleReport(shards: [1, 2])
        report.runs.append(report.runs[1])
        let lines = report.histogramLog().split(separator: "\n").filter { $0.hasPrefix("Tag=") }
        let tags = lines.map { $0.split(separator: ",")[0].dropFirst(4) }
        #expect(
            tags == [
                "1-shards-intra", "2-shards-intra", "2-shards-cross", "2-shards-run-2-intra", "2-shards-run-2-cross",
            ])
        #expect(lines.allSatisfy { $0.split(separator: ",").count == 5 && $0.contains(",HISTFAAA") })
    }

    @Test func `percentiles count what is not above them, to the last one`() throws {
        let report = sampleReport(shards: [1])
        let file = try #require(report.percentileFiles().first)
        #expect(file.name == "latency-1-shards-intra.hgrm")
        let lines = file.text.split(separator: "\n")
        #expect(lines[0].split(separator: " ") == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
        let rows = lines.dropFirst().filter { !$0.hasPrefix("#") }.map {
            $0.split(separator: " ").compactMap { Double($0) }
        }
        let count = Double(report.runs[0].intra.count)
        for (row, next) in zip(rows, rows.dropFirst()) { #expect(row[0] <= next[0] && row[2] <= next[2]) }
        for row in rows { #expect(row[2] >= (row[1] * count).rounded(.down)) }
        #expect(rows.last?.count == 3 && rows.last?[1] == 1 && rows.last?[2] == count)
    }

    @Test func `logs of a report that is overwritten go with it, and nothing else does`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func names() throws -> Set<String> { Set(try FileManager.default.contentsOfDirectory(atPath: path)) }
        _ = try sampleReport(shards: [1, 2]).write(to: ReportFolder(path), title: "first")
        #expect(try names().isSuperset(of: ["latency.hlog", "latency-2-shards-cross.hgrm"]))
        try "mine".write(toFile: path + "/latency-notes.txt", atomically: true, encoding: .utf8)
        _ = try sampleReport(shards: [1]).write(to: ReportFolder(path, overwrites: true), title: "second")
        #expect(
            try names()
                == Set(ReportFolder.files + ["latency.hlog", "latency-1-shards-intra.hgrm", "latency-notes.txt"]))
    }

    private static func schema() throws -> [String: Any] {
        let data = try Data(contentsOf: root.appending(path: "docs/benchmarks/schema.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// What CI holds against real reports, here against one with all that there can be. No report nests as deep as the
    /// last limit.
    @Test(arguments: 0..<12) func `the schema has the keys of a report, and requires those that are always there`(
        limit: Int
    ) throws {
        let report = try EveryKey.value(BenchReport.self, optionalsAbove: limit)
        #expect(report.runs.count == 1 && (report.runs[0].propagation?.links.count == 1) == (limit > 2))
        let document = try JSONSerialization.jsonObject(with: Data(try report.json().utf8))
        let root = try Self.schema()
        #expect(try SchemaKeys(root: root, optionalsAbove: limit).differences(from: document) == [])
    }

    @Test func `a key that only a report or only the schema has is found`() throws {
        let root = try Self.schema()
        let report: [String: Any] = ["schema": 1, "runs": [Any](), "news": 1]
        #expect(try SchemaKeys(root: root, optionalsAbove: 0).differences(from: report) == ["$.news: not described"])
        #expect(
            try SchemaKeys(root: root, optionalsAbove: 1).differences(from: report) == [
                "$.knees: never written", "$.made: never written", "$.news: not described", "$.partial: never written",
                "$.predictions: never written", "$.repeats: never written",
            ])
    }

    @Test func `names that the schema lists are those of the types`() throws {
        let definitions = try #require(try Self.schema()["$defs"] as? [String: Any])
        func names(_ path: String...) throws -> [String] {
            let found = path.reduce(definitions as Any?) { ($0 as? [String: Any])?[$1] }
            return try #require((found as? [String: Any])?["enum"] as? [String], "\(path)")
        }
        #expect(try names("phases", "items", "properties", "phase") == Phase.allCases.map(\.rawValue))
        #expect(
            try names("propagation", "properties", "steps", "items", "properties", "step")
                == PropagationStep.allCases.map(\.rawValue))
        #expect(
            try names("propagation", "properties", "links", "items", "properties", "message")
                == LinkDelay.Message.allCases.map(\.rawValue))
        #expect(try names("load", "properties", "arrivals") == Arrivals.allCases.map(\.rawValue))
        #expect(
            try names("parameters", "properties", "preset") == SmallBankMix.Preset.allCases.map(\.rawValue))
        #expect(
            try names("run", "properties", "fault", "properties", "name")
                == NamedFault.allCases.filter { $0 != .none }.map(\.rawValue))
    }

    @Test func `each column of the table is described, in its order`() throws {
        let page = try String(contentsOf: Self.root.appending(path: "docs/benchmarks/README.md"), encoding: .utf8)
        let table = try #require(page.components(separatedBy: "## Columns").last)
        let described = table.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { row in
            // In the first cell; between two names are a comma and a blank.
            row.split(separator: "|")[0].split(separator: "`").filter { !$0.contains(" ") }
        }
        let header = try #require(sampleReport(shards: [1]).csv().split(separator: "\n").first)
        #expect(described == header.split(separator: ","))
    }
}
