import Cores
import Messages
import PBFT
import Simulator
import Testing

/// Four hosts with one shard, whose messages a test delivers or keeps back.
private struct ReadCluster {
    let manifest: Manifest
    let issuer = StandInSigner(999)
    var verifier: Verifier<StandInScheme>
    var hosts: [HostCore] = []
    var inbox: [(to: Int, from: Int, message: HostMessage)] = []
    var keptBack: [(to: Int, from: Int, message: HostMessage)] = []
    var keepsBack: (Int, HostMessage) -> Bool = { _, _ in false }
    /// Answers to reads, by host.
    var answers: [(host: Int, id: UInt64, answer: ReadAnswer?)] = []
    private var appended: [UInt64]
    private var number: UInt64 = 0
    private var now = Instant(uptime: 1, wall: Timestamp(1_700_000_000_000_000))
    let account: AccountSpecification
    static let session = SessionID(1)

    init(options: HostOptions = HostOptions(), lost: Int? = nil) throws {
        manifest = Manifest(
            cluster: ClusterID(StandInSigner(4711).publicKey.value), epoch: Epoch(1),
            hosts: (0..<4).map {
                .init(address: "simulated", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey)
            },
            shards: [(0..<4).map { HostID($0) }], issuer: issuer.publicKey)
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: 0)
        appended = Array(repeating: 0, count: 4)
        for i in 0..<4 {
            hosts.append(
                try HostCore(
                    manifest: manifest, host: HostID(UInt16(i)), signer: StandInSigner(UInt64(i)), options: options,
                    stores: [ShardID(0): MemoryStore()], records: [], hasLostRecords: i == lost, now: now))
        }
        for i in 0..<4 { for peer in 0..<4 where peer != i { step(i, .peerConnected(HostID(UInt16(peer)))) } }
        try deliver()
    }

    mutating func step(_ i: Int, _ input: HostInput) {
        var ready = HostReady()
        hosts[i].step(input, now: now, into: &ready)
        for outgoing in ready.toHosts {
            for to in outgoing.to {
                let parcel = (to: Int(to.number), from: i, message: outgoing.message)
                if keepsBack(parcel.to, parcel.message) { keptBack.append(parcel) } else { inbox.append(parcel) }
            }
        }
        for reply in ready.toGateways {
            if case .read(let id, let answer) = reply.reply { answers.append((i, id, answer)) }
        }
        guard !ready.records.isEmpty else { return }
        appended[i] += UInt64(ready.records.count)
        step(i, .persisted(JournalPosition(appended[i])))
    }

    mutating func deliver() throws {
        while !inbox.isEmpty {
            let next = inbox.removeFirst()
            step(next.to, .peer(HostID(UInt16(next.from)), try verifier.verify(next.message)))
        }
    }

    mutating func release() throws {
        keepsBack = { _, _ in false }
        (inbox, keptBack) = (inbox + keptBack, [])
        try deliver()
    }

    mutating func submit(_ operation: Operation) throws {
        number += 1
        let request = SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: issuer.publicKey,
                number: RequestNumber(number),
                acknowledgedBelow: RequestNumber(1), issuedAt: now.wall,
                deadline: now.wall.adding(microseconds: 1_000_000),
                mode: .independent, operations: [operation]), signedBy: issuer)
        for i in 0..<4 {
            step(i, .gateway(Self.session, try verifier.verify(GatewayMessage.submit([ShardID(0)], request))))
        }
        try deliver()
    }

    mutating func read(_ host: Int, id: UInt64, session: SessionID = Self.session, of subject: ReadSubject? = nil)
        throws
    {
        step(
            host,
            .gateway(
                session, try verifier.verify(GatewayMessage.read(id: id, subject ?? .account(account.id), nonce: .null))
            ))
    }

    mutating func tick(_ host: Int, after milliseconds: UInt64) {
        now = Instant(
            uptime: now.uptime + milliseconds * 1_000_000, wall: now.wall.adding(microseconds: milliseconds * 1000))
        step(host, .tick)
    }

    mutating func issue(_ amount: UInt128) throws {
        try submit(.issue(to: account.id, asset: AssetID(1), amount: Amount(amount)))
    }

    /// No COMMIT reaches these hosts.
    mutating func keepCommits(from those: Set<Int>) {
        keepsBack = { to, message in
            if case .pbft(_, .commit) = message { those.contains(to) } else { false }
        }
    }
}

/// A replica answers a quorum read only after executing all that it had sent COMMIT for when the read arrived (R6).
@Suite struct QuorumReadTests {
    @Test func aReplicaThatHasSentCommitWaitsUntilItHasExecuted() throws {
        var cluster = try ReadCluster()
        try cluster.submit(.open(cluster.account))
        try cluster.read(2, id: 1)
        #expect(cluster.answers.map { $0.answer?.statement.view?.posted } == [.zero])
        cluster.answers = []

        cluster.keepCommits(from: [2])
        try cluster.issue(100)
        try cluster.read(2, id: 2)
        #expect(cluster.answers.isEmpty, "host 2 is prepared, and says what was before")
        try cluster.read(1, id: 3)
        #expect(cluster.answers.map(\.id) == [3])
        #expect(cluster.answers.last?.answer?.statement.view?.posted == Amount(100))
        try cluster.release()
        #expect(cluster.answers.map(\.id) == [3, 2])
        #expect(cluster.answers.last?.answer?.statement.view?.posted == Amount(100))
    }

