import Client
import Foundation
import HostRuntime
import Messages
import Testing
import Transport
import Web

/// A shard's history that was made here, with all its keys.
private struct MadeHistory {
    let manifest: Manifest
    let principal: Ed25519Signer
    let replicas: [Ed25519Signer]
    private(set) var batches: [ExportedBatch] = []

    /// Batches of one request each, all committed; every third has none.
    init(_ count: Int) throws {
        func signer(_ seed: Int) throws -> Ed25519Signer {
            try #require(Ed25519Signer(seed: [UInt8](repeating: UInt8(seed), count: 32)))
        }
        (principal, replicas) = (try signer(9), try (1...4).map(signer))
        let cluster = ClusterID(Hasher256().finish().value)
        manifest = Manifest(
            cluster: cluster, epoch: Epoch(0),
            hosts: replicas.map { Manifest.Host(address: "127.0.0.1", port: 1, publicKey: $0.publicKey) },
            shards: [(0..<4).map { HostID($0) }], issuer: principal.publicKey)
        var history = Digest.null
        for number in 1...UInt64(count) {
            var items: [BatchItem] = []
            var leaves: [Leaf] = []
            if number % 3 != 0 {
                let request = SignedRequest(
                    Request(
                        cluster: cluster, epoch: Epoch(0), principal: principal.publicKey,
                        number: RequestNumber(number), acknowledgedBelow: RequestNumber(1),
                        issuedAt: Timestamp(number), deadline: Timestamp(number + 1000), mode: .independent,
                        operations: [
                            .transfer(
                                Transfer(
                                    from: AccountID(1), to: AccountID(2), asset: AssetID(1), amount: Amount(5))),
                            .read(AccountID(1)),
                        ]), signedBy: principal)
                items = [.request(request)]
                leaves = [
                    Leaf(
                        request: request.digest,
                        entries: [.init(leg: 0, status: .committed), .init(leg: 1, status: .aborted(.unknownAccount))])
                ]
            }
            let batch = Batch(time: Timestamp(number), items: items)
            let statement = AttestationStatement(
                cluster: cluster, epoch: Epoch(0), shard: ShardID(0), sequence: SequenceNumber(number),
                previousHistory: history, batch: batch.digest, leavesRoot: MerkleTree(leaves: leaves).root)
            history = statement.history
            batches.append(
                ExportedBatch(
                    batch: ArchivedBatch(statement: statement, batch: batch.bytes, leaves: leaves, requests: []),
                    signatures: [0, 2].map {
                        ReplicaSignature(
                            replica: ReplicaIndex(UInt8($0)), signature: replicas[$0].sign(statement.signingBytes))
                    }))
        }
    }

    /// From after one batch to another.
    func lines(after first: Int = 0, to last: Int) throws -> [String] {
        var from = ExportCursor()
        from[ShardID(0)] = SequenceNumber(UInt64(first))
        var end = ExportCursor()
        end[ShardID(0)] = SequenceNumber(UInt64(last))
        return [ExportLines.begin(manifest, from: from)] + (try batches[first..<last].flatMap(ExportLines.batch))
            + [ExportLines.end(end)]
    }
}

/// What `quorate export` writes, and what finds it wrong.
@Suite struct ExportFormatTests {
    private func verify(_ lines: [String], _ manifest: Manifest) throws -> ExportVerifier.Summary {
        var verifier = ExportVerifier(manifest, file: "test")
        for line in lines { try verifier.take(Array(line.utf8)) }
        return try verifier.finish()
    }

    @Test func whatWasSignedIsGenuine() throws {
        let history = try MadeHistory(7)
        let summary = try verify(try history.lines(to: 7), history.manifest)
        #expect(summary.batches == 7 && summary.transactions == 5 && summary.isEnded)
        #expect(summary.outcomes == ["committed": 5, "aborted": 5])
        #expect(summary.cursor.description == "0:7")
        // One part behind the other is the whole.
        let parts = try history.lines(to: 3) + history.lines(after: 3, to: 7)
        #expect(try verify(parts, history.manifest).batches == 7)
        // What begins in the middle, too.
        let rest = try verify(try history.lines(after: 3, to: 7), history.manifest)
        #expect(rest.from.description == "0:3" && rest.batches == 4)
    }

