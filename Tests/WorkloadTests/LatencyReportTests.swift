import Foundation
import Testing
import Workload

struct LatencyReportTests {
    /// Transfers: client to gateway, to the replicas, three phases, attestation, receipt. A call is ordered at home, at
    /// the callee, and at home again; each level more adds an order there and one back.
    @Test func `delays follow from the path of a request`() {
        let delays = LatencyKind.measured.map(\.delays)
        #expect(delays == [7, 7, 7, 7, 17, 27, 47])
        #expect(LatencyKind.measured.map(\.syncs) == [2, 2, 2, 2, 6, 10, 18])
        #expect(LatencyKind.measured.map(\.shards) == [1, 2, 4, 8, 2, 3, 5])
        #expect(LatencyKind.call(depth: 4).formula == "2 + 5 (2·4 + 1)")
    }

    private func report() -> LatencyReport {
        LatencyReport(
            shards: 8, replicas: 4, gateways: 1, pauseMilliseconds: 20,
            rows: LatencyKind.measured.map {
                LatencyReport.Row($0, microseconds: (1...200).reversed().map { $0 * 100 }, resent: 0)
            },
            invariants: .init(conservation: true, replicasAgree: true, noLocks: true, problems: []))
    }

    @Test func `percentiles are of the nearest rank`() {
        let row = report().rows[0]
        #expect((row.count, row.p50_us, row.p99_us) == (200, 10_000, 19_800))
        #expect((row.min_us, row.max_us) == (100, 20_000))
        let one = LatencyReport.Row(.call(depth: 1), microseconds: [7], resent: 0)
        #expect((one.p50_us, one.p99_us) == (7, 7))
        let none = LatencyReport.Row(.call(depth: 1), microseconds: [], resent: 0)
        #expect((none.count, none.p50_us, none.max_us) == (0, 0, 0))
    }

    @Test func `the JSON has every promised key`() throws {
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(try report().json().utf8)) as? [String: Any])
        #expect(object["schema"] as? Int == 1)
        let rows = try #require(object["rows"] as? [[String: Any]])
        #expect(rows.count == 7)
        for row in rows {
            for key in [
                "kind", "shards", "delays", "syncs", "formula", "count", "p50_us", "p99_us", "min_us", "max_us",
                "resent",
            ] {
                #expect(row[key] != nil, "\(key)")
            }
            #expect((row["participants"] == nil) != (row["depth"] == nil))
        }
    }

    @Test func `the table has a line a kind, with its formula`() {
        let lines = report().table().split(separator: "\n")
        #expect(lines[0].hasPrefix("kind") && lines[0].contains("delays"))
        #expect(lines[1].contains("transfer, one shard") && lines[1].contains("2 + 5 "))
        #expect(lines[7].contains("call, 4 deep") && lines[7].contains("2 + 5 (2·4 + 1)") && lines[7].contains("10.00"))
    }
}
