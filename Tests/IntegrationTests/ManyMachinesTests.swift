import Foundation
import HostRuntime
import Testing

/// A cluster whose hosts have nothing of each other's: each runs from a copy of its own folder.
@Suite(.serialized) struct ManyMachinesTests {
    /// Each on a port of loopback, by one of the names that loopback has.
    private static func addresses() -> (hosts: [String], gateway: Int) {
        let base = Tool.freePorts()
        return (
            ["localhost:\(base)", "127.0.0.1:\(base + 1)", "127.0.0.1:\(base + 2)", "[::1]:\(base + 3)"], base + 4
        )
    }

    private static func initialise(_ path: String, _ hosts: [String], gateway: Int) throws {
        try Tool.succeed([
            "cluster", "init", path, "--shards", "2", "--hosts", hosts.joined(separator: ","), "--gateways",
            "127.0.0.1:\(gateway)",
        ])
    }

    private static func files(under path: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
    }

    @Test func noPartHasASecretOfAnother() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let (hosts, gateway) = Self.addresses()
        try Self.initialise(path, hosts, gateway: gateway)
        let secrets = try (0..<4).map { try String(contentsOfFile: "\(path)/hosts/\($0)/host.key", encoding: .utf8) }
        let issuer = try String(contentsOfFile: path + "/issuer.key", encoding: .utf8)
        #expect(Set(secrets + [issuer]).count == 5)
        for host in 0..<4 {
            let own = "\(path)/hosts/\(host)"
            #expect(try Self.files(under: own) == ["cluster.json", "host.json", "host.key"])
            for file in try Self.files(under: own) {
                let text = try String(contentsOfFile: "\(own)/\(file)", encoding: .utf8)
                #expect(!text.contains(issuer.prefix(64)), "\(file) of host \(host) has the issuer's key")
                for other in 0..<4 where other != host {
                    #expect(
                        !text.contains(secrets[other].prefix(64)), "\(file) of host \(host) has host \(other)'s key")
                }
            }
        }
        #expect(try Self.files(under: path + "/public") == ["authority.crt", "cluster.json", "gateways.json"])
        #expect(
            try Self.files(under: path + "/gateways/0")
                == ["authority.crt", "cluster.json", "gateway.crt", "gateway.key", "gateways.json"])
        for key in ["authority.key", "gateways/0/gateway.key"] {
            let mode = try FileManager.default.attributesOfItem(atPath: "\(path)/\(key)")[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(key)")
        }
        let authority = try String(contentsOfFile: path + "/authority.key", encoding: .utf8)
        #expect(authority.contains("PRIVATE KEY"))
        for file in try Self.files(under: path + "/public") {
            let text = try String(contentsOfFile: "\(path)/public/\(file)", encoding: .utf8)
            for secret in secrets + [issuer] { #expect(!text.contains(secret.prefix(64)), "public/\(file)") }
            #expect(!text.contains("PRIVATE KEY"), "public/\(file)")
        }
        for file in try Self.files(under: path + "/gateways/0") {
            let text = try String(contentsOfFile: "\(path)/gateways/0/\(file)", encoding: .utf8)
            for secret in secrets + [issuer] { #expect(!text.contains(secret.prefix(64)), "gateways/0/\(file)") }
            #expect(text != authority, "gateways/0/\(file)")
        }
    }

    @Test func fourHostsAndAGatewayRunFromCopiesOfTheirFolders() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let (hosts, gateway) = Self.addresses()
        try Self.initialise(path, hosts, gateway: gateway)
        let parts =
            (0..<4).map { ("hosts/\($0)", folder.path("machine-\($0)")) } + [("gateways/0", folder.path("front"))]
        for (part, copy) in parts { try FileManager.default.copyItem(atPath: "\(path)/\(part)", toPath: copy) }
        // What the copies were made from is gone: nothing but a copy can be what runs.
        try FileManager.default.removeItem(atPath: path + "/hosts")

        var running: [RunningTool] = []
        defer { for process in running { process.signal(SIGKILL) } }
        for (_, copy) in parts.dropLast() {
            running.append(try RunningTool(["host", "run", copy], environment: ["QUORATE_LOG_FORMAT": "json"]))
        }
        let front = try RunningTool(["gateway", "run", folder.path("front")])
        running.append(front)
        for process in running {
            #expect(process.waits { process.errors.contains("listens on") }, "\(process.errors)")
        }
        #expect(front.errors.contains("listens on 127.0.0.1:\(gateway)"), "\(front.errors)")

        try Tool.succeed("account", "create", "alice", "--shard", "0", "--issue", "1000", "--cluster", path)
        try Tool.succeed("account", "create", "bob", "--shard", "1", "--cluster", path)
        try Tool.succeed("transfer", "alice", "bob", "250", "--cluster", path)
        #expect(try Tool.succeed("account", "show", "bob", "--cluster", path).contains(": 250 of"))

        // Everybody answers and votes, also as far as the public part can tell.
        for part in [path, folder.path("front")] {
            #expect(front.waits { (try? Tool.run("cluster", "status", part).status) == 0 }, "\(part)")
        }

        // So does doctor, and it looks for gateways where they are listed.
        let (_, diagnosis) = try Tool.run("doctor", path, "--json")
        #expect(diagnosis.contains(#""findings""#), "\(diagnosis)")
        for code in ["no_gateway", "gateway_silent", "gateway_down", "host_", "no_quorum"] {
            #expect(!diagnosis.contains(code), "\(diagnosis)")
        }

        // Every line of a host is an object that says of whom it is.
        for (number, host) in running.dropLast().enumerated() {
            let lines = host.errors.split(separator: "\n")
            #expect(!lines.isEmpty)
            for line in lines {
                let record = try #require(
                    try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
                for key in ["time", "level", "label", "message"] { #expect(record[key] is String, "\(line)") }
                #expect(record["host"] as? Int == number, "\(line)")
            }
            #expect(lines.contains { $0.contains(#""cluster":""#) })
        }

        for process in running.reversed() {
            process.signal(SIGTERM)
            #expect(process.end().status == 0, "\(process.errors)")
        }
    }

    @Test func whatIsMissingInAFolderIsSaid() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let (hosts, gateway) = Self.addresses()
        try Self.initialise(path, hosts, gateway: gateway)
        func refusal(_ words: [String]) throws -> String {
            let (status, output) = try Tool.run(words)
            #expect(status == 11, "\(words): \(output)")
            return output
        }
        // A cluster's folder has several hosts, the public part none.
        #expect(try refusal(["host", "run", path]).contains("say which host"))
        #expect(try refusal(["host", "run", path + "/public"]).contains("say which host"))
        #expect(try refusal(["host", "run", path + "/hosts/1", "2"]).contains("belongs to host 1"))
        #expect(try refusal(["cluster", "up", path + "/hosts/1"]).contains("quorate host run"))
        try FileManager.default.removeItem(atPath: path + "/hosts/1/cluster.json")
        #expect(try refusal(["host", "run", path + "/hosts/1"]).contains("has no cluster.json"))
    }

    /// The hosts may run elsewhere, from copies: a second one under the same key would count as one that lies.
    @Test func noHostIsStartedFromTheFolderThatTheCopiesWereMadeFrom() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let (hosts, gateway) = Self.addresses()
        try Self.initialise(path, hosts, gateway: gateway)
        let before = try Self.files(under: path)
        for place in [path, path + "/public", path + "/hosts/1"] {
            for words in [["cluster", "up", place, "--timeout", "5"], ["cluster", "restart-host", place, "1"]] {
                let (status, output) = try Tool.run(words)
                #expect(status == 11 && output.contains("quorate host run"), "\(words): \(output)")
            }
        }
        #expect(TestedCluster.processes(of: path) == [])
        #expect(try Self.files(under: path) == before)

        // Without the parts' own manifests, the addresses say it.
        let beyond = folder.path("beyond")
        try Tool.succeed("cluster", "init", beyond, "--hosts", "a.example:1,b.example:1,c.example:1,d.example:1")
        for part in (0..<4).map({ "hosts/\($0)" }) + ["public"] {
            try FileManager.default.removeItem(atPath: "\(beyond)/\(part)/cluster.json")
        }
        #expect(try Tool.run("cluster", "up", beyond, "--timeout", "5").status == 11)
        let (status, output) = try Tool.run("account", "create", "alice", "--shard", "0", "--cluster", beyond)
        #expect(status == 17 && output.contains("gateways.json") && !output.contains("cluster up"), "\(output)")

        // One's files can still be declared lost, and nothing is said that would start it here.
        let said = try Tool.succeed("cluster", "restore-host", path + "/hosts/1", "1")
        #expect(said.contains("as you usually do") && !said.contains("restart-host"), "\(said)")
        #expect(!FileManager.default.fileExists(atPath: path + "/hosts/1/lock"))
    }

    @Test func wrongAddressesAreRefusedAndNothingIsMade() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let wrong = [
            "a:1,b:2,c:3", "a:1,b:2,c:3,a:1", "a:1,b:2,c:3,d", "a:1,b:2,c:3,d:0", "a:1,b:2,c:3,::1:4",
            "a:1,b:2,c:3,[d]:4", "a:1,b:2,c:3,A.:1", "[::2]:1,b:2,c:3,[0:0::2]:1", "a:1,b:2,c:3,0.0.0.0:4",
            "a:1,b:2,c:3,[::]:4", "a:1,b:2,c:3,d e:4", "a:1,b:2,c:3,", "a:1,b:2,c:3,d:65536",
        ]
        for hosts in wrong {
            let (status, output) = try Tool.run("cluster", "init", path, "--hosts", hosts)
            #expect(status == 64, "\(hosts): \(status) \(output)")
        }
        let good = "a:1,b:2,c:3,d:4"
        #expect(try Tool.run("cluster", "init", path, "--hosts", good, "--base-port", "7100").status == 64)
        #expect(try Tool.run("cluster", "init", path, "--gateways", "a:1").status == 64)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func aGatewayBeyondLoopbackNeedsToBeAllowed() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("bank")
        let (hosts, gateway) = Self.addresses()
        try Self.initialise(path, hosts, gateway: gateway)
        let (status, output) = try Tool.run("gateway", "run", path + "/public", "--listen", "192.0.2.1:\(gateway)")
        #expect(status == 64 && output.contains("--allow-plaintext"), "\(output)")
        let (web, refusal) = try Tool.run("gateway", "run", path + "/public", "--http", "192.0.2.1:0")
        #expect(web == 64 && refusal.contains("plain HTTP"), "\(refusal)")
        // Allowed, it is only that this machine does not have the address.
        let (allowed, complaint) = try Tool.run(
            "gateway", "run", path + "/public", "--listen", "192.0.2.1:\(gateway)", "--allow-plaintext")
        #expect(allowed == 1 && complaint.contains("cannot listen on 192.0.2.1:\(gateway)"), "\(complaint)")
    }

    @Test(arguments: [
        ("10.0.0.7", "10.0.0.7"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "localhost"),
    ])
    func aHostListensAtItsAddressIfThatIsANumber(address: String, expected: String) {
        #expect(HostAddress(address: address, port: 7100).listening == HostAddress(address: expected, port: 7100))
    }

    @Test func aHostThatHasANameListensAtAllAddresses() {
        let place = HostAddress(address: "a.example", port: 7100).listening
        #expect(["::", "0.0.0.0"].contains(place.address) && place.port == 7100)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.3.2.1", true), ("::1", true), ("0:0:0:0:0:0:0:1", true), ("localhost", true),
        ("::ffff:127.0.0.1", true), ("127.lan.example", false), ("127.0.0.1.example", false), ("10.0.0.7", false),
        ("0.0.0.0", false), ("::", false), ("::2", false),
    ])
    func onlyANumberOrLocalhostIsLoopback(address: String, expected: Bool) {
        #expect(HostAddress(address: address, port: 1).isLoopback == expected)
    }

    @Test(arguments: [
        ("127.0.0.1:7200", "g.example:7200", false), ("127.0.0.1:7200", "localhost:7200", true),
        ("127.0.0.1:7201", "127.0.0.1:7200", false), ("0.0.0.0:7200", "g.example:7200", true),
        ("10.0.0.7:7200", "g.example:7200", true), ("10.0.0.7:7200", "10.0.0.8:7200", false),
        ("10.0.0.7:7200", "127.0.0.1:7200", false), ("[::2]:7200", "[0::2]:7200", true),
    ])
    func whereClientsLookIsComparedWithWhereAGatewayListens(place: String, listed: String, expected: Bool) throws {
        #expect(try #require(HostAddress(place)).takes(whoConnectsTo: try #require(HostAddress(listed))) == expected)
    }

    @Test func addressesAreReadAsTheyAreWritten() {
        for text in ["a.example:7100", "10.0.0.7:1", "[::1]:65535", "[fe80::1%eth0]:7100"] {
            #expect(HostAddress(text)?.description == text)
        }
        for text in ["", ":1", "a", "a:", "a:0", "a:+1", "a:1x", "::1", "[a:1", "a]:1", "[]:1", "a\"b:1", "a\u{0}:1"] {
            #expect(HostAddress(text) == nil, "\(text)")
        }
    }
}
