import Foundation
import Testing

/// `quorate trace`, and where a bench says that the time goes.
@Suite(.serialized) struct TraceCommandTests {
    private func object(_ output: String) throws -> [String: Any] {
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    private func txid(in output: String) throws -> String {
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("txid") })
        return try #require(line.split(separator: " ").last.map(String.init))
    }

    private struct Moment {
        let process: String
        let what: String
        let shard: Int?
        let at: Double

        init(_ object: [String: Any]) throws {
            process = try #require(object["process"] as? String)
            what = try #require(object["what"] as? String)
            shard = object["shard"] as? Int
            at = try #require(object["at_ms"] as? Double)
        }
    }

    /// What comes after what at every replica. The request may be taken from a PRE-PREPARE before it came from the
    /// gateway, and a quorum may be quicker than the replica's own disk.
    private static let orders = [
        ["received", "admitted"], ["pre_prepared", "pre_prepare_durable"],
        ["pre_prepared", "prepared", "prepared_durable"],
        ["prepared", "committed", "executed"],
    ]

    @Test func aTransferIsTracedFromItsSigningToItsDecide() throws {
        let cluster = try TestedCluster("--shards", "2", isUp: false)
        try Tool.succeed("cluster", "up", cluster.path, "--trace-rate", "1")
        try Tool.succeed("account", "create", "alice", "--cluster", cluster.path, "--shard", "0", "--issue", "1000")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster.path, "--shard", "1")
        let paid = try Tool.succeed("transfer", "alice", "bob", "5", "--cluster", cluster.path, "--trace")
        #expect(paid.contains("on shards 0 and 1, ") && paid.contains("(primary)") && paid.contains("█"))
        let txid = try txid(in: paid)

        // Its decide is ordered after the client has its receipt.
        var trace: [String: Any] = [:]
        var moments: [Moment] = []
        let isDecided = try wait {
            trace = try object(try Tool.succeed("trace", txid, "--cluster", cluster.path, "--json"))
            moments = try #require(trace["moments"] as? [[String: Any]]).map { try Moment($0) }
            let decided = moments.filter { $0.what == "decided" }.map { "\($0.process) \($0.shard ?? -1)" }
            return Set(decided).count == 8
        }
        #expect(isDecided)
        #expect(trace["txid"] as? String == txid && trace["shards"] as? [Int] == [0, 1])
        #expect(zip(moments, moments.dropFirst()).allSatisfy { $0.at <= $1.at } && moments[0].what == "issued")
        for shard in 0..<2 {
            var looked: Set<Int> = []
            for host in 0..<4 {
                let own = moments.filter { $0.process == "host \(host)" && $0.shard == shard }
                for order in Self.orders {
                    let times = try order.map { what in
                        try #require(own.first { $0.what == what }, "\(what) at host \(host), shard \(shard)").at
                    }
                    #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 }, "\(order): \(times)")
                }
                // Who neither leads nor is designated to the request leaves its signature to others.
                if let verified = own.first(where: { $0.what == "verified" })?.at {
                    let received = try #require(own.first { $0.what == "received" }).at
                    let admitted = try #require(own.first { $0.what == "admitted" }).at
                    #expect(received <= verified && verified <= admitted)
                    looked.insert(host)
                }
                let decided = try #require(own.first { $0.what == "decided" }).at
                #expect(try decided >= #require(own.first { $0.what == "executed" }).at)
            }
            #expect(looked.count >= 2, "\(looked) of shard \(shard)")
        }
        let gateway = ["issued", "gateway_received", "gateway_verified", "forwarded", "certified", "decide_forwarded"]
        let seen = try gateway.map { what in try #require(moments.first { $0.what == what }, "\(what)").at }
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0 <= $1 }, "\(seen)")
        #expect(moments.count { $0.what == "attestation_verified" } >= 4)

        let phases = try #require(trace["phases_ms"] as? [String: Double])
        let path = [
            "to_gateway", "gateway_verify", "gateway_queue", "to_host", "host_verify", "host_queue", "pool",
            "pre_prepare_sync", "prepare", "prepared_sync", "commit", "execute", "certify",
        ]
        for phase in path + ["decide"] { #expect(phases[phase] ?? -1 >= 0, "\(phase)") }
        let sum = path.reduce(0) { $0 + (phases[$1] ?? 0) }
        #expect(abs(sum - (trace["total_ms"] as? Double ?? 0)) < 0.05, "\(phases)")

        let file = cluster.folder.path("trace.json")
        try Tool.succeed("trace", txid, "--cluster", cluster.path, "--perfetto", file)
        let written = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file)))
        let events = try #require((written as? [String: Any])?["traceEvents"] as? [[String: Any]])
        #expect(events.count { $0["ph"] as? String == "X" } >= 4 * 2 * 6)
        let again = try Tool.run("trace", txid, "--cluster", cluster.path, "--perfetto", file)
        #expect(again.status == 10 && again.output.contains("--overwrite"))

        let unknown = try Tool.run("trace", String(repeating: "0", count: 64), "--cluster", cluster.path)
        #expect(unknown.status == 23 && unknown.output.contains("nobody has any stamps"), "\(unknown.output)")
        #expect(try Tool.run("trace", "12", "--cluster", cluster.path).status == 64)
        try Tool.succeed("cluster", "down", cluster.path)
        #expect(try Tool.run("trace", txid, "--cluster", cluster.path).status == 17)
        try Tool.succeed("cluster", "up", cluster.path)
        let off = try Tool.run("trace", txid, "--cluster", cluster.path, "--json")
        #expect(off.status == 23 && off.output.contains("traces nothing") && off.output.contains("\"not_traced\""))
    }

    private func wait(_ condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<50 {
            if try condition() { return true }
            usleep(100_000)
        }
        return false
    }

    @Test func aBenchSaysWhereTheTimeGoes() throws {
        let output = try Tool.succeed(
            "bench", "--shards", "2", "--clients", "8", "--accounts", "100", "--duration", "2", "--trace-rate", "1",
            "--json")
        let run = try #require((try object(output)["runs"] as? [[String: Any]])?.first)
        let phases = try #require(run["phases"] as? [String: Any])
        #expect(phases["rate"] as? Double == 1)
        for kind in ["intra", "cross"] {
            let count = try #require(phases["\(kind)_count"] as? Int)
            // The first to end after the warm-up were signed before, and are not in it.
            let measured = try #require((run[kind] as? [String: Any])?["count"] as? Int)
            #expect(count > 0 && count <= measured && count + 8 >= measured, "\(count) of \(measured)")
            let figures = try #require(phases[kind] as? [[String: Any]])
            var means: [String: Double] = [:]
            for figure in figures {
                let name = try #require(figure["phase"] as? String)
                means[name] = figure["mean_us"] as? Double
                let all = try #require(figure["count"] as? Int)
                #expect(name == "decide" || all * 10 >= count * 9, "\(name): \(all) of \(count)")
                let points = ["p50_us", "p90_us", "p99_us"].compactMap { figure[$0] as? Double }
                #expect(points.count == 3 && points[0] <= points[1] && points[1] <= points[2])
            }
            #expect(figures.count == (kind == "cross" ? 18 : 17))
            let total = try #require(means["total"])
            let sum = means.filter { !["total", "decide"].contains($0.key) }.values.reduce(0, +)
            #expect(abs(sum - total) < total / 10, "\(means)")
        }
    }

    @Test func aBenchTracesNothingIfItIsTold() throws {
        let arguments = ["--shards", "1", "--clients", "4", "--accounts", "50", "--rows", "200", "--json"]
        let output = try Tool.succeed(["bench", "--trace-rate", "0"] + arguments)
        let run = try #require((try object(output)["runs"] as? [[String: Any]])?.first)
        #expect(run["phases"] == nil && run["costs"] != nil)
    }
}
