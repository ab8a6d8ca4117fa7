import Foundation
import Testing

/// What a bench says of the costs of a transfer, and of how batches travel.
@Suite(.serialized) struct BenchCostTests {
    private func run(_ options: String...) throws -> [String: Any] {
        let arguments = ["bench", "--shards", "2", "--clients", "8", "--accounts", "100", "--json"] + options
        let output = try Tool.succeed(arguments)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        return try #require((report["runs"] as? [[String: Any]])?.first)
    }

    private func costs(_ run: [String: Any]) throws -> [String: Any] { try #require(run["costs"] as? [String: Any]) }

    /// Host 0 leads shard 0, host 1 leads shard 1; all on this machine.
    private func checkPropagation(_ run: [String: Any]) throws {
        let found = try #require(run["propagation"] as? [String: Any])
        #expect(try number(found, "batches") > 10 && number(found, "clock_error_us") == 0)
        #expect(try number(found, "hosts") == 4 && number(found, "negative") == 0)
        let steps = try #require(found["steps"] as? [[String: Any]])
        let medians = try ["first_received", "quorum_received", "last_received", "last_executed"].map { name in
            try number(try #require(steps.first { $0["step"] as? String == name }), "p50_us")
        }
        #expect(medians == medians.sorted() && medians[0] > 0)
        let links = try #require(found["links"] as? [[String: Any]])
        let proposals = links.filter { $0["message"] as? String == "pre_prepare" }
        #expect(Set(proposals.compactMap { $0["from"] as? Int }) == [0, 1] && proposals.count == 6)
        let pairs = Set(links.compactMap { link in (link["from"] as? Int).map { [$0, link["to"] as? Int ?? -1] } })
        #expect(pairs.count == 12, "all rows have cells")
    }

    private func number(_ object: [String: Any], _ keys: String...) throws -> Double {
        var value: Any? = object
        for key in keys { value = (value as? [String: Any])?[key] }
        return try #require(value as? Double, "\(keys)")
    }

    @Test func everyProcessAndEveryKindOfMessageIsInIt() throws {
        let run = try run("--duration", "2", "--warmup", "0.5")
        let costs = try costs(run)
        try checkPropagation(run)
        for role in ["hosts", "gateways", "load"] {
            #expect(try number(costs, role, "cpu_us") > 0 && number(costs, role, "voluntary_switches") > 0)
        }
        #expect(try number(costs, "hosts", "processes") == 4 && number(costs, "gateways", "processes") == 1)
        // Of each batch some records in each of four journals, and a batch has few requests here.
        #expect(try number(costs, "syncs") > 0 && number(costs, "journal_bytes") > number(costs, "journal_records"))
        #expect(try number(costs, "batch_requests") >= 0.4)
        #expect(try number(costs, "batch_items") > number(costs, "batch_requests"))
        let kinds = try #require(costs["by_kind"] as? [String: [String: Double]])
        for kind in ["pre_prepare", "prepare", "commit", "attestation", "submit", "decide", "receipt"] {
            #expect(kinds[kind]?["messages"] ?? 0 > 0, "\(kind)")
        }
        // Twelve messages of a batch's PREPAREs for three of its PRE-PREPAREs less those of the primary.
        let (proposals, prepares) = (kinds["pre_prepare"]?["messages"] ?? 0, kinds["prepare"]?["messages"] ?? 0)
        #expect(abs(prepares / proposals - 4) < 0.1, "\(prepares) and \(proposals)")
        let sum = kinds.values.reduce(0) { $0 + ($1["messages"] ?? 0) }
        #expect(try abs(sum - number(costs, "messages")) < 0.001)
        #expect(try number(costs, "committed") > 10 && number(costs, "interval_s") > 1)
    }

    @Test func ofAHostThatWasKilledMeanwhileNothingIsMadeUp() throws {
        let costs = try costs(run("--duration", "3", "--warmup", "0.5", "--kill-host", "3@1"))
        #expect(costs["hosts"] == nil && costs["syncs"] == nil && costs["messages"] == nil)
        #expect(try number(costs, "load", "cpu_us") > 0 && number(costs, "gateways", "cpu_us") > 0)
    }
}
