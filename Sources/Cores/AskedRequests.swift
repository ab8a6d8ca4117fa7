import DequeModule
import Messages

/// Requests that other shards' hosts ask about because they have not finished them. Bounded for each host that asks:
/// one that lies pushes out its own questions only.
struct AskedRequests: Sendable {
    /// Who asked of one shard, as bits by replica. An open record is pushed again and again, so a question that is not
    /// repeated is over.
    private struct Askers: Sendable {
        let shard: ShardID
        var young: UInt64 = 0
        var old: UInt64 = 0
        var turnedAt: UInt64
        /// Not told yet.
        var waiting: UInt64 = 0
        /// Told something that was not the end: they hear what follows.
        var told: UInt64 = 0

        mutating func add(_ bit: UInt64, now: UInt64, lifetime: UInt64) {
            if now >= turnedAt + lifetime {
                (old, young, turnedAt) = (now >= turnedAt + 2 * lifetime ? 0 : young, 0, now)
            }
            young |= bit
            waiting |= bit
        }

        func bits(now: UInt64, lifetime: UInt64) -> UInt64 {
            now < turnedAt + lifetime ? young | old : now < turnedAt + 2 * lifetime ? young : 0
        }

        mutating func remove(_ bit: UInt64) {
            (young, old, waiting, told) = (young & ~bit, old & ~bit, waiting & ~bit, told & ~bit)
        }
    }

    private struct Asked: Sendable {
        let request: SignedRequest
        /// Those that asked, the first of whom has it in his queue.
        var hosts: [(host: HostID, shard: ShardID, bit: UInt64)] = []
        /// Ascending.
        var askers: [Askers] = []
        var orderedAt: UInt64 = 0
    }

    static let maxPerHost = 4096
    static let maxBytesPerHost = 16 << 20

    private var entries: [Digest: Asked] = [:]
    /// By host, in order of arrival.
    private var order: [HostID: Deque<Digest>] = [:]
    private var bytes: [HostID: Int] = [:]

    /// - Parameter lifetime: within which whoever goes on asking asks again.
    mutating func note(
        _ request: SignedRequest, by shard: ShardID, _ replica: ReplicaIndex, from host: HostID, now: UInt64,
        lifetime: UInt64
    ) {
        let digest = request.digest
        let bit = UInt64(1) << UInt64(replica.index)
        if entries[digest] == nil {
            entries[digest] = Asked(request: request)
            queue(digest, request.bytes.count, of: host)
        }
        if entries[digest]?.hosts.contains(where: { $0.host == host && $0.shard == shard }) == false {
            entries[digest]?.hosts.append((host, shard, bit))
        }
        guard let askers = entries[digest]?.askers else { return }
        let place = askers.firstIndex { $0.shard >= shard } ?? askers.count
        if place == askers.count || askers[place].shard != shard {
            entries[digest]?.askers.insert(Askers(shard: shard, turnedAt: now), at: place)
        }
        entries[digest]?.askers[place].add(bit, now: now, lifetime: lifetime)
    }

    private mutating func queue(_ digest: Digest, _ size: Int, of host: HostID) {
        order[host, default: Deque()].append(digest)
        bytes[host, default: 0] += size
        while order[host, default: Deque()].count > Self.maxPerHost || bytes[host, default: 0] > Self.maxBytesPerHost,
            let oldest = order[host]?.first, oldest != digest
        {
            order[host]?.removeFirst()
            bytes[host, default: 0] -= entries[oldest]?.request.bytes.count ?? 0
            forget(oldest, of: host)
        }
    }

    /// What a host asked is forgotten; what others asked of the same request is not.
    private mutating func forget(_ digest: Digest, of host: HostID) {
        guard var entry = entries[digest] else { return }
        for asked in entry.hosts where asked.host == host {
            guard let place = entry.askers.firstIndex(where: { $0.shard == asked.shard }) else { continue }
            entry.askers[place].remove(asked.bit)
        }
        entry.hosts.removeAll { $0.host == host }
        // The next one answers for it, if he has room; otherwise all ask again.
        let size = entry.request.bytes.count
        guard let next = entry.hosts.first?.host, order[next, default: Deque()].count < Self.maxPerHost,
            bytes[next, default: 0] + size <= Self.maxBytesPerHost
        else { return entries[digest] = nil }
        entries[digest] = entry
        order[next, default: Deque()].append(digest)
        bytes[next, default: 0] += size
    }

