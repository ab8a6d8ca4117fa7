/// A value whose signatures were checked against the manifest: every one, but for requests in batches, of which
/// `share` says more. Only `Verifier` makes one, so a function that takes `Verified<M>` cannot be called with bytes off
/// the wire. A part of one is verified only where an extension below says so: what `verify` of the whole has checked,
/// and nothing that somebody puts in its place.
public struct Verified<M: Sendable>: Sendable {
    /// What was checked, to be read. Taken out of here it is unchecked again.
    public let value: M
    /// Of a message with a batch that is ordered, which of its requests were checked. What is executed of it is
    /// `OrderedBatch`'s to say. Nothing of `PBFTMessage.committedBody` is checked.
    public let share: CheckedShare
    init(checked value: M, _ share: CheckedShare = .all) { (self.value, self.share) = (value, share) }
}

extension Verified<HostMessage> {
    /// Nil for another kind of message, here and below.
    public var pbft: Verified<PBFTMessage>? {
        if case .pbft(_, let message) = value { Verified<PBFTMessage>(checked: message, share) } else { nil }
    }
    /// With its request and its sender's leaf.
    public var push: Verified<RecoveryPush>? {
        if case .push(_, let push) = value { Verified<RecoveryPush>(checked: push) } else { nil }
    }
}

extension Verified<RecoveryPush> {
    /// What the sender pushed of its own shard.
    public var attested: Verified<AttestedLeaf> { Verified<AttestedLeaf>(checked: value.attested) }
    /// The request, which is verified, with what this host has attested of it itself: nobody checks his own signature.
    public func attested(here own: AttestedLeaf) -> Verified<RecoveryPush> {
        Verified(checked: RecoveryPush(request: value.request, attested: own, asks: false))
    }
}

extension Verified<GatewayMessage> {
    /// The request that is submitted.
    public var submitted: Verified<SignedRequest>? {
        if case .submit(_, let request) = value { Verified<SignedRequest>(checked: request) } else { nil }
    }
}

extension Verified<HostReply> {
    /// With all leaves of the batch.
    public var attestation: Verified<BatchAttestation>? {
        if case .attestation(let attestation) = value { Verified<BatchAttestation>(checked: attestation) } else { nil }
    }
}

extension Verified<PBFTMessage> {
    /// With every certificate of its batch, and the requests of its share.
    public var prePrepare: Verified<PrePrepare>? {
        if case .prePrepare(let prePrepare) = value { Verified<PrePrepare>(checked: prePrepare, share) } else { nil }
    }
    /// With every certificate, and no request. Not `committedBody`: nobody checks its signatures.
    public var batch: Verified<Batch>? {
        if case .batch(let batch) = value { Verified<Batch>(checked: batch, share) } else { nil }
    }
    /// With every VIEW-CHANGE in it.
    public var newView: Verified<NewView>? {
        if case .newView(let newView) = value { Verified<NewView>(checked: newView) } else { nil }
    }
    /// Of the replica that the message is from, or about.
    public var declaration: Verified<IncarnationDeclaration>? {
        let declaration: IncarnationDeclaration? =
            switch value {
            case .resumed(let resumption): resumption.declaration
            case .recollection(let recollection): recollection.declaration
            case .prePrepare, .prepare, .commit, .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch,
                .batch,
                .fetchCommitted, .committed, .committedBody:
                nil
            }
        return declaration.map { Verified<IncarnationDeclaration>(checked: $0) }
    }
}

extension Verified: Equatable where M: Equatable {}
extension Verified: Hashable where M: Hashable {}

/// Why a message was refused before it reached the protocol: a peer's fault, counted, never an error of ours.
public enum Refused: Error, Hashable, Sendable {
    /// Signed for another cluster.
    case wrongCluster
    /// Signed for another epoch than the manifest's.
    case wrongEpoch
    /// The manifest has no such shard, or it is not the one that is talked about.
    case unknownShard
    /// The shard's group has no such replica.
    case unknownReplica
    /// The signature is not of these bytes by that key.
    case badSignature
    /// The parts do not belong together: a path to another root, certificates of another request, a wrong order, one
    /// replica twice.
    case badProof
    /// Fewer than prove anything: f + 1 for a certificate, 2f + 1 for a read.
    case tooFewSignatures(got: Int, needed: Int)
}

