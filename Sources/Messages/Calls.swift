// Synchronous calls across shards (R13, R14): what travels and what is certified.

/// What a call is about; it says which shard runs it.
public enum CallTarget: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    public static let maxKeyBytes = 240

    case key([UInt8])
    case account(AccountID)

    public static func key(_ text: String) -> CallTarget { .key(Array(text.utf8)) }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1:
            let key = try reader.blob(limit: Self.maxKeyBytes)
            guard !key.isEmpty else { throw reader.invalid("empty key") }
            self = .key(key)
        case 2: self = .account(try reader.value())
        default: throw reader.invalid("call target")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .key(let key):
            writer.put(UInt8(1))
            writer.put(blob: key)
        case .account(let account):
            writer.put(UInt8(2))
            writer.put(account)
        }
    }
    public var description: String {
        switch self {
        case .key(let key): String(decoding: key, as: UTF8.self)
        case .account(let account): account.hex
        }
    }
}

extension ShardMap {
    /// Keys are spread by a hash of their own. If a key has something in braces, only the first such part counts, so
    /// that keys can be kept together.
    public func shard(ofKey key: [UInt8]) -> ShardID { ShardID(UInt16(place(ofKey: key).high)) }

    /// Where a key lies among those of its shard, as `position(of:)` has it for accounts.
    public func position(ofKey key: [UInt8]) -> UInt64 { place(ofKey: key).low }

    private func place(ofKey key: [UInt8]) -> (high: UInt64, low: UInt64) {
        var counted = key[...]
        if let open = key.firstIndex(of: UInt8(ascii: "{")), let close = key[open...].firstIndex(of: UInt8(ascii: "}")),
            close > open + 1
        {
            counted = key[(open + 1)..<close]
        }
        let digest = Hasher256.hash(.key, Array(counted))
        let hash = digest.value.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return hash.multipliedFullWidth(by: UInt64(shardCount))
    }

    public func shard(of target: CallTarget) -> ShardID {
        switch target {
        case .key(let key): shard(ofKey: key)
        case .account(let account): shard(of: account)
        }
    }
}

/// A procedure with its arguments, to be run on the shard of `target`.
public struct Invocation: Hashable, Sendable, CanonicalCodable {
    public static let maxNameBytes = 64
    /// Of arguments, and of a result.
    public static let maxValueBytes = 16 * 1024

    public let target: CallTarget
    public let procedure: String
    public let version: UInt16
    public let arguments: [UInt8]

    public init(target: CallTarget, procedure: String, version: UInt16, arguments: [UInt8]) {
        (self.target, self.procedure, self.version, self.arguments) = (target, procedure, version, arguments)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        target = try reader.value()
        procedure = try String(from: &reader, limit: Self.maxNameBytes)
        (version, arguments) = (try reader.uint16(), try reader.blob(limit: Self.maxValueBytes))
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(target)
        writer.put(procedure)
        writer.put(version)
        writer.put(blob: arguments)
    }
}

/// Where a frame stands in the tree of calls: at each level which group of parallel calls, and which of the group.
/// Frames of one group run side by side; of two groups the later one starts after all of the earlier one have returned.
public struct CallPath: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
    public struct Step: Hashable, Comparable, Sendable {
        public let group: UInt8
        public let index: UInt8
        public init(group: UInt8, index: UInt8) { (self.group, self.index) = (group, index) }
        public static func < (a: Self, b: Self) -> Bool { (a.group, a.index) < (b.group, b.index) }
    }
    public static let maxDepth = 8

    public let steps: [Step]

    public static let root = CallPath([])
    public init(_ steps: [Step]) { self.steps = steps }
    public func appending(_ step: Step) -> CallPath { CallPath(steps + [step]) }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        let count = Int(try reader.uint8())
        guard count <= Self.maxDepth else { throw reader.invalid("depth of calls") }
        var steps: [Step] = []
        for _ in 0..<count { steps.append(Step(group: try reader.uint8(), index: try reader.uint8())) }
        self.steps = steps
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(UInt8(steps.count))
        for step in steps {
            writer.put(step.group)
            writer.put(step.index)
        }
    }

    public var depth: Int { steps.count }
    public func isAncestor(of other: CallPath) -> Bool {
        steps.count < other.steps.count && other.steps.starts(with: steps)
    }

    /// Depth first: a frame before those that it calls.
    public static func < (a: Self, b: Self) -> Bool { a.steps.lexicographicallyPrecedes(b.steps) }

    /// Neither waits for the other: they, or frames that called them, are of one group of parallel calls.
    public func isConcurrent(with other: CallPath) -> Bool {
        for (a, b) in zip(steps, other.steps) where a != b { return a.group == b.group }
        return false
    }

    public var description: String {
        steps.isEmpty ? "root" : steps.map { "\($0.group).\($0.index)" }.joined(separator: "/")
    }
}

