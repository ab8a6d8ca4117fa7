/// Moves `amount` of `asset` from one account to another. The principal who signs must own `from`.
public struct Transfer: Hashable, Sendable, CanonicalCodable {
    /// The debited account.
    public let from: AccountID
    /// The credited account; another one than `from`, or the transfer is malformed.
    public let to: AccountID
    /// What both accounts must hold.
    public let asset: AssetID
    /// More than zero, and at most `Amount.limit`, in minor units.
    public let amount: Amount

    /// Checks nothing: what is malformed the shards refuse for ever.
    public init(from: AccountID, to: AccountID, asset: AssetID, amount: Amount) {
        (self.from, self.to, self.asset, self.amount) = (from, to, asset, amount)
    }
    /// Any accounts, asset and amount are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (from, to, asset, amount) = (try reader.value(), try reader.value(), try reader.value(), try reader.value())
    }
    /// From, to, asset, amount.
    public func encode(into writer: inout ByteWriter) {
        writer.put(from)
        writer.put(to)
        writer.put(asset)
        writer.put(amount)
    }
}

/// What an account's identifier is made of.
public struct AccountSpecification: Hashable, Sendable, CanonicalCodable {
    /// Who may debit it: a principal's key, or the hash that stands for a procedure.
    public let owner: PublicKey
    /// What it will hold, and nothing else.
    public let asset: AssetID
    /// Tells apart the accounts of one owner in one asset.
    public let index: UInt64

    /// An identifier follows whether or not the account is open.
    public init(owner: PublicKey, asset: AssetID, index: UInt64 = 0) {
        (self.owner, self.asset, self.index) = (owner, asset, index)
    }
    /// Any key, asset and index are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (owner, asset, index) = (try reader.value(), try reader.value(), try reader.uint64())
    }
    /// Owner, asset, index: what is hashed to the identifier.
    public func encode(into writer: inout ByteWriter) {
        writer.put(owner)
        writer.put(asset)
        writer.put(index)
    }

    /// The first 16 bytes of the tagged hash of all three, so that nobody can occupy another's (docs/decisions/0008).
    public var id: AccountID {
        let digest = Hasher256.hash(.account, encoded())
        return AccountID(digest.value.bytes.prefix(16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) })
    }
}

/// One step of a request.
public enum Operation: Hashable, Sendable, CanonicalCodable {
    /// Moves money between two accounts, of one shard or of two.
    case transfer(Transfer)
    /// Opens an empty account. Anyone may open an account for anyone: its identifier names its owner.
    case open(AccountSpecification)
    /// Creates money; only the manifest's issuer may.
    case issue(to: AccountID, asset: AssetID, amount: Amount)
    /// Reads an account, in order; only its owner may. For when a quorum read finds no agreement (R6).
    case read(AccountID)
    /// Runs a procedure on its target's shard, which may call others (R13). Alone in an atomic request. `continues` is
    /// an earlier number of the principal whose call died on that shard, or waited past its deadline: this one is as
    /// old as that was (R5).
    // Indirect, so that transfers take no more room than they need.
    indirect case call(Invocation, continues: RequestNumber? = nil)
    /// Freezes an account, or changes how it is frozen; only the manifest's compliance authority may. A transaction of
    /// its own, on the account's shard.
    case freeze(AccountID, AccountFreeze)
    /// Ends whatever freeze there is of an account, and changes nothing where there is none; only the manifest's
    /// compliance authority may. A transaction of its own.
    case release(AccountID)

    /// Kinds 1 to 7, in the order of the cases; any other is invalid.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .transfer(try reader.value())
        case 2: self = .open(try reader.value())
        case 3: self = .issue(to: try reader.value(), asset: try reader.value(), amount: try reader.value())
        case 4: self = .read(try reader.value())
        case 5: self = .call(try reader.value(), continues: try reader.bool() ? try reader.value() : nil)
        case 6: self = .freeze(try reader.value(), try reader.value())
        case 7: self = .release(try reader.value())
        default: throw reader.invalid("operation kind")
        }
    }

    /// A kind byte, then what it says; before `continues` a byte says whether it is there.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .transfer(let transfer):
            writer.put(UInt8(1))
            writer.put(transfer)
        case .open(let account):
            writer.put(UInt8(2))
            writer.put(account)
        case .issue(let to, let asset, let amount):
            writer.put(UInt8(3))
            writer.put(to)
            writer.put(asset)
            writer.put(amount)
        case .read(let account):
            writer.put(UInt8(4))
            writer.put(account)
        case .call(let invocation, let continued):
            writer.put(UInt8(5))
            writer.put(invocation)
            writer.put(continued != nil)
            if let continued { writer.put(continued) }
        case .freeze(let account, let freeze):
            writer.put(UInt8(6))
            writer.put(account)
            writer.put(freeze)
        case .release(let account):
            writer.put(UInt8(7))
            writer.put(account)
        }
    }
}

