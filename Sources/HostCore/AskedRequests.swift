import Messages

/// Requests that other shards' hosts ask about because they have not finished them. Bounded for each host that asks: one that lies
/// pushes out its own questions only.
struct AskedRequests: Sendable {
    private struct Asked: Sendable {
        let request: SignedRequest
        let firstBy: HostID
        /// The replicas that asked, as bits, by shard; ascending.
        var shards: [(shard: ShardID, replicas: UInt64)]
        var answeredAt: UInt64 = 0
        var orderedAt: UInt64 = 0
        /// The last answer.
        var told: Digest?
    }

    static let maxPerHost = 1024
    static let maxBytesPerHost = 8 << 20

    private var entries: [Digest: Asked] = [:]
    /// By host, in order of arrival.
    private var order: [HostID: Fifo] = [:]
    private var bytes: [HostID: Int] = [:]

    mutating func note(_ request: SignedRequest, by shard: ShardID, _ replica: ReplicaIndex, from host: HostID) {
        let digest = request.digest
        if entries[digest] == nil {
            entries[digest] = Asked(request: request, firstBy: host, shards: [])
            order[host, default: Fifo()].append(digest)
            bytes[host, default: 0] += request.bytes.count
            while order[host, default: Fifo()].count > Self.maxPerHost || bytes[host, default: 0] > Self.maxBytesPerHost,
                let oldest = order[host]?.first, oldest != digest
            {
                order[host]?.removeFirst()
                bytes[host, default: 0] -= entries.removeValue(forKey: oldest)?.request.bytes.count ?? 0
            }
        }
        let bit = UInt64(1) << UInt64(replica.index)
        guard let shards = entries[digest]?.shards else { return }
        let place = shards.firstIndex { $0.shard >= shard } ?? shards.count
        if place < shards.count, shards[place].shard == shard {
            entries[digest]?.shards[place].replicas |= bit
        } else {
            entries[digest]?.shards.insert((shard, bit), at: place)
        }
    }

    /// How many replicas of a shard have asked and were not answered for good.
    func count(_ request: Digest, of shard: ShardID) -> Int {
        entries[request]?.shards.first { $0.shard == shard }?.replicas.nonzeroBitCount ?? 0
    }

    func isAnswerDue(_ request: Digest, now: UInt64, interval: UInt64) -> Bool {
        #if MUTANTS
        if Mutant.is(.answersWithoutLimit) { return true }
        #endif
        guard let entry = entries[request] else { return false }
        return entry.answeredAt == 0 || now >= entry.answeredAt + interval
    }

    /// Whether what is known of it may be certified again; notes that it is.
    mutating func mayOrder(_ request: Digest, now: UInt64, interval: UInt64) -> Bool {
        guard let entry = entries[request], entry.orderedAt == 0 || now >= entry.orderedAt + interval else { return false }
        entries[request]?.orderedAt = now
        return true
    }

    /// Somebody waits for it and was not told this.
    func isWanted(_ leaf: Leaf) -> Bool {
        guard let entry = entries[leaf.request], !entry.shards.isEmpty else { return false }
        return entry.told != leaf.hash
    }

    /// Whom to tell, and of what. Who hears an end asks no more; others hear of what follows without asking again.
    mutating func answer(_ leaf: Leaf, now: UInt64) -> (request: SignedRequest, shards: [ShardID])? {
        guard let entry = entries[leaf.request], !entry.shards.isEmpty else { return nil }
        entries[leaf.request]?.answeredAt = now
        entries[leaf.request]?.told = leaf.hash
        let isEnd = !leaf.entries.isEmpty && leaf.entries.allSatisfy { $0.status.isDecided }
        if isEnd { entries[leaf.request]?.shards = [] }
        return (entry.request, entry.shards.map(\.shard))
    }
}

/// Attested leaves of requests that were pushed or asked about: said again, they need not be certified again. The newest of each
/// request, as many as there is room for.
struct KeptLeaves: Sendable {
    static let maxBytes = 16 << 20
    private var leaves: [Digest: (leaf: AttestedLeaf, bytes: Int)] = [:]
    private var order = Fifo()
    private var bytes = 0

    subscript(_ request: Digest) -> AttestedLeaf? { leaves[request]?.leaf }

    mutating func keep(_ attested: AttestedLeaf) {
        let request = attested.leaf.request
        if leaves[request]?.leaf.statement == attested.statement { return }
        forget(request)
        let size = attested.encoded().count + 256
        leaves[request] = (attested, size)
        bytes += size
        order.append(request)
        while bytes > Self.maxBytes, let oldest = order.first {
            order.removeFirst()
            forget(oldest)
        }
    }

    /// Something newer was executed.
    mutating func forget(_ request: Digest) {
        guard !leaves.isEmpty, let gone = leaves.removeValue(forKey: request) else { return }
        bytes -= gone.bytes
        while let oldest = order.first, leaves[oldest] == nil { order.removeFirst() }
    }

    mutating func removeAll() { self = KeptLeaves() }
}

/// Certificates that came before the vote that they decide: looked at again when that is executed. One of a request, the newest.
struct EarlyDecides: Sendable {
    static let capacity = 4096
    private var decides: [Digest: (decide: TransactionDecide, source: Source)] = [:]
    private var order = Fifo()

    var isEmpty: Bool { decides.isEmpty }

    mutating func keep(_ decide: TransactionDecide, from source: Source) {
        if decides.updateValue((decide, source), forKey: decide.request) == nil { order.append(decide.request) }
        while decides.count > Self.capacity || order.count > 2 * Self.capacity, let oldest = order.first {
            order.removeFirst()
            decides[oldest] = nil
        }
    }

    mutating func take(_ request: Digest) -> (decide: TransactionDecide, source: Source)? {
        decides.isEmpty ? nil : decides.removeValue(forKey: request)
    }

    mutating func removeAll() { (decides, order) = ([:], Fifo()) }
}
