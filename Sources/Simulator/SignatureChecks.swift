import Cores
import Messages
import PBFT

/// Whether correct hosts execute what its owner signed, and nothing else, by what their journals say of each batch; and
/// whether they vouch for nothing else by their PRE-PREPAREs and PREPAREs.
/// Looks at signatures itself: neither at what a verifier has said of them, nor at what the executor makes of a batch.
struct SignatureChecks {
    private let manifest: Manifest?
    /// By batch, the places of its requests that nobody signed.
    private var wrong: [Digest: [UInt32]] = [.null: []]
    /// By batch, those requests.
    private var unsigned: [Digest: [Digest]] = [:]
    /// Requests that their principals signed and that were ordered.
    private var signed: Set<Digest> = []

    init(manifest: Manifest?) { self.manifest = manifest }

    private func isGenuine(_ request: SignedRequest) -> Bool {
        guard let manifest else { return true }
        return request.request.cluster == manifest.cluster && request.request.epoch == manifest.epoch
            && request.isSignatureValid(StandInScheme())
    }

    private mutating func look(at batch: Batch) {
        guard wrong[batch.digest] == nil else { return }
        var places: [UInt32] = []
        var requests: [Digest] = []
        for (place, item) in batch.items.enumerated() {
            switch item {
            case .request(let request):
                if isGenuine(request) {
                    signed.insert(request.digest)
                } else {
                    places.append(UInt32(place))
                    requests.append(request.digest)
                }
            case .evidence(let evidence): if isGenuine(evidence.root) { signed.insert(evidence.root.digest) }
            case .decide: continue
            }
        }
        wrong[batch.digest] = places
        if !requests.isEmpty { unsigned[batch.digest] = requests }
    }

    /// A correct host writes down what it executes, in the same step.
    mutating func observe(_ records: [HostRecord]) throws {
        for entry in records {
            switch entry.record {
            case .prePrepared(_, _, let batch): look(at: batch)
            case .committed(let sequence, let digest, let skipped):
                try compare(skipped, of: digest, at: sequence, entry.shard)
            case .committedBody(let sequence, let batch, let skipped):
                look(at: batch)
                try compare(skipped, of: batch.digest, at: sequence, entry.shard)
            case .prePreparedAgain, .prepared, .viewChange, .newView, .stable, .quarantine, .peerIncarnation: continue
            }
        }
    }

    private func compare(
        _ skipped: [UInt32], of digest: Digest, at sequence: SequenceNumber, _ shard: ShardID
    ) throws {
        guard let wrong = wrong[digest], wrong != skipped else { return }
        throw Checks.Violation(
            description:
                "shard \(shard) executes \(sequence) without the places \(skipped), nobody signed \(wrong)")
    }

    /// A correct primary has checked all that it proposes.
    mutating func propose(_ proposal: PrePrepare, from host: Int) throws {
        look(at: proposal.batch)
        guard unsigned[proposal.batch.digest] != nil else { return }
        throw Checks.Violation(
            description: "host \(host) proposes at \(proposal.sequence) in view \(proposal.view) what nobody signed")
    }

    /// A correct backup has checked its share of what it vouches for. It has written the batch down before.
    func prepare(_ prepare: Prepare, on shard: ShardID, from host: Int) throws {
        guard prepare.vouches, let manifest, let unsigned = unsigned[prepare.digest],
            let replica = manifest.replica(of: shard, on: HostID(UInt16(host)))
        else { return }
        let group = manifest.group(of: shard)
        let primary = group.primary(of: prepare.view, in: shard)
        guard unsigned.contains(where: { group.isDesignated(replica, for: $0, under: primary) }) else { return }
        throw Checks.Violation(
            description:
                "host \(host) vouches at \(prepare.sequence) in view \(prepare.view) for what nobody signed, and was to check it"
        )
    }

    func observe(_ leaf: Leaf) throws {
        guard manifest != nil, !signed.contains(leaf.request) else { return }
        throw Checks.Violation(description: "a status of \(leaf.request.short) is attested, which nobody signed")
    }
}