/// Why a call gave no result. It dooms the transaction, and its text reaches the client.
public struct CallFailure: Error, Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    public enum Reason: UInt8, Sendable, CaseIterable {
        /// The procedure threw.
        case procedure = 1
        case unknownProcedure = 2
        case badArguments = 3
        /// Others hold what it needs, or wait for it, for whom it may not wait (R5), or an undecided transfer holds
        /// something of it. To be tried again as another attempt.
        case died = 4
        /// The deadline passed before it could answer.
        case deadline = 5
        /// Too many calls, too deep, too many keys or bytes.
        case limit = 6
        /// Run again with the same answers, the procedure did something else.
        case notDeterministic = 7
        /// Parallel calls touched the same.
        case parallelConflict = 8
        /// Money of some asset would have come from nowhere, or gone there.
        case unbalanced = 9
        /// A debit of an account that the signer does not own, or of more than there is, or of another asset.
        case account = 10
        /// The principal has too many unfinished calls on that shard.
        case quota = 11
        /// The deadline passed while it waited for a lock. To be tried again as another attempt.
        case waited = 12

        var text: String {
            switch self {
            case .procedure: "the procedure failed"
            case .unknownProcedure: "no such procedure"
            case .badArguments: "the arguments cannot be read"
            case .died: "a transaction for which it may not wait holds what it needs"
            case .deadline: "the deadline passed"
            case .limit: "a limit is exceeded"
            case .notDeterministic: "the procedure is not deterministic"
            case .parallelConflict: "parallel calls touch the same"
            case .unbalanced: "the transaction does not balance"
            case .account: "the account does not allow it"
            case .quota: "too many unfinished calls"
            case .waited: "the deadline passed while it waited for a lock"
            }
        }
    }
    /// The transaction had no effect, for want of a lock: another attempt may well succeed, and may name this one's
    /// number.
    public var isToBeTriedAgain: Bool { reason == .died || reason == .waited }

    public static let maxTextBytes = 256

    public let reason: Reason
    public let shard: ShardID
    public let procedure: String
    /// What the procedure, or the shard, says about it.
    public let text: String

    public init(_ reason: Reason, shard: ShardID, procedure: String, text: String = "") {
        (self.reason, self.shard) = (reason, shard)
        self.procedure = String(decoding: procedure.utf8.prefix(Invocation.maxNameBytes / 2), as: UTF8.self)
        // Cut in the middle of a character, the last one becomes a replacement of up to 3 bytes.
        self.text =
            text.utf8.count <= Self.maxTextBytes - 8
            ? text : String(decoding: text.utf8.prefix(Self.maxTextBytes - 8), as: UTF8.self)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let reason = Reason(rawValue: try reader.uint8()) else { throw reader.invalid("call failure") }
        (self.reason, shard) = (reason, try reader.value())
        procedure = try String(from: &reader, limit: Invocation.maxNameBytes)
        text = try String(from: &reader, limit: Self.maxTextBytes)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(reason.rawValue)
        writer.put(shard)
        writer.put(procedure)
        writer.put(text)
    }
    public var description: String { "\(procedure) on shard \(shard): \(text.isEmpty ? reason.text : text)" }
}