/// An earlier request of the same principal that a request is to come after on one shard (`Request.follows`).
public struct Predecessor: Hashable, Sendable, CanonicalCodable {
    /// Where it comes first: the shards order by themselves, so each has a predecessor of its own.
    public let shard: ShardID
    /// Below the number of the request that follows it.
    public let number: RequestNumber
    /// As that request was signed. Past it, by the shard's time, nothing can be recorded of it there any more (R10), so
    /// nothing waits for it.
    public let deadline: Timestamp

    /// Checks nothing: what is malformed the shards refuse for ever.
    public init(shard: ShardID, number: RequestNumber, deadline: Timestamp) {
        (self.shard, self.number, self.deadline) = (shard, number, deadline)
    }
    /// Any shard, number and deadline are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, number, deadline) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// Shard, number, deadline.
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(number)
        writer.put(deadline)
    }
}

/// What a principal signs. Its legs are atomic together, or independent of each other.
public struct Request: Hashable, Sendable, CanonicalCodable {
    /// Whether the operations stand or fall together.
    public enum Mode: UInt8, Sendable {
        /// All operations are one transaction: one leg, number 0.
        case atomic = 0
        /// Operation i is leg i, a transaction of its own with an outcome of its own.
        case independent = 1
    }

    /// The largest number of operations in one request.
    public static let maxOperations = 1024
    /// The largest number of shards on which one request follows others.
    public static let maxPredecessors = 64
    /// Added to the mode's byte where there are predecessors: a request without any has the bytes that it always had.
    private static let followsFlag: UInt8 = 2

    /// Where it counts: signed, so that it means nothing in another cluster.
    public var cluster: ClusterID
    /// The epoch whose keys may certify it.
    public var epoch: Epoch
    /// Who signs, and whose accounts are debited.
    public var principal: PublicKey
    /// The principal's own number: of all attempts under one at most one commits a leg (R11).
    public var number: RequestNumber
    /// The principal has seen the outcomes of all its requests below this number and will never repeat them (R11).
    public var acknowledgedBelow: RequestNumber
    /// What it comes after, where the principal has more than one request under way: on each of these shards it is
    /// refused for the time being until something of its predecessor is recorded there, or nothing can be any more.
    /// Ascending by shard, none twice; mostly empty. An order of votes, and not of outcomes: an abort is recorded too.
    public var follows: [Predecessor]
    /// When, as the principal says (`RequestTimes`). A shard refuses it for the time being while it is more than 5 s
    /// ahead of the shard's time (`ShardLimits`).
    public var issuedAt: Timestamp
    /// Past it, by a shard's time, a shard that has not voted never will (R10). Later than `issuedAt`, by 120 s at most
    /// (`ShardLimits`).
    public var deadline: Timestamp
    /// Whether there is one leg or one an operation.
    public var mode: Mode
    /// 1 to `maxOperations`.
    public var operations: [Operation]

    /// Checks nothing: what shards would refuse for ever is certified as malformed.
    public init(
        cluster: ClusterID, epoch: Epoch, principal: PublicKey, number: RequestNumber, acknowledgedBelow: RequestNumber,
        follows: [Predecessor] = [], issuedAt: Timestamp, deadline: Timestamp, mode: Mode, operations: [Operation]
    ) {
        (self.cluster, self.epoch, self.principal, self.number) = (cluster, epoch, principal, number)
        (self.acknowledgedBelow, self.follows) = (acknowledgedBelow, follows)
        (self.issuedAt, self.deadline) = (issuedAt, deadline)
        (self.mode, self.operations) = (mode, operations)
    }

    /// Refuses an unknown mode, no operations, more than `maxOperations` and more than `maxPredecessors`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, principal) = (try reader.value(), try reader.value(), try reader.value())
        (number, acknowledgedBelow) = (try reader.value(), try reader.value())
        (issuedAt, deadline) = (try reader.value(), try reader.value())
        let modeByte = try reader.uint8()
        guard let mode = Mode(rawValue: modeByte & ~Self.followsFlag) else { throw reader.invalid("request mode") }
        self.mode = mode
        if modeByte & Self.followsFlag != 0 {
            follows = try reader.array(limit: Self.maxPredecessors)
            // One value has one encoding.
            guard !follows.isEmpty else { throw reader.invalid("request without the predecessors that it announces") }
        } else {
            follows = []
        }
        operations = try reader.array(limit: Self.maxOperations)
        guard !operations.isEmpty else { throw reader.invalid("request without operations") }
    }

    /// In the order of declaration, but `follows` behind the mode, whose byte says whether there is any: the bytes that
    /// are signed.
    public func encode(into writer: inout ByteWriter) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(principal)
        writer.put(number)
        writer.put(acknowledgedBelow)
        writer.put(issuedAt)
        writer.put(deadline)
        writer.put(follows.isEmpty ? mode.rawValue : mode.rawValue | Self.followsFlag)
        if !follows.isEmpty { writer.put(array: follows) }
        writer.put(array: operations)
    }

    /// The number of transactions in this request.
    public var legCount: Int {
        switch mode {
        case .atomic: 1
        case .independent: operations.count
        }
    }

    /// What it comes after on one shard.
    public func predecessor(on shard: ShardID) -> Predecessor? { follows.first { $0.shard == shard } }
}

