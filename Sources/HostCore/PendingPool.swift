import Messages

/// What waits to be ordered at one replica: first come, first proposed, within a bound; nothing twice.
struct PendingPool: Sendable {
    private struct Entry: Sendable {
        let item: BatchItem
        let bytes: Int
        let arrived: Instant
        var forwardedAt: UInt64
        /// Proposed in this view, before its turn.
        var isTaken = false
    }

    private var entries: [Digest: Entry] = [:]
    /// Every entry in order of arrival, and some that are gone.
    private var arrival = Fifo()
    /// What this replica has not proposed in this view, in order of arrival, and some that are gone.
    private var unproposed = Fifo()
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }
    func contains(_ key: Digest) -> Bool { entries[key] != nil }
    var isFull: Bool { entries.count >= capacity }

    /// False when full. True, and nothing happens, if it is there already.
    mutating func insert(_ item: BatchItem, key: Digest, bytes: Int, now: Instant) -> Bool {
        if entries[key] != nil { return true }
        guard !isFull else { return false }
        entries[key] = Entry(item: item, bytes: bytes, arrived: now, forwardedAt: now.uptime)
        arrival.append(key)
        unproposed.append(key)
        return true
    }

    mutating func remove(_ key: Digest) {
        guard entries.removeValue(forKey: key) != nil else { return }
        // What is executed was mostly the oldest.
        while let first = arrival.first, entries[first] == nil { arrival.removeFirst() }
        while let first = unproposed.first, entries[first] == nil { unproposed.removeFirst() }
    }

    var oldest: Instant? { arrival.first.flatMap { entries[$0]?.arrived } }

    var hasUnproposed: Bool {
        mutating get {
            while let first = unproposed.first, entries[first]?.isTaken ?? true { unproposed.removeFirst() }
            return !unproposed.isEmpty
        }
    }

    /// Takes the next items for a proposal.
    mutating func take(atMost count: Int, bytes limit: inout Int, into items: inout [BatchItem]) {
        var left = count
        while left > 0, let key = unproposed.first {
            guard let entry = entries[key], !entry.isTaken else {
                unproposed.removeFirst()
                continue
            }
            guard entry.bytes <= limit || items.isEmpty else { return }
            unproposed.removeFirst()
            entries[key]?.isTaken = true
            limit -= entry.bytes
            items.append(entry.item)
            left -= 1
        }
    }

    /// Takes one item for a proposal, whoever waits before it; nil if it is not there, proposed already, or too large.
    mutating func take(_ key: Digest, bytes limit: inout Int) -> BatchItem? {
        guard let entry = entries[key], !entry.isTaken, entry.bytes <= limit else { return nil }
        entries[key]?.isTaken = true
        limit -= entry.bytes
        return entry.item
    }

    /// A new view: what the old primary proposed may be lost.
    mutating func enterView() {
        unproposed = Fifo()
        for key in arrival.elements where entries[key] != nil {
            entries[key]?.isTaken = false
            unproposed.append(key)
        }
    }

    /// The oldest items that have waited since `before`, each at most once in so long.
    mutating func takeForForwarding(waitingSince before: UInt64, now: UInt64, atMost count: Int) -> [BatchItem] {
        var items: [BatchItem] = []
        for key in arrival.prefix(4 * count) {
            guard items.count < count, let entry = entries[key] else { continue }
            guard entry.arrived.uptime <= before, entry.forwardedAt <= before else { continue }
            entries[key]?.forwardedAt = now
            items.append(entry.item)
        }
        return items
    }
}

/// A queue with amortised O(1) removal at the front.
struct Fifo: Sendable {
    private var storage: [Digest] = []
    private var head = 0

    var isEmpty: Bool { head == storage.count }
    var first: Digest? { head < storage.count ? storage[head] : nil }
    var elements: ArraySlice<Digest> { storage[head...] }
    var count: Int { storage.count - head }
    func prefix(_ count: Int) -> ArraySlice<Digest> { storage[head...].prefix(count) }
    mutating func append(_ element: Digest) { storage.append(element) }
    mutating func removeFirst() {
        head += 1
        if head > 1024, head * 2 > storage.count {
            storage.removeFirst(head)
            head = 0
        }
    }
}