/// Checks signatures against a manifest. Runs off the protocol's thread. Remembers what it has checked, within a
/// bound, because one attestation covers many leaves and one request arrives several times.
public struct Verifier<Scheme: SignatureScheme>: Sendable {
    /// Whose keys count. It must be valid (`Manifest.validate`): shards are looked up in it without further checks.
    public let manifest: Manifest
    /// How signatures are checked.
    public let scheme: Scheme
    private var requests: RecentSet<RequestKey>
    private var attestations: RecentSet<AttestationKey>
    /// Batches of which f + 1 signatures are checked: a certificate of another leaf costs no look at them.
    private var certified: RecentSet<CertifiedBatch>

    private struct RequestKey: Hashable, Sendable {
        let digest: Digest
        let signature: Signature
    }
    private struct AttestationKey: Hashable, Sendable {
        let statement: Digest
        let signature: ReplicaSignature
    }
    private struct CertifiedBatch: Hashable, Sendable {
        let statement: AttestationStatement
        let signatures: [ReplicaSignature]
    }

    /// - Parameter remembered: how many requests and how many attestations are remembered.
    public init(manifest: Manifest, scheme: Scheme, remembered: Int = 16384) {
        (self.manifest, self.scheme) = (manifest, scheme)
        requests = RecentSet(capacity: remembered)
        attestations = RecentSet(capacity: remembered)
        certified = RecentSet(capacity: max(2, remembered / 16))
    }

    /// Cluster, epoch and the principal's signature. Whether the request can be executed is for the shards to say.
    /// - Throws: `wrongCluster`, `wrongEpoch` or `badSignature`.
    public mutating func verify(_ request: SignedRequest) throws(Refused) -> Verified<SignedRequest> {
        guard request.request.cluster == manifest.cluster else { throw .wrongCluster }
        guard request.request.epoch == manifest.epoch else { throw .wrongEpoch }
        let key = RequestKey(digest: request.digest, signature: request.signature)
        if !requests.contains(key) {
            guard request.isSignatureValid(scheme) else { throw .badSignature }
            requests.insert(key)
        }
        return Verified(checked: request)
    }

    /// What another verifier of the same manifest has checked need not be checked here.
    public mutating func remember(_ request: Verified<SignedRequest>) {
        requests.insert(RequestKey(digest: request.value.digest, signature: request.value.signature))
    }

    /// Whether a batch consists of requests that are remembered, so that verifying it costs no signature.
    public func remembers(_ batch: Batch) -> Bool {
        batch.items.allSatisfy { item in
            guard case .request(let request) = item else { return false }
            return requests.contains(RequestKey(digest: request.digest, signature: request.signature))
        }
    }

    mutating func check(_ signature: ReplicaSignature, of statement: AttestationStatement, digest: Digest)
        throws(Refused)
    {
        guard statement.cluster == manifest.cluster else { throw .wrongCluster }
        guard statement.epoch == manifest.epoch else { throw .wrongEpoch }
        guard manifest.hasShard(statement.shard) else { throw .unknownShard }
        guard let key = manifest.key(of: signature.replica, in: statement.shard) else { throw .unknownReplica }
        let cacheKey = AttestationKey(statement: digest, signature: signature)
        if attestations.contains(cacheKey) { return }
        guard scheme.isValid(signature.signature, of: signingInput(.attestation, digest), by: key) else {
            throw .badSignature
        }
        attestations.insert(cacheKey)
    }