/// What a call gave back.
public enum CallAnswer: Hashable, Sendable, CanonicalCodable {
    case returned([UInt8])
    case failed(CallFailure)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .returned(try reader.blob(limit: Invocation.maxValueBytes))
        case 2: self = .failed(try reader.value())
        default: throw reader.invalid("call answer")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .returned(let bytes):
            writer.put(UInt8(1))
            writer.put(blob: bytes)
        case .failed(let failure):
            writer.put(UInt8(2))
            writer.put(failure)
        }
    }
}

/// How much of one asset frames put into accounts and took out of them.
public struct AssetFlow: Hashable, Sendable, CanonicalCodable {
    public let asset: AssetID
    public var credits: UInt128
    public var debits: UInt128

    public init(asset: AssetID, credits: UInt128, debits: UInt128) {
        (self.asset, self.credits, self.debits) = (asset, credits, debits)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (asset, credits, debits) = (try reader.value(), try reader.uint128(), try reader.uint128())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(asset)
        writer.put(credits)
        writer.put(debits)
    }
}

/// A call that was answered, and by what answer: what an outcome lists (R13).
public struct ConsumedCall: Hashable, Sendable, CanonicalCodable {
    public let path: CallPath
    public let shard: ShardID
    public let response: Digest

    public init(path: CallPath, shard: ShardID, response: Digest) {
        (self.path, self.shard, self.response) = (path, shard, response)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, shard, response) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(shard)
        writer.put(response)
    }
}

/// What one frame answered. Its shard says it once, and holds its locks until the home shard has decided.
public struct CallResponse: Hashable, Sendable, CanonicalCodable {
    public static let maxConsumed = 64

    public let path: CallPath
    public let answer: CallAnswer
    /// Every call below this one that was answered, ascending: what the outcome has to list beside this one.
    public let consumed: [ConsumedCall]
    /// Of this frame and of all below it; ascending by asset.
    public let flows: [AssetFlow]

    public init(path: CallPath, answer: CallAnswer, consumed: [ConsumedCall], flows: [AssetFlow]) {
        (self.path, self.answer, self.consumed, self.flows) = (path, answer, consumed, flows)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, answer) = (try reader.value(), try reader.value())
        (consumed, flows) = (try reader.array(limit: Self.maxConsumed), try reader.array(limit: Self.maxConsumed))
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(answer)
        writer.put(array: consumed)
        writer.put(array: flows)
    }
    public var digest: Digest { Hasher256.hash(.response, encoded()) }
}

/// What the caller's shard certifies of the transaction's locks while a call runs: who knows them may wait where others
/// die (R5).
public enum CallReach: UInt8, Sendable, CaseIterable {
    /// Nothing.
    case any = 0
    /// Beside this call nothing of the transaction runs, and its locks on other shards than the callee are on lower
    /// ones.
    case ascending = 1
    /// Beside this call nothing of the transaction runs, and it has no locks on other shards than the callee.
    case bare = 2
}

/// A call that waits for its answer.
public struct IssuedCall: Hashable, Sendable, CanonicalCodable {
    public let path: CallPath
    public let invocation: Invocation
    public let reach: CallReach

    public init(path: CallPath, invocation: Invocation, reach: CallReach = .any) {
        (self.path, self.invocation, self.reach) = (path, invocation, reach)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, invocation) = (try reader.value(), try reader.value())
        guard let reach = CallReach(rawValue: try reader.uint8()) else { throw reader.invalid("reach of a call") }
        self.reach = reach
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(invocation)
        writer.put(reach.rawValue)
    }
}

/// What a shard says of the frames of one root call: which calls wait for answers, what its frames have answered, and
/// which calls it will never run, because its time has passed the deadline and it has no record of them (R10).
public struct CallReport: Hashable, Sendable, CanonicalCodable {
    public static let maxEntries = 64

