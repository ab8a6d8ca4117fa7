import Cores
import Messages
import PBFT
import Simulator
import Testing

/// Four hosts with four shards, each of them on all hosts, under a virtual clock. Host 3 is the primary of shard 3 in
/// view 0.
private struct RecoveryCluster {
    private enum Event {
        case tick(Int)
        case deliver(to: Int, from: Int, HostMessage)
        case tell(Int, SessionID, GatewayMessage)
        case persisted(Int, JournalPosition)
        case flushed(Int, StateFlush)
        case staged(Int, BucketStaging)
        case checked(Int, HostInput)
        /// Another request of those that shard 3 is kept busy with.
        case load
    }

    static let shards = (0..<4 as Range<UInt16>).map { ShardID($0) }
    static let millisecond: UInt64 = 1_000_000
    static let second: UInt64 = 1_000_000_000
    let manifest: Manifest
    let issuer = StandInSigner(999)
    private var verifier: Verifier<StandInScheme>
    private var hosts: [HostCore] = []
    private var stores: [[ShardID: MemoryStore]] = []
    private var appended: [UInt64] = [0, 0, 0, 0]
    /// By time, the next one last.
    private var events: [(at: UInt64, event: Event)] = []
    private(set) var now: UInt64 = second
    private var strangers: UInt64 = 100_000
    private var attestations: [(statement: AttestationStatement, signatures: [ReplicaSignature], leaves: [Leaf])] = []

    /// Sees every message between hosts, and says whether it is lost.
    var isLost: (_ to: Int, _ from: Int, HostMessage) -> Bool = { _, _, _ in false }
    /// Messages that were sent, by shard 3's replicas to one another.
    private(set) var proposals = 0
    private(set) var suspicions = 0
    private(set) var pauses: [SessionID] = []
    private(set) var halts: [String] = []

    /// - Parameter options: by host.
    init(options: (Int) -> HostOptions = { _ in HostOptions() }) throws {
        manifest = Manifest(
            cluster: ClusterID(StandInSigner(4711).publicKey.value), epoch: Epoch(1),
            hosts: (0..<4).map {
                .init(address: "simulated", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey)
            },
            shards: Self.shards.map { _ in (0..<4).map { HostID($0) } }, issuer: issuer.publicKey)
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        for i in 0..<4 {
            stores.append(Dictionary(uniqueKeysWithValues: Self.shards.map { ($0, MemoryStore()) }))
            hosts.append(
                try HostCore(
                    manifest: manifest, host: HostID(UInt16(i)), signer: StandInSigner(UInt64(i)), options: options(i),
                    stores: stores[i],
                    records: [], now: instant))
        }
        for i in 0..<4 {
            for peer in 0..<4 where peer != i { step(i, .peerConnected(HostID(UInt16(peer)))) }
            schedule(.tick(i), after: UInt64(i + 1) * Self.millisecond)
        }
    }

    private var instant: Instant { Instant(uptime: now, wall: Timestamp(1_700_000_000_000_000 + now / 1000)) }

    private mutating func schedule(_ event: Event, after nanoseconds: UInt64) {
        let at = now + nanoseconds
        events.insert((at, event), at: events.firstIndex { $0.at <= at } ?? events.count)
    }

    private mutating func step(_ i: Int, _ input: HostInput) {
        var ready = HostReady()
        hosts[i].step(input, now: instant, into: &ready)
        appended[i] += UInt64(ready.records.count)
        if !ready.records.isEmpty { schedule(.persisted(i, JournalPosition(appended[i])), after: 200_000) }
        for outgoing in ready.toHosts {
            switch outgoing.message {
            case .pbft(ShardID(3), .prePrepare): proposals += 1
            case .pbft(ShardID(3), .suspect): suspicions += 1
            default: break
            }
            for to in outgoing.to where !isLost(Int(to.number), i, outgoing.message) {
                schedule(.deliver(to: Int(to.number), from: i, outgoing.message), after: 300_000)
            }
        }
        for reply in ready.toGateways { if case .attestation(let attestation) = reply.reply { hear(attestation) } }
        for check in ready.checks { schedule(.checked(i, check.carryOut(by: &verifier)), after: Self.millisecond) }
        for bucket in ready.stages { schedule(.staged(i, bucket), after: Self.millisecond) }
        for flush in ready.flushes { schedule(.flushed(i, flush), after: 5 * Self.millisecond) }
        pauses += ready.pauses
        halts += ready.halts.map { "host \(i), shard \($0.0): \($0.1)" }
    }

