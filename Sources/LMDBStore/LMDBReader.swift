import CLMDB
import Glibc
import Messages
import Synchronization

// Unchecked: LMDB wants one user of a transaction at a time, on any thread (MDB_NOTLS), and `transaction` is used only
// under `lock`, except in deinit, when nobody else has it.
/// A read transaction: the database at one moment. Held open until the object goes.
public final class LMDBSnapshot: KeyValueReader, @unchecked Sendable {
    static let metadataKey: [UInt8] = [0]
    static let sealKey: [UInt8] = [1]
    /// Entries copied at a time by `forEach`, so that its body runs without the lock.
    private static let chunk = 256

    let environment: LMDBEnvironment
    private let transaction: OpaquePointer
    private let lock = Mutex(())
    /// Of `transaction`, used under `lock`: what is read in order is found without going down from the root.
    private var cursor: OpaquePointer?

    init(_ environment: LMDBEnvironment) throws(LMDBError) {
        var started: OpaquePointer?
        let code = mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &started)
        try environment.check(code, "beginning a read transaction")
        guard let started else {
            throw .failed(operation: "beginning a read transaction", path: environment.path, code: MDB_PANIC)
        }
        (self.environment, transaction) = (environment, started)
    }

    deinit {
        mdb_cursor_close(cursor)
        mdb_txn_abort(transaction)
    }

    /// A copy of the value; nil if there is none.
    /// - Throws: `LMDBError.keyLength` for a key that no entry can have; `failed`.
    public func value(forKey key: [UInt8]) throws -> [UInt8]? {
        try LMDBKey.check(key)
        return try get(key, in: environment.entries)
    }

    /// Of the last `apply` before this moment; nil before the first.
    public func metadata() throws -> [UInt8]? { try get(Self.metadataKey, in: environment.metadata) }

    /// Of the last `apply` before this moment; nil if it gave none.
    public func seal() throws -> [UInt8]? { try get(Self.sealKey, in: environment.metadata) }

    /// Copies 256 entries at a time, so that `body` runs without a lock and may read the same snapshot. `lower` may be
    /// longer than any key.
    /// - Throws: `LMDBError.failed`, and what `body` throws.
    public func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
        // LMDB cannot be asked for a longer key; the entries sought are all beyond its longest prefix.
        var start = lower.count > LMDBKey.maximum ? Array(lower.prefix(LMDBKey.maximum)) : lower
        var isExclusive = lower.count > LMDBKey.maximum
        while true {
            let entries = try chunk(from: start, exclusive: isExclusive, to: upper)
            for (key, value) in entries {
                guard try body(key, value) else { return }
            }
            guard entries.count == Self.chunk, let last = entries.last else { return }
            (start, isExclusive) = (last.0, true)
        }
    }

    /// From the mapped pages themselves, under the lock: `body` must not read this snapshot.
    /// - Throws: `LMDBError.failed`, and what `body` throws.
    public func forEachBorrowed(
        from lower: [UInt8], to upper: [UInt8]?,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        guard lower.count <= LMDBKey.maximum else {
            return try forEach(from: lower, to: upper) { key, value in
                try key.withUnsafeBytes { key in try value.withUnsafeBytes { try body(key, $0) } }
            }
        }
        var failure: (any Error)?
        let code = exclusively {
            var code: Int32 = 0
            if cursor == nil { code = mdb_cursor_open(transaction, environment.entries, &cursor) }
            guard code == 0 else { return code }
            var value = MDB_val()
            return LMDBKey.with(lower) { key in
                var code = mdb_cursor_get(cursor, &key, &value, lower.isEmpty ? MDB_FIRST : MDB_SET_RANGE)
                while code == 0 {
                    if let upper, !key.precedes(upper) { return 0 }
                    guard environment.mapped.holds(value) else { return MDB_CORRUPTED }
                    do { guard try body(key.bytes, value.bytes) else { return 0 } } catch {
                        failure = error
                        return 0
                    }
                    code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
                }
                return code
            }
        }
        if let failure { throw failure }
        if code != MDB_NOTFOUND { try environment.check(code, "iterating") }
    }

    /// Moves on to the last commit.
    func renew() throws(LMDBError) {
        let code = lock.withLock { _ in
            mdb_cursor_close(cursor)
            cursor = nil
            mdb_txn_reset(transaction)
            return mdb_txn_renew(transaction)
        }
        try environment.check(code, "renewing a read transaction")
    }

    /// One thread at a time, and what it does in LMDB is marked.
    private func exclusively(_ body: () -> Int32) -> Int32 {
        lock.withLock { _ in environment.guarding(body) }
    }

    private func get(_ key: [UInt8], in database: MDB_dbi) throws(LMDBError) -> [UInt8]? {
        var found: [UInt8]?
        let code = exclusively {
            LMDBKey.with(key) { key in
                var value = MDB_val()
                let code = mdb_get(transaction, database, &key, &value)
                guard code == 0 else { return code }
                guard environment.mapped.holds(value) else { return MDB_CORRUPTED }
                found = value.copied
                return 0
            }
        }
        if code != MDB_NOTFOUND { try environment.check(code, "reading") }
        return found
    }

    private func chunk(from start: [UInt8], exclusive: Bool, to upper: [UInt8]?) throws(LMDBError) -> [(
        [UInt8], [UInt8]
    )] {
        var entries: [([UInt8], [UInt8])] = []
        let code = exclusively {
            var cursor: OpaquePointer?
            var code = mdb_cursor_open(transaction, environment.entries, &cursor)
            guard code == 0 else { return code }
            defer { mdb_cursor_close(cursor) }
            var value = MDB_val()
            var last: [UInt8]?
            code = LMDBKey.with(start) { key in
                var code = mdb_cursor_get(cursor, &key, &value, start.isEmpty ? MDB_FIRST : MDB_SET_RANGE)
                while code == 0 {
                    let found = key.copied
                    // A leaf out of order would have whoever goes on from the last key go round in circles.
                    guard last?.lexicographicallyPrecedes(found) ?? !found.lexicographicallyPrecedes(start) else {
                        return MDB_CORRUPTED
                    }
                    last = found
                    if !(exclusive && found == start) {
                        if let upper, !found.lexicographicallyPrecedes(upper) { return 0 }
                        guard environment.mapped.holds(value) else { return MDB_CORRUPTED }
                        entries.append((found, value.copied))
                        if entries.count == Self.chunk { return 0 }
                    }
                    code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
                }
                return code
            }
            return code
        }
        if code != MDB_NOTFOUND { try environment.check(code, "iterating") }
        return entries
    }
}

