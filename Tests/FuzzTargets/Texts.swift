import Histories
import HostRuntime
import ManifestFile
import Messages
import Networks
import QuorateHost
import Simulator
import StrictInput
import TestSamples
import TestSignatures
import Web
import Workload

/// What JSON is made of.
private let jsonWords = [
    "{", "}", "[", "]", ":", ",", "\"", "\\u0000", "\\ud800", "\\\"", "null", "true", "false", "-0", "1e9", "0.5",
    "18446744073709551616", "\n",
]

extension FuzzTarget {
    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    // MARK: JSON

    static let json = FuzzTarget(
        "json", words: jsonWords,
        seeds: {
            [
                #"{"a": [1, -2.5e3, "x\u00e9\n", true, null], "b": {"c": []}}"#, "[[[[[]]]]]", "\"\\ud83d\\ude00\"",
                "  17 ", "{}",
            ].map(text)
        },
        read: { bytes in
            var limits = JSONReader.Limits()
            (limits.depth, limits.values) = (16, 1000)
            let value = try JSONReader(bytes, file: "fuzz", limits: limits)
            do throws(InputProblem) { try value.expect(value) } catch {
                throw FuzzFinding("a value is another one than itself: \(error)")
            }
            _ = try? value.elements()
            _ = try? value.integer(Int.self)
            _ = try? value.string()
            _ = try? value.hex()
            _ = try? value.object(["a"])
        })

    static let manifest = FuzzTarget(
        "manifest", maxLength: 8192,
        words: jsonWords + [
            "\"cluster\"", "\"epoch\"", "\"hosts\"", "\"issuer\"", "\"shards\"", "\"version\"", "\"address\"",
            "\"port\"", "\"public_key\"",
        ],
        seeds: { [text(ManifestJSON.encode(FuzzCluster.manifest))] },
        read: { bytes in
            let manifest = try ManifestJSON.decode(bytes)
            let again: Manifest
            do { again = try ManifestJSON.decode(text(ManifestJSON.encode(manifest))) } catch {
                throw FuzzFinding("a manifest that was written is refused: \(error)")
            }
            try require(again == manifest, "a manifest is written as another one")
            // What is valid can be used.
            for shard in 0..<manifest.shardCount {
                _ = manifest.group(of: ShardID(UInt16(shard))).quorum
                _ = manifest.hosts(of: ShardID(UInt16(shard)))
            }
        })

    static let gateways = FuzzTarget(
        "gateways", words: jsonWords + ["\"gateways\"", "\"address\"", "\"port\"", "\"::1\""],
        seeds: {
            let hosts = [HostAddress(address: "::1", port: 7000), HostAddress(address: "a.example", port: 1)]
            return [text(GatewayList.text(hosts, of: FuzzCluster.manifest.cluster))]
        },
        read: { bytes in
            let cluster = FuzzCluster.manifest.cluster
            let list = try GatewayList.decode(bytes, file: "gateways.json", of: cluster)
            let again: [HostAddress]
            do {
                again = try GatewayList.decode(
                    text(GatewayList.text(list, of: cluster)), file: "gateways.json", of: cluster)
            } catch { throw FuzzFinding("a list that was written is refused: \(error)") }
            try require(again == list, "a list is written as another one")
            for address in list {
                _ = (address.isLoopback, address.isWildcard, address.takes(whoConnectsTo: address))
                let normal = address.normal
                try require(normal.normal == normal, "\(address) has two normal forms")
            }
        })

