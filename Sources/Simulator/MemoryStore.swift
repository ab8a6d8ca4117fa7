import Messages
import Synchronization

/// `KeyValueStore` and `KeyValueWriter` in memory, with LMDB's semantics: what is read is what the last `refresh` saw;
/// an `apply` is all or nothing, and durable when it returned. A simulated host that lost its power opens the same
/// store again: `refresh` shows everything that was applied and nothing else.
///
/// A snapshot costs O(1); a batch of writes copies the pages that it touches.
public final class MemoryStore: KeyValueStore, KeyValueWriter, Sendable {
    private struct State {
        var applied = MemoryMap()
        var visible = MemoryMap()
        var staged = MemoryMap()
        var failsNextApply = false

        mutating func failIfAsked() throws(MemoryStoreError) {
            guard failsNextApply else { return }
            failsNextApply = false
            throw .failed
        }
    }

    private let state = Mutex(State())

    /// Empty, without metadata and seal, as a store to which nothing was ever applied.
    public init() {}

    /// The next `apply` or `stage` throws `MemoryStoreError.failed` and changes nothing: a full or broken disk.
    public func failNextApply() { state.withLock { $0.failsNextApply = true } }

    /// - Returns: nil if there is no such key, as of the last `refresh`.
    /// - Throws: `MemoryStoreError.keyLength` for a key that LMDB would not take.
    public func value(forKey key: [UInt8]) throws -> [UInt8]? { try snapshot().value(forKey: key) }

    /// Entries as of the last `refresh`; what is applied meanwhile does not show.
    /// - Throws: what `body` throws.
    public func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
        try snapshot().forEach(from: lower, to: upper, body)
    }

    /// Nil until a `refresh` follows the first `apply`.
    public func metadata() throws -> [UInt8]? { snapshot().metadata() }

    /// Nil if the last `apply` that a `refresh` has shown gave none.
    public func seal() throws -> [UInt8]? { snapshot().seal() }

    /// What the last `refresh` saw, whatever is applied later.
    public func snapshot() -> MemorySnapshot { MemorySnapshot(map: state.withLock { $0.visible }) }

    /// Shows all that was applied until now.
    public func refresh() { state.withLock { $0.visible = $0.applied } }

    /// As a process that starts finds it: shows all that was applied, and nothing is staged.
    public func reopen() {
        state.withLock { state in
            (state.visible, state.staged) = (state.applied, MemoryMap())
        }
    }

    /// All or nothing, and not visible before `refresh`.
    /// - Throws: `MemoryStoreError.keyLength` for any of the keys, `failed` if `failNextApply` asked for it.
    public func apply(
        _ writes: some Sequence<KeyValueWrite>, moving moves: [KeyRange]?, metadata: [UInt8], seal: [UInt8]?,
        clearing: Bool
    ) throws {
        let writes = Array(writes)
        for write in writes { try MemoryStoreError.checkKey(write.key) }
        try state.withLock { state in
            try state.failIfAsked()
            if clearing { state.applied = MemoryMap() }
            if let moves {
                for range in moves { state.applied.replace(range, by: state.staged.entries(in: range)) }
                state.staged = MemoryMap()
            }
            for write in writes { state.applied.set(write.key, to: write.value) }
            (state.applied.metadata, state.applied.seal) = (metadata, seal)
        }
    }

    /// All or nothing. Gone after `reopen`.
    /// - Throws: as `apply`.
    public func stage(_ parts: [StagedPart]) throws {
        for part in parts { for entry in part.entries { try MemoryStoreError.checkKey(entry.key) } }
        try state.withLock { state in
            try state.failIfAsked()
            for part in parts {
                for range in part.ranges { state.staged.replace(range, by: []) }
                for entry in part.entries { state.staged.set(entry.key, to: entry.value) }
            }
        }
    }
}

/// Why a `MemoryStore` refuses.
public enum MemoryStoreError: Error, Equatable, Sendable {
    /// Keys have 1 to 511 bytes, as on LMDB.
    case keyLength(Int)
    /// `failNextApply` asked for it.
    case failed

    static func checkKey(_ key: [UInt8]) throws(MemoryStoreError) {
        guard (1...511).contains(key.count) else { throw .keyLength(key.count) }
    }
}

