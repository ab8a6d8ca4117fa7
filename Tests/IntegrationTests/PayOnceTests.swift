import Client
import Foundation
import Testing

/// Whatever is interrupted, and repeated, happens once: with real processes, kill -9 and paused gateways.
@Suite(.serialized) struct PayOnceTests {
    @Test func aTransferThatIsKilledAtAnyMomentAndRepeatedPaysOnce() throws {
        let bank = try Bank()
        defer { bank.remove() }
        var paid = 0
        for round in 0..<8 {
            // Another amount each time: only the repetition of the very same one is the one that was interrupted.
            let amount = 10 + round
            let command = try bank.start("transfer", "alice", "bob", "\(amount)")
            // From before it has read its key until after it has ended.
            usleep(UInt32.random(in: 0...60_000))
            kill(command.processIdentifier, SIGKILL)
            command.waitUntilExit()
            let repeated = try bank.succeed("transfer", "alice", "bob", "\(amount)", "--json").output
            let isEarlier = repeated.contains(#""earlier":true"#)
            // Whoever was told so before the kill asked for a second one; unless the tool could not know that he was.
            let wasTold = bank.output(of: command).contains("txid")
            paid += wasTold && !isEarlier ? 2 * amount : amount
            #expect(try bank.balance("bob") == paid, "round \(round)")
        }
        #expect(try bank.balance("alice") == 1000 - paid)
        #expect(try bank.succeed("tx", "list").output.contains("nothing is open"))
    }

    @Test func whatIsOpenIsSettledByTheNextCommandWhichSaysSo() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.leaveOpen("transfer", "alice", "bob", "250")
        // It is known here before anybody answers.
        let listed = try bank.succeed("tx", "list", "--json").output
        #expect(listed.contains(#""purpose":"transfer 250 alice -> bob""#) && listed.contains(#""state":"open""#))
        bank.continueGateway()
        let other = try bank.succeed("transfer", "alice", "bob", "7")
        #expect(other.errors.contains("settled: transfer 250 alice -> bob of ") && other.errors.contains(": committed"))
        #expect(try bank.balance("bob") == 257)
        // The same command instead of another one: that is the one that was interrupted.
        try bank.leaveOpen("transfer", "alice", "bob", "31")
        bank.continueGateway()
        let same = try bank.succeed("transfer", "alice", "bob", "31", "--json").output
        #expect(same.contains(#""earlier":true"#) && same.contains(#""committed":true"#))
        #expect(try bank.balance("bob") == 288)
        // Once that was said, the same command is another payment.
        #expect(try bank.succeed("transfer", "alice", "bob", "31", "--json").output.contains(#""earlier":false"#))
        #expect(try bank.balance("bob") == 319)
    }