    @Test func everyLineThatIsMissingTwiceMovedOrAlteredIsFoundWithItsPlace() throws {
        let history = try MadeHistory(5)
        let lines = try history.lines(to: 5)
        for i in lines.indices {
            // Without the last line more may follow, and it is said.
            if i < lines.count - 1 {
                #expect(throws: ExportProblem.self, "without line \(i + 1)") {
                    try verify(Array(lines[..<i] + lines[(i + 1)...]), history.manifest)
                }
            }
            #expect(throws: ExportProblem.self, "line \(i + 1) twice") {
                try verify(Array(lines[...i] + lines[i...]), history.manifest)
            }
            if i + 1 < lines.count {
                var moved = lines
                moved.swapAt(i, i + 1)
                #expect(throws: ExportProblem.self, "line \(i + 1) behind the next") {
                    try verify(moved, history.manifest)
                }
            }
            // One character after the other.
            for place in stride(from: 0, to: lines[i].utf8.count, by: 17) {
                var bytes = Array(lines[i].utf8)
                bytes[place] = bytes[place] == UInt8(ascii: "1") ? UInt8(ascii: "2") : UInt8(ascii: "1")
                var altered = lines
                altered[i] = String(decoding: bytes, as: UTF8.self)
                do {
                    _ = try verify(altered, history.manifest)
                    Issue.record("line \(i + 1), byte \(place): \(altered[i])")
                } catch let problem as ExportProblem {
                    // A batch is judged when all its lines are here, or one too many.
                    #expect((i + 1...i + 3).contains(problem.line), "line \(i + 1), byte \(place): \(problem)")
                }
            }
        }
    }

    @Test func aRequestThatWasTakenOutIsFoundWhereTheBatchHoldsIt() throws {
        let history = try MadeHistory(1)
        var lines = try history.lines(to: 1)
        let bare = ArchivedBatch(
            statement: history.batches[0].batch.statement, batch: [], leaves: history.batches[0].batch.leaves,
            requests: [])
        lines[2] = try ExportLines.batch(ExportedBatch(batch: bare, signatures: []))[1]
        #expect(lines[2].contains("\"request_bytes\":null"))
        #expect(throws: ExportProblem.self) { try verify(lines, history.manifest) }
    }

    @Test func linesAreCountedInEachFileAndShardsWithoutBatchesAreNamed() throws {
        let history = try MadeHistory(5)
        var verifier = ExportVerifier(history.manifest, file: "first")
        for line in try history.lines(to: 2) { try verifier.take(Array(line.utf8)) }
        verifier.next(file: "second")
        var second = try history.lines(after: 2, to: 5)
        second[2] = second[2].replacingOccurrences(of: #""sequence":"4""#, with: #""sequence":"5""#)
        try verifier.take(Array(second[0].utf8))
        try verifier.take(Array(second[1].utf8))
        do {
            try verifier.take(Array(second[2].utf8))
            Issue.record("it was taken")
        } catch { #expect(error.line == 3) }
        let none = try verify(try history.lines(after: 3, to: 3), history.manifest)
        #expect(none.withoutBatches == [ShardID(0)])
        #expect(try verify(try history.lines(to: 5), history.manifest).withoutBatches.isEmpty)
    }

    @Test func aCursorHasOneWriting() {
        for text in ["", "0:1", "0:12,3:4", "65535:4611686018427387903"] {
            #expect(ExportCursor(text)?.description == text)
        }
        for text in [
            "0", "0:", ":1", "0:0", "00:1", "0:01", "1:1,0:1", "0:1,0:2", "0:1,", " 0:1", "0:1 ", "a:1", "65536:1",
            "0:4611686018427387904",
        ] {
            #expect(ExportCursor(text) == nil, "\(text)")
        }
    }

    @Test func aTableQuotesWhatItMust() throws {
        let rows = try ExportLines.csv(try MadeHistory(1).batches[0])
        #expect(rows.count == 2)
        #expect(rows[0].contains(",committed,,\"[{\"\"kind\"\":\"\"transfer\"\","))
        #expect(rows[1].contains(",aborted,unknown account,"))
        let columns = ExportLines.csvHeader.split(separator: ",").count
        #expect(columns == 13)
    }
}

/// Whom an export believes.
@Suite struct ArchiveClaimTests {
    /// - Parameter has: 0 for nothing, otherwise one of several statements.
    private func claim(_ host: UInt16, last: UInt64, next: UInt64, has: UInt8 = 0) -> ArchiveClaim {
        let statement = AttestationStatement(
            cluster: ClusterID(Hasher256().finish().value), epoch: Epoch(0), shard: ShardID(0),
            sequence: SequenceNumber(10), previousHistory: .null, batch: Hasher256.hash(.batch, [has]),
            leavesRoot: .null)
        return ArchiveClaim(
            host: HostID(host), last: SequenceNumber(last), next: SequenceNumber(next),
            has: has == 0 ? nil : statement)
    }

    private func judge(_ claims: ArchiveClaim...) -> ArchiveClaim.Judgement {
        ArchiveClaim.judge(claims, first: SequenceNumber(10), group: ReplicaGroup(n: 4))
    }

    @Test func fPlusOneSignaturesAreEnough() {
        #expect(
            judge(claim(0, last: 10, next: 10, has: 1), claim(2, last: 12, next: 10, has: 1))
                == .given(by: [HostID(0), HostID(2)]))
    }

    @Test func aLiarAndHostsThatLagAreNotYet() {
        // One honest host is ahead, and one says what it likes.
        #expect(
            judge(
                claim(0, last: 10, next: 10, has: 1), claim(1, last: 9, next: 0), claim(2, last: 9, next: 0),
                claim(3, last: .max, next: .max)) == .notYet)
        #expect(
            judge(
                claim(0, last: 10, next: 10, has: 1), claim(1, last: 9, next: 0), claim(2, last: 9, next: 0),
                claim(3, last: 10, next: 10, has: 2)) == .notYet)
        // One has fetched a state, and others have not come so far.
        #expect(judge(claim(0, last: 60, next: 50), claim(3, last: .max, next: .max)) == .notYet)
    }

    @Test func theEndOfWhatIsMissingIsAnHonestOne() {
        #expect(
            judge(claim(0, last: 60, next: 50), claim(1, last: 60, next: 40), claim(3, last: .max, next: .max))
                == .missing(to: SequenceNumber(49)))
        #expect(
            judge(claim(0, last: 60, next: 0), claim(1, last: 61, next: 0), claim(3, last: .max, next: 0))
                == .missing(to: SequenceNumber(61)))
    }

    @Test func differentSignaturesAreAContradictionOnlyWhenAllButFHaveCome() {
        #expect(
            judge(
                claim(0, last: 10, next: 10, has: 1), claim(1, last: 20, next: 15),
                claim(3, last: 10, next: 10, has: 2)) == .contradiction)
    }
}

