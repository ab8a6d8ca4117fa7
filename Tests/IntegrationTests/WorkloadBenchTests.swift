import Foundation
import Testing

/// Workloads of a bench, and what it checks of them.
@Suite(.serialized) struct WorkloadBenchTests {
    private func run(_ options: String...) throws -> [String: Any] {
        let arguments = ["bench", "--shards", "2", "--clients", "16", "--duration", "2", "--json"] + options
        let output = try Tool.succeed(arguments)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        return try #require((report["runs"] as? [[String: Any]])?.first)
    }

    @Test func aMillionCustomersAreBankedWithAtOnceAndWhatIsThereIsWhatWasCertified() throws {
        let run = try run("--workload", "smallbank")
        let invariants = try #require(run["invariants"] as? [String: Any])
        #expect(invariants["workload_consistent"] as? Bool == true)
        #expect(run["funding_s"] as? Double == 0)
        let transactions = try #require(run["transactions"] as? [String: Any])
        let kinds = try #require(transactions["kinds"] as? [[String: Any]])
        let committed = kinds.map { $0["committed"] as? Int ?? 0 }
        #expect(kinds.map { $0["name"] as? String }.last == "send-payment" && committed.reduce(0, +) > 20)
        #expect(committed.reduce(0, +) == run["committed"] as? Int)
        #expect((transactions["check"] as? String)?.contains("customers") == true)
        let parameters = try #require((run["setup"] as? [String: Any])?["parameters"] as? [String: Any])
        #expect(parameters["customers"] as? Int == 1_000_000 && parameters["skew"] as? String == "hot:1000:0.9")
    }

    @Test(arguments: [
        (["--workload", "calls", "--shards", "1,2"], "calls 1 deep need 2 shards"),
        (["--workload", "procedures"], "--workload procedures needs --procedures FILE"),
        (["--workload", "ycsb-t", "--depth", "2"], "--depth goes with calls"),
        (["--workload", "smallbank", "--mix", "balance=1,loan=2"], "got \"loan=2\""),
        (["--workload", "smallbank", "--mix", "balance=0"], "--mix needs a weight above zero"),
        (
            ["--workload", "settlement", "--shards", "8", "--legs", "2", "--participants", "all"],
            "give --legs 7 or more"
        ),
        (["--skew", "steep"], "zipf:EXPONENT"),
        (["--workload", "smallbank", "--rows", "5"], "--trace, --rows and --bundle are for transfers"),
    ])
    func whatDoesNotGoTogetherIsRefused(options: [String], words: String) throws {
        let (status, output) = try Tool.run(["bench"] + options)
        #expect(status == 64 && output.replacing(/\s+/, with: " ").contains(words), "\(output)")
    }
}
