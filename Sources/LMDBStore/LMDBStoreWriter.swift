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

    /// Large batches are cheaper: see the design's durability section. Ascending keys are cheapest.
    /// - Throws: `LMDBError`. After `.mapFull` and `.keyLength` nothing was applied; a failed commit poisons the
    ///   environment.
    public func apply(_ writes: [KeyValueWrite], metadata: [UInt8], seal: [UInt8]?, clearing: Bool) throws {
        if let failure = environment.failure.withLock({ $0 }) { throw LMDBError.poisoned(by: failure) }
        for write in writes { try LMDBKey.check(write.key) }
        var transaction: OpaquePointer?
        try environment.check(mdb_txn_begin(environment.handle, nil, 0, &transaction), "beginning a write transaction")
        try environment.mark.guarding { () throws(LMDBError) in
            try commit(writes, metadata, seal, clearing, transaction)
        }
    }

    private func commit(
        _ writes: [KeyValueWrite], _ metadata: [UInt8], _ seal: [UInt8]?, _ clearing: Bool,
        _ transaction: OpaquePointer?
    ) throws(LMDBError) {
        do throws(LMDBError) {
            if clearing { try environment.check(mdb_drop(transaction, environment.entries, 0), "clearing") }
            for write in writes { try put(write.key, write.value, environment.entries, transaction) }
            try put(LMDBSnapshot.metadataKey, metadata, environment.metadata, transaction)
            try put(LMDBSnapshot.sealKey, seal, environment.metadata, transaction)
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        do throws(LMDBError) {
            // Frees the transaction even when it fails.
            let code = mdb_txn_commit(transaction)
            if code != 0, environment.syncs.hasFailed {
                throw .syncFailed(operation: "committing", path: environment.path, code: code)
            }
            try environment.check(code, "committing")
        } catch {
            environment.failure.withLock { $0 = error }
            throw error
        }
    }

    private func put(_ key: [UInt8], _ value: [UInt8]?, _ database: MDB_dbi, _ transaction: OpaquePointer?)
        throws(LMDBError)
    {
        let code = LMDBKey.with(key) { key in
            guard let value else {
                let code = mdb_del(transaction, database, &key, nil)
                return code == MDB_NOTFOUND ? 0 : code
            }
            return LMDBKey.with(value) { value in mdb_put(transaction, database, &key, &value, 0) }
        }
        try environment.check(code, value == nil ? "removing" : "writing")
    }
}