/// A request, the exact bytes that were signed, and the signature. Comparing and hashing go by the digest.
public struct SignedRequest: Hashable, Sendable, CanonicalCodable {
    /// What `bytes` say.
    public let request: Request
    /// The canonical encoding of `request`: what was signed, and what is relayed.
    public let bytes: [UInt8]
    /// Hash of the signed bytes. The signature is outside, so that nobody can give one transaction two identities.
    public let digest: Digest
    /// By the principal, over `digest`.
    public let signature: Signature

    /// Bytes of the largest request that is accepted.
    public static let maxBytes = 128 * 1024

    /// Encodes, hashes and signs. That the signer has the principal's key, and that the bytes are within `maxBytes`, is
    /// for the caller to see.
    public init(_ request: Request, signedBy signer: some Signer) {
        self.request = request
        bytes = request.encoded()
        digest = Hasher256.hash(.request, bytes)
        signature = signer.sign(signingInput(.request, digest))
    }

    /// A counted blob of at most `maxBytes` that is one request with nothing behind it, and a signature, which is not
    /// checked here.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        if let request = reader.rememberedRequest() {
            self = request
            return
        }
        bytes = try reader.blob(limit: Self.maxBytes)
        request = try Request(decoding: bytes)
        digest = Hasher256.hash(.request, bytes)
        signature = try reader.value()
    }

    /// The counted bytes, then the signature.
    public func encode(into writer: inout ByteWriter) {
        writer.put(blob: bytes)
        writer.put(signature)
    }

    /// Whether the principal has signed these bytes, by the given scheme. Costs a signature check each time.
    public func isSignatureValid(_ scheme: some SignatureScheme) -> Bool {
        scheme.isValid(signature, of: signingInput(.request, digest), by: request.principal)
    }

    /// By digest and signature: two signatures of one request are one transaction, but not one message.
    public static func == (a: Self, b: Self) -> Bool { a.digest == b.digest && a.signature == b.signature }
    /// By digest alone.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

/// Names one transaction: a leg of one signed request.
public struct TransactionID: Bytes32 {
    /// The digest's bytes.
    public let value: FixedBytes32
    /// Takes what is an identifier already; `init(request:mode:leg:)` makes one.
    public init(_ value: FixedBytes32) { self.value = value }

    /// An atomic request is one transaction, whose id is the hash of the signed bytes; an independent leg has
    /// H(that hash, leg index) (R8, R11).
    public init(request: Digest, mode: Request.Mode, leg: UInt16) {
        switch mode {
        case .atomic: self.init(request.value)
        case .independent:
            var hasher = Hasher256(.leg)
            hasher.update(request)
            hasher.update(integer: leg)
            self.init(hasher.finish().value)
        }
    }
}

/// What a transaction does to one shard's accounts.
public enum Effect: Hashable, Sendable {
    /// Takes an amount of an asset out of an account.
    case debit(AccountID, AssetID, Amount)
    /// Puts an amount of an asset into an account.
    case credit(AccountID, AssetID, Amount)
    /// Opens an empty account.
    case open(AccountSpecification)
    /// Creates an amount of an asset in an account.
    case issue(AccountID, AssetID, Amount)
}

/// Which shard owns which account: a multiply-shift of the account's own hash bits, stable for an epoch.
public struct ShardMap: Hashable, Sendable {
    /// 1 to 65,535; of a valid manifest at most 4,096.
    public let shardCount: Int

    /// - Precondition: at least 1 and at most 65,535 shards.
    public init(shardCount: Int) {
        precondition(shardCount >= 1 && shardCount <= Int(UInt16.max))
        self.shardCount = shardCount
    }

    /// The highest bits of the account's number say where it is: each shard has one range of them.
    public func shard(of account: AccountID) -> ShardID {
        ShardID(UInt16(place(of: account).high))
    }