    mutating func run(for nanoseconds: UInt64) throws {
        let end = now + nanoseconds
        while let next = events.last, next.at <= end {
            events.removeLast()
            now = next.at
            switch next.event {
            case .tick(let i):
                step(i, .tick)
                schedule(.tick(i), after: 5 * Self.millisecond)
            case .deliver(let to, let from, let message):
                step(to, .peer(HostID(UInt16(from)), try verifier.verify(message)))
            case .tell(let i, let session, let message): step(i, .gateway(session, try verifier.verify(message)))
            case .checked(let i, let input): step(i, input)
            case .persisted(let i, let position): step(i, .persisted(position))
            case .staged(let i, let bucket):
                try stores[i][bucket.shard]?.stage([bucket.part])
                step(i, bucket.staged)
            case .flushed(let i, let flush):
                if let store = stores[i][flush.shard] { try flush.apply(to: store) }
                stores[i][flush.shard]?.refresh()
                step(i, .flushed(flush.shard, flush.sequence))
            case .load:
                submit(fresh(), to: [ShardID(3)], by: SessionID(8))
                schedule(.load, after: 10 * Self.millisecond)
            }
        }
        now = end
    }

    /// Nothing happens anywhere for so long; what was under way arrives at its end.
    mutating func rest(days: UInt64) {
        let nanoseconds = days * 86400 * Self.second
        events = events.map { ($0.at + nanoseconds, $0.event) }
        now += nanoseconds
    }

    // MARK: Gateways

    func account(of owner: StandInSigner, on shard: ShardID) -> AccountSpecification {
        var account = AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: 0)
        while manifest.shardMap.shard(of: account.id) != shard {
            account = AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: account.index + 1)
        }
        return account
    }

    func request(_ operations: [Operation], _ mode: Request.Mode, number: UInt64 = 1, by signer: StandInSigner)
        -> SignedRequest
    {
        SignedRequest(
            Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey,
                number: RequestNumber(number),
                acknowledgedBelow: RequestNumber(0), issuedAt: instant.wall,
                deadline: instant.wall.adding(microseconds: 20_000_000),
                mode: mode, operations: operations), signedBy: signer)
    }

    /// Somebody who was never here opens an account on shard 3.
    mutating func fresh() -> SignedRequest {
        strangers += 1
        let signer = StandInSigner(strangers)
        return request([.open(account(of: signer, on: ShardID(3)))], .independent, by: signer)
    }

    mutating func tell(_ message: GatewayMessage, by session: SessionID, hosts: Range<Int> = 0..<4) {
        for i in hosts { schedule(.tell(i, session, message), after: 300_000) }
    }

    mutating func submit(_ request: SignedRequest, to shards: [ShardID], by session: SessionID) {
        tell(.submit(shards, request), by: session)
    }

    mutating func close(_ session: SessionID) { for i in 0..<4 { step(i, .gatewayClosed(session)) } }

    mutating func keepShard3Busy() { schedule(.load, after: 0) }

    mutating func forward(_ request: SignedRequest, from: Int, to: Int) {
        schedule(.deliver(to: to, from: from, .forward(ShardID(3), .request(request))), after: 300_000)
    }

    private mutating func hear(_ attestation: BatchAttestation) {
        guard let known = attestations.firstIndex(where: { $0.statement == attestation.statement }) else {
            return attestations.append((attestation.statement, [attestation.signature], attestation.leaves))
        }
        guard !attestations[known].signatures.contains(where: { $0.replica == attestation.signature.replica }) else {
            return
        }
        attestations[known].signatures.append(attestation.signature)
        attestations[known].signatures.sort { $0.replica < $1.replica }
    }

    func certificate(of request: Digest, by shard: ShardID) -> Certificate? {
        for (statement, signatures, leaves) in attestations where statement.shard == shard && signatures.count >= 2 {
            guard let leaf = leaves.firstIndex(where: { $0.request == request }) else { continue }
            let path = MerkleTree(leaves: leaves).path(at: leaf)
            return Certificate(
                statement: statement, leaf: leaves[leaf], path: path, signatures: Array(signatures.prefix(2)))
        }
        return nil
    }

    /// A payment from an account on shard 0 to one on shard 3, which the payer signs with this number.
    struct Payer {
        let signer = StandInSigner(5000)
        let from: AccountID
        let to: AccountID
    }

    mutating func openPayer() throws -> Payer {
        let gateway = SessionID(7)
        let (from, to) = (
            account(of: StandInSigner(5000), on: ShardID(0)), account(of: StandInSigner(5001), on: ShardID(3))
        )
        submit(
            request([.open(from), .open(to)], .independent, number: 1, by: issuer), to: [ShardID(0), ShardID(3)],
            by: gateway)
        try run(for: 200 * Self.millisecond)
        let issue = Operation.issue(to: from.id, asset: AssetID(1), amount: Amount(1000))
        submit(request([issue], .independent, number: 2, by: issuer), to: [ShardID(0)], by: gateway)
        try run(for: 200 * Self.millisecond)
        return Payer(from: from.id, to: to.id)
    }

    func payment(_ payer: Payer, number: UInt64) -> SignedRequest {
        let transfer = Transfer(from: payer.from, to: payer.to, asset: AssetID(1), amount: Amount(10))
        return request([.transfer(transfer)], .atomic, number: number, by: payer.signer)
    }

    // MARK: What there is to see

    func status(_ shard: ShardID, on host: Int) -> ReplicaStatus? {
        hosts[host].status(now: instant).first { $0.shard == shard }
    }

    func undecided(_ shard: ShardID) -> [UInt32] { (0..<4).compactMap { status(shard, on: $0)?.undecided } }

    func executed(_ shard: ShardID) -> [UInt64] { (0..<4).compactMap { status(shard, on: $0)?.lastExecuted.number } }

    func views(_ shard: ShardID) -> [UInt64] { (0..<4).compactMap { status(shard, on: $0)?.view.number } }
}

