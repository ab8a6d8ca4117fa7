import Messages

/// Who brought what waits: what he may keep waiting is bounded, and he is answerable for what was ordered in vain.
enum Source: Hashable, Sendable {
    /// This replica, for a record of its own.
    case own
    case gateway(SessionID)
    case peer(HostID)
}

extension BatchItem {
    /// Its name among what waits.
    var key: Digest {
        switch self {
        case .request(let request): request.digest
        case .decide(let decide): decide.digest
        case .evidence(let evidence): evidence.contentDigest
        }
    }
}

/// What waits to be ordered at one replica, within a bound, nothing twice. Of one source first come, first proposed; sources take
/// turns, so that nobody waits behind all that another has piled up.
struct PendingPool: Sendable {
    private struct Entry: Sendable {
        let item: BatchItem
        let bytes: Int
        let source: Source
        /// What it is about, where many forms of the same may wait.
        let group: Digest?
        let arrived: Instant
        var forwardedAt: UInt64
        var forwards = 0
        /// Proposed in this view.
        var isTaken = false
    }

    /// What this replica has not proposed in this view, of one source in order of arrival, and some that are gone.
    private struct Lane: Sendable {
        let source: Source
        var unproposed = Fifo()
    }

    private var entries: [Digest: Entry] = [:]
    /// Every entry in order of arrival, and some that are gone.
    private var arrival = Fifo()
    /// Of the sources of which something waits, in the order in which they were first here.
    private var lanes: [Lane] = []
    /// Whose turn it is: an index of `lanes`.
    private var turn = 0
    private var waiting: [Source: Int] = [:]
    private var ofGateways = 0
    private var groups: [Digest: Int] = [:]
    /// Certificates of a record may be put together in many ways; the first that is ordered decides.
    private static let maxOfGroup = 4
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }
    func contains(_ key: Digest) -> Bool { entries[key] != nil }
    /// Of one source half of the room at most, and of gateways together three quarters, so that there is always some for the others.
    func isFull(for source: Source) -> Bool {
        if entries.count >= capacity || waiting[source, default: 0] >= max(1, capacity / 2) { return true }
        if case .gateway = source { return ofGateways >= max(1, capacity * 3 / 4) }
        return false
    }
    func source(of key: Digest) -> Source? { entries[key]?.source }

    /// False when full. True, and nothing happens, if it is there already.
    mutating func insert(
        _ item: BatchItem, key: Digest, bytes: Int, from source: Source, group: Digest? = nil, now: Instant
    ) -> Bool {
        if entries[key] != nil { return true }
        guard !isFull(for: source) else { return false }
        if let group {
            guard groups[group, default: 0] < Self.maxOfGroup else { return false }
            groups[group, default: 0] += 1
        }
        entries[key] = Entry(item: item, bytes: bytes, source: source, group: group, arrived: now, forwardedAt: now.uptime)
        waiting[source, default: 0] += 1
        if case .gateway = source { ofGateways += 1 }
        arrival.append(key)
        queue(key, of: source)
        return true
    }

    private mutating func queue(_ key: Digest, of source: Source) {
        if let lane = lanes.firstIndex(where: { $0.source == source }) { return lanes[lane].unproposed.append(key) }
        var lane = Lane(source: source)
        lane.unproposed.append(key)
        lanes.append(lane)
    }

    mutating func remove(_ key: Digest) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        let left = waiting[entry.source, default: 1] - 1
        waiting[entry.source] = left > 0 ? left : nil
        if case .gateway = entry.source { ofGateways -= 1 }
        if let group = entry.group {
            let others = groups[group, default: 1] - 1
            groups[group] = others > 0 ? others : nil
        }
        // What is executed was mostly the oldest.
        while let first = arrival.first, entries[first] == nil { arrival.removeFirst() }
        if let lane = lanes.firstIndex(where: { $0.source == entry.source }) { tidy(lane) }
    }

    var oldest: Instant? { arrival.first.flatMap { entries[$0]?.arrived } }

    /// Drops what is gone from the front of a lane, and the lane if nothing is left of it.
    /// - Returns: whether the lane is still there.
    @discardableResult
    private mutating func tidy(_ lane: Int) -> Bool {
        while let first = lanes[lane].unproposed.first, entries[first]?.isTaken ?? true { lanes[lane].unproposed.removeFirst() }
        guard lanes[lane].unproposed.isEmpty else { return true }
        lanes.remove(at: lane)
        if turn > lane { turn -= 1 }
        if turn >= lanes.count { turn = 0 }
        return false
    }

    var hasUnproposed: Bool {
        mutating get {
            while !lanes.isEmpty { if tidy(turn) { return true } }
            return false
        }
    }

    /// Takes the next items for a proposal, one of each source in turn.
    mutating func take(atMost count: Int, bytes limit: inout Int, into items: inout [BatchItem]) {
        var left = count
        while left > 0, hasUnproposed, let key = lanes[turn].unproposed.first, let entry = entries[key] {
            // One of this pool always goes, or what is large would wait for as long as others fill the batch.
            guard entry.bytes <= limit || left == count else { return }
            lanes[turn].unproposed.removeFirst()
            entries[key]?.isTaken = true
            limit -= entry.bytes
            items.append(entry.item)
            left -= 1
            if tidy(turn) { turn = (turn + 1) % lanes.count }
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
        (lanes, turn) = ([], 0)
        for key in arrival.elements {
            guard let source = entries[key]?.source else { continue }
            entries[key]?.isTaken = false
            queue(key, of: source)
        }
    }

    /// The oldest items that have waited since `before`, each at most once in so long, with how often it was taken.
    mutating func takeForForwarding(waitingSince before: UInt64, now: UInt64, atMost count: Int) -> [(item: BatchItem, times: Int)] {
        var items: [(item: BatchItem, times: Int)] = []
        for key in arrival.prefix(4 * count) {
            guard items.count < count, var entry = entries[key] else { continue }
            guard entry.arrived.uptime <= before, entry.forwardedAt <= before else { continue }
            entry.forwardedAt = now
            entry.forwards += 1
            entries[key] = entry
            items.append((entry.item, entry.forwards))
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