    /// A principal's numbers, with the shard's time and the host's clock.
    @Test func aPrincipalsStandingIsReadAsAnAccountIs() throws {
        var cluster = try ReadCluster()
        let issuer = ReadSubject.principal(cluster.issuer.publicKey, at: ShardID(0))
        try cluster.read(2, id: 1, of: issuer)
        #expect(
            cluster.answers.last?.answer?.statement.standing
                == PrincipalStanding(acknowledgedBelow: RequestNumber(0), nextNumber: RequestNumber(0)))
        try cluster.submit(.open(cluster.account))
        cluster.keepCommits(from: [2])
        try cluster.issue(100)
        try cluster.read(2, id: 2, of: issuer)
        #expect(cluster.answers.map(\.id) == [1], "host 2 is prepared, and says what was before")
        try cluster.release()
        let answer = try #require(cluster.answers.last?.answer)
        #expect(
            answer.statement.standing
                == PrincipalStanding(acknowledgedBelow: RequestNumber(1), nextNumber: RequestNumber(3)))
        #expect(answer.time == answer.clock && answer.clock == Timestamp(1_700_000_000_000_000))
        // A shard that this host does not know of.
        try cluster.read(1, id: 3, of: .principal(cluster.issuer.publicKey, at: ShardID(0)))
        #expect(throws: Refused.unknownShard) {
            try cluster.read(1, id: 4, of: .principal(cluster.issuer.publicKey, at: ShardID(1)))
        }
    }

    @Test func whatComesAfterTheReadIsNotWaitedFor() throws {
        var cluster = try ReadCluster()
        try cluster.submit(.open(cluster.account))
        cluster.answers = []
        try cluster.read(3, id: 1)
        cluster.keepCommits(from: [3])
        try cluster.issue(100)
        #expect(cluster.answers.map { $0.answer?.statement.view?.posted } == [.zero])
    }

    /// Two hosts have executed, one of them lies, and the others are only prepared: without the wait the lie has a
    /// quorum.
    @Test func noQuorumConfirmsALieAboutWhatWasAcknowledged() throws {
        var cluster = try ReadCluster()
        try cluster.submit(.open(cluster.account))
        cluster.answers = []
        cluster.keepCommits(from: [2, 3])
        try cluster.issue(100)
        for host in 0..<4 { try cluster.read(host, id: 1) }
        #expect(cluster.answers.map(\.host) == [0, 1])
        #expect(cluster.answers.allSatisfy { $0.answer?.statement.view?.posted == Amount(100) })
    }

    @Test func waitingReadsAreBoundedAndAFullQueueIsAnAnswer() throws {
        var options = HostOptions()
        // A part of it for one session.
        options.maxWaitingReads = 4
        var cluster = try ReadCluster(options: options)
        try cluster.submit(.open(cluster.account))
        cluster.keepCommits(from: [2])
        try cluster.issue(100)
        cluster.answers = []
        for id in 1...3 as ClosedRange<UInt64> { try cluster.read(2, id: id) }
        #expect(cluster.answers.map(\.id) == [3])
        #expect(cluster.answers.first.map { $0.answer == nil } == true)
        // Whoever went away is not waited for.
        cluster.step(2, .gatewayClosed(ReadCluster.session))
        try cluster.read(2, id: 4)
        #expect(cluster.answers.map(\.id) == [3])
        try cluster.release()
        #expect(cluster.answers.map(\.id) == [3, 4])
    }

    @Test func aReadIsAnsweredAfterAHandfulOfThoseOfASessionThatAskedForThousands() throws {
        var options = HostOptions()
        (options.readBurst, options.readsPerSecond) = (8, 1000)
        var cluster = try ReadCluster(options: options)
        try cluster.submit(.open(cluster.account))
        cluster.tick(2, after: 100)
        cluster.answers = []
        for id in 0..<3000 as Range<UInt64> { try cluster.read(2, id: id) }
        // The burst, and the refusals of what there is no room for.
        #expect(cluster.answers.filter { $0.answer != nil }.map(\.id) == Array(0..<8))
        #expect(cluster.answers.count < 2000)
        cluster.answers = []
        try cluster.read(2, id: 5000, session: SessionID(2))
        #expect(cluster.answers.isEmpty)
        cluster.tick(2, after: 4)
        #expect(cluster.answers.map(\.id) == [8, 5000, 9, 10])
    }

    @Test func whoMayHaveForgottenACommitIsSilent() throws {
        // R4.
        var cluster = try ReadCluster(lost: 3)
        try cluster.submit(.open(cluster.account))
        for host in 0..<4 { try cluster.read(host, id: 1) }
        #expect(cluster.answers.map(\.host) == [0, 1, 2])
    }
}