    /// That f + 1 different replicas of its shard have signed the statement, and that path and leaf lead to its root
    /// (R1).
    /// - Throws: `tooFewSignatures`, `badProof`, or what is wrong with any one signature, however many others are good.
    public mutating func verify(_ certificate: Certificate) throws(Refused) -> Verified<Certificate> {
        guard manifest.hasShard(certificate.shard) else { throw .unknownShard }
        let needed = manifest.group(of: certificate.shard).weakQuorum
        guard certificate.signatures.count >= needed else {
            throw .tooFewSignatures(got: certificate.signatures.count, needed: needed)
        }
        guard certificate.isInBatch else { throw .badProof }
        let batch = CertifiedBatch(statement: certificate.statement, signatures: certificate.signatures)
        if certified.contains(batch) { return Verified(checked: certificate) }
        // The decoder keeps signatures ascending by replica; a value made in memory is checked here too.
        for (a, b) in zip(certificate.signatures, certificate.signatures.dropFirst()) where a.replica >= b.replica {
            throw .badProof
        }
        let digest = certificate.statement.digest
        for signature in certificate.signatures { try check(signature, of: certificate.statement, digest: digest) }
        certified.insert(batch)
        return Verified(checked: certificate)
    }

    /// One replica's signature, and that path and leaf lead to the root. Proves what that replica says, and no more.
    /// - Throws: `badProof` for a wrong path, and what is wrong with statement or signature.
    public mutating func verify(_ attested: AttestedLeaf) throws(Refused) -> Verified<AttestedLeaf> {
        guard attested.isInBatch else { throw .badProof }
        try check(attested.signature, of: attested.statement, digest: attested.statement.digest)
        return Verified(checked: attested)
    }

    /// One replica's signature, and that all leaves together have the signed root. Hashes the whole batch.
    /// - Throws: `badProof` for another root, and what is wrong with statement or signature.
    public mutating func verify(_ attestation: BatchAttestation) throws(Refused) -> Verified<BatchAttestation> {
        guard MerkleTree(leaves: attestation.leaves).root == attestation.statement.leavesRoot else { throw .badProof }
        try check(attestation.signature, of: attestation.statement, digest: attestation.statement.digest)
        return Verified(checked: attestation)
    }

    /// Every certificate, that each is about the request that the decide names, and that no two are of one batch.
    /// Principal and number are not checked: the shard looks the request up by them.
    /// - Throws: `badProof` if there are none, or one does not belong there.
    public mutating func verify(_ decide: TransactionDecide) throws(Refused) -> Verified<TransactionDecide> {
        guard !decide.certificates.isEmpty else { throw .badProof }
        for (i, certificate) in decide.certificates.enumerated() {
            // Each batch of each shard once: repetitions prove nothing and fill batches.
            let isAboutIt = certificate.leaf.request == decide.request || Mutant.is(.anyAttemptsVotes)
            guard isAboutIt,
                !decide.certificates[..<i].contains(where: { $0.statement == certificate.statement })
            else { throw .badProof }
            _ = try verify(certificate)
        }
        return Verified(checked: decide)
    }

    /// The signed root, that it is a root call, and every certificate: about it, ascending by shard, one a shard.
    /// - Throws: `badProof` for any other request, order or subject.
    public mutating func verify(_ evidence: CallEvidence) throws(Refused) -> Verified<CallEvidence> {
        guard evidence.root.request.rootCall != nil else { throw .badProof }
        _ = try verify(evidence.root)
        for (a, b) in zip(evidence.certificates, evidence.certificates.dropFirst()) where a.shard >= b.shard {
            throw .badProof
        }
        for certificate in evidence.certificates {
            guard certificate.leaf.request == evidence.root.digest else { throw .badProof }
            _ = try verify(certificate)
        }
        return Verified(checked: evidence)
    }

    /// Every request, decide and evidence in it. Time and order of the batch are the replica's to judge.
    /// - Throws: for the first item that is not what it says.
    public mutating func verify(_ batch: Batch) throws(Refused) -> Verified<Batch> {
        for item in batch.items {
            switch item {
            case .request(let request): _ = try verify(request)
            case .decide(let decide): _ = try verify(decide)
            case .evidence(let evidence): _ = try verify(evidence)
            }
        }
        return Verified(checked: batch)
    }