/// What is bounded beside exports.
@Suite struct ExportBoundTests {
    @Test func answersHavePlacesInAllAndForEachAddress() {
        let places = StreamPlaces(3, each: 2)
        let (a, b) = (PeerNetwork([10, 0, 0, 1]), PeerNetwork([10, 0, 0, 2]))
        var held = [places.take(for: a), places.take(for: a)]
        #expect(held.allSatisfy { $0 != nil } && places.take(for: a) == nil)
        held.append(places.take(for: b))
        #expect(held[2] != nil && places.take(for: b) == nil)
        // Released twice it is given back once.
        held[0]?.release()
        held.removeFirst()
        #expect(places.take(for: b) != nil)
        // An answer that nobody wrote.
        held = []
        #expect(places.take(for: a) != nil)
    }

    @Test func whatWaitsToBeArchivedIsBounded() {
        let backlog = ArchiveBacklog(limit: 100)
        // Of a start: half of it, however much it is.
        #expect(backlog.enter(1000))
        #expect(backlog.enter(40) && !backlog.enter(20))
        backlog.leave(1000)
        #expect(backlog.enter(50))
        backlog.leave(40)
        backlog.leave(50)
        #expect(backlog.enter(50) && backlog.enter(50) && !backlog.enter(1))
    }
}

