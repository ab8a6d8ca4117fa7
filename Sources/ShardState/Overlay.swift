import Messages

/// Values that are newer than the store's: nil where a key was removed.
struct OverlayLayer {
    private(set) var values: [[UInt8]: [UInt8]?] = [:]
    /// The keys of each bucket, in order of arrival: a dictionary must never be iterated here.
    private(set) var keys = [[[UInt8]]](repeating: [], count: StateKey.bucketCount)

    mutating func set(_ key: [UInt8], _ value: [UInt8]?, bucket: Int) {
        if values.updateValue(value, forKey: key) == nil { keys[bucket].append(key) }
    }

    /// Ascending by key.
    func writes() -> [KeyValueWrite] {
        var writes: [KeyValueWrite] = []
        writes.reserveCapacity(values.count)
        for bucket in keys.indices where !keys[bucket].isEmpty {
            for key in keys[bucket].sorted(by: precedes) { writes.append(KeyValueWrite(key: key, value: values[key] ?? nil)) }
        }
        return writes
    }
}

func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }

/// The state as it is read and written: what was written since the last freeze, over what is being flushed, over the
/// store as of its last refresh.
struct Overlay {
    private struct Frozen {
        let sequence: SequenceNumber
        let layer: OverlayLayer
        /// The layer is the whole state; what the store holds is of no account until it has been replaced.
        let replacesStore: Bool
    }

    private var store: any KeyValueStore
    private var current = OverlayLayer()
    private var frozen: Frozen?

    init(store: any KeyValueStore) { self.store = store }

    /// Keys written since the last freeze.
    var count: Int { current.values.count }
    var isFlushing: Bool { frozen != nil }

    func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable { try reading { try store.snapshot() } }
    func storedMetadata() throws(ShardStateError) -> [UInt8]? { try reading { try store.metadata() } }

    func value(forKey key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        if let value = current.values[key] { return value }
        if let frozen {
            if let value = frozen.layer.values[key] { return value }
            if frozen.replacesStore { return nil }
        }
        return try reading { try store.value(forKey: key) }
    }

    /// - Parameter value: nil removes the key.
    mutating func set(_ key: [UInt8], _ value: [UInt8]?, bucket: Int) { current.set(key, value, bucket: bucket) }

    /// Every entry of a bucket, ascending.
    func forEach(inBucket bucket: Int, _ body: ([UInt8], [UInt8]) throws -> Void) throws(ShardStateError) {
        var newer = current.keys[bucket]
        if let frozen {
            newer += frozen.layer.keys[bucket].filter { current.values[$0] == nil }
        }
        newer.sort(by: precedes)
        func newest(_ key: [UInt8]) -> [UInt8]? { (current.values[key] ?? frozen?.layer.values[key]) ?? nil }

        try reading {
            var next = 0
            if frozen?.replacesStore != true {
                let (lower, upper) = (StateKey.lowerBound(bucket), StateKey.lowerBound(bucket + 1))
                try store.forEach(from: lower, to: upper) { key, value in
                    while next < newer.count, precedes(newer[next], key) {
                        if let value = newest(newer[next]) { try body(newer[next], value) }
                        next += 1
                    }
                    if next < newer.count, newer[next] == key {
                        if let value = newest(key) { try body(key, value) }
                        next += 1
                    } else {
                        try body(key, value)
                    }
                    return true
                }
            }
            while next < newer.count {
                if let value = newest(newer[next]) { try body(newer[next], value) }
                next += 1
            }
        }
    }

    /// Sets apart everything written so far; nil if a flush is under way.
    mutating func freeze(at sequence: SequenceNumber) -> [KeyValueWrite]? {
        guard frozen == nil else { return nil }
        let layer = current
        current = OverlayLayer()
        frozen = Frozen(sequence: sequence, layer: layer, replacesStore: false)
        return layer.writes()
    }

    /// The store holds the frozen layer of `sequence`. Word of a flush that an installed state has overtaken is ignored.
    mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) {
        guard let frozen, frozen.sequence == sequence else { return }
        do { try store.refresh() } catch { throw .store(String(describing: error)) }
        self.frozen = nil
    }

    /// Forgets everything and becomes `layer`, which is to be flushed with the store cleared first.
    mutating func install(_ layer: OverlayLayer, at sequence: SequenceNumber) {
        current = OverlayLayer()
        frozen = Frozen(sequence: sequence, layer: layer, replacesStore: true)
    }
}