    static let network = FuzzTarget(
        "network",
        words: jsonWords + ["\"regions\"", "\"round_trip_ms\"", "\"one_way_ms\"", "\"hosts\"", "[[1]]", "1e3"],
        seeds: {
            [
                #"{"name": "a", "regions": ["x", "y"], "round_trip_ms": [[0.1, 80], [80, 0.1]], "jitter_ms": 1.5}"#,
                #"{"name": "b", "source": "s", "regions": ["x"], "one_way_ms": [[40]], "loss_percent": [[0.01]], "mbit_per_s": 100, "hosts": ["x"], "gateways": ["x", "x"], "clients": "x"}"#,
            ].map(text)
        },
        read: { bytes in
            let profile = try NetworkProfile(bytes: bytes, file: "network.json")
            // What is valid can be used.
            let count = profile.regions.count
            for member in [0, 1, 4095] {
                try require(profile.region(ofHost: member) < count, "host \(member) is nowhere")
                try require(profile.region(ofGateway: member) < count, "gateway \(member) is nowhere")
            }
            let (there, back) = (profile.link(from: 0, to: count - 1), profile.link(from: count - 1, to: 0))
            var clock = LinkClock(there, back: back, seed: 1)
            let first = clock.arrival(of: 4096, at: 1)
            try require(first >= 1 && clock.arrival(of: 1, at: 1) >= first, "a link is out of order")
            _ = profile.roundTripMilliseconds(hosts: 7, gateways: 3)
        })

    static let settings = FuzzTarget(
        "settings", words: jsonWords + ServiceSetting.allCases.map { "\"\($0.key)\"" } + ["0.0.0.0:7100", "[::]:0"],
        seeds: {
            [
                #"{"listen": "0.0.0.0:7100", "log_level": "debug", "log_format": "json", "trace_rate": 0.25}"#,
                #"{"http": "[::1]:9100", "verifier_threads": 4, "max_gateways": 1024, "state_gigabytes": 64}"#,
                #"{"allow_plaintext": true, "max_clients": 60000, "drain_seconds": 0, "folder": "/x", "number": 3}"#,
                "{}",
            ].map(text)
        },
        read: { bytes in
            let texts = try ServiceSettings.decode(bytes, file: "host.json", ServiceSetting.allCases, .host)
            // What the file may say, an option may say.
            let settings: ServiceSettings
            let given = texts.filter { $0.key.roles.contains(.host) }
            do { settings = try ServiceSettings(for: .host, given: given, file: nil, environment: [:]) } catch {
                throw FuzzFinding("what a file may say, an option may not: \(error)")
            }
            var options = HostRuntimeOptions()
            settings.apply(to: &options)
            _ = (settings.http, settings.logLevel, settings.logFormat, settings.drainLimit)
        })

