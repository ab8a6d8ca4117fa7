/// A value whose every signature was checked against the manifest, but for `PBFTMessage.committedBody`. Only `Verifier`
/// makes one, so a function that takes `Verified<M>` cannot be called with bytes off the wire. A part of one is
/// verified only where an extension below says so: what `verify` of the whole has checked, and nothing that somebody
/// puts in its place.
public struct Verified<M: Sendable>: Sendable {
    public let value: M
    init(checked value: M) { self.value = value }
}

extension Verified<HostMessage> {
    /// Nil for another kind of message, here and below.
    public var pbft: Verified<PBFTMessage>? {
        if case .pbft(_, let message) = value { Verified<PBFTMessage>(checked: message) } else { nil }
    }
    public var push: Verified<RecoveryPush>? {
        if case .push(_, let push) = value { Verified<RecoveryPush>(checked: push) } else { nil }
    }
}

extension Verified<RecoveryPush> {
    public var attested: Verified<AttestedLeaf> { Verified<AttestedLeaf>(checked: value.attested) }
    /// The request, which is verified, with what this host has attested of it itself: nobody checks his own signature.
    public func attested(here own: AttestedLeaf) -> Verified<RecoveryPush> {
        Verified(checked: RecoveryPush(request: value.request, attested: own, asks: false))
    }
}

extension Verified<HostReply> {
    public var attestation: Verified<BatchAttestation>? {
        if case .attestation(let attestation) = value { Verified<BatchAttestation>(checked: attestation) } else { nil }
    }
}

extension Verified<PBFTMessage> {
    /// With every request and certificate of its batch.
    public var prePrepare: Verified<PrePrepare>? {
        if case .prePrepare(let prePrepare) = value { Verified<PrePrepare>(checked: prePrepare) } else { nil }
    }
    /// Not `committedBody`: nobody checks its signatures.
    public var batch: Verified<Batch>? {
        if case .batch(let batch) = value { Verified<Batch>(checked: batch) } else { nil }
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
    case wrongCluster
    case wrongEpoch
    case unknownShard
    case unknownReplica
    case badSignature
    case badProof
    case tooFewSignatures(got: Int, needed: Int)
}

/// Checks signatures against a manifest. Runs off the protocol's thread. Remembers what it has checked, within a
/// bound, because one attestation covers many leaves and one request arrives several times.
public struct Verifier<Scheme: SignatureScheme>: Sendable {
    public let manifest: Manifest
    public let scheme: Scheme
    private var requests: RecentSet<RequestKey>
    private var attestations: RecentSet<AttestationKey>

    private struct RequestKey: Hashable, Sendable {
        let digest: Digest
        let signature: Signature
    }
    private struct AttestationKey: Hashable, Sendable {
        let statement: Digest
        let signature: ReplicaSignature
    }

    /// - Parameter remembered: how many requests and how many attestations are remembered.
    public init(manifest: Manifest, scheme: Scheme, remembered: Int = 16384) {
        (self.manifest, self.scheme) = (manifest, scheme)
        requests = RecentSet(capacity: remembered)
        attestations = RecentSet(capacity: remembered)
    }

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

    private mutating func check(_ signature: ReplicaSignature, of statement: AttestationStatement, digest: Digest)
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

    public mutating func verify(_ certificate: Certificate) throws(Refused) -> Verified<Certificate> {
        guard manifest.hasShard(certificate.shard) else { throw .unknownShard }
        let needed = manifest.group(of: certificate.shard).weakQuorum
        guard certificate.signatures.count >= needed else {
            throw .tooFewSignatures(got: certificate.signatures.count, needed: needed)
        }
        guard certificate.path.root(from: certificate.leaf.hash) == certificate.statement.leavesRoot else {
            throw .badProof
        }
        // The decoder keeps signatures ascending by replica; a value made in memory is checked here too.
        for (a, b) in zip(certificate.signatures, certificate.signatures.dropFirst()) where a.replica >= b.replica {
            throw .badProof
        }
        let digest = certificate.statement.digest
        for signature in certificate.signatures { try check(signature, of: certificate.statement, digest: digest) }
        return Verified(checked: certificate)
    }

    public mutating func verify(_ attested: AttestedLeaf) throws(Refused) -> Verified<AttestedLeaf> {
        guard attested.isInBatch else { throw .badProof }
        try check(attested.signature, of: attested.statement, digest: attested.statement.digest)
        return Verified(checked: attested)
    }

    public mutating func verify(_ attestation: BatchAttestation) throws(Refused) -> Verified<BatchAttestation> {
        guard MerkleTree(leaves: attestation.leaves).root == attestation.statement.leavesRoot else { throw .badProof }
        try check(attestation.signature, of: attestation.statement, digest: attestation.statement.digest)
        return Verified(checked: attestation)
    }

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

    public mutating func verify(_ viewChange: ViewChange) throws(Refused) -> Verified<ViewChange> {
        guard viewChange.cluster == manifest.cluster else { throw .wrongCluster }
        guard viewChange.epoch == manifest.epoch else { throw .wrongEpoch }
        guard manifest.hasShard(viewChange.shard) else { throw .unknownShard }
        guard let key = manifest.key(of: viewChange.replica, in: viewChange.shard) else { throw .unknownReplica }
        guard scheme.isValid(viewChange.signature, of: viewChange.signingBytes, by: key) else { throw .badSignature }
        return Verified(checked: viewChange)
    }

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

    public mutating func verify(_ message: PBFTMessage, shard: ShardID) throws(Refused) -> Verified<PBFTMessage> {
        switch message {
        case .prePrepare(let prePrepare): _ = try verify(prePrepare.batch)
        case .batch(let batch): _ = try verify(batch)
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
    public mutating func verify(_ message: HostMessage) throws(Refused) -> Verified<HostMessage> {
        switch message {
        case .pbft(let shard, let pbft): _ = try verify(pbft, shard: shard)
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

    public mutating func verify(_ message: GatewayMessage) throws(Refused) -> Verified<GatewayMessage> {
        switch message {
        case .submit(_, let request): _ = try verify(request)
        case .decide(_, let decide): _ = try verify(decide)
        case .evidence(_, let evidence): _ = try verify(evidence)
        case .read(_, let subject, _): try check(subject)
        case .account, .status, .audit: break
        }
        return Verified(checked: message)
    }

    public mutating func verify(_ message: ClientMessage) throws(Refused) -> Verified<ClientMessage> {
        switch message {
        case .submit(_, let request): _ = try verify(request)
        case .read(_, let subject, _): try check(subject)
        case .account, .status: break
        }
        return Verified(checked: message)
    }

    public mutating func verify(_ reply: HostReply) throws(Refused) -> Verified<HostReply> {
        switch reply {
        case .attestation(let attestation): _ = try verify(attestation)
        case .read(_, let answer?): try check(answer)
        case .read(_, nil), .refused, .account, .status, .audit: break
        }
        return Verified(checked: reply)
    }
}
