import Messages

/// What is durable, and outlives the executor that reads it.
final class TestDisk: KeyValueWriter {
    struct Image: KeyValueReader, Sendable {
        var keys: [[UInt8]] = []
        var values: [[UInt8]: [UInt8]] = [:]
        var stored: [UInt8]?
        var sealed: [UInt8]?

        func value(forKey key: [UInt8]) -> [UInt8]? { values[key] }

        func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
            var (low, high) = (0, keys.count)
            while low < high {
                let middle = (low + high) / 2
                if keys[middle].lexicographicallyPrecedes(lower) { low = middle + 1 } else { high = middle }
            }
            while low < keys.count, upper.map({ keys[low].lexicographicallyPrecedes($0) }) ?? true {
                guard try body(keys[low], values[keys[low]] ?? []) else { return }
                low += 1
            }
        }

        func metadata() -> [UInt8]? { stored }
        func seal() -> [UInt8]? { sealed }
    }

    private(set) var image = Image()
    private var staged: [[UInt8]: [UInt8]] = [:]

    func apply(_ writes: some Sequence<KeyValueWrite>, metadata: [UInt8], clearing: Bool) {
        apply(writes, metadata: metadata, seal: nil, clearing: clearing)
    }

    func apply(_ writes: some Sequence<KeyValueWrite>, metadata: [UInt8], seal: [UInt8]?, clearing: Bool) {
        apply(writes, moving: nil, metadata: metadata, seal: seal, clearing: clearing)
    }

    func apply(
        _ writes: some Sequence<KeyValueWrite>, moving moves: [KeyRange]?, metadata: [UInt8], seal: [UInt8]?,
        clearing: Bool
    ) {
        var values = clearing ? [:] : image.values
        if let moves {
            let ranges = moves.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
            values = values.filter { !Self.contain(ranges, $0.key) }
            for (key, value) in staged where Self.contain(ranges, key) { values[key] = value }
            staged = [:]
        }
        for write in writes { values[write.key] = write.value }
        image = Image(
            keys: values.keys.sorted { $0.lexicographicallyPrecedes($1) }, values: values, stored: metadata,
            sealed: seal)
    }

    func stage(_ parts: [StagedPart]) {
        for part in parts {
            let ranges = part.ranges.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
            for key in staged.keys.filter({ Self.contain(ranges, $0) }) { staged[key] = nil }
            for entry in part.entries { staged[entry.key] = entry.value }
        }
    }

    /// As a process that starts finds it.
    func reopen() { staged = [:] }

    /// - Parameter ranges: ascending.
    private static func contain(_ ranges: [KeyRange], _ key: [UInt8]) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if key.lexicographicallyPrecedes(ranges[middle].lower) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && key.lexicographicallyPrecedes(ranges[low - 1].upper)
    }
}

struct TestStore: KeyValueStore {
    struct Failure: Error {}

    let disk: TestDisk
    var image: TestDisk.Image
    var fails = false

    init(_ disk: TestDisk) { (self.disk, image) = (disk, disk.image) }

    func value(forKey key: [UInt8]) throws -> [UInt8]? {
        if fails { throw Failure() }
        return image.value(forKey: key)
    }
    func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
        try image.forEach(from: lower, to: upper, body)
    }
    func metadata() -> [UInt8]? { image.stored }
    func seal() -> [UInt8]? { image.sealed }
    func snapshot() -> TestDisk.Image { image }
    mutating func refresh() { image = disk.image }
}
