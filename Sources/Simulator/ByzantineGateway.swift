import Randomness
import Cores
import Messages

/// A second coordinator that hears what the first one hears, and lies: it sends a request to some of its participants
/// long after, decides with votes that are missing or of something else, tells some and not the others, repeats what is
/// over, and cuts certificates down until they prove nothing. R8: whatever it does, the decision stays the AND of the
/// votes.
struct ByzantineGateway {
    static let session = SessionID(1 << 41)
    private static let kept = 64

    /// What it could put together of attestations, the newest last, and those that lack signatures.
    private(set) var certificates: [Certificate] = []
    private var open: [(statement: AttestationStatement, signatures: [ReplicaSignature], leaves: [Leaf])] = []
    private(set) var requests: [SignedRequest] = []
    private var nextAt: UInt64 = 500_000_000
    private var rng: SplitMix64
    let manifest: Manifest
    private(set) var messages = 0

    init(manifest: Manifest, seed: UInt64) {
        self.manifest = manifest
        rng = ChanceStream.coordinator.generator(seed: seed)
    }

    /// In half of the runs there is none.
    static func exists(seed: UInt64) -> Bool { seed.isMultiple(of: 2) }

    mutating func heard(_ request: SignedRequest) {
        guard !requests.contains(where: { $0.digest == request.digest }) else { return }
        if requests.count == Self.kept { requests.remove(at: rng.below(requests.count)) }
        requests.append(request)
    }

    mutating func heard(_ attestation: BatchAttestation) {
        let statement = attestation.statement
        if !open.contains(where: { $0.statement == statement }) {
            if open.count == Self.kept { open.removeFirst() }
            open.append((statement, [], attestation.leaves))
        }
        guard let place = open.firstIndex(where: { $0.statement == statement }),
            !open[place].signatures.contains(where: { $0.replica == attestation.signature.replica })
        else { return }
        open[place].signatures.append(attestation.signature)
        open[place].signatures.sort { $0.replica < $1.replica }
        guard open[place].signatures.count == manifest.group(of: statement.shard).weakQuorum,
            !open[place].leaves.isEmpty
        else { return }
        let (leaves, signatures) = (open[place].leaves, open[place].signatures)
        let tree = MerkleTree(leaves: leaves)
        for (i, leaf) in leaves.enumerated() {
            if certificates.count == Self.kept { certificates.remove(at: rng.below(certificates.count)) }
            certificates.append(
                Certificate(statement: statement, leaf: leaf, path: tree.path(at: i), signatures: signatures))
        }
    }

    mutating func next(now: UInt64) -> [(host: Int, GatewayMessage)] {
        guard now >= nextAt, let request = requests.randomElement(using: &rng) else { return [] }
        nextAt = now + rng.below(UInt64(300_000_000))
        let participants = request.request.participants(in: manifest.shardMap)
        let shards = some(
            of: rng.chance(perMille: 800) ? participants : manifest.shards.indices.map { ShardID(UInt16($0)) })
        guard !shards.isEmpty else { return [] }
        let about = certificates.filter { $0.leaf.request == request.digest }
        var carried = some(of: rng.chance(perMille: 700) ? about : certificates)
        if rng.chance(perMille: 100) { for i in carried.indices { carried[i] = maimed(carried[i]) } }
        carried = carried.shuffled(using: &rng).sorted { $0.shard < $1.shard }
        let message: GatewayMessage
        if rng.chance(perMille: 350) {
            // Junk, now and then, and under the number of what may still be wanted.
            let isJunk = rng.chance(perMille: 200)
            message = .submit(shards, isJunk ? SignedRequest(request.request, signedBy: StandInSigner(.max)) : request)
        } else if request.request.rootCall != nil, rng.chance(perMille: 800) {
            let distinct = carried.indices.filter { $0 == 0 || carried[$0 - 1].shard != carried[$0].shard }.map {
                carried[$0]
            }
            message = .evidence(shards, CallEvidence(root: request, certificates: distinct))
        } else {
            let other = rng.chance(perMille: 100) ? requests.randomElement(using: &rng) ?? request : request
            message = .decides(
                shards,
                [
                    TransactionDecide(
                        principal: other.request.principal, number: other.request.number, request: request.digest,
                        certificates: Array(carried.prefix(TransactionDecide.maxCertificates)))
                ])
        }
        let hosts = some(of: Array(manifest.hosts.indices))
        messages += hosts.count
        return hosts.map { ($0, message) }
    }

    private mutating func some<T>(of all: [T]) -> [T] { all.filter { _ in rng.chance(perMille: 600) } }

    /// Proves nothing: a signature too few, or another leaf.
    private mutating func maimed(_ certificate: Certificate) -> Certificate {
        var (leaf, signatures) = (certificate.leaf, certificate.signatures)
        if rng.chance(perMille: 500) {
            signatures.removeLast()
        } else {
            let opposite = leaf.entries.map {
                Leaf.Entry(leg: $0.leg, status: $0.status == .committed ? .noRecordAbort : .committed)
            }
            leaf = Leaf(request: leaf.request, entries: opposite)
        }
        return Certificate(statement: certificate.statement, leaf: leaf, path: certificate.path, signatures: signatures)
    }
}