    /// How many replicas of a shard ask.
    func count(_ request: Digest, of shard: ShardID) -> Int {
        guard let askers = entries[request]?.askers.first(where: { $0.shard == shard }) else { return 0 }
        return (askers.young | askers.old).nonzeroBitCount
    }

    /// How many replicas of each shard ask still.
    func counts(_ request: Digest, now: UInt64, lifetime: UInt64) -> [(shard: ShardID, count: Int)] {
        entries[request]?.askers.map { ($0.shard, $0.bits(now: now, lifetime: lifetime).nonzeroBitCount) } ?? []
    }

    /// Whether what is known of it may be certified again now.
    func mayOrder(_ request: Digest, now: UInt64, interval: UInt64) -> Bool {
        guard let entry = entries[request] else { return false }
        return entry.orderedAt == 0 || now >= entry.orderedAt + interval
    }

    mutating func noteOrdered(_ request: Digest, now: UInt64) { entries[request]?.orderedAt = now }

    /// Somebody waits for what this fresh leaf says.
    func isWanted(_ request: Digest) -> Bool {
        guard let entry = entries[request] else { return false }
        return entry.askers.contains { (askers: Askers) -> Bool in askers.waiting != 0 || askers.told != 0 }
    }

    /// Whom to tell, and of what: those that asked and were not told since, and with a fresh leaf those that were told
    /// of something earlier. Who hears an end hears no more.
    mutating func answer(_ leaf: Leaf, isFresh: Bool) -> (
        request: SignedRequest, replicas: [(shard: ShardID, bits: UInt64)]
    )? {
        guard let entry = entries[leaf.request] else { return nil }
        let isEnd = !leaf.entries.isEmpty && leaf.entries.allSatisfy { $0.status.isDecided }
        var replicas: [(shard: ShardID, bits: UInt64)] = []
        for (place, askers) in entry.askers.enumerated() {
            let bits = isFresh ? askers.waiting | askers.told : askers.waiting
            if bits != 0 { replicas.append((askers.shard, bits)) }
            entries[leaf.request]?.askers[place].waiting = 0
            entries[leaf.request]?.askers[place].told = isEnd ? 0 : askers.told | bits
        }
        if replicas.isEmpty { return nil }
        return (request: entry.request, replicas: replicas)
    }
}

/// Attested leaves of requests that were pushed or asked about: said again, they need not be certified again. The
/// newest of each request, as many as there is room for.
struct KeptLeaves: Sendable {
    static let maxBytes = 16 << 20
    private var leaves: [Digest: (leaf: AttestedLeaf, bytes: Int)] = [:]
    private var order: Deque<Digest> = []
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
        guard order.count > 2 * leaves.count + 1024 else { return }
        // What is gone behind one that stays.
        var seen: Set<Digest> = []
        let kept = order.reversed().filter { leaves[$0] != nil && seen.insert($0).inserted }
        order = Deque(kept.reversed())
    }

    mutating func removeAll() { self = KeptLeaves() }
}

/// Certificates that came before the vote that they decide: looked at again when that is executed. One of a request,
/// with the most.
struct EarlyDecides: Sendable {
    static let capacity = 4096
    private var decides: [Digest: (decide: TransactionDecide, source: Source)] = [:]
    private var order: Deque<Digest> = []

    var isEmpty: Bool { decides.isEmpty }

    mutating func keep(_ decide: TransactionDecide, from source: Source) {
        if let known = decides[decide.request], known.decide.certificates.count > decide.certificates.count { return }
        if decides.updateValue((decide, source), forKey: decide.request) == nil { order.append(decide.request) }
        while decides.count > Self.capacity || order.count > 2 * Self.capacity, let oldest = order.first {
            order.removeFirst()
            decides[oldest] = nil
        }
    }

    mutating func take(_ request: Digest) -> (decide: TransactionDecide, source: Source)? {
        decides.isEmpty ? nil : decides.removeValue(forKey: request)
    }

    mutating func removeAll() { (decides, order) = ([:], Deque()) }
}