    /// The figures of a report, as `quorate` reads it back to write them as CSV.
    static let report = FuzzTarget(
        "report", words: jsonWords,
        seeds: { [text(#"{"load": {"committed": 1234, "rate": 0.5}, "list": [1, "a,b", null, true]}"#)] },
        read: { bytes in _ = try DrillPage.csv(json: String(decoding: bytes, as: UTF8.self)) })

    static let history = FuzzTarget(
        "history", words: jsonWords + ["\"append\"", "\"r\"", "\"process\"", "\"type\"", "\"time\"", "\"value\""],
        seeds: {
            [
                #"{"process":3,"type":"ok","f":"txn","time":17,"value":[["append","k",1],["r","k",[1]]]}"#,
                #"{"process":0,"type":"invoke","time":0,"value":[["r","k",null]],"index":4}"#,
                """
                {"process":1,"type":"invoke","f":"txn","time":1,"value":[["append","k",1]]}
                {"process":1,"type":"ok","f":"txn","time":2,"value":[["append","k",1]]}
                """,
            ].map(text)
        },
        read: { bytes in
            let lines = String(decoding: bytes, as: UTF8.self)
            if let event = try? ListEvent(line: lines) {
                let again: ListEvent
                do { again = try ListEvent(line: event.line()) } catch {
                    throw FuzzFinding("a line that was written is refused: \(error)")
                }
                try require(again.line() == event.line(), "an event is written as another one")
                _ = event.line(.edn)
            }
            let history = try ListHistory(lines: lines)
            _ = try SerializabilityChecker.check(history)
        })

    // MARK: HTTP

    static let requestJSON = FuzzTarget(
        "request-json", maxLength: 8192,
        words: jsonWords + [
            "\"request\"", "\"signature\"", "\"follows\"", "\"operations\"", "\"kind\"", "\"transfer\"", "\"open\"",
            "\"issue\"", "\"read\"", "\"call\"", "\"target\"", "\"continues\"", "\"mode\"", "\"atomic\"",
        ],
        seeds: {
            var samples = Samples(seed: 11)
            return (0..<16).map { _ in text(RequestText.json(samples.signedRequest())) }
        },
        read: { bytes in
            let signed = try RequestJSON.decode(bytes, limit: 8192)
            let canonical = signed.encoded()
            do {
                try require(
                    try SignedRequest(decoding: canonical) == signed, "a request from JSON is not canonical")
                try require(
                    try RequestJSON.decode(text(RequestText.json(signed)), limit: 1 << 20) == signed,
                    "a request is another one in JSON")
            } catch let finding as FuzzFinding { throw finding } catch {
                throw FuzzFinding("a request that was read is refused: \(error)")
            }
            _ = signed.isSignatureValid(TestScheme())
            for leg in 0..<signed.request.legCount {
                _ = signed.request.participants(ofLeg: leg, in: FuzzCluster.manifest.shardMap)
            }
        })

    /// Lines: a query, the header fields Accept, Content-Type, Host and Origin.
    static let httpQuery = FuzzTarget(
        "http-query", maxLength: 1024,
        words: [
            "&", "=", "nonce=", "asset=", "wait=", "application/json", "*/*", ";q=0", "localhost:80", "[::1]:80",
            "http://",
        ],
        seeds: {
            [
                "asset=7&from=18446744073709551615\napplication/json;q=0.5, */*;q=0\napplication/json; charset=x\n[::1]:80\nhttp://[::1]:80",
                "principal=\(String(repeating: "ab", count: 32))\n\n\nlocalhost\nnull",
            ].map(text)
        },
        read: { bytes in
            let lines = bytes.split(separator: 10, omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            func line(_ i: Int) -> String? { i < lines.count ? lines[i] : nil }
            _ = MediaTypes.acceptsJSON(line(1))
            _ = MediaTypes.base(line(2) ?? "")
            let names = HostNames(["a.example"])
            _ = (names.accepts(line(3)), HostNames.isOwn(line(4), authority: line(3)))
            _ = try? APIQuery.account(line(0) ?? "")
            _ = (HostAddress(line(3) ?? ""), WebOptions(line(3) ?? ""))
            let query = try APIQuery(line(0), names: ["asset", "from", "principal"])
            _ = try query.number("asset", UInt32.self)
            _ = try query.number("from", UInt64.self)
            _ = try query.bytes32("principal", PublicKey.self)
        })

    // MARK: Other files

    static let keyFile = FuzzTarget(
        "key-file", maxLength: 128,
        seeds: { [text(String(repeating: "0f", count: 32) + "\n"), text(String(repeating: "a", count: 64))] },
        read: { bytes in
            let signer = try KeyFile.decode(bytes, path: "host.key")
            let again: PublicKey
            do { again = try KeyFile.decode(bytes.filter { $0 != 10 }, path: "host.key").publicKey } catch {
                throw FuzzFinding("a key is refused without its line feed: \(error)")
            }
            try require(again == signer.publicKey, "one text is two keys")
        })

    /// A header and a row.
    private static let gzip =
        Hex.decode(
            "1f8b08000000000002032bc9cc4d2d2e49cc2dd0492bcacfd529c9d749cccd2fcd2be132d449d449"
                + "d231e5020025f3c95321000000") ?? []
    private static let traceFolder = ScratchFolder("trace")

    static let trace = FuzzTarget(
        "trace", words: ["timestamp,from,to,amount", ",", "\"", "\"\"", "\r\n", "9223372036854775807", "\u{FEFF}"],
        seeds: {
            [
                text("timestamp,from,to,amount\n1,a,b,5\n2,b,\"c,\"\"d\",7\r\n3,c,c,0\n"),
                text("timestamp,from,to,amount,note\n1,a,b,9223372036854775807,x\n"),
                text("\u{FEFF}timestamp,from,to,amount\n1,a,b,1"),
                // Compressed, in one member and in two.
                gzip, gzip + gzip,
            ]
        },
        read: { bytes in
            try traceFolder.with(bytes, in: "file") { file in
                let trace = try TraceReader.read(file, limit: 1000)
                for row in trace.rows {
                    try require(
                        trace.accounts.indices.contains(Int(row.from)) && trace.accounts.indices.contains(Int(row.to))
                            && row.from != row.to && row.amount > 0 && row.amount < 1 << 63, "a row \(row)")
                }
            }
        })

    static let scenario = FuzzTarget(
        "scenario", maxLength: 512,
        words: [
            "cluster shards 1 replicas 4\n", "account a shard 0 balance 9\n", "submit a->b 1\n", "run 5ms\n", "crash ",
            "restart all\n", "partition 0 | 1 2 3\n", "heal\n", "clock 1 -5s\n", "trace all\n", "expect ", "executed ",
            "outcome committed\n", "18446744073709551615",
        ],
        seeds: {
            [
                "cluster shards 1 replicas 4\naccount a shard 0 balance 9\naccount b shard 0\nsubmit a->b 5\nrun 5ms\nexpect balance a 4\n",
                "cluster shards 1 replicas 4\ncrash 0 1\nrun 2ms\nrestart all\nclock 1 -5s\npartition 0 1 | 2 3\nheal\nexpect undecided 0\n",
                "cluster shards 2 replicas 7 # f = 2\ntrace all\nrun 1ms\nexpect view 1 shard 1\nexpect executed all equal\n",
            ].map(text)
        },
        read: { bytes in
            let script = String(decoding: bytes, as: UTF8.self)
            var scenario = try Scenario(script)
            // Only what is over soon is run.
            guard ScenarioCost.isSmall(script) else { return }
            _ = try scenario.run()
        })

    static let shellWords = FuzzTarget(
        "shell-words", maxLength: 256, words: ["'", "\"", "\\", "#", " ", "|", "$"],
        seeds: { [text(#"transfer a 'b c' "d \" e" 5 # note"#), text("\\")] },
        read: { bytes in
            let line = String(decoding: bytes, as: UTF8.self)
            if let unfinished = ShellWords.unfinished(line) {
                try require(unfinished.start <= line.count, "a word begins behind the line")
            }
            let words = try ShellWords.split(line)
            // In single quotes everything stands for itself, but for single quotes.
            let quoted = words.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
            do { try require(try ShellWords.split(quoted) == words, "\(words) are other words in quotes") } catch let
                problem as ShellWords.Problem
            { throw FuzzFinding("words in quotes are refused: \(problem)") }
        })

    static let keyboard = FuzzTarget(
        "keyboard", maxLength: 256, words: ["\u{1b}[", "\u{1b}O", ";5D", "~", "\u{17}", "\u{19}", "\u{1b}b"],
        seeds: { [text("ab\u{1b}[D\u{e9}\u{1b}[1;5D\u{17}\u{19}\u{1b}[3~\r"), [0xf0, 0x9f, 0x98, 0x80, 0x0b, 0x10]] },
        read: { bytes in
            var decoder = KeyDecoder()
            var editor = LineEditor(history: ["one", "two words"])
            for byte in bytes {
                guard let key = decoder.feed(byte) else { continue }
                if case .submit(let line) = editor.apply(key) {
                    try require(line == editor.line || editor.line.isEmpty, "another line is submitted")
                }
            }
        })
}

/// How long a script would run, by its words alone: a simulated cluster takes far longer than a reader.
private enum ScenarioCost {
    static func isSmall(_ script: String) -> Bool {
        let lines = script.split(whereSeparator: \.isNewline).map {
            $0.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
        }.filter { !$0.isEmpty }
        guard lines.count <= 12, lines.count(where: { $0[0] == "cluster" }) <= 1 else { return false }
        return lines.allSatisfy { words in
            switch words[0] {
            case "cluster": words.count == 5 && (Int(words[2]) ?? 9) <= 2 && (Int(words[4]) ?? 99) <= 7
            case "run":
                words.count == 2
                    && (words[1].hasSuffix("us") || words[1].hasSuffix("ms") && (Int(words[1].dropLast(2)) ?? 99) <= 20)
            default: true
            }
        }
    }
}