/// Reads one replica's state from LMDB. A copy shares its moment until one of the two is refreshed.
public struct LMDBStore: KeyValueStore, Sendable {
    private let environment: LMDBEnvironment
    private var current: LMDBSnapshot

    /// Reads the last commit, until `refresh`. Takes one of the environment's readers.
    /// - Throws: `LMDBError.failed`, also when there is no reader left.
    public init(_ environment: LMDBEnvironment) throws(LMDBError) {
        self.environment = environment
        current = try LMDBSnapshot(environment)
    }

    /// As the last `refresh` saw it.
    /// - Throws: as `LMDBSnapshot.value(forKey:)`.
    public func value(forKey key: [UInt8]) throws -> [UInt8]? { try current.value(forKey: key) }

    /// Over what the last `refresh` saw, whatever is written meanwhile.
    /// - Throws: `LMDBError.failed`, and what `body` throws.
    public func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: ([UInt8], [UInt8]) throws -> Bool) throws {
        try current.forEach(from: lower, to: upper, body)
    }

    /// As `LMDBSnapshot.forEachBorrowed`.
    public func forEachBorrowed(
        from lower: [UInt8], to upper: [UInt8]?,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) throws { try current.forEachBorrowed(from: lower, to: upper, body) }

    /// Of the last `apply` that `refresh` saw.
    public func metadata() throws -> [UInt8]? { try current.metadata() }

    /// Of the last `apply` that `refresh` saw; nil if it gave none.
    public func seal() throws -> [UInt8]? { try current.seal() }

    /// What the last `refresh` saw. It keeps the pages of its moment from being used again, so it should not live long.
    public func snapshot() -> LMDBSnapshot { current }

    /// Sees the last commit from now on. Takes one more reader while a snapshot or a copy holds the old moment.
    /// - Throws: `LMDBError.failed`.
    public mutating func refresh() throws {
        // A moment that a snapshot shares must stay; otherwise its reader slot is used again.
        if isKnownUniquelyReferenced(&current) {
            try current.renew()
        } else {
            current = try LMDBSnapshot(environment)
        }
    }
}

enum LMDBKey {
    static let maximum = 511

    static func check(_ key: [UInt8]) throws(LMDBError) {
        guard (1...maximum).contains(key.count) else { throw .keyLength(key.count) }
    }

    static func check(_ range: KeyRange) throws(LMDBError) {
        try check(range.lower)
        try check(range.upper)
    }

    /// LMDB takes pointers to mutable memory and writes to none of it.
    static func with<R>(_ bytes: [UInt8], _ body: (inout MDB_val) -> R) -> R {
        bytes.withUnsafeBytes { buffer in
            var value = MDB_val(mv_size: buffer.count, mv_data: UnsafeMutableRawPointer(mutating: buffer.baseAddress))
            return body(&value)
        }
    }
}

extension MDB_val {
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
    var copied: [UInt8] { Array(bytes) }

    /// In the order of the database.
    func precedes(_ key: [UInt8]) -> Bool {
        key.withUnsafeBytes { key in
            // Only an empty array has no address, and nothing is before it.
            guard let first = key.baseAddress else { return false }
            let order = memcmp(mv_data, first, min(mv_size, key.count))
            return order == 0 ? mv_size < key.count : order < 0
        }
    }
}