    /// Cluster, epoch, shard and the sender's signature. The form of C, P and Q is checked where it is used.
    /// - Throws: `badSignature`, or what it names that the manifest does not have.
    public mutating func verify(_ viewChange: ViewChange) throws(Refused) -> Verified<ViewChange> {
        guard viewChange.cluster == manifest.cluster else { throw .wrongCluster }
        guard viewChange.epoch == manifest.epoch else { throw .wrongEpoch }
        guard manifest.hasShard(viewChange.shard) else { throw .unknownShard }
        guard let key = manifest.key(of: viewChange.replica, in: viewChange.shard) else { throw .unknownReplica }
        guard scheme.isValid(viewChange.signature, of: viewChange.signingBytes, by: key) else { throw .badSignature }
        return Verified(checked: viewChange)
    }

    /// The sender's signature, and that of every VIEW-CHANGE in it, all of the same shard and no more than there are
    /// replicas. The selection is not recomputed here.
    /// - Throws: `badProof` for too many, or of another shard; otherwise as for one VIEW-CHANGE.
    public mutating func verify(_ newView: NewView) throws(Refused) -> Verified<NewView> {
        guard newView.cluster == manifest.cluster else { throw .wrongCluster }
        guard newView.epoch == manifest.epoch else { throw .wrongEpoch }
        guard manifest.hasShard(newView.shard) else { throw .unknownShard }
        guard let key = manifest.key(of: newView.replica, in: newView.shard) else { throw .unknownReplica }
        guard newView.viewChanges.count <= manifest.group(of: newView.shard).n else { throw .badProof }
        guard scheme.isValid(newView.signature, of: newView.signingBytes, by: key) else { throw .badSignature }
        for viewChange in newView.viewChanges {
            guard viewChange.shard == newView.shard else { throw .badProof }
            _ = try verify(viewChange)
        }
        return Verified(checked: newView)
    }

    private func check(_ declaration: IncarnationDeclaration, shard: ShardID) throws(Refused) {
        guard declaration.cluster == manifest.cluster else { throw .wrongCluster }
        guard declaration.epoch == manifest.epoch else { throw .wrongEpoch }
        guard declaration.shard == shard, manifest.hasShard(shard) else { throw .unknownShard }
        guard let key = manifest.key(of: declaration.replica, in: shard) else { throw .unknownReplica }
        guard scheme.isValid(declaration.signature, of: declaration.signingBytes, by: key) else { throw .badSignature }
    }

    /// All that is signed in it, for the shard in which it was sent. Votes, checkpoints and STATUS are not signed: the
    /// session says from whom they are. Nor is `committedBody` checked.
    /// - Parameter reader: of a proposal, the backup whose share is checked, or the primary, who checks all; nil to
    ///   check all.
    /// - Throws: for the first part that is not what it says, or is of another shard. Of a PRE-PREPARE that means that
    ///   who proposed it is faulty.
    public mutating func verify(
        _ message: PBFTMessage, shard: ShardID, by reader: ReplicaIndex? = nil
    ) throws(Refused) -> Verified<PBFTMessage> {
        switch message {
        case .prePrepare(let prePrepare):
            guard manifest.hasShard(shard) else { throw .unknownShard }
            let group = manifest.group(of: shard)
            let primary = group.primary(of: prePrepare.view, in: shard)
            let share: CheckedShare = reader.map { $0 == primary ? .all : .of($0) } ?? .all
            try check(prePrepare.batch, share, under: primary, in: group)
            return Verified(checked: message, share)
        case .batch(let batch):
            // A batch that prepared may hold requests that nobody signed; it must be had all the same.
            guard manifest.hasShard(shard) else { throw .unknownShard }
            try check(batch, .certificates, under: ReplicaIndex(0), in: manifest.group(of: shard))
            return Verified(checked: message, .certificates)
        case .viewChange(let viewChange):
            guard viewChange.shard == shard else { throw .unknownShard }
            _ = try verify(viewChange)
        case .newView(let newView):
            guard newView.shard == shard else { throw .unknownShard }
            _ = try verify(newView)
        case .resumed(let resumption):
            if let declaration = resumption.declaration { try check(declaration, shard: shard) }
        case .recollection(let recollection):
            if let declaration = recollection.declaration {
                guard declaration.replica == recollection.about else { throw .badProof }
                try check(declaration, shard: shard)
            }
        // The largest part of what a laggard has to do, and f + 1 peers vouch for each body that it uses.
        case .committedBody: break
        case .prepare, .commit, .checkpoint, .suspect, .status, .fetchBatch, .fetchCommitted, .committed: break
        }
        return Verified(checked: message)
    }

