import CLMDB
import Messages

/// Writes one replica's state to LMDB, one synced transaction per `apply`, begun and committed on the calling thread:
/// LMDB deadlocks when another thread commits.
public struct LMDBStoreWriter: KeyValueWriter, Sendable {
    private let environment: LMDBEnvironment

    /// Several may write to one environment: LMDB lets one at a time.
    public init(_ environment: LMDBEnvironment) { self.environment = environment }

    /// See `LMDBEnvironment.condemn`.
    public func condemn() throws(LMDBError) { try environment.condemn() }

    /// Checks what the opening left out of a large file, its leaves. The first write does the same, unless it was done
    /// before. It takes a second or two a GB, from memory.
    /// - Throws: `.damaged`, from then on each time, and by each write: nothing was written since the opening, and the
    ///   file is as it was found. `.failed` when the system refuses, which says nothing of the file.
    public func checkFile() throws(LMDBError) { try environment.checkFile() }

    /// Large batches are cheaper: see the design's durability section. Ascending keys are cheapest.
    ///
    /// A transaction that is larger than LMDB keeps in memory (512 MiB of changed pages) goes to the file in part before
    /// it is committed. If the map is full nothing of it is applied.
    /// - Throws: `LMDBError`. After `.damaged`, `.mapFull` and `.keyLength` nothing was applied; a failed commit
    ///   poisons the environment.
    public func apply(
        _ writes: some Sequence<KeyValueWrite>, moving moves: [KeyRange]?, metadata: [UInt8], seal: [UInt8]?,
        clearing: Bool
    ) throws {
        for range in moves ?? [] { try LMDBKey.check(range) }
        try commit { transaction throws(LMDBError) in
            if clearing { try empty(environment.entries, transaction) }
            if let moves {
                for range in moves { try move(range, transaction) }
                try empty(environment.staged, transaction)
            }
            for write in writes {
                try LMDBKey.check(write.key)
                try put(write, environment.entries, transaction)
            }
            let (key, sealKey) = (LMDBSnapshot.metadataKey, LMDBSnapshot.sealKey)
            try put(KeyValueWrite(key: key, value: metadata), environment.metadata, transaction)
            try put(KeyValueWrite(key: sealKey, value: seal), environment.metadata, transaction)
        }
    }

    /// Synced as everything is: a page that could not be written must not be read again.
    /// - Throws: as `apply`.
    public func stage(_ parts: [StagedPart]) throws {
        for part in parts {
            for range in part.ranges { try LMDBKey.check(range) }
            for entry in part.entries { try LMDBKey.check(entry.key) }
        }
        try commit { transaction throws(LMDBError) in
            for part in parts {
                for range in part.ranges { try remove(range, environment.staged, transaction) }
                for entry in part.entries { try put(entry, environment.staged, transaction) }
            }
        }
    }

    private func commit(_ body: (OpaquePointer?) throws(LMDBError) -> Void) throws(LMDBError) {
        if let failure = environment.failure.withLock({ $0 }) { throw LMDBError.poisoned(by: failure) }
        // A write frees pages and uses free ones: on a file with pages that have two uses it would go over entries.
        try environment.checkFile()
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        var transaction: OpaquePointer?
        try environment.check(mdb_txn_begin(environment.handle, nil, 0, &transaction), "beginning a write transaction")
        let begun = transaction
        // Only LMDB's calls are guarded: what else is done here would have a sound state taken for damaged if it failed.
        do throws(LMDBError) { try body(transaction) } catch {
            environment.guarding { mdb_txn_abort(begun) }
            throw error
        }
        do throws(LMDBError) {
            // Frees the transaction even when it fails.
            let code = environment.guarding { mdb_txn_commit(begun) }
            if code != 0, environment.syncs.hasFailed {
                throw .syncFailed(operation: "committing", path: environment.path, code: code)
            }
            try environment.check(code, "committing")
        } catch {
            environment.failure.withLock { $0 = error }
            throw error
        }
    }

    private func put(_ write: KeyValueWrite, _ database: MDB_dbi, _ transaction: OpaquePointer?) throws(LMDBError) {
        let code = environment.guarding {
            LMDBKey.with(write.key) { key in
                guard let value = write.value else {
                    let code = mdb_del(transaction, database, &key, nil)
                    return code == MDB_NOTFOUND ? 0 : code
                }
                return LMDBKey.with(value) { value in mdb_put(transaction, database, &key, &value, 0) }
            }
        }
        try environment.check(code, write.value == nil ? "removing" : "writing")
    }

    private func empty(_ database: MDB_dbi, _ transaction: OpaquePointer?) throws(LMDBError) {
        try environment.check(environment.guarding { mdb_drop(transaction, database, 0) }, "clearing")
    }

    /// What is staged in a range takes the place of the entries in it.
    private func move(_ range: KeyRange, _ transaction: OpaquePointer?) throws(LMDBError) {
        try remove(range, environment.entries, transaction)
        try forEach(in: range, of: environment.staged, transaction, then: MDB_NEXT) { _, key, value in
            // Both lie in pages that this transaction changes only when all have been read.
            mdb_put(transaction, environment.entries, &key, &value, 0)
        }
    }

    private func remove(_ range: KeyRange, _ database: MDB_dbi, _ transaction: OpaquePointer?) throws(LMDBError) {
        try forEach(in: range, of: database, transaction, then: MDB_SET_RANGE) { cursor, _, _ in
            mdb_cursor_del(cursor, 0)
        }
    }

    /// - Parameters:
    ///   - next: how the next entry is found: behind the last one, or as the first one again.
    ///   - body: returns LMDB's code.
    private func forEach(
        in range: KeyRange, of database: MDB_dbi, _ transaction: OpaquePointer?, then next: MDB_cursor_op,
        _ body: (OpaquePointer?, inout MDB_val, inout MDB_val) -> Int32
    ) throws(LMDBError) {
        let code = environment.guarding {
            var cursor: OpaquePointer?
            let opened = mdb_cursor_open(transaction, database, &cursor)
            guard opened == 0 else { return opened }
            defer { mdb_cursor_close(cursor) }
            var value = MDB_val()
            return LMDBKey.with(range.lower) { lower in
                var key = lower
                var code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE)
                while code == 0, key.precedes(range.upper) {
                    code = body(cursor, &key, &value)
                    if code != 0 { return code }
                    if next == MDB_SET_RANGE { key = lower }
                    code = mdb_cursor_get(cursor, &key, &value, next)
                }
                return code == MDB_NOTFOUND ? 0 : code
            }
        }
        try environment.check(code, "going through a range")
    }
}
