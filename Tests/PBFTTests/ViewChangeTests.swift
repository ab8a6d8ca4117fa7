import Randomness
import Messages
import PBFT
import TestSignatures
import Testing

/// The view change of TOCS 20(4) 2002, §4.4, replica by replica.
@Suite struct ViewChangeTests {
    /// Orders batches until the primary has got out `steps` messages, and kills it. Everything that it had not
    /// delivered is lost, and if `losesAll`, all else that is under way too.
    private func killPrimary(afterMessages steps: Int, n: Int, losesAll: Bool, seed: UInt64?) throws -> TestGroup {
        var group = TestGroup(n: n)
        var random = SplitMix64(seed: seed ?? 0)
        for _ in 0..<3 { try group.propose(0) }
        var left = steps
        while !group.network.isEmpty {
            let packet = group.network.remove(at: seed == nil ? 0 : random.below(group.network.count))
            if packet.from == 0 {
                if left == 0 { break }
                left -= 1
            }
            try group.receive(packet.to, from: packet.from, packet.message)
        }
        group.crash(0)
        if losesAll { group.network = [] }
        return group
    }

    /// `TestGroup` fails if what anyone executed, the dead primary too, is replaced by anything else at its number.
    private func expectRecovery(_ group: inout TestGroup, _ what: String) throws {
        let committed = group.agreed.count
        try group.deliver()
        try group.changeView(to: 1)
        let primary = try #require(group.primary, "\(what): nobody is primary")
        let batch = try group.propose(primary)
        try group.run(milliseconds: 1000)
        let last = group.lastExecuted(primary)
        #expect(last > committed, "\(what)")
        for i in group.live {
            #expect(group.lastExecuted(i) == last, "\(what)")
            #expect(group.nodes[i].replica?.executedDigest(at: SequenceNumber(last)) == batch.digest, "\(what)")
            #expect(group.view(i) >= 1, "\(what)")
        }
    }

    @Test(arguments: [4, 7], [false, true])
    func whatCommittedAnywhereSurvivesThePrimarysDeathAtEveryStep(n: Int, losesAll: Bool) throws {
        for steps in 0...(6 * (n - 1) + 1) {
            var group = try killPrimary(afterMessages: steps, n: n, losesAll: losesAll, seed: nil)
            try expectRecovery(&group, "n \(n), killed after \(steps) messages")
        }
    }

    @Test(arguments: UInt64(1)...20)
    func itSurvivesInEveryOrderOfDelivery(seed: UInt64) throws {
        for steps in 0...19 {
            var group = try killPrimary(afterMessages: steps, n: 4, losesAll: steps.isMultiple(of: 2), seed: seed)
            try expectRecovery(&group, "seed \(seed), killed after \(steps) messages")
        }
    }