/// What a host does when others fail, over longer times than the simulator's: no lock, no purse and no proposal is
/// stuck for ever.
@Suite struct RecoveryTests {
    private typealias Cluster = RecoveryCluster

    /// A shard's own hosts need an open record certified again, and others ask for it (R10): it waits like a request,
    /// and the primary that orders everything else is suspected.
    @Test func aPrimaryThatLeavesOutWhatIsNeededAgainIsReplaced() throws {
        var cluster = try Cluster { host in
            var options = HostOptions()
            options.recentBatches = 16
            // The faulty one does nothing for its own open records.
            if host == 3 { options.pushScanInterval = 1 << 60 }
            return options
        }
        let payer = try cluster.openPayer()
        let payment = cluster.payment(payer, number: 1)
        let gateway = SessionID(7)
        cluster.submit(payment, to: [ShardID(0), ShardID(3)], by: gateway)
        try cluster.run(for: 100 * Cluster.millisecond)
        let certificates = [ShardID(0), ShardID(3)].compactMap { cluster.certificate(of: payment.digest, by: $0) }
        try #require(certificates.count == 2)
        // The gateway tells one shard of the outcome, and dies.
        let decide = TransactionDecide(
            principal: payer.signer.publicKey, number: RequestNumber(1), request: payment.digest,
            certificates: certificates)
        cluster.tell(.decides([ShardID(3)], [decide]), by: gateway)
        try cluster.run(for: 40 * Cluster.millisecond)
        cluster.close(gateway)
        #expect(cluster.undecided(ShardID(3)) == [0, 0, 0, 0])
        #expect(cluster.undecided(ShardID(0)) == [1, 1, 1, 1])

        // Whatever would have the primary order it is lost on the way. Its leaf is soon no longer among the recent
        // ones.
        let censored = payment.digest
        cluster.isLost = { to, _, message in
            guard to == 3 else { return false }
            return switch message {
            case .forward(ShardID(3), .request(let request)): request.digest == censored
            case .push(ShardID(3), let push): push.request.digest == censored
            default: false
            }
        }
        cluster.keepShard3Busy()
        let before = cluster.executed(ShardID(3))
        try cluster.run(for: 5 * Cluster.second)
        #expect(cluster.undecided(ShardID(0)) == [1, 1, 1, 1], "somebody else told shard 0, so nothing is shown here")
        #expect(cluster.executed(ShardID(3))[0] > before[0] + 200, "the primary orders everything else")
        try cluster.run(for: 20 * Cluster.second)
        #expect(cluster.views(ShardID(3)).allSatisfy { $0 > 0 })
        #expect(cluster.undecided(ShardID(0)) == [0, 0, 0, 0])
        #expect(cluster.halts.isEmpty)
    }

    /// Tokens come back for as long as a source is quiet, and no longer than until its purse is full.
    @Test func aPeerMayAskAgainAfterMoreThanAYear() throws {
        var cluster = try Cluster()
        let payer = try cluster.openPayer()
        for number in 1...2 as ClosedRange<UInt64> {
            // Shard 3 hears of it from the hosts of shard 0, who ask.
            cluster.submit(cluster.payment(payer, number: number), to: [ShardID(0)], by: SessionID(7))
            try cluster.run(for: 100 * Cluster.millisecond)
            #expect(cluster.undecided(ShardID(0)) == [1, 1, 1, 1])
            try cluster.run(for: 8 * Cluster.second)
            #expect(cluster.undecided(ShardID(0)) == [0, 0, 0, 0], "question \(number)")
            cluster.rest(days: 400)
            try cluster.run(for: Cluster.second)
        }
        #expect(cluster.halts.isEmpty)
    }

    /// Few tokens, and few leaves at hand.
    private static func poor(_ host: Int) -> HostOptions {
        var options = HostOptions()
        options.recentBatches = 16
        (options.vainBurst, options.vainPerSecond) = (128, 4)
        (options.questionBurst, options.questionsPerSecond) = (64, 4)
        return options
    }

