import DequeModule
import Messages

/// What waits to be ordered at one replica, within a bound, nothing twice. Of one source first come, first proposed;
/// sources take turns, so that nobody waits behind all that another has piled up.
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
        var unproposed: Deque<Digest> = []
    }

    /// What a principal calls a request.
    private struct Name: Hashable, Sendable {
        let principal: PublicKey
        let number: RequestNumber

        init(_ principal: PublicKey, _ number: RequestNumber) { (self.principal, self.number) = (principal, number) }
        /// Nil for what is no request.
        init?(_ item: BatchItem) {
            guard case .request(let signed) = item else { return nil }
            self.init(signed.request.principal, signed.request.number)
        }
    }

    private var entries: [Digest: Entry] = [:]
    /// Where the requests are, for those that follow them.
    private var named: [Name: Digest] = [:]
    /// Every entry in order of arrival, and some that are gone.
    private var arrival: Deque<Digest> = []
    /// Of the sources of which something waits, in the order in which they were first here.
    private var lanes: [Lane] = []
    /// Whose turn it is: an index of `lanes`.
    private var turn = 0
    private var waiting: [Source: Int] = [:]
    private var ofGateways = 0
    /// By what they are about, in order of arrival.
    private var groups: [Digest: [Digest]] = [:]
    /// Certificates of a record may be put together in many ways; the first that is ordered decides.
    private static let maxOfGroup = 4
    /// How far back a request's predecessors are looked for: they were overtaken a moment ago, by a few.
    private static let maxOvertaken = 32
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }
    func contains(_ key: Digest) -> Bool { entries[key] != nil }
    /// Of one source half of the room at most, and of gateways together three quarters, so that there is always some
    /// for the others.
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
            guard groups[group, default: []].count < Self.maxOfGroup else { return false }
            groups[group, default: []].append(key)
        }
        entries[key] = Entry(
            item: item, bytes: bytes, source: source, group: group, arrived: now, forwardedAt: now.uptime)
        waiting[source, default: 0] += 1
        if case .gateway = source { ofGateways += 1 }
        if let name = Name(item) { named[name] = key }
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
        if let name = Name(entry.item), named[name] == key { named[name] = nil }
        if let group = entry.group {
            let others = groups[group, default: []].filter { $0 != key }
            groups[group] = others.isEmpty ? nil : others
        }
        // What is executed was mostly the oldest.
        while let first = arrival.first, entries[first] == nil { arrival.removeFirst() }
        if let lane = lanes.firstIndex(where: { $0.source == entry.source }) { tidy(lane) }
    }

    /// Whether a decide of the group is like that, on its way or not.
    func contains(in group: Digest, where isWanted: (TransactionDecide) -> Bool) -> Bool {
        groups[group]?.contains { key in
            if case .decide(let decide)? = entries[key]?.item { isWanted(decide) } else { false }
        } ?? false
    }

    /// What is about this and not on its way in a batch.
    func unproposed(of group: Digest) -> [BatchItem] {
        guard let keys = groups[group] else { return [] }
        return keys.compactMap { key in
            guard let entry = entries[key], !entry.isTaken else { return nil }
            return entry.item
        }
    }

    var oldest: Instant? { arrival.first.flatMap { entries[$0]?.arrived } }

    /// Drops what is gone from the front of a lane, and the lane if nothing is left of it.
    /// - Returns: whether the lane is still there.
    @discardableResult
    private mutating func tidy(_ lane: Int) -> Bool {
        while let first = lanes[lane].unproposed.first, entries[first]?.isTaken ?? true {
            lanes[lane].unproposed.removeFirst()
        }
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

    /// Takes the next items for a proposal, one of each source in turn. A request that follows another one on this
    /// shard lets that one go first if it waits here too; what is not here is for execution to miss.
    mutating func take(
        atMost count: Int, on shard: ShardID, bytes limit: inout Int, into items: inout [BatchItem]
    ) {
        var left = count
        while left > 0, hasUnproposed, let first = lanes[turn].unproposed.first {
            let key = earliest(of: first, on: shard)
            // One of this pool always goes, or what is large would wait for as long as others fill the batch.
            guard let entry = entries[key], entry.bytes <= limit || left == count else { return }
            // What goes before its turn is dropped from its lane when it would have had it.
            if key == first { lanes[turn].unproposed.removeFirst() }
            entries[key]?.isTaken = true
            limit -= entry.bytes
            items.append(entry.item)
            left -= 1
            if tidy(turn) { turn = (turn + 1) % lanes.count }
        }
    }

    /// Of a request and those that it follows, one after the other, the first that waits here and is not proposed.
    private func earliest(of key: Digest, on shard: ShardID) -> Digest {
        var key = key
        for _ in 0..<Self.maxOvertaken {
            guard case .request(let signed)? = entries[key]?.item,
                let predecessor = signed.request.predecessor(on: shard),
                let before = named[Name(signed.request.principal, predecessor.number)],
                entries[before]?.isTaken == false
            else { return key }
            key = before
        }
        return key
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
        for key in arrival {
            guard let source = entries[key]?.source else { continue }
            entries[key]?.isTaken = false
            queue(key, of: source)
        }
    }

    /// The oldest items that have waited since `before`, each at most once in so long, with how often it was taken.
    mutating func takeForForwarding(waitingSince before: UInt64, now: UInt64, atMost count: Int) -> [(
        item: BatchItem, times: Int
    )] {
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
