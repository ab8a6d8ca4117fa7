// What a replica shows of itself to those who ask: nothing of it is certified.

/// One account as one replica has it now.
public struct AccountView: Hashable, Sendable, CanonicalCodable {
    /// The key that may debit it.
    public let owner: PublicKey
    /// Which asset it holds, and no other.
    public let asset: AssetID
    /// What is there, undecided debits included, undecided credits not; in minor units.
    public let posted: Amount
    /// Of `posted`, what undecided transfers have reserved; in minor units.
    public let pendingDebits: Amount
    /// What undecided transfers may yet add; in minor units.
    public let pendingCredits: Amount
    /// How it is frozen; nil if it is not.
    public let freeze: AccountFreeze?

    /// What a replica read. That `posted` covers the debits is kept by the executor, and not checked here.
    public init(
        owner: PublicKey, asset: AssetID, posted: Amount, pendingDebits: Amount, pendingCredits: Amount,
        freeze: AccountFreeze? = nil
    ) {
        (self.owner, self.asset, self.posted) = (owner, asset, posted)
        (self.pendingDebits, self.pendingCredits, self.freeze) = (pendingDebits, pendingCredits, freeze)
    }
    /// Whether undecided transactions hold something of it.
    public var isPending: Bool { pendingDebits != .zero || pendingCredits != .zero }

    /// As `encode` writes it; any values.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let view = try reader.accountView() else { throw reader.invalid("account view") }
        self = view
    }
    fileprivate init(isFrozen: Bool, from reader: inout ByteReader) throws(DecodingFailure) {
        (owner, asset, posted) = (try reader.value(), try reader.value(), try reader.value())
        (pendingDebits, pendingCredits) = (try reader.value(), try reader.value())
        freeze = isFrozen ? try reader.value() : nil
    }
    /// A byte, 1 or, if it is frozen, 2; owner, asset, posted, pending debits, pending credits; how it is frozen. Where
    /// there may be no account, zero stands for that.
    public func encode(into writer: inout ByteWriter) {
        writer.put(UInt8(freeze == nil ? 1 : 2))
        writer.put(owner)
        writer.put(asset)
        writer.put(posted)
        writer.put(pendingDebits)
        writer.put(pendingCredits)
        if let freeze { writer.put(freeze) }
    }
}

extension ByteWriter {
    /// The view, or a zero byte if there is no account.
    mutating func put(account view: AccountView?) {
        if let view { put(view) } else { put(UInt8(0)) }
    }
}

extension ByteReader {
    /// A view; nil for the zero byte that says that there is no account.
    mutating func accountView() throws(DecodingFailure) -> AccountView? {
        switch try uint8() {
        case 0: return nil
        case 1: return try AccountView(isFrozen: false, from: &self)
        case 2: return try AccountView(isFrozen: true, from: &self)
        default: throw invalid("account view")
        }
    }
}

/// One replica as it is now.
public struct ReplicaStatus: Hashable, Sendable, CanonicalCodable {
    /// The shard of which it is a member.
    public let shard: ShardID
    /// Its place in the group.
    public let replica: ReplicaIndex
    /// The view that it is in, or wants to enter.
    public let view: View
    /// It has left the view before `view` and waits for the NEW-VIEW.
    public let isChangingView: Bool
    /// Whether it leads `view`.
    public let isPrimary: Bool
    /// What it has executed last.
    public let lastExecuted: SequenceNumber
    /// Its newest checkpoint that 2f + 1 replicas claim: the low watermark.
    public let stable: SequenceNumber
    /// On disk in LMDB up to here.
    public let flushed: SequenceNumber
    /// How much waits in it to be ordered: decides and evidence as well as requests.
    public let pendingRequests: UInt32
    /// How many legs and calls it has recorded that are not decided.
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
    /// The host's clock beside it, which the time is compared with (`ClockReport`); zero if nobody looked at it.
    public let clock: Timestamp

    /// What the replica says of itself; nobody checks it.
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
    /// Refuses texts above 4,096 bytes, or that are not UTF-8.
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
    /// In the order of declaration, but that the two texts come last, each cut to 4,096 bytes between characters.
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
    /// Sums over all accounts of the shard that hold one asset, in minor units.
    public struct Asset: Hashable, Sendable, CanonicalCodable {
        /// Which asset.
        public let asset: AssetID
        /// What the shard's accounts hold, undecided debits included.
        public let posted: UInt128
        /// What of it undecided transfers have reserved.
        public let pendingDebits: UInt128
        /// What undecided transfers may yet add.
        public let pendingCredits: UInt128
        /// How much of it was ever created in accounts of this shard. Over all shards at rest it equals `posted`.
        public let issued: UInt128
        /// Sums as they are: that they balance shows only over all shards together.
        public init(asset: AssetID, posted: UInt128, pendingDebits: UInt128, pendingCredits: UInt128, issued: UInt128) {
            (self.asset, self.posted, self.issued) = (asset, posted, issued)
            (self.pendingDebits, self.pendingCredits) = (pendingDebits, pendingCredits)
        }
        /// Any sums are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (asset, posted) = (try reader.value(), try reader.uint128())
            (pendingDebits, pendingCredits, issued) = (try reader.uint128(), try reader.uint128(), try reader.uint128())
        }
        /// Asset, posted, pending debits, pending credits, issued.
        public func encode(into writer: inout ByteWriter) {
            writer.put(asset)
            writer.put(posted)
            writer.put(pendingDebits)
            writer.put(pendingCredits)
            writer.put(issued)
        }
    }

    /// The shard whose state was summed.
    public let shard: ShardID
    /// The replica that did it.
    public let replica: ReplicaIndex
    /// The last batch in the sums.
    public let sequence: SequenceNumber
    /// Digest of the whole state: equal at equal sequence on every correct replica.
    public let stateDigest: Digest
    /// The digest of everything that was ever executed there, in order: equal at equal sequence on every correct
    /// replica.
    public let history: Digest
    /// How many accounts the shard has.
    public let accounts: UInt64
    /// How many legs and calls are recorded and not decided.
    public let undecided: UInt64
    /// Ascending.
    public let assets: [Asset]

    /// What the replica found; nobody checks it.
    public init(
        shard: ShardID, replica: ReplicaIndex, sequence: SequenceNumber, stateDigest: Digest, history: Digest,
        accounts: UInt64, undecided: UInt64, assets: [Asset]
    ) {
        (self.shard, self.replica, self.sequence) = (shard, replica, sequence)
        (self.stateDigest, self.history) = (stateDigest, history)
        (self.accounts, self.undecided, self.assets) = (accounts, undecided, assets)
    }
    /// Refuses more than 65,536 assets.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, replica, sequence) = (try reader.value(), try reader.value(), try reader.value())
        (stateDigest, history) = (try reader.value(), try reader.value())
        (accounts, undecided) = (try reader.uint64(), try reader.uint64())
        assets = try reader.array(limit: 65536)
    }
    /// In the order of declaration; assets are counted.
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
