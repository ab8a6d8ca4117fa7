import Foundation
import Testing

/// What the built tool does with damaged files; `docs/receipts/damage_receipts.py` has thousands more.
@Suite(.serialized) struct InputTests {
    private static let vectors = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/receipts/vectors").path
    private static let manifest = vectors + "/manifests/real.json"
    private static func forged(_ name: String) -> String { "\(vectors)/forged/written-\(name).json" }

    @Test(arguments: [
        ("duplicate-transactions", "at transactions: the key stands here a second time"),
        ("duplicate-transactions-last", "at transactions: the key stands here a second time"),
        ("duplicate-in-a-path", "at certificates[0].path.count: the key stands here a second time"),
        ("key-upper-case-beside", "at Schema: unknown key"), ("byte-order-mark", ":1:1: a byte order mark"),
        ("trailing-text", "the end of the file"), ("number-fraction", "at schema: the number 1.0"),
        ("number-65-bits", "at request.number: the number 184467440737095516"),
        ("half-a-pair", "at transactions[0].outcome: half of a surrogate pair"),
    ])
    func `a receipt that is written otherwise is neither verified nor shown, and the error has the place`(
        _ name: String, _ problem: String
    ) throws {
        for arguments in [["verify", Self.forged(name), "--manifest", Self.manifest], ["show", Self.forged(name)]] {
            let (status, output) = try Tool.run(["receipt"] + arguments)
            #expect(status == 22, "\(arguments): \(output)")
            #expect(output.hasPrefix("error: ") && output.contains(problem), "\(output)")
        }
    }

    @Test func `a receipt whose readable part says something else is not shown`() throws {
        for name in ["other-outcome", "other-operation", "other-shards", "other-txid", "other-status", "more"] {
            let (status, output) = try Tool.run("receipt", "show", "\(Self.vectors)/forged/real-says-\(name).json")
            #expect(status == 22, "\(name): \(output)")
        }
        let shown = try Tool.succeed("receipt", "show", Self.vectors + "/genuine/real-transfer-two-shards.json")
        #expect(shown.hasPrefix("not checked: request 3 of principal "))
        #expect(shown.contains("transfer 250 of asset 1") && shown.contains("committed"))
    }

    @Test func `of several receipts each is judged and the worst is the exit code`() throws {
        let good = Self.vectors + "/genuine/real-transfer-two-shards.json"
        let other = Self.vectors + "/genuine/real-money-issued.json"
        let all = try Tool.succeed("receipt", "verify", good, other, "--manifest", Self.manifest)
        #expect(all.split(separator: "\n").count { $0.contains(": genuine: signed by principal ") } == 2)
        let bad = Self.forged("duplicate-transactions")
        let (status, output) = try Tool.run(
            "receipt", "verify", good, bad, other, "--manifest", Self.manifest, "--json")
        #expect(status == 22)
        let lines = try output.split(separator: "\n").map {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }
        #expect(lines.map { $0?["valid"] as? Bool } == [true, false, true])
        #expect(lines.map { $0?["file"] as? String } == [good, bad, other])
        #expect(try Tool.run("receipt", "verify", good, "/no/such", bad, "--manifest", Self.manifest).status == 1)
    }

    private static let evil = "a\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}"

    @Test(arguments: [
        ["receipt", "show", evil], ["bench", "--trace", evil], ["cluster", "status", evil],
        ["bench", "--workload", evil],
        ["account", "show", evil, "--cluster", "/no/such"], [evil], ["simulate", "--scenario", evil],
    ])
    func `no error sends what a terminal obeys`(_ arguments: [String]) throws {
        let (status, output) = try Tool.run(arguments)
        #expect(status != 0)
        let isQuiet = output.unicodeScalars.allSatisfy {
            $0 == "\n" || $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) && !$0.properties.isBidiControl
        }
        #expect(isQuiet, "\(output.debugDescription)")
    }

    /// Without a gateway nothing is done with an account, but its file is read first.
    @Test func `a damaged account file or pid file is named with the place`() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        try FileManager.default.createDirectory(atPath: cluster + "/accounts", withIntermediateDirectories: true)
        let seed = String(repeating: "0", count: 64)
        let manifest = try JSONSerialization.jsonObject(
            with: Data(contentsOf: URL(fileURLWithPath: cluster + "/cluster.json")))
        let id = try #require((manifest as? [String: Any])?["cluster"] as? String)
        let fields = [
            ("schema", "1"), ("name", "\"a\""), ("cluster", "\"\(id)\""), ("seed", "\"\(seed)\""),
            ("public_key", "\"3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\""),
            ("account", "\"0\""),
            ("asset", "1"), ("index", "0"), ("next_number", "1"),
        ]
        func show(_ fields: [(String, String)], after: String = "") throws -> (status: Int32, output: String) {
            let text = "{\n" + fields.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n" + after
            try Data(text.utf8).write(to: URL(fileURLWithPath: cluster + "/accounts/a.json"))
            return try Tool.run("account", "show", "a", "--cluster", cluster)
        }
        // Its account is the one of its key, and the error says which that is.
        let wrong = try show(fields)
        #expect(
            wrong.status == 12 && wrong.output.contains("accounts/a.json:7:12, at account: another account; expected "))
        let account = try #require(wrong.output.split(separator: " ").first { $0.utf8.count == 33 }).dropLast()
        let good = fields.map { $0.0 == "account" ? ($0.0, "\"\(account)\"") : $0 }
        #expect(try show(good).status == 17)
        for (field, value) in good {
            #expect(
                try show(good + [(field, value)]).output.contains("at \(field): the key stands here a second time"),
                "\(field)")
            #expect(
                try show(good.map { $0.0 == field ? (field, "null") : $0 }).output.contains(
                    "at \(field): null; expected "), "\(field)")
            // Of earlier versions; it decides nothing any more.
            if field == "next_number" { continue }
            let missing = try show(good.filter { $0.0 != field })
            #expect(missing.status == 12 && missing.output.contains("at \(field): the key is missing"), "\(field)")
        }
        let others = [
            ("next_number", "18446744073709551616"), ("next_number", "-1"), ("asset", "4294967296"),
            ("seed", "\"\(seed.dropLast(2))\""), ("public_key", "\"\(seed)\""), ("name", "\"b\""), ("index", "1"),
        ]
        for (field, value) in others {
            #expect(try show(good.map { $0.0 == field ? (field, value) : $0 }).status == 12, "\(field): \(value)")
        }
        #expect(try show(good, after: "{}").status == 12)
        #expect(try show(good.map { $0.0 == "schema" ? ("schema", "2") : $0 }).status == 14)

        try FileManager.default.createDirectory(atPath: cluster + "/run", withIntermediateDirectories: true)
        try Data(#"{"pid":1,"pid":2,"start":3}"#.utf8).write(to: URL(fileURLWithPath: cluster + "/run/host-0.pid"))
        let killed = try Tool.run("cluster", "kill-host", cluster, "0").output
        #expect(killed.contains("host-0.pid:1:10, at pid: the key stands here a second time"), "\(killed)")
    }
}