    /// The receipt's certificates, each checked, and that each is about the receipt's request.
    public mutating func verify(_ receipt: Receipt) throws(Refused) -> Verified<Receipt> {
        _ = try verify(receipt.request)
        for certificate in receipt.certificates {
            guard certificate.leaf.request == receipt.request.digest else { throw .badProof }
            _ = try verify(certificate)
        }
        return Verified(checked: receipt)
    }
}

/// The last `capacity` values inserted, in two generations: no order is kept within one, none is iterated.
struct RecentSet<Element: Hashable & Sendable>: Sendable {
    private var young: Set<Element> = []
    private var old: Set<Element> = []
    private let capacity: Int

    init(capacity: Int) {
        precondition(capacity > 1)
        self.capacity = capacity
    }
    func contains(_ element: Element) -> Bool { young.contains(element) || old.contains(element) }
    mutating func insert(_ element: Element) {
        if young.count >= capacity / 2 {
            old = young
            young = []
        }
        young.insert(element)
    }
}

extension Verifier {
    /// What is in it, as it is checked alone; of a push also that its leaf is about its request. State is checked where
    /// it is put together, against the digests that f + 1 offered.
    /// - Parameter host: who reads it, and checks only its share of a proposal; nil to check all of it.
    /// - Throws: for the first part that is not what it says.
    public mutating func verify(_ message: HostMessage, at host: HostID? = nil) throws(Refused) -> Verified<HostMessage>
    {
        switch message {
        case .pbft(let shard, let pbft):
            let reader = host.flatMap { manifest.replica(of: shard, on: $0) }
            return Verified(checked: message, try verify(pbft, shard: shard, by: reader).share)
        case .push(_, let push):
            _ = try verify(push.request)
            guard push.attested.leaf.request == push.request.digest else { throw .badProof }
            _ = try verify(push.attested)
        case .stateTransfer: break
        case .forward(_, .request(let request)): _ = try verify(request)
        case .forward(_, .decide(let decide)): _ = try verify(decide)
        case .forward(_, .evidence(let evidence)): _ = try verify(evidence)
        }
        return Verified(checked: message)
    }

    /// A submitted request, the certificates of decides or of evidence, and that the shard of a read exists. What a
    /// gateway asks otherwise is not signed. One wrong decide is enough to refuse all that it came with: they are one
    /// sender's word, and hosts push what he loses by it.
    /// - Throws: for the first part that is not what it says.
    public mutating func verify(_ message: GatewayMessage) throws(Refused) -> Verified<GatewayMessage> {
        switch message {
        case .submit(_, let request): _ = try verify(request)
        case .decides(_, let decides): for decide in decides { _ = try verify(decide) }
        case .evidence(_, let evidence): _ = try verify(evidence)
        case .read(_, let subject, _): try check(subject)
        case .account, .status, .audit, .stamps, .archive, .observe: break
        }
        return Verified(checked: message)
    }

    /// A submitted request, and that the shard of a read exists.
    /// - Throws: for the first part that is not what it says.
    public mutating func verify(_ message: ClientMessage) throws(Refused) -> Verified<ClientMessage> {
        switch message {
        case .submit(_, let request): _ = try verify(request)
        case .read(_, let subject, _): try check(subject)
        case .account, .status, .stamps: break
        }
        return Verified(checked: message)
    }

    /// An attestation with its leaves, or the answer to a read with its signature. The rest is a host's unsigned word,
    /// or is checked by whoever asked for it.
    /// - Throws: for the first part that is not what it says.
    public mutating func verify(_ reply: HostReply) throws(Refused) -> Verified<HostReply> {
        switch reply {
        case .attestation(let attestation): _ = try verify(attestation)
        case .read(_, let answer?): try check(answer)
        case .read(_, nil), .refused, .account, .status, .audit, .stamps, .archive, .observation: break
        }
        return Verified(checked: reply)
    }
}