    /// Where an account lies among those of its shard: the first has 0, and one half way through has 2^63.
    public func position(of account: AccountID) -> UInt64 { place(of: account).low }

    private func place(of account: AccountID) -> (high: UInt64, low: UInt64) {
        UInt64(truncatingIfNeeded: account.number >> 64).multipliedFullWidth(by: UInt64(shardCount))
    }
}

extension Request {
    /// The operations of one leg.
    public func operations(ofLeg leg: Int) -> ArraySlice<Operation> {
        switch mode {
        case .atomic: operations[...]
        case .independent: operations[leg..<leg + 1]
        }
    }

    /// The shards that take part in a leg, ascending. Recomputed by everyone from the signed bytes (R8).
    public func participants(ofLeg leg: Int, in map: ShardMap) -> [ShardID] {
        var shards: [ShardID] = []
        func add(_ shard: ShardID) {
            // Few participants: a sorted array beats a set.
            guard let position = shards.firstIndex(where: { $0 >= shard }) else { return shards.append(shard) }
            if shards[position] != shard { shards.insert(shard, at: position) }
        }
        for operation in operations(ofLeg: leg) {
            switch operation {
            case .transfer(let transfer):
                add(map.shard(of: transfer.from))
                if Mutant.is(.participantLeftOut), operations.count == 1 { continue }
                add(map.shard(of: transfer.to))
            case .open(let account): add(map.shard(of: account.id))
            case .issue(let to, _, _): add(map.shard(of: to))
            case .read(let account), .freeze(let account, _), .release(let account): add(map.shard(of: account))
            // The home shard; the others show as the procedure runs.
            case .call(let invocation, _): add(map.shard(of: invocation.target))
            }
        }
        return shards
    }

    /// Where a shard stands among those that take part in a leg, and of how many; nil if it does not take part.
    public func place(of shard: ShardID, inLeg leg: Int, in map: ShardMap) -> (index: Int, of: Int)? {
        // A transfer alone is most of what there is.
        if !Mutant.is(.participantLeftOut), let transfer = loneTransfer(ofLeg: leg) {
            let (from, to) = (map.shard(of: transfer.from), map.shard(of: transfer.to))
            guard from == shard || to == shard else { return nil }
            return from == to ? (0, 1) : (shard == min(from, to) ? 0 : 1, 2)
        }
        let participants = participants(ofLeg: leg, in: map)
        return participants.firstIndex(of: shard).map { ($0, participants.count) }
    }

    private func loneTransfer(ofLeg leg: Int) -> Transfer? {
        let index: Int
        switch mode {
        case .atomic:
            guard operations.count == 1 else { return nil }
            index = 0
        case .independent: index = leg
        }
        if case .transfer(let transfer) = operations[index] { return transfer }
        return nil
    }

    /// Every shard that takes part in any leg, ascending.
    public func participants(in map: ShardMap) -> [ShardID] {
        var seen = [Bool](repeating: false, count: map.shardCount)
        for leg in 0..<legCount {
            for shard in participants(ofLeg: leg, in: map) { seen[Int(shard.number)] = true }
        }
        return seen.indices.filter { seen[$0] }.map { ShardID(UInt16($0)) }
    }

    /// What a leg does on one shard, in the order of the operations.
    public func effects(ofLeg leg: Int, on shard: ShardID, in map: ShardMap) -> [Effect] {
        var effects: [Effect] = []
        _ = firstEffect(ofLeg: leg, on: shard, in: map) { effect -> Void? in
            effects.append(effect)
            return nil
        }
        return effects
    }

    /// Goes through what a leg does on one shard, in the order of the operations, until there is something to say.
    /// - Returns: the first answer of `body` that is not nil.
    @inlinable
    public func firstEffect<Answer, Failure: Error>(
        ofLeg leg: Int, on shard: ShardID, in map: ShardMap, _ body: (Effect) throws(Failure) -> Answer?
    ) throws(Failure) -> Answer? {
        for operation in operations(ofLeg: leg) {
            switch operation {
            case .transfer(let transfer):
                if map.shard(of: transfer.from) == shard,
                    let answer = try body(.debit(transfer.from, transfer.asset, transfer.amount))
                {
                    return answer
                }
                if map.shard(of: transfer.to) == shard,
                    let answer = try body(.credit(transfer.to, transfer.asset, transfer.amount))
                {
                    return answer
                }
            case .open(let account):
                if map.shard(of: account.id) == shard, let answer = try body(.open(account)) { return answer }
            case .issue(let to, let asset, let amount):
                if map.shard(of: to) == shard, let answer = try body(.issue(to, asset, amount)) { return answer }
            case .read, .call, .freeze, .release: break
            }
        }
        return nil
    }
}