/// Which sessions want the leaves of which request; the oldest are forgotten beyond the bound.
struct Interests: Sendable {
    private var sessions: [Digest: [SessionID]] = [:]
    private var order = Fifo()
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    mutating func add(_ session: SessionID, for request: Digest) {
        if sessions[request] == nil {
            while let oldest = order.first, sessions[oldest] == nil || sessions.count >= capacity {
                order.removeFirst()
                sessions[oldest] = nil
            }
            if order.count >= 2 * capacity { compact() }
            order.append(request)
        }
        var wanting = sessions[request] ?? []
        if !wanting.contains(session), wanting.count < 16 { wanting.append(session) }
        sessions[request] = wanting
    }

    /// Drops from the order what is gone behind a request that stays.
    private mutating func compact() {
        let kept = order.elements.filter { sessions[$0] != nil }
        order = Fifo()
        for request in kept { order.append(request) }
    }

    func of(_ request: Digest) -> [SessionID] { sessions[request] ?? [] }
    mutating func remove(_ request: Digest) { sessions[request] = nil }
}

/// The last executed batches with their leaves: what this replica can attest without ordering anything.
struct RecentBatches: Sendable {
    struct Recent: Sendable {
        let statement: AttestationStatement
        let leaves: [Leaf]
        var signature: ReplicaSignature?
    }

    private struct Place {
        let sequence: SequenceNumber
        let index: Int
    }

    private var ring: [Recent?]
    /// The newest leaf of a request.
    private var newest: [Digest: Place] = [:]
    /// Of batches that leaves were pushed of, the newest last: when much has to be pushed, much of it is of the same batches.
    private var trees: [(sequence: SequenceNumber, tree: MerkleTree)] = []
    private static let keptTrees = 64

    init(capacity: Int) { ring = Array(repeating: nil, count: capacity) }

    private func slot(_ sequence: SequenceNumber) -> Int { Int(sequence.number % UInt64(ring.count)) }

    mutating func append(_ statement: AttestationStatement, _ leaves: [Leaf]) {
        let slot = slot(statement.sequence)
        if let old = ring[slot] {
            for leaf in old.leaves where newest[leaf.request]?.sequence == old.statement.sequence { newest[leaf.request] = nil }
        }
        ring[slot] = Recent(statement: statement, leaves: leaves, signature: nil)
        for (index, leaf) in leaves.enumerated() { newest[leaf.request] = Place(sequence: statement.sequence, index: index) }
    }

    mutating func removeAll() {
        ring = Array(repeating: nil, count: ring.count)
        (newest, trees) = ([:], [])
    }

    func leaf(for request: Digest) -> Leaf? { newest[request].flatMap { ring[slot($0.sequence)]?.leaves[$0.index] } }

    func sequence(of request: Digest) -> SequenceNumber? { newest[request]?.sequence }

    /// Signs at the first need: most batches concern nobody twice.
    mutating func attestation(_ sequence: SequenceNumber, replica: ReplicaIndex, signer: any Signer) -> BatchAttestation? {
        let slot = slot(sequence)
        guard let recent = ring[slot], recent.statement.sequence == sequence else { return nil }
        let signature = recent.signature ?? ReplicaSignature(replica: replica, signature: signer.sign(recent.statement.signingBytes))
        ring[slot]?.signature = signature
        return BatchAttestation(statement: recent.statement, signature: signature, leaves: recent.leaves)
    }

    mutating func attestedLeaf(for request: Digest, replica: ReplicaIndex, signer: any Signer) -> AttestedLeaf? {
        guard let place = newest[request], let attestation = attestation(place.sequence, replica: replica, signer: signer) else { return nil }
        return AttestedLeaf(
            statement: attestation.statement, signature: attestation.signature, leaf: attestation.leaves[place.index],
            path: tree(of: attestation).path(at: place.index))
    }

    /// A push needs one path; the tree over a batch of hundreds costs as much as hundreds of pushes.
    private mutating func tree(of attestation: BatchAttestation) -> MerkleTree {
        let sequence = attestation.statement.sequence
        if let known = trees.last(where: { $0.sequence == sequence }) { return known.tree }
        let tree = MerkleTree(leaves: attestation.leaves)
        if trees.count == Self.keptTrees { trees.removeFirst() }
        trees.append((sequence, tree))
        return tree
    }
}
