import Messages

/// Bounds that are part of ordered execution: every replica of every shard of a cluster must use the same.
public struct ShardLimits: Hashable, Sendable {
    /// Longest deadline - issuedAt that is accepted, in microseconds (R8).
    public var maxLifetimeMicroseconds: UInt64 = 120_000_000
    /// How far issuedAt may be ahead of the shard's time, in microseconds.
    public var futureToleranceMicroseconds: UInt64 = 5_000_000
    /// Only numbers below acknowledgedBelow + this are accepted (R11).
    public var requestWindow: UInt64 = 1024
    /// Attempts (request digests) that are kept for one (principal, number).
    public var maxAttempts = 8
    /// Undecided legs of one principal (R12).
    public var maxUndecidedPerPrincipal = 4096
    /// Undecided legs of all principals. Three quarters are for legs that reserve money here, half also for what
    /// anybody with a fresh key can begin, credits and calls. The last quarter is only for credits whose debits have
    /// voted yes, so that two shards full of each other's debits can decide them (R12).
    public var maxUndecided = 65536
    /// Records that may be forgotten at the start of one batch (R2).
    public var maxExpiriesPerBatch = 256

    /// Bounds of procedures: what one run may do, what one transaction holds, and how many unfinished transactions of
    /// other home shards one principal may have here (R12).
    public var maxStepsPerFrame = 10_000
    /// Keys and accounts that one frame locks, those inherited from its caller included.
    public var maxLocksPerFrame = 128
    /// Of a root call that has called no other shard: how often it runs from its start instead of dying (R5).
    public var maxStartOvers = 16
    /// Different keys and accounts that one frame changes.
    public var maxWritesPerFrame = 128
    /// Calls of one `callAll`.
    public var maxCallsPerGroup = 16
    /// Unfinished root calls of other home shards. Beyond, evidence that would begin one more changes nothing.
    public var maxCallsPerPrincipal = 256
    /// Of one transaction on one shard: calls that its frames issue, frames, and bytes of arguments, results and
    /// writes. What these allow is far below what a state entry, a leaf or a frame of the transport holds.
    public var maxCallsPerRecord = 64
    /// When there are so many, further calls are answered with a failure; from twice as many on, not at all.
    public var maxFramesPerRecord = 64
    /// Of arguments, results and changes together.
    public var maxBytesPerRecord = 64 << 10

    /// Shards of one leg: their certificates must fit in one `TransactionDecide`, and their bits in one word.
    public static let maxParticipants = 64

    /// The bounds that docs/ARCHITECTURE.md lists.
    public init() {}
}

/// Why a replica cannot go on. None of them is about what a client sent.
public enum ShardStateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The store failed to read.
    case store(String)
    /// The store's files are damaged.
    case damagedStore(String)
    /// An entry is not what this module writes.
    case corruptEntry(key: [UInt8], what: String)
    case corruptMetadata(String)
    /// The state belongs to another cluster or shard.
    case foreignState(cluster: ClusterID, shard: ShardID)
    case stateVersion(got: UInt16, supported: UInt16)
    /// The state was made with other procedures than this host has, whose names these are.
    case otherProcedures(names: [String])
    /// An installed state's metadata names another sequence number.
    case sequenceMismatch(got: SequenceNumber, expected: SequenceNumber)
    /// A state that was installed, or opened, does not have the digest that it must have.
    case digestMismatch(got: Digest, expected: Digest)

    /// What is on the disk is not what was written there: the state can be fetched again.
    public var isDamage: Bool {
        switch self {
        case .corruptEntry, .corruptMetadata, .digestMismatch, .damagedStore: true
        case .store, .foreignState, .stateVersion, .otherProcedures, .sequenceMismatch: false
        }
    }

    /// What is wrong, with both values where two were compared.
    public var description: String {
        switch self {
        case .store(let text): "the store failed: \(text)"
        case .damagedStore(let text): "the store is damaged: \(text)"
        case .corruptEntry(let key, let what): "corrupt entry \(Hex.encode(key)): \(what)"
        case .corruptMetadata(let what): "corrupt metadata: \(what)"
        case .foreignState(let cluster, let shard): "the state is of cluster \(cluster.short), shard \(shard)"
        case .stateVersion(let got, let supported): "state version \(got); this build reads version \(supported)"
        case .otherProcedures(let names):
            "the state was made with other procedures than this host has (\(names.isEmpty ? "none" : names.joined(separator: ", ")))"
        case .sequenceMismatch(let got, let expected): "the state is at sequence \(got), not \(expected)"
        case .digestMismatch(let got, let expected): "the state has digest \(got.short), not \(expected.short)"
        }
    }
}

/// Runs `body`, and gives whatever the store threw the module's own type.
func reading<T>(_ body: () throws -> T) throws(ShardStateError) -> T {
    do {
        return try body()
    } catch let error as ShardStateError {
        throw error
    } catch {
        if let failure = error as? any StoreFailure, failure.isDamage { throw .damagedStore(String(describing: error)) }
        throw .store(String(describing: error))
    }
}