    @Test func anUnknownOutcomeIsReportedWithTheCommandThatSettlesIt() throws {
        let bank = try Bank()
        defer { bank.remove() }
        let before = bank.names("alice")
        let command = try bank.start("transfer", "alice", "bob", "40", "--json")
        try bank.waitForNew("alice", beside: before)
        // It must not have its answer before the gateway stands still, and a payment takes a few milliseconds.
        kill(command.processIdentifier, SIGSTOP)
        bank.pauseGateway()
        kill(command.processIdentifier, SIGINT)
        kill(command.processIdentifier, SIGCONT)
        command.waitUntilExit()
        #expect(command.terminationStatus == 21)
        let printed = try JSONSerialization.jsonObject(with: Data(bank.output(of: command).utf8)) as? [String: Any]
        let report = try #require(printed?["error"] as? [String: Any])
        let (txid, settle) = (try #require(report["txid"] as? String), try #require(report["settle"] as? String))
        #expect(
            report["code"] as? String == "outcome_unknown" && report["exit"] as? Int == 21
                && settle.hasPrefix("quorate tx resolve \(txid)"))
        bank.continueGateway()
        // As it is pasted.
        let settled = try Tool.run(settle.split(separator: " ").dropFirst().map(String.init))
        #expect(
            settled.status == 0 && settled.output.contains("transfer 40 alice -> bob of ")
                && settled.output.contains(": committed"))
        #expect(try bank.balance("bob") == 40)
        // Any number of times: it was one request.
        #expect(try bank.run("tx", "resolve", String(txid.prefix(10))).status == 0)
        #expect(try bank.balance("bob") == 40)
        #expect(try bank.run("tx", "abandon", txid).status != 0)
    }

    @Test func whatIsAbandonedHasAnOutcomeThatIsCertified() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.leaveOpen("transfer", "alice", "bob", "99")
        // What the gateway had been sent goes with it. Most probably nothing was.
        bank.killGateway()
        try Tool.succeed("cluster", "up", bank.cluster)
        let entry = try #require(try bank.open("alice").first)
        let abandoned = try bank.run("tx", "abandon", entry)
        let tookEffect = abandoned.status == 0
        #expect(
            tookEffect || abandoned.status == 20 && abandoned.output.contains("had not recorded it by its deadline"),
            "\(abandoned)")
        #expect(try bank.balance("bob") == (tookEffect ? 99 : 0))
        #expect(try bank.open("alice").isEmpty)
        // It is settled: the same command is another payment.
        try bank.succeed("transfer", "alice", "bob", "99")
        #expect(try bank.balance("bob") == (tookEffect ? 198 : 99))
        let receipt = try bank.succeed("receipt", "fetch", entry).output
        #expect(receipt.contains(tookEffect ? "committed" : "aborted"))
    }

    /// Its bytes are in the outbox, and nobody was ever sent them.
    @Test func whatIsAbandonedBeforeAnybodyHadItNeverHappensWhoeverBringsItLater() async throws {
        let bank = try Bank()
        defer { bank.remove() }
        let (alice, bob) = (try bank.key("alice"), try bank.key("bob"))
        var options = ClientOptions()
        options.lifetime = .seconds(2)
        let client = bank.client(alice.signer, first: nil, options)
        let request = try await client.prepare([
            .transfer(Transfer(from: alice.account, to: bob.account, asset: AssetID(1), amount: Amount(99)))
        ])
        let txid = try bank.putIntoOutbox(of: "alice", request)
        let abandoned = try bank.run("tx", "abandon", txid)
        #expect(
            abandoned.status == 20 && abandoned.output.contains("had not recorded it by its deadline"), "\(abandoned)")
        for _ in 0..<2 {
            let outcome = try await client.resolve(request, patience: .seconds(10))
            #expect(!outcome.isCommitted)
        }
        await client.close()
        #expect(try bank.run("tx", "resolve", txid).status == 20)
        #expect(try bank.balance("bob") == 0)
        #expect(try bank.open("alice").isEmpty)
    }

    /// Whoever was not told does not know that it is done, and repeats it.
    @Test func whatCouldNotBeSaidIsSaidByTheNextCommandAndNotDoneAgain() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.succeed("account", "create", "carol", "--shard", "1")
        let commands = [
            ["transfer", "alice", "bob", "5", "--json"], ["transfer", "alice", "bob", "6"],
            ["issue", "bob", "7", "--operation", "gift", "--json"],
            ["account", "create", "carol", "--issue", "3", "--resume"],
            ["call", "oracle.publish", #"{"symbol": "A", "price": 1}"#, "--as", "alice"],
        ]
        for words in commands {
            let full = try RunningTool(
                words + ["--cluster", bank.cluster], output: FileHandle(forWritingAtPath: "/dev/full"))
            #expect(full.end().status == 40 && full.errors.contains("could not be said"), "\(words): \(full.errors)")
            // Nor by a reader that has gone.
            let pipe = Pipe()
            try pipe.fileHandleForReading.close()
            let piped = try RunningTool(words + ["--cluster", bank.cluster], output: pipe.fileHandleForWriting)
            #expect(piped.end().status == 141, "\(words): \(piped.errors)")
            let told = try bank.succeed(words.filter { $0 != "--json" } + ["--json"]).output
            #expect(told.contains(#""earlier":true"#), "\(words): \(told)")
        }
        #expect(try bank.balance("bob") == 18)
        #expect(try bank.balance("carol") == 3)
        // The same of what is settled by hand.
        try bank.leaveOpen("transfer", "alice", "bob", "8")
        bank.continueGateway()
        let txid = try #require(try bank.open("alice").first)
        let full = try RunningTool(
            ["tx", "resolve", txid, "--cluster", bank.cluster], output: FileHandle(forWritingAtPath: "/dev/full"))
        #expect(full.end().status == 40)
        #expect(try bank.open("alice") == [txid])
        #expect(try bank.succeed("transfer", "alice", "bob", "8", "--json").output.contains(#""earlier":true"#))
        #expect(try bank.balance("bob") == 26)
    }

    /// What became of an earlier request is said on standard error.
    @Test func whatAnotherCommandFindsOutIsSaidBeforeItIsPutDown() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.leaveOpen("transfer", "alice", "bob", "5")
        bank.continueGateway()
        let txid = try #require(try bank.open("alice").first)
        let full = try RunningTool(
            ["transfer", "alice", "bob", "6", "--json", "--cluster", bank.cluster],
            errors: FileHandle(forWritingAtPath: "/dev/full"))
        #expect(
            full.end().status == 40 && full.output.contains(#""code":"output""#) && full.output.contains(txid),
            "\(full.output)")
        #expect(try bank.open("alice") == [txid])
        // Whoever repeats it is told that it is done, and nothing else was.
        #expect(try bank.succeed("transfer", "alice", "bob", "5", "--json").output.contains(#""earlier":true"#))
        #expect(try bank.balance("bob") == 5)
    }

    @Test func whatIsSettledIsReportedFromWhatWasProven() throws {
        let bank = try Bank()
        defer { bank.remove() }
        let txids = try [("5", 0), ("5000", 20)].map { amount, status in
            let paid = try bank.run("transfer", "alice", "bob", amount)
            #expect(paid.status == Int32(status))
            let line = paid.output.split(separator: "\n").first { $0.hasPrefix("txid") }
            return try #require(line?.split(separator: " ").last.map(String.init), "\(paid)")
        }
        // Nobody is asked.
        try Tool.succeed("cluster", "down", bank.cluster)
        let done = try bank.run("tx", "resolve", txids[0])
        #expect(done.status == 0 && done.output.contains(": committed") && done.output.contains("receipt  "), "\(done)")
        let refused = try bank.run("tx", "resolve", txids[1], "--json")
        #expect(
            refused.status == 20 && refused.output.contains(#""committed":false"#)
                && refused.output.contains("insufficient funds"), "\(refused)")
    }

    @Test func whoWaitsForAKeyIsToldForWhom() throws {
        let bank = try Bank()
        defer { bank.remove() }
        bank.pauseGateway()
        let first = try RunningTool(["transfer", "alice", "bob", "1", "--cluster", bank.cluster])
        let holder = "\(first.process.processIdentifier) transfer\n"
        #expect(
            first.waits(10) {
                (try? String(contentsOfFile: bank.cluster + "/accounts/alice.json.lock", encoding: .utf8)) == holder
            })
        let second = try RunningTool(["transfer", "alice", "bob", "2", "--cluster", bank.cluster])
        let words =
            "waiting for quorate transfer (process \(first.process.processIdentifier)), which uses the key of alice"
        #expect(second.waits(10) { second.errors.contains(words) }, "\(second.errors)")
        for command in [first, second] { command.signal(SIGKILL) }
        for command in [first, second] { _ = command.end() }
    }

    /// A file that cannot be looked at may say that it was done: here a link to itself stands in its place.
    @Test func whatCannotBeLookedAtIsNotTakenForUndone() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.succeed("issue", "bob", "77", "--operation", "gift")
        let manager = FileManager.default
        let outbox = bank.cluster + "/issuer.outbox"
        for name in bank.names("issuer") { try manager.removeItem(atPath: outbox + "/" + name) }
        for path in [outbox + "/operations/gift.json", outbox + "/operations", outbox] {
            try manager.moveItem(atPath: path, toPath: path + ".aside")
            try manager.createSymbolicLink(atPath: path, withDestinationPath: path)
            let refused = try bank.run("issue", "bob", "77", "--operation", "gift")
            #expect(refused.status == 15 && refused.output.contains("cannot look at \(path)"), "\(refused)")
            try manager.removeItem(atPath: path)
            try manager.moveItem(atPath: path + ".aside", toPath: path)
        }
        #expect(
            try bank.succeed("issue", "bob", "77", "--operation", "gift", "--json").output.contains(#""earlier":true"#))
        #expect(try bank.balance("bob") == 77)
    }

    @Test func anOlderAttemptDoesNotHideWhatWasCommittedUnderItsName() async throws {
        let bank = try Bank()
        defer { bank.remove() }
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let carol = AccountSpecification(owner: signer.publicKey, asset: AssetID(1), index: 0)
        func issue() throws -> (status: Int32, output: String) {
            try bank.run("issue", carol.id.hex, "77", "--operation", "gift", "--json")
        }
        // There is no such account yet.
        let refused = try issue()
        #expect(refused.status == 20, "\(refused)")
        let report = try #require(refused.output.split(separator: "\n").first { $0.hasPrefix("{") })
        let fields = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
        let txid = try #require((fields?["error"] as? [String: Any])?["txid"] as? String)
        let client = bank.client(signer, first: RequestNumber(1))
        #expect(try await client.submit([.open(carol)], mode: .independent).isCommitted)
        await client.close()
        #expect(try issue().status == 0)
        #expect(try bank.run("tx", "resolve", txid).status == 20)
        let again = try issue()
        #expect(again.status == 0 && again.output.contains(#""earlier":true"#), "\(again)")
        #expect(try bank.run("account", "show", carol.id.hex).output.contains(": 77 of asset 1"))
    }

    @Test func aNamedOperationThatWasGivenUpIsAskedAboutBeforeItIsDoneAgain() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.leaveOpen(of: "issuer", "issue", "bob", "77", "--operation", "gift")
        // As if the cluster had not said what became of it.
        let txid = try #require(try bank.open("issuer").first)
        try bank.change("issuer", txid, "\"open\"", "\"abandoned\"")
        let asking = try RunningTool(["issue", "bob", "77", "--operation", "gift", "--json", "--cluster", bank.cluster])
        #expect(
            asking.waits(20) { asking.errors.contains("asking what became of: issue 77 -> bob") }, "\(asking.errors)")
        asking.signal(SIGINT)
        #expect(asking.end().status == 21 && asking.output.contains(txid), "\(asking.errors)")
        bank.continueGateway()
        // Of that which can never be known nothing is done under the same name.
        try bank.change("issuer", txid, "\"abandoned\"", "\"forgotten\"")
        let forgotten = try bank.run("issue", "bob", "77", "--operation", "gift")
        #expect(
            forgotten.status == 21 && forgotten.output.contains("do it under another name: quorate issue"),
            "\(forgotten)")
        try bank.change("issuer", txid, "\"forgotten\"", "\"abandoned\"")
        let other = try bank.run("issue", "bob", "78", "--operation", "gift")
        #expect(
            other.status == 1 && other.output.contains("operation gift is another one: issue 77 -> bob"), "\(other)")
        #expect(
            try bank.succeed("issue", "bob", "77", "--operation", "gift", "--json").output.contains(#""earlier":true"#))
        try bank.succeed("issue", "bob", "77", "--operation", "gift")
        #expect(try bank.balance("bob") == 77)
    }

    @Test func aReceiptThatCannotBeWrittenIsFoundOutBeforePaying() throws {
        let bank = try Bank()
        defer { bank.remove() }
        for path in ["/cluster.json/receipt.json", "/hosts", "/cluster.json/further/receipt.json"] {
            let refused = try bank.run("transfer", "alice", "bob", "5", "--receipt", bank.cluster + path)
            #expect(refused.status == 1 && refused.output.contains("so nothing was sent"), "\(refused)")
            #expect(!refused.output.contains("NSCocoa"))
        }
        let receipts = bank.cluster + "/receipts"
        try FileManager.default.moveItem(atPath: receipts, toPath: receipts + ".aside")
        try Data().write(to: URL(fileURLWithPath: receipts))
        #expect(try bank.run("transfer", "alice", "bob", "5").status == 1)
        try FileManager.default.removeItem(atPath: receipts)
        #expect(try bank.balance("bob") == 0)
        #expect(try bank.open("alice").isEmpty)

        // One that was lost is got again, and is as good.
        let output = try bank.succeed("transfer", "alice", "bob", "5", "--json").output
        let result = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let (txid, path) = (try #require(result["txid"] as? String), try #require(result["receipt"] as? String))
        try FileManager.default.removeItem(atPath: path)
        for _ in 0..<3 { try bank.succeed("transfer", "alice", "bob", "1") }
        try bank.succeed("receipt", "fetch", txid)
        try bank.succeed("receipt", "verify", path)
        #expect(try bank.balance("bob") == 8)
    }

    @Test func moneyIsIssuedOnceForEachNameOfAnOperation() throws {
        let bank = try Bank()
        defer { bank.remove() }
        // Killed anywhere, and repeated as its help says.
        for round in 0..<5 {
            let name = "n\(round)"
            let command = try bank.start("account", "create", name, "--issue", "1000")
            usleep(UInt32.random(in: 0...80_000))
            kill(command.processIdentifier, SIGKILL)
            command.waitUntilExit()
            let isThere = FileManager.default.fileExists(atPath: bank.cluster + "/accounts/\(name).json")
            try bank.succeed(["account", "create", name, "--issue", "1000"] + (isThere ? ["--resume"] : []))
            try bank.succeed("account", "create", name, "--issue", "1000", "--resume")
            #expect(try bank.balance(name) == 1000, "round \(round)")
        }
        // Interrupted in the middle of issuing.
        try bank.leaveOpen(of: "issuer", "issue", "bob", "77", "--operation", "gift")
        bank.continueGateway()
        let repeated = try bank.succeed("issue", "bob", "77", "--operation", "gift", "--json").output
        #expect(repeated.contains(#""earlier":true"#))
        try bank.succeed("issue", "bob", "77", "--operation", "gift")
        #expect(try bank.balance("bob") == 77)
        let other = try bank.run("issue", "bob", "78", "--operation", "gift")
        #expect(other.status == 1 && other.output.contains("operation gift is another one: issue 77 -> bob"))
        #expect(try bank.run("account", "create", "n0", "--issue", "999", "--resume").status == 1)
        try bank.succeed("issue", "bob", "78", "--operation", "gift-2")
        #expect(try bank.balance("bob") == 155)
        #expect(try bank.balance("n0") == 1000)
    }

    @Test func ofSeveralWhoCreateOneAccountAtOnceOneDoes() throws {
        let bank = try Bank()
        defer { bank.remove() }
        for round in 0..<3 {
            let name = "p\(round)"
            let commands = try (0..<4).map { _ in try bank.start("account", "create", name, "--issue", "10", "--json") }
            for command in commands { command.waitUntilExit() }
            let winners = commands.filter { $0.terminationStatus == 0 }
            #expect(winners.count == 1)
            for loser in commands where loser.terminationStatus != 0 {
                #expect(loser.terminationStatus == 10 && bank.errors(of: loser).contains("exists already"))
            }
            let text = try String(contentsOfFile: bank.cluster + "/accounts/\(name).json", encoding: .utf8)
            let winner =
                try JSONSerialization.jsonObject(with: Data(bank.output(of: try #require(winners.first)).utf8))
                as? [String: Any]
            #expect(text.contains(try #require(winner?["account"] as? String)))
            #expect(try bank.balance(name) == 10)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: bank.cluster + "/accounts").filter {
            $0.hasSuffix(".tmp")
        }
        #expect(left.isEmpty)
    }

    /// Numbers come from what the shards have recorded, and no file or clock can put them out of reach.
    @Test func aProgramWithTheSameKeyAndAnyNumbersTakesNothingOutOfReach() async throws {
        let bank = try Bank()
        defer { bank.remove() }
        let (alice, bob) = (try bank.key("alice"), try bank.key("bob"))
        // As by a clock, and far above it.
        for first in [1_700_000_000_000_000, 9_000_000_000_000_000_000] as [UInt64] {
            let own = bank.client(alice.signer, first: RequestNumber(first))
            let outcome = try await own.transfer(
                from: alice.account, to: bob.account, asset: AssetID(1), amount: Amount(3))
            #expect(outcome.isCommitted)
            await own.close()
            try bank.succeed("transfer", "alice", "bob", "10")
            // Nor what older versions counted in the account's file.
            for number in [1, UInt64.max] {
                try bank.write(nextNumber: number, "alice")
                try bank.succeed("transfer", "alice", "bob", "10")
            }
        }
        // The library asks the shards too.
        let own = bank.client(alice.signer, first: nil)
        #expect(
            try await own.transfer(from: alice.account, to: bob.account, asset: AssetID(1), amount: Amount(3))
                .isCommitted)
        await own.close()
        #expect(try bank.balance("bob") == 69)
        // The issuer's as well.
        let issuer = bank.client(try bank.issuer(), first: RequestNumber(8_000_000_000_000_000_000))
        _ = try await issuer.submit([.issue(to: bob.account, asset: AssetID(1), amount: Amount(1))], mode: .independent)
        await issuer.close()
        try bank.succeed("issue", "bob", "30", "--operation", "later")
        #expect(try bank.balance("bob") == 100)
    }

    @Test func programsWithOneKeyWorkSideBySide() async throws {
        let bank = try Bank()
        defer { bank.remove() }
        let (alice, bob) = (try bank.key("alice"), try bank.key("bob"))
        let clients = (0..<2).map { _ in bank.client(alice.signer, first: nil) }
        let paid = try await withThrowingTaskGroup(of: Int.self) { group in
            for client in clients {
                group.addTask {
                    var paid = 0
                    for _ in 0..<20 {
                        // Either it happens, or it is said at once that it is not known, and the next one goes on.
                        let outcome = try await client.transfer(
                            from: alice.account, to: bob.account, asset: AssetID(1), amount: Amount(1))
                        if outcome.isCommitted { paid += 1 }
                    }
                    return paid
                }
            }
            group.addTask {
                var paid = 0
                for amount in [2, 3, 4, 5] {
                    let (status, output) = try Tool.run(
                        "transfer", "alice", "bob", "\(amount)", "--cluster", bank.cluster)
                    #expect(status == 0, "\(output)")
                    if status == 0 { paid += amount }
                }
                return paid
            }
            return try await group.reduce(0, +)
        }
        for client in clients { await client.close() }
        #expect(paid == 54)
        #expect(try bank.balance("bob") == paid)
    }

    @Test func aDamagedRequestInTheOutboxIsNamedAndNothingIsSentBesideIt() throws {
        let bank = try Bank()
        defer { bank.remove() }
        try bank.leaveOpen("transfer", "alice", "bob", "12")
        bank.continueGateway()
        let txid = try #require(try bank.open("alice").first)
        let path = bank.cluster + "/accounts/alice.outbox/\(txid).json"
        let whole = try String(contentsOfFile: path, encoding: .utf8)
        #expect((try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int) == 0o600)
        for (a, b) in [
            ("transfer 12 of", "transfer 13 of"), ("\"open\"", "\"opened\""),
            ("\"request\" : \"", "\"request\" : \"00"),
        ] {
            #expect(whole.contains(a))
            try whole.replacingOccurrences(of: a, with: b).write(toFile: path, atomically: true, encoding: .utf8)
            let refused = try bank.run("transfer", "alice", "bob", "1")
            #expect(refused.status == 15 && refused.output.contains("alice.outbox/\(txid).json:"), "\(refused)")
        }
        try whole.write(toFile: path, atomically: true, encoding: .utf8)
        // Under another name it would never be settled.
        let wrong = path.replacingOccurrences(of: txid, with: "copy")
        try FileManager.default.moveItem(atPath: path, toPath: wrong)
        let misplaced = try bank.run("transfer", "alice", "bob", "1")
        #expect(misplaced.status == 15 && misplaced.output.contains("belongs into \(path); rename it"), "\(misplaced)")
        try FileManager.default.moveItem(atPath: wrong, toPath: path)
        // Another key's files that are damaged do not keep this one from being found.
        let others = bank.cluster + "/accounts/bob.json"
        let kept = try String(contentsOfFile: others, encoding: .utf8)
        try "{".write(toFile: others, atomically: true, encoding: .utf8)
        let shown = try bank.succeed("tx", "show", txid)
        #expect(shown.errors.contains("warning: passed over: ") && shown.errors.contains("bob.json"), "\(shown)")
        #expect(try bank.succeed("tx", "list").output.contains(txid))
        let unknown = try bank.run("tx", "show", "000000")
        #expect(unknown.status == 12 && unknown.output.contains("error: "), "\(unknown)")
        try kept.write(toFile: others, atomically: true, encoding: .utf8)
        try bank.succeed("transfer", "alice", "bob", "12")
        #expect(try bank.balance("bob") == 12)
    }
}

/// A cluster of two shards, with alice, who has 1000, and bob on the other one.
private final class Bank: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
    private let folder: TemporaryFolder
    let cluster: String
    private let port: Int

    init() throws {
        folder = try TemporaryFolder()
        cluster = folder.path("cluster")
        port = Tool.freePorts()
        try Tool.succeed("cluster", "init", cluster, "--shards", "2", "--base-port", "\(port)")
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--shard", "0", "--issue", "1000", "--cluster", cluster)
        try Tool.succeed("account", "create", "bob", "--shard", "1", "--cluster", cluster)
    }

    func remove() {
        continueGateway()
        _ = try? Tool.run("cluster", "down", cluster)
        folder.remove()
    }

    // MARK: Commands

    func run(_ arguments: String...) throws -> (status: Int32, output: String) {
        try Tool.run(arguments + ["--cluster", cluster])
    }

    @discardableResult func succeed(_ arguments: String...) throws -> (output: String, errors: String) {
        try succeed(arguments)
    }

    @discardableResult func succeed(_ arguments: [String]) throws -> (output: String, errors: String) {
        let process = try start(arguments)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(
                description:
                    "\(arguments) ended with \(process.terminationStatus): \(output(of: process))\(errors(of: process))"
            )
        }
        return (output(of: process), errors(of: process))
    }

    func start(_ arguments: String...) throws -> Process { try start(arguments) }

    func start(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = try Tool.executable()
        process.arguments = arguments + ["--cluster", cluster]
        process.standardInput = FileHandle.nullDevice
        let name = folder.path("command-\(UUID().uuidString)")
        for suffix in [".out", ".err"] { _ = FileManager.default.createFile(atPath: name + suffix, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: name + ".out")
        process.standardError = FileHandle(forWritingAtPath: name + ".err")
        process.environment = ProcessInfo.processInfo.environment.merging(["QUORATE_TEST_OUTPUT": name]) { _, new in new
        }
        try process.run()
        return process
    }

    func output(of process: Process) -> String { read(process, ".out") }
    func errors(of process: Process) -> String { read(process, ".err") }

    private func read(_ process: Process, _ suffix: String) -> String {
        (try? String(contentsOfFile: (process.environment?["QUORATE_TEST_OUTPUT"] ?? "") + suffix, encoding: .utf8))
            ?? ""
    }

    func balance(_ name: String) throws -> Int {
        let text = try succeed("account", "show", name, "--json").output
        let shown = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        guard let posted = (shown?["posted"] as? String).flatMap({ Int($0) }) else { throw Failure(description: text) }
        return posted
    }

    // MARK: Interruptions

    /// A command that was killed as soon as its request was on disk; the gateway stands still from then on.
    func leaveOpen(of name: String = "alice", _ arguments: String...) throws {
        let before = names(name)
        let command = try start(arguments)
        try waitForNew(name, beside: before)
        kill(command.processIdentifier, SIGKILL)
        pauseGateway()
        command.waitUntilExit()
        guard try !open(name).isEmpty else { throw Failure(description: "\(arguments) was quicker than its test") }
    }

    private func outbox(_ name: String) -> String {
        name == "issuer" ? cluster + "/issuer.outbox" : cluster + "/accounts/\(name).outbox"
    }

    /// Of a key, the files in its outbox.
    func names(_ name: String) -> Set<String> {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: outbox(name))) ?? []
        return Set(files.filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") })
    }

    /// The txids of those that are not settled.
    func open(_ name: String) throws -> [String] {
        try names(name).filter {
            try String(contentsOfFile: outbox(name) + "/" + $0, encoding: .utf8).contains("\"state\" : \"open\"")
        }
        .map { String($0.dropLast(5)) }
    }

    /// What a file in the outbox says.
    func change(_ name: String, _ txid: String, _ a: String, _ b: String) throws {
        let path = outbox(name) + "/\(txid).json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard text.contains(a) else { throw Failure(description: "\(path) has no \(a): \(text)") }
        try text.replacingOccurrences(of: a, with: b).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// A transfer, as a command that was killed before it sent anything leaves it.
    func putIntoOutbox(of name: String, _ request: SignedRequest) throws -> String {
        guard case .transfer(let transfer)? = request.request.operations.first else {
            throw Failure(description: "no transfer")
        }
        let txid = TransactionID(request: request.digest, mode: request.request.mode, leg: 0).hex
        let fields: [String: Any] = [
            "schema": 1, "txid": txid, "number": request.request.number.number,
            "signed_at_us": request.request.issuedAt.number,
            "purpose": [
                "transfer \(transfer.amount) of asset \(transfer.asset) from \(transfer.from) to \(transfer.to)"
            ], "state": "open",
            "request": Hex.encode(request.encoded()),
        ]
        let path = outbox(name) + "/\(txid).json"
        try FileManager.default.createDirectory(atPath: outbox(name), withIntermediateDirectories: true)
        try JSONSerialization.data(withJSONObject: fields).write(to: URL(fileURLWithPath: path))
        return txid
    }

    /// Without a pause, and without a look into the files: it is there for some milliseconds before it is sent.
    func waitForNew(_ name: String, beside before: Set<String>) throws {
        let end = Date(timeIntervalSinceNow: 20)
        while names(name).isSubset(of: before) {
            guard Date() < end else { throw Failure(description: "nothing was put into the outbox of \(name)") }
        }
    }

    private var gateway: pid_t? {
        let file = FileManager.default.contents(atPath: cluster + "/run/gateway-0.pid")
        let fields = file.flatMap { try? JSONSerialization.jsonObject(with: $0) as? [String: Any] }
        return (fields?["pid"] as? Int).map { pid_t($0) }
    }

    private func signalGateway(_ number: Int32) { if let gateway, gateway > 1 { kill(gateway, number) } }
    func pauseGateway() { signalGateway(SIGSTOP) }
    func continueGateway() { signalGateway(SIGCONT) }
    func killGateway() { signalGateway(SIGKILL) }

    // MARK: Keys

    func key(_ name: String) throws -> (signer: Ed25519Signer, account: AccountID) {
        let data = try Data(contentsOf: URL(fileURLWithPath: cluster + "/accounts/\(name).json"))
        let fields = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        guard let seed = (fields?["seed"] as? String).flatMap(Hex.decode), let signer = Ed25519Signer(seed: seed),
            let account = (fields?["account"] as? String).flatMap(AccountID.init(hex:))
        else { throw Failure(description: "no key of \(name)") }
        return (signer, account)
    }

    func issuer() throws -> Ed25519Signer {
        let text = try String(contentsOfFile: cluster + "/issuer.key", encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        guard let signer = Hex.decode(text).flatMap({ Ed25519Signer(seed: $0) }) else {
            throw Failure(description: "no issuer")
        }
        return signer
    }

    func client(_ signer: Ed25519Signer, first: RequestNumber?, _ options: ClientOptions = .init()) -> QuorateClient {
        // The manifest was read by every command before.
        guard let manifest = try? Manifest(contentsOf: cluster + "/cluster.json") else {
            preconditionFailure("no manifest")
        }
        let trust = (try? String(contentsOfFile: cluster + "/authority.crt", encoding: .utf8)).map {
            GatewayTrust(authorities: $0)
        }
        return QuorateClient(
            signer: signer, manifest: manifest,
            gateways: [GatewayAddress(host: "127.0.0.1", port: port + 100, trust: trust)],
            options: options,
            firstNumber: first)
    }

    /// As an older version left it.
    func write(nextNumber: UInt64, _ name: String) throws {
        let path = cluster + "/accounts/\(name).json"
        var text = try String(contentsOfFile: path, encoding: .utf8)
        if let range = text.range(of: "\"next_number\" : [0-9]+,\n", options: .regularExpression) {
            text.removeSubrange(range)
        }
        guard let brace = text.firstIndex(of: "{") else { throw Failure(description: text) }
        text.insert(contentsOf: "\n\"next_number\" : \(nextNumber),\n", at: text.index(after: brace))
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }
}