    /// Requests that are over: too many for their leaves to be at hand.
    private static func makeOld(_ count: Int, in cluster: inout Cluster) throws -> [SignedRequest] {
        var old: [SignedRequest] = []
        for _ in 0..<count {
            old.append(cluster.fresh())
            cluster.submit(old[old.count - 1], to: [ShardID(3)], by: SessionID(8))
            try cluster.run(for: 10 * Cluster.millisecond)
        }
        try cluster.run(for: Cluster.second)
        cluster.close(SessionID(8))
        return old
    }

    /// Repeating needs no key, and each repetition would cost a batch.
    @Test func whatIsOverCostsFewBatchesHoweverOftenASessionRepeatsIt() throws {
        var cluster = try Cluster(options: Self.poor)
        let old = try Self.makeOld(100, in: &cluster)
        let before = cluster.executed(ShardID(3))[0]
        #expect(before >= 100)
        #expect(cluster.pauses.isEmpty)
        // Thirty seconds. Nobody keeps to the pauses here.
        for k in 0..<3000 {
            cluster.submit(old[k % old.count], to: [ShardID(3)], by: SessionID(9))
            try cluster.run(for: 10 * Cluster.millisecond)
        }
        try cluster.run(for: Cluster.second)
        // At the primary, the session's tokens and those of strangers; of what the three backups hand on, those of
        // each.
        let options = Self.poor(0)
        let ofGateways = 64 + options.vainBurst + 2 * 31 * Int(options.vainPerSecond)
        let ofBackups = 3 * (options.questionBurst + 31 * Int(options.questionsPerSecond))
        #expect(cluster.executed(ShardID(3))[0] - before <= UInt64(ofGateways + ofBackups))
        #expect(!cluster.pauses.isEmpty)
        #expect(cluster.pauses.allSatisfy { $0 == SessionID(9) })
        #expect(Set(cluster.views(ShardID(3))) == [0], "nobody suspects the primary for it")

        // Others are served as before.
        let after = cluster.executed(ShardID(3))[0]
        cluster.submit(cluster.fresh(), to: [ShardID(3)], by: SessionID(10))
        try cluster.run(for: 100 * Cluster.millisecond)
        #expect(cluster.executed(ShardID(3)).allSatisfy { $0 > after })
        #expect(cluster.halts.isEmpty)
    }

    /// A backup has the primary order what it cannot answer itself; it may lie.
    @Test func whatIsOverCostsFewBatchesHoweverOftenABackupForwardsIt() throws {
        var cluster = try Cluster(options: Self.poor)
        let old = try Self.makeOld(100, in: &cluster)
        let before = cluster.executed(ShardID(3))[0]
        for k in 0..<3000 {
            cluster.forward(old[k % old.count], from: 1, to: 3)
            try cluster.run(for: 10 * Cluster.millisecond)
        }
        try cluster.run(for: Cluster.second)
        let options = Self.poor(0)
        let batches = cluster.executed(ShardID(3))[0] - before
        #expect(batches <= UInt64(options.questionBurst + 31 * Int(options.questionsPerSecond)))
        #expect(batches >= UInt64(options.questionBurst), "a backup may ask")
        #expect(Set(cluster.views(ShardID(3))) == [0])
        #expect(cluster.halts.isEmpty)
    }

    /// Backups refuse the time of a proposal that is older than `timeBehind` (R2), and its primary cannot take it back.
    @Test func aProposalFromBeforeALongOutageDoesNotStandInTheWay() throws {
        var cluster = try Cluster()
        cluster.submit(cluster.fresh(), to: [ShardID(3)], by: SessionID(7))
        try cluster.run(for: Cluster.second)
        let before = cluster.executed(ShardID(3))[0]
        // The primary alone hears of a request, and nobody hears of the primary.
        cluster.isLost = { to, from, _ in to == 3 || from == 3 }
        cluster.tell(.submit([ShardID(3)], cluster.fresh()), by: SessionID(7), hosts: 3..<4)
        try cluster.run(for: 3 * Cluster.second)
        #expect(cluster.executed(ShardID(3)) == [before, before, before, before])
        cluster.isLost = { _, _, _ in false }
        try cluster.run(for: 20 * Cluster.second)
        #expect(cluster.views(ShardID(3)).allSatisfy { $0 > 0 })
        #expect(cluster.executed(ShardID(3)).allSatisfy { $0 > before })
        #expect((0..<4).compactMap { cluster.status(ShardID(3), on: $0)?.pendingRequests } == [0, 0, 0, 0])

        let (proposals, suspicions) = (cluster.proposals, cluster.suspicions)
        try cluster.run(for: 20 * Cluster.second)
        #expect(cluster.proposals == proposals, "still repeated")
        #expect(cluster.suspicions == suspicions)
        #expect(cluster.halts.isEmpty)
    }
}
