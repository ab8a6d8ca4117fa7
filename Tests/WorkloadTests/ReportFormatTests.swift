import Foundation
import Messages
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

    /// What CI holds against real reports, here against one with all that a made-up run has.
    @Test func `each key of a report is described in the schema`() throws {
        let data = try Data(contentsOf: Self.root.appending(path: "docs/benchmarks/schema.json"))
        let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        var made = Provenance(date: "d", version: "v", command: "c", cpu: "cpu", cores: 1)
        made.environment = .current(folder: "/")
        var report = sampleReport(shards: [2], made: made)
        report.partial = "interrupted"
        report.runs[0].history = .init(
            transactions: 40, committed: 37, failed: 2, died: 2, unknown: 1, lists: 3, unreadLists: 0, isFull: false,
            checkSeconds: 0.001, file: "file")
        let document = try JSONSerialization.jsonObject(with: Data(try report.json().utf8))
        #expect(try Self.undescribed(document, schema, root: schema, at: "$") == [])
        #expect(try Self.undescribed(["runs": [["news": 1]]], schema, root: schema, at: "$") == ["$.runs.news"])
    }

    private static func undescribed(
        _ value: Any, _ schema: [String: Any], root: [String: Any], at place: String
    ) throws -> Set<String> {
        if let reference = schema["$ref"] as? String, let name = reference.split(separator: "/").last {
            let definitions = try #require(root["$defs"] as? [String: Any])
            let target = try #require(definitions[String(name)] as? [String: Any], "\(reference)")
            return try undescribed(value, target, root: root, at: place)
        }
        var out: Set<String> = []
        for item in value as? [Any] ?? [] {
            out.formUnion(try undescribed(item, schema["items"] as? [String: Any] ?? [:], root: root, at: place))
        }
        let known = schema["properties"] as? [String: Any] ?? [:]
        for (key, item) in value as? [String: Any] ?? [:] {
            if let inner = known[key] as? [String: Any], inner["description"] is String {
                out.formUnion(try undescribed(item, inner, root: root, at: "\(place).\(key)"))
            } else if known[key] == nil, let others = schema["additionalProperties"] as? [String: Any] {
                out.formUnion(try undescribed(item, others, root: root, at: "\(place).\(key)"))
            } else {
                out.insert("\(place).\(key)")
            }
        }
        return out
    }

    @Test func `each column of the table is described`() throws {
        let page = try String(contentsOf: Self.root.appending(path: "docs/benchmarks/README.md"), encoding: .utf8)
        let header = try #require(sampleReport(shards: [1]).csv().split(separator: "\n").first)
        for column in header.split(separator: ",") { #expect(page.contains("`\(column)`"), "\(column)") }
    }
}