/// A `MemoryStore` at one moment.
public struct MemorySnapshot: KeyValueReader, Sendable {
    fileprivate let map: MemoryMap

    /// - Returns: nil if there was no such key.
    /// - Throws: `MemoryStoreError.keyLength` for a key that LMDB would not take.
    public func value(forKey key: [UInt8]) throws -> [UInt8]? {
        try MemoryStoreError.checkKey(key)
        return map.value(forKey: key)
    }

    /// Ascending by unsigned bytes, from `lower` until before `upper`, or until `body` says false.
    /// - Throws: what `body` throws.
    public func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
        try map.forEach(from: lower, to: upper, body)
    }

    /// Of the last `apply` before; nil if there was none.
    public func metadata() -> [UInt8]? { map.metadata }

    /// Of the last `apply` before; nil if it gave none.
    public func seal() -> [UInt8]? { map.seal }
}

/// Sorted entries in pages: a copy shares all pages, and writing copies the list of pages and the pages written to.
private struct MemoryMap: Sendable {
    private struct Page: Sendable {
        var keys: [[UInt8]]
        var values: [[UInt8]]
    }

    private static let pageLimit = 128
    private var pages: [Page] = []
    var metadata: [UInt8]?
    var seal: [UInt8]?

    /// The page that holds `key` if any does: the last one that starts at or before it.
    private func page(for key: [UInt8]) -> Int {
        var (low, high) = (0, pages.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(key, pages[middle].keys[0]) { high = middle } else { low = middle + 1 }
        }
        return max(0, low - 1)
    }

    /// The first position whose key is not below `key`.
    private static func position(of key: [UInt8], in keys: [[UInt8]]) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if precedes(keys[middle], key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.withUnsafeBufferPointer { a in b.withUnsafeBufferPointer { b in a.lexicographicallyPrecedes(b) } }
    }

    func value(forKey key: [UInt8]) -> [UInt8]? {
        guard !pages.isEmpty else { return nil }
        let page = pages[page(for: key)]
        let at = Self.position(of: key, in: page.keys)
        return at < page.keys.count && page.keys[at] == key ? page.values[at] : nil
    }

    mutating func set(_ key: [UInt8], to value: [UInt8]?) {
        guard !pages.isEmpty else {
            if let value { pages.append(Page(keys: [key], values: [value])) }
            return
        }
        let index = page(for: key)
        let at = Self.position(of: key, in: pages[index].keys)
        let exists = at < pages[index].keys.count && pages[index].keys[at] == key
        guard let value else {
            guard exists else { return }
            pages[index].keys.remove(at: at)
            pages[index].values.remove(at: at)
            if pages[index].keys.isEmpty { pages.remove(at: index) }
            return
        }
        if exists {
            pages[index].values[at] = value
        } else {
            pages[index].keys.insert(key, at: at)
            pages[index].values.insert(value, at: at)
            if pages[index].keys.count > Self.pageLimit { split(index) }
        }
    }

    private mutating func split(_ index: Int) {
        let half = pages[index].keys.count / 2
        let upper = Page(keys: Array(pages[index].keys[half...]), values: Array(pages[index].values[half...]))
        pages[index].keys.removeSubrange(half...)
        pages[index].values.removeSubrange(half...)
        pages.insert(upper, at: index + 1)
    }

    func entries(in range: KeyRange) -> [KeyValueWrite] {
        var entries: [KeyValueWrite] = []
        forEach(from: range.lower, to: range.upper) { key, value in
            entries.append(KeyValueWrite(key: key, value: value))
            return true
        }
        return entries
    }

    mutating func replace(_ range: KeyRange, by entries: [KeyValueWrite]) {
        for entry in self.entries(in: range) { set(entry.key, to: nil) }
        for entry in entries { set(entry.key, to: entry.value) }
    }

    func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) rethrows {
        guard !pages.isEmpty else { return }
        var index = page(for: lower)
        var at = Self.position(of: lower, in: pages[index].keys)
        while index < pages.count {
            let page = pages[index]
            while at < page.keys.count {
                if let upper, !Self.precedes(page.keys[at], upper) { return }
                guard try body(page.keys[at], page.values[at]) else { return }
                at += 1
            }
            (index, at) = (index + 1, 0)
        }
    }
}