    /// When the transaction was there first, by home's time: certified, so that nobody is older than he is (R5).
    public var age = Timestamp.zero
    /// In which of the two classes it waits for locks (R5).
    public var waitsInOrder = false
    public var issued: [IssuedCall] = []
    public var responses: [CallResponse] = []
    public var never: [CallPath] = []

    public init() {}
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (age, waitsInOrder) = (try reader.value(), try reader.bool())
        issued = try reader.array(limit: Self.maxEntries)
        responses = try reader.array(limit: Self.maxEntries)
        never = try reader.array(limit: Self.maxEntries)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(age)
        writer.put(waitsInOrder)
        writer.put(array: issued)
        writer.put(array: responses)
        writer.put(array: never)
    }
    public var isEmpty: Bool { issued.isEmpty && responses.isEmpty && never.isEmpty }
}

/// A signed root call with what shards have certified of it. Starts frames, brings answers, ends what is decided;
/// without any certificate it only makes a shard look at its clock. Carries nothing of its own: whoever sends it is
/// untrusted.
public struct CallEvidence: Hashable, Sendable, CanonicalCodable {
    public let root: SignedRequest
    /// Ascending by shard, at most one a shard.
    public let certificates: [Certificate]

    public init(root: SignedRequest, certificates: [Certificate]) {
        (self.root, self.certificates) = (root, certificates)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        root = try reader.value()
        certificates = try reader.array(limit: TransactionDecide.maxCertificates)
        for (a, b) in zip(certificates, certificates.dropFirst()) where a.shard >= b.shard {
            throw reader.invalid("order of shards")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(root)
        writer.put(array: certificates)
    }
    /// Of what it says, whoever signed it: the same twice is ordered once.
    public var contentDigest: Digest {
        var hasher = Hasher256(.evidence)
        hasher.update(root.digest)
        for certificate in certificates {
            hasher.update(integer: certificate.shard.number)
            hasher.update(certificate.leaf.hash)
        }
        return hasher.finish()
    }
}

extension Request {
    /// The root call, if this is one: it is alone in an atomic request.
    public var rootCall: Invocation? {
        guard mode == .atomic, operations.count == 1, case .call(let invocation, _)? = operations.first else {
            return nil
        }
        return invocation
    }

    /// The number whose age the root call takes over.
    public var continuedCall: RequestNumber? {
        guard case .call(_, let continued)? = operations.first else { return nil }
        return continued
    }
}

// MARK: Values that procedures take and give

extension String: CanonicalEncodable, CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        try self.init(from: &reader, limit: Invocation.maxValueBytes)
    }

    init(from reader: inout ByteReader, limit: Int) throws(DecodingFailure) {
        let bytes = try reader.blob(limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw reader.invalid("UTF-8") }
        self = text
    }
    public func encode(into writer: inout ByteWriter) { writer.put(blob: Array(utf8)) }
}

extension Bool: CanonicalEncodable, CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.bool() }
    public func encode(into writer: inout ByteWriter) { writer.put(self) }
}

extension UInt64: CanonicalEncodable, CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.uint64() }
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension Int64: CanonicalEncodable, CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.integer() }
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension UInt128: CanonicalEncodable, CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.uint128() }
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension Array: CanonicalEncodable where Element: CanonicalEncodable {
    public func encode(into writer: inout ByteWriter) { writer.put(array: self) }
}

extension Array: CanonicalDecodable where Element: CanonicalDecodable {
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        self = try reader.array(limit: Invocation.maxValueBytes)
    }
}

/// For a procedure without arguments or result.
public struct Nothing: Hashable, Sendable, CanonicalCodable {
    public init() {}
    public init(from reader: inout ByteReader) throws(DecodingFailure) {}
    public func encode(into writer: inout ByteWriter) {}
}
