import Messages

/// Collects replicas' attestations until f + 1 distinct replicas of a shard have signed one statement, and then gives
/// certificates: at least one of f + 1 is correct, and a correct replica signs only what it has executed (R1).
///
/// What is kept is bounded per replica: its last `openPerReplica` statements, at most one for each sequence number.
/// A lying replica therefore pushes out nothing but its own words.
public struct EvidenceSet: Sendable {
    private struct Candidate: Sendable {
        let statement: AttestationStatement
        /// Ascending by replica.
        var signatures: [ReplicaSignature]
    }

    /// The sequence numbers for which a replica's signature is held, oldest first from `head` when the ring is full.
    private struct Ring: Sendable {
        var sequences: [SequenceNumber] = []
        var head = 0

        /// Returns what had to go.
        mutating func push(_ sequence: SequenceNumber, capacity: Int) -> SequenceNumber? {
            guard sequences.count == capacity else {
                sequences.append(sequence)
                return nil
            }
            let oldest = sequences[head]
            sequences[head] = sequence
            head = (head + 1) % capacity
            return oldest
        }
    }

    private struct Shard: Sendable {
        let weakQuorum: Int
        /// Several statements for one sequence only if a replica lies. No order is needed: never iterated.
        var candidates: [SequenceNumber: [Candidate]] = [:]
        var rings: [Ring]
        var open = 0
    }

    /// A leaf that was already given to whoever wants its request.
    private struct Given: Sendable, Equatable {
        let shard: ShardID
        let sequence: SequenceNumber
        let index: Int
    }

    private var shards: [Shard]
    private var wanted: [Digest: [Given]] = [:]
    private let openPerReplica: Int

    /// - Parameter openPerReplica: how many statements of one replica of one shard are held at most.
    public init(manifest: Manifest, openPerReplica: Int = 1024) {
        precondition(openPerReplica > 0)
        self.openPerReplica = openPerReplica
        shards = (0..<manifest.shardCount).map { s in
            let group = manifest.group(of: ShardID(UInt16(s)))
            return Shard(weakQuorum: group.weakQuorum, rings: Array(repeating: Ring(), count: group.n))
        }
    }

    /// From now on leaves of this request are given as certificates.
    public mutating func want(_ request: Digest) {
        if wanted[request] == nil { wanted[request] = [] }
    }

    /// Leaves of this request are given no more. What replicas have signed stays, for other requests of the same
    /// batches.
    public mutating func forget(_ request: Digest) { wanted[request] = nil }

    /// How many distinct statements of a shard are held.
    public func openStatements(of shard: ShardID) -> Int { shards[Int(shard.number)].open }

    /// Certificates of the wanted leaves that this attestation completes, in the order of the batch. A leaf is given
    /// once.
    public mutating func add(_ verified: Verified<BatchAttestation>) -> [Certificate] {
        let attestation = verified.value
        let shard = attestation.statement.shard
        guard attestation.leaves.contains(where: { wanted[$0.request] != nil }),
            let signatures = add(attestation.signature, to: attestation.statement)
        else { return [] }

        var certificates: [Certificate] = []
        // Hashes the whole batch: built only when the first certificate is cut.
        var tree: MerkleTree?
        for (index, leaf) in attestation.leaves.enumerated() {
            let given = Given(shard: shard, sequence: attestation.statement.sequence, index: index)
            guard let before = wanted[leaf.request], !before.contains(given) else { continue }
            wanted[leaf.request]?.append(given)
            let cut = tree ?? MerkleTree(leaves: attestation.leaves)
            tree = cut
            certificates.append(
                Certificate(
                    statement: attestation.statement, leaf: leaf, at: index, of: cut, signatures: signatures))
        }
        return certificates
    }

    /// The certificate of this leaf once f + 1 replicas have signed its batch, whether or not it is wanted; again on
    /// every repetition.
    public mutating func add(_ verified: Verified<AttestedLeaf>) -> Certificate? {
        let attested = verified.value
        return add(attested.signature, to: attested.statement).map {
            Certificate(statement: attested.statement, leaf: attested.leaf, path: attested.path, signatures: $0)
        }
    }

    /// f + 1 signatures of the statement, ascending by replica, if there are as many.
    private mutating func add(_ signature: ReplicaSignature, to statement: AttestationStatement) -> [ReplicaSignature]?
    {
        let s = Int(statement.shard.number)
        // The verifier's manifest and ours are the same in one process; a mismatch drops, it never traps.
        guard s < shards.count, signature.replica.index < shards[s].rings.count else { return nil }

        var open = shards[s].candidates[statement.sequence] ?? []
        let signedBefore = open.firstIndex { $0.signatures.contains { $0.replica == signature.replica } }
        let mine = open.firstIndex { $0.statement == statement }
        if let signedBefore {
            // Two statements for one sequence by one replica: it lies. Its first word stands.
            guard signedBefore == mine else { return nil }
        } else {
            if let oldest = shards[s].rings[signature.replica.index].push(statement.sequence, capacity: openPerReplica)
            {
                drop(signature.replica, from: oldest, shard: s)
            }
            if let mine {
                let place =
                    open[mine].signatures.firstIndex { $0.replica > signature.replica } ?? open[mine].signatures.count
                open[mine].signatures.insert(signature, at: place)
            } else {
                open.append(Candidate(statement: statement, signatures: [signature]))
                shards[s].open += 1
            }
            shards[s].candidates[statement.sequence] = open
        }
        let signatures = open[mine ?? open.count - 1].signatures
        let needed = shards[s].weakQuorum
        return signatures.count >= needed ? Array(signatures.prefix(needed)) : nil
    }

    private mutating func drop(_ replica: ReplicaIndex, from sequence: SequenceNumber, shard s: Int) {
        guard var open = shards[s].candidates[sequence] else { return }
        for i in open.indices { open[i].signatures.removeAll { $0.replica == replica } }
        let before = open.count
        open.removeAll { $0.signatures.isEmpty }
        shards[s].open -= before - open.count
        shards[s].candidates[sequence] = open.isEmpty ? nil : open
    }
}