    @Test func theNextPrimaryMayBeDeadToo() throws {
        var group = try killPrimary(afterMessages: 20, n: 7, losesAll: false, seed: nil)
        group.crash(1)
        try group.changeView(to: 2)
        for i in group.live { #expect(group.view(i) == 2) }
        try expectRecovery(&group, "two primaries dead")
    }

    @Test func aReproposalKeepsTheBatchByteForByteHoweverOldItIs() throws {
        // R2: the bound on time applies to fresh proposals, never to re-proposals.
        var group = TestGroup()
        let batch = try group.propose(0)
        try group.deliver { if case .commit = $0.message { false } else { true } }
        group.crash(0)
        group.uptime += 3_600_000_000_000
        try group.changeView(to: 1)
        for i in 1..<4 {
            #expect(group.view(i) == 1)
            #expect(group.nodes[i].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
        }
    }

    @Test func aBodyThatTheNewPrimaryLacksIsFetchedByDigest() throws {
        // A3: 2 and 3 prepared a batch that replica 1 never saw; it must re-propose it all the same.
        var group = TestGroup()
        let batch = try group.propose(0)
        try group.deliver { $0.to != 1 && $0.from != 1 && $0.to != 0 }
        group.crash(0)
        try group.changeView(to: 1)
        #expect(group.nodes[1].sent.contains { $0.message == .fetchBatch(batch.digest) })
        for i in 1..<4 {
            #expect(group.view(i) == 1)
            #expect(group.nodes[i].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
        }
        let bodies = group.nodes.flatMap(\.durable).compactMap { record -> ArraySlice<UInt8>? in
            if case .prePrepared(_, SequenceNumber(1), let body) = record { body.bytes } else { nil }
        }
        #expect(Set(bodies) == [batch.bytes])
    }

    @Test func aBackupThatLacksABodyFetchesItToo() throws {
        var group = TestGroup()
        let batch = try group.propose(0)
        // 1 and 2 prepare; 3 sees nothing.
        try group.deliver { $0.to != 3 && $0.from != 3 && $0.to != 0 }
        group.crash(0)
        try group.changeView(to: 1)
        #expect(group.nodes[3].sent.contains { $0.message == .fetchBatch(batch.digest) })
        #expect(group.nodes[3].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
    }

    /// The bodies of claims pass no verifier, and those that NEW-VIEW selects are asked for by digest; but what was
    /// executed is here.
    @Test func whatWasExecutedOnClaimsIsPreparedWithoutItsBodyByDigest() throws {
        var group = TestGroup()
        let batch = try group.propose(0)
        try group.deliver { $0.to != 3 && $0.from != 3 }
        group.loses = { if case .batch = $0.message { true } else { false } }
        group.crash(0)
        try group.changeView(to: 1)
        #expect(group.nodes[3].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
        let vote = Vote(view: View(1), sequence: SequenceNumber(1), digest: batch.digest)
        #expect(group.nodes[3].said.contains { $0.message == .prepare(Prepare(vote, vouches: false)) })
    }

    @Test func fPlusOneViewChangesAheadPullALaggardIntoTheLowestOfTheirViews() throws {
        // PBFT, OSDI '99 §4.5.2
        var group = TestGroup(n: 7)
        try group.receive(6, from: 1, .viewChange(group.viewChange(by: 1, to: 5)))
        try group.receive(6, from: 2, .viewChange(group.viewChange(by: 2, to: 3)))
        #expect(group.view(6) == 0)
        try group.receive(6, from: 3, .viewChange(group.viewChange(by: 3, to: 4)))
        #expect(group.view(6) == 3 && group.isChangingView(6))
    }

    @Test(arguments: [4, 7, 10])
    func aViewThatItsPrimaryHasLeftIsSuspectedAtOnce(n: Int) throws {
        var group = TestGroup(n: n)
        let left = PBFTMessage.viewChange(group.viewChange(by: 0, to: 1))
        let ready = try group.receive(1, from: 0, left)
        #expect(ready.sends.map(\.message) == [.suspect(View(0))])
        // f of the others have to think so too: a primary that says it to one backup alone moves nobody.
        #expect(!group.isChangingView(1))
        for _ in 0..<10 { try group.tick(1) }
        #expect(group.isChangingView(1) || group.nodes[1].replica?.status().suspects == true)
        for i in 2..<n { try group.receive(i, from: 0, left) }
        try group.deliver { $0.to != 0 }
        for i in 1..<n { #expect(group.view(i) == 1, "replica \(i)") }
    }

    // MARK: What is refused

    /// Nothing happens but a drop.
    private func expectRefused(_ i: Int, from: Int, _ message: PBFTMessage, _ what: String) throws {
        var group = TestGroup()
        let ready = try group.receive(i, from: from, message)
        #expect(ready.drops.count == 1, "\(what)")
        #expect(ready.records.isEmpty && ready.held.isEmpty && ready.sends.isEmpty, "\(what)")
        #expect(group.view(i) == 0 && !group.isChangingView(i), "\(what)")
    }

    @Test func viewChangesThatAreMalformedAreRefused() throws {
        let group = TestGroup()
        let d = Digest(TestSigner(1).publicKey.value)
        let e = Digest(TestSigner(2).publicKey.value)
        func entry(_ number: UInt64, _ view: UInt64 = 0, _ digest: Digest) -> PQEntry {
            PQEntry(sequence: SequenceNumber(number), digest: digest, view: View(view))
        }
        func checkpoint(_ number: UInt64) -> Checkpoint { Checkpoint(sequence: SequenceNumber(number), digest: d) }
        let sorted = [d, e].sorted()
        let cases: [(String, ViewChange)] = [
            ("P at the low watermark", group.viewChange(by: 2, to: 1, low: 4, prepared: [entry(4, 0, d)])),
            ("P above the window", group.viewChange(by: 2, to: 1, prepared: [entry(17, 0, d)])),
            ("Q above the window", group.viewChange(by: 2, to: 1, prePrepared: [entry(17, 0, d)])),
            ("P unordered", group.viewChange(by: 2, to: 1, prepared: [entry(2, 0, d), entry(1, 0, d)])),
            (
                "two of P for one number",
                group.viewChange(by: 2, to: 1, prepared: [entry(1, 0, sorted[0]), entry(1, 0, sorted[1])])
            ),
            (
                "Q unordered",
                group.viewChange(by: 2, to: 1, prePrepared: [entry(1, 0, sorted[1]), entry(1, 0, sorted[0])])
            ),
            ("Q twice", group.viewChange(by: 2, to: 2, prePrepared: [entry(1, 0, d), entry(1, 1, d)])),
            ("P of the view itself", group.viewChange(by: 2, to: 1, prepared: [entry(1, 1, d)])),
            ("Q of a later view", group.viewChange(by: 2, to: 1, prePrepared: [entry(1, 7, d)])),
            ("C without h", group.viewChange(by: 2, to: 1, low: 4, checkpoints: [checkpoint(8)])),
            ("no C", group.viewChange(by: 2, to: 1, checkpoints: [])),
            (
                "C unordered",
                group.viewChange(by: 2, to: 1, checkpoints: [checkpoint(0), checkpoint(8), checkpoint(4)])
            ),
            ("C above the window", group.viewChange(by: 2, to: 1, checkpoints: [checkpoint(0), checkpoint(20)])),
            ("h that overflows", group.viewChange(by: 2, to: 1, low: .max, checkpoints: [checkpoint(.max)])),
        ]
        for (what, viewChange) in cases {
            try expectRefused(1, from: 2, .viewChange(viewChange), what)
            // Nor may a NEW-VIEW rest on it.
            let others = [0, 1].map { group.viewChange(by: $0, to: viewChange.view.number) }
            if viewChange.view == View(1) {
                try expectRefused(3, from: 1, .newView(group.newView(1, from: others + [viewChange])), what)
            }
        }
        try expectRefused(1, from: 3, .viewChange(group.viewChange(by: 2, to: 1)), "another's")
    }

    @Test func newViewsThatDoNotFollowFromTheirViewChangesAreRefused() throws {
        let group = TestGroup()
        let d = Digest(TestSigner(1).publicKey.value)
        let entry = PQEntry(sequence: SequenceNumber(1), digest: d, view: View(0))
        let empty = (0..<4).map { group.viewChange(by: $0, to: 1) }
        let full = (0..<4).map { group.viewChange(by: $0, to: 1, prepared: [entry], prePrepared: [entry]) }
        let cases: [(String, NewView)] = [
            ("selects what nobody prepared", group.newView(1, from: Array(empty[0..<3]), selection: [d])),
            ("drops what prepared", group.newView(1, from: Array(full[0..<3]), selection: [])),
            ("replaces what prepared", group.newView(1, from: Array(full[0..<3]), selection: [.null])),
            ("adds to what prepared", group.newView(1, from: Array(full[0..<3]), selection: [d, .null])),
            (
                "starts elsewhere",
                group.newView(1, from: Array(empty[0..<3]), start: Checkpoint(sequence: SequenceNumber(4), digest: d))
            ),
            ("too few", group.newView(1, from: Array(empty[0..<2]))),
            ("none", group.newView(1, from: [])),
            ("one of them twice", group.newView(1, from: [empty[0], empty[1], empty[1]])),
            ("unordered", group.newView(1, from: [empty[1], empty[0], empty[2]])),
            ("for another view", group.newView(1, from: [empty[0], empty[1], group.viewChange(by: 2, to: 5)])),
            ("by a backup", group.newView(1, by: 2, from: Array(empty[0..<3]))),
        ]
        for (what, newView) in cases { try expectRefused(3, from: newView.replica.index, .newView(newView), what) }
    }

    @Test func aNewViewThatFollowsIsInstalledWhoeverRelaysIt() throws {
        var group = TestGroup()
        let newView = group.newView(1, from: (0..<3).map { group.viewChange(by: $0, to: 1) })
        let ready = try group.receive(3, from: 2, .newView(newView))
        #expect(ready.records == [.newView(newView)])
        #expect(group.view(3) == 1 && !group.isChangingView(3))
        // And not again.
        #expect(try group.receive(3, from: 2, .newView(newView)).records.isEmpty)
    }

    @Test func forgedSignaturesNeverReachAReplica() throws {
        let group = TestGroup()
        let honest = group.viewChange(by: 2, to: 1)
        var bytes = honest.encoded()
        bytes[bytes.count - 1] ^= 1
        let forged = try ViewChange(decoding: bytes)
        #expect(throws: Refused.badSignature) { try group.verified(.viewChange(forged)) }
        let newView = group.newView(1, from: [group.viewChange(by: 0, to: 1), group.viewChange(by: 1, to: 1), forged])
        #expect(throws: Refused.badSignature) { try group.verified(.newView(newView)) }
    }
}
