import Randomness
import Messages
import TestSignatures

/// Small random values of everything that is encoded.
package struct Samples {
    package var random: SplitMix64

    package init(seed: UInt64) { random = SplitMix64(seed: seed) }

    package mutating func some<T>(_ make: (inout Samples) -> T) -> [T] {
        (0..<random.below(3)).map { _ in make(&self) }
    }
    package mutating func number<T: NumberNewtype>() -> T {
        T(T.Number(truncatingIfNeeded: random.next() >> UInt64(random.below(64))))
    }
    package mutating func bytes32<T: Bytes32>() -> T { T(TestSigner(random.below(1 << 30)).publicKey.value) }
    package mutating func bytes() -> [UInt8] {
        (0..<random.below(6)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    package mutating func flag() -> Bool { random.below(2) == 0 }
    package mutating func word() -> UInt64 { random.next() }

    package mutating func transfer() -> Transfer {
        Transfer(from: number(), to: number(), asset: number(), amount: number())
    }
    package mutating func account() -> AccountSpecification {
        AccountSpecification(owner: bytes32(), asset: number(), index: word())
    }
    package mutating func operation() -> Operation {
        switch random.below(7) {
        case 0: .transfer(transfer())
        case 4: .freeze(number(), freeze())
        case 5: .release(number())
        case 1: .open(account())
        case 2: .read(number())
        case 3: .call(invocation(), continues: flag() ? number() : nil)
        default: .issue(to: number(), asset: number(), amount: number())
        }
    }
    package mutating func freeze() -> AccountFreeze {
        AccountFreeze(AccountFreeze.Direction.allCases[random.below(3)], reason: UInt32(truncatingIfNeeded: word()))
    }
    package mutating func request() -> Request {
        Request(
            cluster: bytes32(), epoch: number(), principal: bytes32(), number: number(), acknowledgedBelow: number(),
            follows: some { Predecessor(shard: $0.number(), number: $0.number(), deadline: $0.number()) },
            issuedAt: number(), deadline: number(), mode: flag() ? .atomic : .independent,
            operations: [operation()] + some { $0.operation() })
    }
    package mutating func signedRequest() -> SignedRequest {
        SignedRequest(request(), signedBy: TestSigner(random.below(9)))
    }
    package mutating func signature() -> ReplicaSignature {
        ReplicaSignature(replica: number(), signature: TestSigner(1).sign(bytes()))
    }
    package mutating func signatures() -> [ReplicaSignature] {
        (0..<random.below(3)).map {
            ReplicaSignature(replica: ReplicaIndex(UInt8($0 * 2)), signature: TestSigner($0).sign(bytes()))
        }
    }
    package mutating func status() -> LegStatus {
        let reason = AbortReason.allCases[random.below(AbortReason.allCases.count)]
        return [
            .votedYes, .votedNo(reason), .committed, .aborted(reason), .noRecordAbort, .acknowledged,
            .read(flag() ? view() : nil),
            .running, .returned(bytes(), consumed: some { $0.consumed() }), .failed(callFailure()), .closed,
        ][random.below(11)]
    }
    package mutating func leaf() -> Leaf {
        var calls = CallReport()
        if flag() {
            calls.issued = some {
                IssuedCall(
                    path: $0.callPath(), invocation: $0.invocation(), reach: CallReach.allCases[$0.random.below(3)])
            }
            calls.responses = some { $0.response() }
            calls.never = some { $0.callPath() }
            if !calls.isEmpty { (calls.age, calls.waitsInOrder) = (number(), flag()) }
        }
        return Leaf(
            request: bytes32(), entries: (0..<random.below(4)).map { .init(leg: UInt16($0 * 3), status: status()) },
            calls: calls)
    }
    package mutating func path() -> MerklePath {
        MerklePath(
            index: UInt32(truncatingIfNeeded: word()), count: UInt32(truncatingIfNeeded: word()),
            siblings: some { $0.bytes32() })
    }
    package mutating func statement() -> AttestationStatement {
        AttestationStatement(
            cluster: bytes32(), epoch: number(), shard: number(), sequence: number(), previousHistory: bytes32(),
            batch: bytes32(), leavesRoot: bytes32())
    }
    package mutating func attestation() -> BatchAttestation {
        BatchAttestation(statement: statement(), signature: signature(), leaves: some { $0.leaf() })
    }
    package mutating func attestedLeaf() -> AttestedLeaf {
        AttestedLeaf(statement: statement(), signature: signature(), leaf: leaf(), path: path())
    }
    package mutating func certificate() -> Certificate {
        Certificate(statement: statement(), leaf: leaf(), path: path(), signatures: signatures())
    }
    package mutating func receipt() -> Receipt {
        Receipt(request: signedRequest(), certificates: some { $0.certificate() })
    }
    package mutating func decide() -> TransactionDecide {
        TransactionDecide(
            principal: bytes32(), number: number(), request: bytes32(), certificates: some { $0.certificate() })
    }
    /// Of one executed batch, each leaf once.
    package mutating func certified() -> [Certificate] {
        let leaves = (0..<1 + random.below(6)).map { _ in leaf() }
        let tree = MerkleTree(leaves: leaves)
        let statement = AttestationStatement(
            cluster: bytes32(), epoch: number(), shard: number(), sequence: number(), previousHistory: bytes32(),
            batch: bytes32(), leavesRoot: tree.root)
        let signatures = signatures()
        return leaves.indices.map {
            Certificate(statement: statement, leaf: leaves[$0], path: tree.path(at: $0), signatures: signatures)
        }
    }
    /// Whose certificates are of few batches; some stand there twice, and some lead nowhere.
    package mutating func decides() -> [TransactionDecide] {
        let certified = certified() + certified()
        return (0..<1 + random.below(4)).map { _ in
            var certificates = certified.filter { _ in random.below(3) == 0 }
            if random.below(5) == 0 { certificates.append(certificate()) }
            if random.below(5) == 0, let first = certificates.first { certificates.append(first) }
            return TransactionDecide(
                principal: bytes32(), number: number(),
                request: flag() ? certificates.first?.leaf.request ?? bytes32() : bytes32(), certificates: certificates)
        }
    }
    /// By request, each once.
    private func ascending(_ decides: [TransactionDecide]) -> [TransactionDecide] {
        Dictionary(decides.map { ($0.request, $0) }, uniquingKeysWith: { first, _ in first }).values.sorted {
            $0.request < $1.request
        }
    }
    /// Ascending, each once.
    package mutating func shards() -> [ShardID] {
        let shards: [ShardID] = some { $0.number() }
        return Set(shards).sorted()
    }

    package mutating func callPath() -> CallPath {
        CallPath(
            (0..<random.below(4)).map { _ in .init(group: UInt8(random.below(256)), index: UInt8(random.below(256))) })
    }
    package mutating func invocation() -> Invocation {
        Invocation(
            target: flag() ? .key("key \(random.below(9))") : .account(number()), procedure: "procedure", version: 3,
            arguments: bytes())
    }
    package mutating func consumed() -> ConsumedCall {
        ConsumedCall(path: callPath(), shard: number(), response: bytes32())
    }
    package mutating func callFailure() -> CallFailure {
        CallFailure(
            CallFailure.Reason.allCases[random.below(CallFailure.Reason.allCases.count)], shard: number(),
            procedure: "p", text: "why")
    }
    package mutating func response() -> CallResponse {
        CallResponse(
            path: callPath(), answer: flag() ? .returned(bytes()) : .failed(callFailure()),
            consumed: some { $0.consumed() },
            flows: some { AssetFlow(asset: $0.number(), credits: UInt128($0.word()), debits: UInt128($0.word())) })
    }
    package mutating func evidence() -> CallEvidence {
        CallEvidence(root: signedRequest(), certificates: flag() ? [] : [certificate()])
    }
    package mutating func item() -> BatchItem {
        switch random.below(3) {
        case 0: .request(signedRequest())
        case 1: .decide(decide())
        default: .evidence(evidence())
        }
    }
    package mutating func batch() -> Batch {
        if random.below(5) == 0 { return .null }
        let decides: [BatchItem] = flag() ? decides().map { .decide($0) } : []
        return Batch(time: number(), items: some { $0.item() } + decides + some { $0.item() })
    }
    package mutating func checkpoint() -> Checkpoint { Checkpoint(sequence: number(), digest: bytes32()) }
    package mutating func entry() -> PQEntry { PQEntry(sequence: number(), digest: bytes32(), view: number()) }
    package mutating func vote() -> Vote { Vote(view: number(), sequence: number(), digest: bytes32()) }
    package mutating func viewChange() -> ViewChange {
        ViewChange(
            cluster: bytes32(), epoch: number(), shard: number(), view: number(), replica: number(),
            lowWatermark: number(),
            checkpoints: some { $0.checkpoint() }, prepared: some { $0.entry() }, prePrepared: some { $0.entry() },
            signer: TestSigner(2))
    }
    package mutating func newView() -> NewView {
        NewView(
            cluster: bytes32(), epoch: number(), shard: number(), view: number(), replica: number(),
            viewChanges: some { $0.viewChange() }, start: checkpoint(), selection: some { $0.bytes32() },
            signer: TestSigner(3))
    }
    package mutating func declaration() -> IncarnationDeclaration {
        IncarnationDeclaration(
            cluster: bytes32(), epoch: number(), shard: number(), replica: ReplicaIndex(2), incarnation: word() | 1,
            signer: TestSigner(2))
    }
    package mutating func pbft(_ kind: Int) -> PBFTMessage {
        switch kind {
        case 0: .prePrepare(PrePrepare(view: number(), sequence: number(), batch: batch()))
        case 1: .prepare(Prepare(vote(), vouches: flag()))
        case 2: .commit(vote())
        case 3: .checkpoint(checkpoint())
        case 4: .suspect(number())
        case 5: .viewChange(viewChange())
        case 6: .newView(newView())
        case 7: .status(Status(view: number(), isChangingView: flag(), lastExecuted: number(), stable: number()))
        case 8: .fetchBatch(bytes32())
        case 9: .batch(batch())
        case 10:
            .fetchCommitted(FetchCommitted(from: number(), count: UInt32(truncatingIfNeeded: word()), bodies: flag()))
        case 11: .committed(claims())
        case 12: .committedBody(batch())
        case 13:
            .resumed(
                Resumption(
                    nonce: word(), remembers: number(), isQuarantined: flag(), declaration: flag() ? declaration() : nil
                ))
        default:
            .recollection(
                Recollection(
                    about: ReplicaIndex(2), nonce: word(), heard: number(), checkpoint: number(),
                    declaration: flag() ? declaration() : nil, refuses: flag()))
        }
    }
    package mutating func claims() -> CommittedClaims {
        let from = SequenceNumber(word() >> 8)
        let digests: [Digest] = some { $0.bytes32() }
        let skipped = digests.indices.filter { _ in flag() }.map {
            SkippedPlaces(sequence: SequenceNumber(from.number + UInt64($0)), places: flag() ? [0] : [1, 4095])
        }
        return CommittedClaims(from: from, digests: digests, skipped: skipped)
    }
    package mutating func stateTransfer(_ kind: Int) -> StateTransferMessage {
        switch kind {
        case 0: .fetchCheckpoint(minimum: number())
        case 1: .checkpoint(sequence: number(), metadata: bytes(), buckets: some { $0.bytes32() })
        case 2: .fetchBuckets(sequence: number(), buckets: some { UInt16(truncatingIfNeeded: $0.word()) })
        case 3:
            .bucket(
                sequence: number(), bucket: 7, part: 2, isLast: flag(),
                entries: some { .init(key: $0.bytes(), value: $0.bytes()) })
        default: .gone(sequence: number())
        }
    }
    package mutating func push() -> RecoveryPush {
        RecoveryPush(request: signedRequest(), attested: attestedLeaf(), asks: flag())
    }
    package mutating func host(_ kind: Int) -> HostMessage {
        switch kind {
        case 0: .pbft(number(), pbft(random.below(15)))
        case 1: .push(number(), push())
        case 2: .stateTransfer(number(), stateTransfer(random.below(5)))
        default: .forward(number(), item())
        }
    }
    package mutating func gateway(_ kind: Int) -> GatewayMessage {
        switch kind {
        case 0: .submit(shards(), signedRequest())
        case 1: .decides(shards(), ascending(decides()))
        case 2: .account(id: word(), number())
        case 3: .status(id: word())
        case 4: .audit(id: word())
        case 5: .read(id: word(), readSubject(), nonce: bytes32())
        case 6: .evidence(shards(), evidence())
        case 7: .stamps(id: word(), stampQuery())
        case 8: .archive(id: word(), archiveQuery())
        default: .observe(id: word(), ObservationQuery(since: word(), isSampled: flag(), wantsRecords: flag()))
        }
    }
    package mutating func refusal() -> Refusal {
        Refusal(
            shard: number(), request: bytes32(), legs: some { UInt16(truncatingIfNeeded: $0.word()) },
            reason: RefusalReason.allCases[random.below(RefusalReason.allCases.count)], retryAfterMicroseconds: word())
    }
    package mutating func view() -> AccountView {
        AccountView(
            owner: bytes32(), asset: number(), posted: number(), pendingDebits: number(), pendingCredits: number(),
            freeze: flag() ? freeze() : nil)
    }
    package mutating func readAnswer() -> ReadAnswer {
        let statement =
            flag()
            ? ReadStatement(
                cluster: bytes32(), epoch: number(), shard: number(), nonce: bytes32(), account: number(),
                view: flag() ? view() : nil)
            : ReadStatement(
                cluster: bytes32(), epoch: number(), shard: number(), nonce: bytes32(), principal: bytes32(),
                standing: PrincipalStanding(acknowledgedBelow: number(), nextNumber: number()))
        return ReadAnswer(statement: statement, time: number(), clock: number(), signature: signature())
    }
    package mutating func readSubject() -> ReadSubject {
        flag() ? .account(number()) : .principal(bytes32(), at: number())
    }
    package mutating func replicaStatus() -> ReplicaStatus {
        ReplicaStatus(
            shard: number(), replica: number(), view: number(), isChangingView: flag(), isPrimary: flag(),
            lastExecuted: number(),
            stable: number(), flushed: number(), pendingRequests: 3, undecided: 4, oldestUndecided: word(), halted: "")
    }
    package mutating func audit() -> ShardAudit {
        ShardAudit(
            shard: number(), replica: number(), sequence: number(), stateDigest: bytes32(), history: bytes32(),
            accounts: word(),
            undecided: word(),
            assets: some { .init(asset: $0.number(), posted: 1, pendingDebits: 2, pendingCredits: 3, issued: 4) })
    }
    package mutating func hostReply(_ kind: Int) -> HostReply {
        switch kind {
        case 0: .attestation(attestation())
        case 1: .refused(refusal())
        case 2: .account(id: word(), flag() ? view() : nil)
        case 3: .status(id: word(), some { $0.replicaStatus() }, metrics: some { $0.metric() })
        case 4: .audit(id: word(), some { $0.audit() })
        case 5: .read(id: word(), flag() ? readAnswer() : nil)
        case 6: .stamps(id: word(), stampAnswer())
        case 7: .archive(id: word(), archiveAnswer())
        default: .observation(id: word(), observation())
        }
    }
    package mutating func observation() -> HostObservation {
        HostObservation(
            now: Instant(uptime: word(), wall: number()), next: word(),
            moments: some { samples in
                let kind = BatchMomentKind.allCases[samples.random.below(BatchMomentKind.allCases.count)]
                return BatchMoment(
                    shard: samples.number(), view: samples.number(), sequence: samples.number(), kind: kind,
                    from: samples.number(), at: samples.word())
            },
            undecided: some { samples in
                UndecidedRecord(
                    shard: samples.number(), request: samples.bytes32(), age: samples.word(),
                    waitsFor: samples.shards())
            })
    }
    package mutating func archiveQuery() -> ArchiveQuery {
        ArchiveQuery(
            shard: number(), from: number(), count: UInt32(random.below(Int(ArchiveQuery.maxCount) + 1)),
            wantsBatches: flag())
    }
    package mutating func archivedBatch() -> ArchivedBatch {
        ArchivedBatch(
            statement: statement(), batch: batch().bytes, leaves: some { $0.leaf() },
            requests: some { $0.signedRequest() })
    }
    package mutating func archiveAnswer() -> ArchiveAnswer {
        ArchiveAnswer(
            standing: ArchiveAnswer.Standing.allCases[random.below(ArchiveAnswer.Standing.allCases.count)],
            last: number(), next: number(),
            entries: some { samples in
                let batch = samples.flag() ? samples.archivedBatch() : nil
                return .init(
                    statement: batch?.statement ?? samples.statement(), signature: samples.signature(), batch: batch)
            })
    }
    package mutating func client(_ kind: Int) -> ClientMessage {
        switch kind {
        case 0: .submit(id: word(), signedRequest())
        case 1: .account(id: word(), number())
        case 2: .status(id: word())
        case 3: .read(id: word(), readSubject(), nonce: bytes32())
        default: .stamps(id: word(), stampQuery())
        }
    }
    package mutating func stampQuery() -> StampQuery { flag() ? .of(bytes32()) : .since(word()) }
    package mutating func stampAnswer() -> StampAnswer {
        StampAnswer(
            now: Instant(uptime: word(), wall: number()), sampling: TraceSampling(rate: flag() ? 1 : 0.25),
            next: word(),
            stamps: some { samples in
                let kind = StampKind.allCases[samples.random.below(StampKind.allCases.count)]
                return Stamp(
                    request: samples.bytes32(), kind: kind, shard: samples.flag() ? ShardID(7) : nil,
                    number: samples.word(), at: samples.word())
            })
    }
    package mutating func metric() -> MetricSample {
        MetricSample(
            name: "quorate_dropped_total", labels: some { .init(name: "reason", value: "\($0.word())") }, value: word())
    }
    package mutating func gatewayStatus() -> GatewayStatus {
        var status = GatewayStatus()
        (status.queued, status.admitted, status.conflicts) = (word(), word(), word())
        status.metrics = some { $0.metric() }
        return status
    }
    package mutating func gatewayReply(_ kind: Int) -> GatewayReply {
        switch kind {
        case 0: .receipt(id: word(), receipt(), retries: 1, conflicts: 2)
        case 1:
            .rejected(
                id: word(), GatewayRejection.allCases[random.below(GatewayRejection.allCases.count)],
                retryAfterMicroseconds: word())
        case 2: .account(id: word(), flag() ? view() : nil, agreeing: 2)
        case 3: .status(id: word(), gatewayStatus())
        case 4: .read(id: word(), some { $0.readAnswer() })
        default: .stamps(id: word(), stampAnswer())
        }
    }
}

/// One kind of encoded value: how to make one, and how to read one and write it again.
package struct Kind: Sendable, CustomStringConvertible {
    package let name: String
    package let make: @Sendable (inout Samples) -> [UInt8]
    package let reencode: @Sendable ([UInt8]) throws(DecodingFailure) -> [UInt8]
    package var description: String { name }

    package init<T: CanonicalCodable & SendableMetatype>(
        _ name: String, _ make: @escaping @Sendable (inout Samples) -> T
    ) {
        self.name = name
        self.make = { make(&$0).encoded() }
        reencode = { (bytes) throws(DecodingFailure) in try T(decoding: bytes).encoded() }
    }

    package static let all: [Kind] =
        [
            Kind("Transfer") { $0.transfer() }, Kind("AccountSpecification") { $0.account() },
            Kind("Operation") { $0.operation() },
            Kind("Request") { $0.request() }, Kind("SignedRequest") { $0.signedRequest() },
            Kind("LegStatus") { $0.status() },
            Kind("Leaf") { $0.leaf() }, Kind("MerklePath") { $0.path() },
            Kind("AttestationStatement") { $0.statement() },
            Kind("ReplicaSignature") { $0.signature() }, Kind("BatchAttestation") { $0.attestation() },
            Kind("AttestedLeaf") { $0.attestedLeaf() }, Kind("Certificate") { $0.certificate() },
            Kind("Receipt") { $0.receipt() },
            Kind("TransactionDecide") { $0.decide() }, Kind("BatchItem") { $0.item() }, Kind("Batch") { $0.batch() },
            Kind("PQEntry") { $0.entry() }, Kind("ViewChange") { $0.viewChange() }, Kind("NewView") { $0.newView() },
            Kind("RecoveryPush") { $0.push() }, Kind("Refusal") { $0.refusal() }, Kind("AccountView") { $0.view() },
            Kind("ReplicaStatus") { $0.replicaStatus() }, Kind("ShardAudit") { $0.audit() },
            Kind("GatewayStatus") { $0.gatewayStatus() },
            Kind("ReadAnswer") { $0.readAnswer() },
        ]
        + (0..<15).map { kind in Kind("PBFTMessage \(kind + 1)") { $0.pbft(kind) } }
        + (0..<5).map { kind in Kind("StateTransferMessage \(kind + 1)") { $0.stateTransfer(kind) } }
        + (0..<4).map { kind in Kind("HostMessage \(kind + 1)") { $0.host(kind) } }
        + (0..<10).map { kind in Kind("GatewayMessage \(kind + 1)") { $0.gateway(kind) } }
        + (0..<9).map { kind in Kind("HostReply \(kind + 1)") { $0.hostReply(kind) } }
        + (0..<5).map { kind in Kind("ClientMessage \(kind + 1)") { $0.client(kind) } }
        + (0..<6).map { kind in Kind("GatewayReply \(kind + 1)") { $0.gatewayReply(kind) } }
}
