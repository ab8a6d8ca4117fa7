// What a replica shows of itself to those who ask: nothing of it is certified.

/// One account as one replica has it now.
public struct AccountView: Hashable, Sendable, CanonicalCodable {
    public let owner: PublicKey
    public let asset: AssetID
    public let posted: Amount
    public let pendingDebits: Amount
    public let pendingCredits: Amount

    public init(owner: PublicKey, asset: AssetID, posted: Amount, pendingDebits: Amount, pendingCredits: Amount) {
        (self.owner, self.asset, self.posted) = (owner, asset, posted)
        (self.pendingDebits, self.pendingCredits) = (pendingDebits, pendingCredits)
    }
    /// Whether undecided transactions hold something of it.
    public var isPending: Bool { pendingDebits != .zero || pendingCredits != .zero }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (owner, asset, posted) = (try reader.value(), try reader.value(), try reader.value())
        (pendingDebits, pendingCredits) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(owner)
        writer.put(asset)
        writer.put(posted)
        writer.put(pendingDebits)
        writer.put(pendingCredits)
    }
}

/// One replica as it is now.
public struct ReplicaStatus: Hashable, Sendable, CanonicalCodable {
    public let shard: ShardID
    public let replica: ReplicaIndex
    public let view: View
    public let isChangingView: Bool
    public let isPrimary: Bool
    public let lastExecuted: SequenceNumber
    public let stable: SequenceNumber
    /// On disk in LMDB up to here.
    public let flushed: SequenceNumber
    public let pendingRequests: UInt32
    public let undecided: UInt32
    /// Records that another shard may have to be told of: they are pushed until it says that it is done.
    public let open: UInt32
    /// For how long this replica has seen the oldest of them undecided, in microseconds; 0 if there is none.
    public let oldestUndecided: UInt64
    /// Empty while the replica votes; otherwise why it stopped.
    public let halted: String
    /// Empty while the replica takes part in ordering; otherwise what it waits for (R4).
    public let standing: String
    /// The shard's time as this replica has executed it (R2), and its host's clock when it said so.
    public let time: Timestamp
    public let clock: Timestamp

    public init(
        shard: ShardID, replica: ReplicaIndex, view: View, isChangingView: Bool, isPrimary: Bool,
        lastExecuted: SequenceNumber,
        stable: SequenceNumber, flushed: SequenceNumber, pendingRequests: UInt32, undecided: UInt32, open: UInt32 = 0,
        oldestUndecided: UInt64 = 0,
        halted: String,
        standing: String = "", time: Timestamp = .zero, clock: Timestamp = .zero
    ) {
        (self.shard, self.replica, self.view, self.isChangingView) = (shard, replica, view, isChangingView)
        (self.isPrimary, self.lastExecuted, self.stable, self.flushed) = (isPrimary, lastExecuted, stable, flushed)
        (self.pendingRequests, self.undecided, self.halted) = (pendingRequests, undecided, halted)
        (self.open, self.oldestUndecided, self.standing) = (open, oldestUndecided, standing)
        (self.time, self.clock) = (time, clock)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, replica, view) = (try reader.value(), try reader.value(), try reader.value())
        (isChangingView, isPrimary) = (try reader.bool(), try reader.bool())
        (lastExecuted, stable, flushed) = (try reader.value(), try reader.value(), try reader.value())
        (pendingRequests, undecided, open) = (try reader.uint32(), try reader.uint32(), try reader.uint32())
        oldestUndecided = try reader.uint64()
        (time, clock) = (try reader.value(), try reader.value())
        guard let halted = String(validating: try reader.blob(limit: 4096), as: UTF8.self),
            let standing = String(validating: try reader.blob(limit: 4096), as: UTF8.self)
        else { throw reader.invalid("text") }
        (self.halted, self.standing) = (halted, standing)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(replica)
        writer.put(view)
        writer.put(isChangingView)
        writer.put(isPrimary)
        writer.put(lastExecuted)
        writer.put(stable)
        writer.put(flushed)
        writer.put(pendingRequests)
        writer.put(undecided)
        writer.put(open)
        writer.put(oldestUndecided)
        writer.put(time)
        writer.put(clock)
        for var text in [halted, standing] {
            while text.utf8.count > 4096 { text.removeLast() }
            writer.put(blob: Array(text.utf8))
        }
    }
}

/// Sums over one replica's whole state after `sequence`.
public struct ShardAudit: Hashable, Sendable, CanonicalCodable {
    public struct Asset: Hashable, Sendable, CanonicalCodable {
        public let asset: AssetID
        public let posted: UInt128
        public let pendingDebits: UInt128
        public let pendingCredits: UInt128
        public let issued: UInt128
        public init(asset: AssetID, posted: UInt128, pendingDebits: UInt128, pendingCredits: UInt128, issued: UInt128) {
            (self.asset, self.posted, self.issued) = (asset, posted, issued)
            (self.pendingDebits, self.pendingCredits) = (pendingDebits, pendingCredits)
        }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (asset, posted) = (try reader.value(), try reader.uint128())
            (pendingDebits, pendingCredits, issued) = (try reader.uint128(), try reader.uint128(), try reader.uint128())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(asset)
            writer.put(posted)
            writer.put(pendingDebits)
            writer.put(pendingCredits)
            writer.put(issued)
        }
    }

    public let shard: ShardID
    public let replica: ReplicaIndex
    public let sequence: SequenceNumber
    /// Digest of the whole state: equal at equal sequence on every correct replica.
    public let stateDigest: Digest
    public let history: Digest
    public let accounts: UInt64
    public let undecided: UInt64
    /// Ascending.
    public let assets: [Asset]

    public init(
        shard: ShardID, replica: ReplicaIndex, sequence: SequenceNumber, stateDigest: Digest, history: Digest,
        accounts: UInt64, undecided: UInt64, assets: [Asset]
    ) {
        (self.shard, self.replica, self.sequence) = (shard, replica, sequence)
        (self.stateDigest, self.history) = (stateDigest, history)
        (self.accounts, self.undecided, self.assets) = (accounts, undecided, assets)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, replica, sequence) = (try reader.value(), try reader.value(), try reader.value())
        (stateDigest, history) = (try reader.value(), try reader.value())
        (accounts, undecided) = (try reader.uint64(), try reader.uint64())
        assets = try reader.array(limit: 65536)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(replica)
        writer.put(sequence)
        writer.put(stateDigest)
        writer.put(history)
        writer.put(accounts)
        writer.put(undecided)
        writer.put(array: assets)
    }
}
