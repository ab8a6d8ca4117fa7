import Foundation
import Testing

/// `quorate inspect` on the files of real hosts.
@Suite(.serialized) struct InspectTests {
    /// Of every file below a folder: what it holds and when it was last changed.
    private struct File: Equatable {
        var bytes: Data
        var changed: Date?
    }

    private func files(of folder: String) throws -> [String: File] {
        var files: [String: File] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            let path = folder + "/" + name
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let isFile = attributes[.type] as? FileAttributeType == .typeRegular
            files[name] = File(
                bytes: isFile ? try Data(contentsOf: URL(fileURLWithPath: path)) : Data(),
                changed: attributes[.modificationDate] as? Date)
        }
        return files
    }

    private func object(_ arguments: String...) throws -> [String: Any] {
        let (status, output) = try Tool.run(arguments)
        #expect(status == 0, "\(output)")
        let line = output.split(separator: "\n").first.map(String.init) ?? ""
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func aStoppedHostsFilesAreReadAndNotChanged() async throws {
        let cluster = try await StoppedCluster()
        defer { cluster.remove() }
        let host = cluster.path + "/hosts/3"
        let before = try files(of: host)

        let journal = try object("inspect", "journal", host, "--last", "3", "--json")
        let shards = try #require(journal["shards"] as? [[String: Any]])
        #expect(shards.count == 1 && journal["torn_tail"] as? Bool == false && journal["unreadable"] as? Int == 0)
        #expect((journal["last"] as? [Any])?.count == 3)
        let committed = try #require(shards[0]["committed"] as? Int)
        #expect(try Tool.succeed("inspect", "journal", host).contains("every record follows on the one before it"))
        let lines = try Tool.succeed("inspect", "journal", host, "--records", "--json").split(separator: "\n")
        #expect(lines.count == (journal["records"] as? Int ?? 0) + 1)

        let document = try object("inspect", "state", host, "--verify", "--json")
        let state = try #require((document["states"] as? [[String: Any]])?.first)
        #expect(state["verified"] as? Bool == true && state["problem"] == nil, "\(state)")
        #expect(state["digest"] as? String == state["stored_digest"] as? String && state["digest"] is String)
        let sequence = try #require(state["sequence"] as? Int)
        #expect(sequence > 0 && sequence <= committed)
        #expect((state["entries"] as? [String: Int])?["accounts", default: 0] ?? 0 > 0)
        let nobody = try object("inspect", "state", host, "--account", String(repeating: "0", count: 32), "--json")
        let account = (nobody["states"] as? [[String: Any]])?.first?["account"] as? [String: Any]
        #expect(account?["exists"] as? Bool == false)
        #expect(
            try Tool.succeed("inspect", "state", host + "/state/shard-0").contains("the same as was stored with it"))

        #expect(try files(of: host) == before)
    }

    @Test func aTornTailIsNoDamageAndRotIsNamedWithItsPlace() async throws {
        let cluster = try await StoppedCluster()
        defer { cluster.remove() }
        let host = cluster.path + "/hosts/3"
        let journal = try object("inspect", "journal", host, "--last", "2", "--json")
        let (end, last) = try (
            #require(journal["end"] as? [String: Any]), #require(journal["last"] as? [[String: Any]])
        )
        let segment = try #require(end["segment"] as? Int)
        let name = String(repeating: "0", count: 16 - String(segment, radix: 16).count) + String(segment, radix: 16)
        let url = URL(fileURLWithPath: "\(host)/journal/journal-\(name)")
        var bytes = try Data(contentsOf: url)
        let (stop, offset, length) = try (
            #require(end["offset"] as? Int), #require(last[1]["offset"] as? Int), #require(last[1]["bytes"] as? Int)
        )
        #expect(last[1]["segment"] as? Int == segment && last[0]["segment"] as? Int == segment)
        // As if the last record had not come to the disk whole, and so no mark after it.
        let frame = 64 + (length + 7) & ~7
        bytes.replaceSubrange(offset + frame..<stop, with: Data(count: stop - offset - frame))
        bytes[offset + 64] ^= 0xff
        try bytes.write(to: url)
        let torn = try object("inspect", "journal", host, "--json")
        #expect(torn["torn_tail"] as? Bool == true, "\(torn)")
        #expect((torn["end"] as? [String: Any])?["offset"] as? Int == offset)
        #expect(try Data(contentsOf: url) == bytes)

        // Later records say that the first one was durable.
        bytes[8192 + 64] ^= 0xff
        try bytes.write(to: url)
        let (status, output) = try Tool.run("inspect", "journal", host)
        #expect(status == 15 && output.contains("is damaged at byte 8192"), "\(output)")
        #expect(try Data(contentsOf: url) == bytes)
    }

    @Test func aDamagedStateIsNamedWithItsPlace() async throws {
        let cluster = try await StoppedCluster()
        defer { cluster.remove() }
        let host = cluster.path + "/hosts/3"
        let url = URL(fileURLWithPath: host + "/state/shard-0/data.mdb")
        var bytes = try Data(contentsOf: url)
        bytes.replaceSubrange(0..<64, with: Data(repeating: 0xff, count: 64))
        try bytes.write(to: url)
        let (status, output) = try Tool.run("inspect", "state", host)
        #expect(status == 15 && output.contains("page 0") && output.contains("WRONG"), "\(output)")
        #expect(try Data(contentsOf: url) == bytes)
    }

    @Test func aHostThatRunsIsRefused() throws {
        let cluster = try TestedCluster()
        for what in ["journal", "state"] {
            let (status, output) = try Tool.run("inspect", what, cluster.path + "/hosts/0")
            #expect(status == 16 && output.contains("Stop it first"), "\(output)")
        }
        // Nor is what is in it, by whatever way.
        let host = cluster.path + "/hosts/0"
        let files = FileManager.default
        let link = cluster.folder.path("link")
        try files.createSymbolicLink(atPath: link, withDestinationPath: host + "/state/shard-0")
        let places = [
            ["journal", host + "/journal"], ["state", host + "/state/shard-0"], ["state", host + "/state"],
            ["state", link, "--cluster", cluster.path],
        ]
        for place in places {
            let (status, output) = try Tool.run(["inspect"] + place)
            #expect(status == 16 && output.contains("Stop it first"), "\(place): \(output)")
        }
        // What was put aside is not the host's any more.
        let aside = host + "/journal.damaged-1"
        try files.createDirectory(atPath: aside, withIntermediateDirectories: false)
        let empty = try Tool.run("inspect", "journal", aside)
        #expect(empty.status != 16, "\(empty.output)")
        #expect(try Tool.run("inspect", "journal", cluster.path).output.contains("hosts/0"))
    }

    /// What a small cluster has committed is in the journal.
    @Test func aStateThatWasNeverWrittenDownIsNoDamage() throws {
        let cluster = try TestedCluster()
        try Tool.succeed("cluster", "kill-host", cluster.path, "1")
        #expect(
            try Tool.succeed("inspect", "state", cluster.path + "/hosts/1").contains("no state was written down yet"))
        try Tool.succeed("inspect", "journal", cluster.path + "/hosts/1")
    }
}