/// Exports of real processes.
@Suite(.timeLimit(.minutes(3)), .serialized) struct ExportTests {
    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

    /// Lines of batches without signatures, which may be by other replicas, and all other lines between begin and end.
    private func content(_ lines: [String]) -> [String] {
        lines.filter { !$0.hasPrefix(#"{"type":"export""#) && !$0.hasPrefix(#"{"type":"end""#) }.map { line in
            guard let start = line.range(of: #","signatures":["#), let end = line.range(of: #"],"batch_bytes""#) else {
                return line
            }
            return String(line[..<start.lowerBound] + line[end.upperBound...])
        }
    }

    @Test func anExportGoesOnWhileAHostDiesAndFromACursorComesTheRest() throws {
        let cluster = try TestedCluster("--shards", "2")
        let path = cluster.path
        func file(_ name: String) -> String { cluster.folder.path(name) }
        func export(_ name: String, _ options: String...) throws {
            try Tool.succeed(["export", path, "--output", file(name)] + options)
        }
        func text(_ name: String) throws -> [String] {
            lines(try String(contentsOfFile: file(name), encoding: .utf8))
        }
        try Tool.succeed(["account", "create", "alice", "--shard", "0", "--issue", "1000", "--cluster", path])
        try Tool.succeed(["account", "create", "bob", "--shard", "1", "--cluster", path])
        try Tool.succeed(["transfer", "alice", "bob", "250", "--cluster", path])
        try export("first")
        try Tool.succeed(["export", "verify", file("first"), "--manifest", path + "/cluster.json"])

        try Tool.succeed(["cluster", "kill-host", path, "0"])
        try Tool.succeed(["transfer", "alice", "bob", "100", "--cluster", path])
        try Tool.succeed(["cluster", "up", path])
        try Tool.succeed(["transfer", "alice", "bob", "10", "--cluster", path])
        let first = try text("first")
        let last = try #require(first.last)
        let end = try #require(
            try JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: String])
        let cursor = try #require(end["cursor"])
        try export("rest", "--from", cursor)
        try export("all")
        let verified = try Tool.succeed([
            "export", "verify", file("first"), file("rest"), "--manifest", path + "/cluster.json",
        ])
        #expect(verified.contains("complete and genuine: from the beginning"))
        let (rest, all) = (try text("rest"), try text("all"))
        // Shard after shard, and perhaps something more was executed between the two.
        for shard in 0..<2 {
            let mine: (String) -> Bool = { $0.contains(#","shard":\#(shard),"#) }
            let parts = content(first).filter(mine) + content(rest).filter(mine)
            #expect(content(all).filter(mine).starts(with: parts))
            #expect(!content(rest).filter(mine).isEmpty)
        }
        #expect(content(all).contains { $0.contains(#""amount":"100""#) && $0.contains(#""outcome":"committed""#) })

        // What is damaged is named by its line.
        let place = try #require(all.firstIndex { $0.contains(#""amount":"250""#) })
        var damaged = all
        damaged[place] = damaged[place].replacingOccurrences(of: #""amount":"250""#, with: #""amount":"251""#)
        try (damaged.joined(separator: "\n") + "\n").write(toFile: file("damaged"), atomically: true, encoding: .utf8)
        let (status, output) = try Tool.run([
            "export", "verify", file("damaged"), "--manifest", path + "/cluster.json",
        ])
        #expect(status == 24 && output.contains("line \(place + 1) does not say what was signed"), "\(output)")

        // The independent verifier judges alike.
        for (name, code) in [("all", Int32(0)), ("damaged", 24)] {
            let python = Process()
            python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            let verifier = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
                path: "../../docs/receipts/verify_export.py"
            ).standardizedFileURL.path
            python.arguments = ["python3", verifier, file(name), "--manifest", path + "/cluster.json"]
            python.standardError = FileHandle.nullDevice
            python.standardOutput = FileHandle.nullDevice
            try python.run()
            python.waitUntilExit()
            #expect(python.terminationStatus == code, "\(name)")
        }
    }
}
