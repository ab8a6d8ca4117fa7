// Synchronous calls across shards (R13, R14): what travels and what is certified.

/// What a call is about; it says which shard runs it.
public enum CallTarget: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    /// The longest key, in bytes; the shortest has one.
    public static let maxKeyBytes = 240

    /// Bytes of the caller's choice, 1 to `maxKeyBytes`; usually text.
    case key([UInt8])
    /// The account with this identifier, whether or not it exists.
    case account(AccountID)

    /// A key in UTF-8. Its length is checked where it is used: by the decoder, and by `ProcedureContext`.
    public static func key(_ text: String) -> CallTarget { .key(Array(text.utf8)) }

    /// Kind 1 is a key of 1 to `maxKeyBytes` bytes, kind 2 an account.
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
    /// A kind byte, then the counted key or the 16 bytes of the account.
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
    /// The key as text, bytes that are not UTF-8 replaced; an account in hexadecimal.
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

    /// The shard on which a procedure with this target runs.
    public func shard(of target: CallTarget) -> ShardID {
        switch target {
        case .key(let key): shard(ofKey: key)
        case .account(let account): shard(of: account)
        }
    }
}

/// A procedure with its arguments, to be run on the shard of `target`.
public struct Invocation: Hashable, Sendable, CanonicalCodable {
    /// What is decoded at most, in bytes of UTF-8. Names of registered procedures are half as long at most
    /// (`ProcedureRegistry`), so that one that was cut within a character still fits.
    public static let maxNameBytes = 64
    /// Of arguments, and of a result.
    public static let maxValueBytes = 16 * 1024

    /// What it is about: says on which shard it runs.
    public let target: CallTarget
    /// The name under which every host of the target's shard must have it.
    public let procedure: String
    /// Part of the name: a changed procedure is another one.
    public let version: UInt16
    /// The encoding of what the procedure declares as its arguments; at most `maxValueBytes`.
    public let arguments: [UInt8]

    /// Checks nothing; what is too long is refused by whoever decodes the request.
    public init(target: CallTarget, procedure: String, version: UInt16, arguments: [UInt8]) {
        (self.target, self.procedure, self.version, self.arguments) = (target, procedure, version, arguments)
    }
    /// Refuses a name above `maxNameBytes`, or one that is not UTF-8, and arguments above `maxValueBytes`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        target = try reader.value()
        procedure = try String(from: &reader, limit: Self.maxNameBytes)
        (version, arguments) = (try reader.uint16(), try reader.blob(limit: Self.maxValueBytes))
    }
    /// Target, counted name, version, counted arguments.
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
    /// One level of a path.
    public struct Step: Hashable, Comparable, Sendable {
        /// Which of the caller's groups of parallel calls, from zero in the order in which it makes them. A single call
        /// is a group of one.
        public let group: UInt8
        /// Which call of that group, from zero.
        public let index: UInt8
        /// `ProcedureContext` keeps both numbers within a byte: it lets a frame make 255 groups of 16 calls at most.
        public init(group: UInt8, index: UInt8) { (self.group, self.index) = (group, index) }
        /// By group, then by index: the order in which the caller made the calls.
        public static func < (a: Self, b: Self) -> Bool { (a.group, a.index) < (b.group, b.index) }
    }
    /// The deepest frame: calls below the root's own procedure, which has depth 0.
    public static let maxDepth = 8

    /// From the root down; empty for the root.
    public let steps: [Step]

    /// The procedure that the principal called.
    public static let root = CallPath([])
    /// Takes any number of steps; the decoder refuses more than `maxDepth`.
    public init(_ steps: [Step]) { self.steps = steps }
    /// The path of a call that the frame at this path makes.
    public func appending(_ step: Step) -> CallPath { CallPath(steps + [step]) }

    /// Refuses more than `maxDepth` steps.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        let count = Int(try reader.uint8())
        guard count <= Self.maxDepth else { throw reader.invalid("depth of calls") }
        var steps: [Step] = []
        for _ in 0..<count { steps.append(Step(group: try reader.uint8(), index: try reader.uint8())) }
        self.steps = steps
    }
    /// The number of steps as one byte, then two bytes for each: group and index.
    public func encode(into writer: inout ByteWriter) {
        writer.put(UInt8(steps.count))
        for step in steps {
            writer.put(step.group)
            writer.put(step.index)
        }
    }

    /// How many calls lie between the root and this frame; 0 for the root.
    public var depth: Int { steps.count }
    /// Whether the other frame was called by this one, directly or further down; false for itself.
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

    /// As in `0.1/2.0`: group and index of each level. The root is `root`.
    public var description: String {
        steps.isEmpty ? "root" : steps.map { "\($0.group).\($0.index)" }.joined(separator: "/")
    }
}

/// Why a call gave no result. It dooms the transaction, and its text reaches the client.
public struct CallFailure: Error, Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    /// Certified as a byte, by which clients and retries tell failures apart.
    public enum Reason: UInt8, Sendable, CaseIterable {
        /// The procedure threw.
        case procedure = 1
        /// The shard's hosts have no procedure of this name and version.
        case unknownProcedure = 2
        /// What was passed, returned or stored is not what the procedure declares, or the key belongs to another shard.
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
        /// It would have taken from an account that is frozen, or given to one.
        case frozen = 13

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
            case .frozen: "the account is frozen"
            }
        }
    }
    /// The transaction had no effect, for want of a lock: another attempt may well succeed, and may name this one's
    /// number.
    public var isToBeTriedAgain: Bool { reason == .died || reason == .waited }

    /// What is decoded at most, in bytes of UTF-8.
    public static let maxTextBytes = 256

    /// What kind of failure it is; `isToBeTriedAgain` goes by it.
    public let reason: Reason
    /// Where it failed.
    public let shard: ShardID
    /// The name of the procedure that failed, 32 bytes at most; empty where that is not known.
    public let procedure: String
    /// What the procedure, or the shard, says about it.
    public let text: String

    /// Cuts the name to 32 bytes and the text to 248, so that what is certified is bounded whatever a procedure throws.
    public init(_ reason: Reason, shard: ShardID, procedure: String, text: String = "") {
        (self.reason, self.shard) = (reason, shard)
        self.procedure = String(decoding: procedure.utf8.prefix(Invocation.maxNameBytes / 2), as: UTF8.self)
        // Cut in the middle of a character, the last one becomes a replacement of up to 3 bytes.
        self.text =
            text.utf8.count <= Self.maxTextBytes - 8
            ? text : String(decoding: text.utf8.prefix(Self.maxTextBytes - 8), as: UTF8.self)
    }
    /// Refuses unknown reasons, a name above `Invocation.maxNameBytes` and a text above `maxTextBytes`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let reason = Reason(rawValue: try reader.uint8()) else { throw reader.invalid("call failure") }
        (self.reason, shard) = (reason, try reader.value())
        procedure = try String(from: &reader, limit: Invocation.maxNameBytes)
        text = try String(from: &reader, limit: Self.maxTextBytes)
    }
    /// Reason, shard, counted name, counted text.
    public func encode(into writer: inout ByteWriter) {
        writer.put(reason.rawValue)
        writer.put(shard)
        writer.put(procedure)
        writer.put(text)
    }
    /// Procedure, shard, and the text, or the reason in words where there is none: what the client is shown.
    public var description: String { "\(procedure) on shard \(shard): \(text.isEmpty ? reason.text : text)" }
}

/// What a call gave back.
public enum CallAnswer: Hashable, Sendable, CanonicalCodable {
    /// The encoding of the procedure's result.
    case returned([UInt8])
    /// It dooms the transaction, whatever the caller does with it.
    case failed(CallFailure)

    /// Kind 1 is a result of at most `Invocation.maxValueBytes`, kind 2 a failure.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .returned(try reader.blob(limit: Invocation.maxValueBytes))
        case 2: self = .failed(try reader.value())
        default: throw reader.invalid("call answer")
        }
    }
    /// A kind byte, then the counted result or the failure.
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
    /// The asset of both sums.
    public let asset: AssetID
    /// Put into accounts, in minor units.
    public var credits: UInt128
    /// Taken out of accounts, in minor units. Over a whole transaction they must equal the credits, or it does not
    /// commit.
    public var debits: UInt128

    /// Sums as they are; that they balance is checked at home, when the root has answered.
    public init(asset: AssetID, credits: UInt128, debits: UInt128) {
        (self.asset, self.credits, self.debits) = (asset, credits, debits)
    }
    /// Every sum is taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (asset, credits, debits) = (try reader.value(), try reader.uint128(), try reader.uint128())
    }
    /// Asset, credits, debits.
    public func encode(into writer: inout ByteWriter) {
        writer.put(asset)
        writer.put(credits)
        writer.put(debits)
    }
}

/// A call that was answered, and by what answer: what an outcome lists (R13).
public struct ConsumedCall: Hashable, Sendable, CanonicalCodable {
    /// The path of the frame that answered.
    public let path: CallPath
    /// The shard that gave the answer.
    public let shard: ShardID
    /// The digest of its `CallResponse`: only a frame that gave exactly this one commits.
    public let response: Digest

    /// Names a response by its digest; that it was given is what the certificate said that brought it.
    public init(path: CallPath, shard: ShardID, response: Digest) {
        (self.path, self.shard, self.response) = (path, shard, response)
    }
    /// Any path, shard and digest are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, shard, response) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// Path, shard, digest of the response.
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(shard)
        writer.put(response)
    }
}

/// What one frame answered. Its shard says it once, and holds its locks until the home shard has decided.
public struct CallResponse: Hashable, Sendable, CanonicalCodable {
    /// Calls that one answer may rest on, and assets that it may move: what is decoded at most of either.
    public static let maxConsumed = 64

    /// The path of the frame that answers.
    public let path: CallPath
    /// Its result, or why there is none.
    public let answer: CallAnswer
    /// Every call below this one that was answered, ascending: what the outcome has to list beside this one.
    public let consumed: [ConsumedCall]
    /// Of this frame and of all below it; ascending by asset.
    public let flows: [AssetFlow]

    /// `ProcedureContext` keeps the order and the bounds; nothing is checked here.
    public init(path: CallPath, answer: CallAnswer, consumed: [ConsumedCall], flows: [AssetFlow]) {
        (self.path, self.answer, self.consumed, self.flows) = (path, answer, consumed, flows)
    }
    /// Refuses more than `maxConsumed` calls or flows. Their order is not checked.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, answer) = (try reader.value(), try reader.value())
        (consumed, flows) = (try reader.array(limit: Self.maxConsumed), try reader.array(limit: Self.maxConsumed))
    }
    /// Path, answer, then the counted calls and flows.
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(answer)
        writer.put(array: consumed)
        writer.put(array: flows)
    }
    /// The hash of all of it, by which an outcome lists it.
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
    /// The path of the frame that is to answer: the caller's and one step.
    public let path: CallPath
    /// What is to be run, and on which shard.
    public let invocation: Invocation
    /// What the callee may assume of the transaction's locks elsewhere.
    public let reach: CallReach

    /// Without a reach the callee assumes nothing.
    public init(path: CallPath, invocation: Invocation, reach: CallReach = .any) {
        (self.path, self.invocation, self.reach) = (path, invocation, reach)
    }
    /// Refuses an unknown reach.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, invocation) = (try reader.value(), try reader.value())
        guard let reach = CallReach(rawValue: try reader.uint8()) else { throw reader.invalid("reach of a call") }
        self.reach = reach
    }
    /// Path, invocation, reach as one byte.
    public func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(invocation)
        writer.put(reach.rawValue)
    }
}

/// What a shard says of the frames of one root call: which calls wait for answers, what its frames have answered, and
/// which calls it will never run, because its time has passed the deadline and it has no record of them (R10).
public struct CallReport: Hashable, Sendable, CanonicalCodable {
    /// Of each list, what a shard says at most and what is decoded at most.
    public static let maxEntries = 64

    /// When the transaction was there first, by home's time: certified, so that nobody is older than he is (R5).
    public var age = Timestamp.zero
    /// In which of the two classes it waits for locks (R5).
    public var waitsInOrder = false
    /// Calls to other shards that are not answered yet.
    public var issued: [IssuedCall] = []
    /// What frames here have answered to callers on other shards.
    public var responses: [CallResponse] = []
    /// Calls that will never run here. Their callers take them for failed by the deadline.
    public var never: [CallPath] = []

    /// Says nothing: no call waits and none is answered.
    public init() {}
    /// Refuses more than `maxEntries` in any of the lists.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (age, waitsInOrder) = (try reader.value(), try reader.bool())
        issued = try reader.array(limit: Self.maxEntries)
        responses = try reader.array(limit: Self.maxEntries)
        never = try reader.array(limit: Self.maxEntries)
    }
    /// Age, order, then the three counted lists.
    public func encode(into writer: inout ByteWriter) {
        writer.put(age)
        writer.put(waitsInOrder)
        writer.put(array: issued)
        writer.put(array: responses)
        writer.put(array: never)
    }
    /// Nothing is said of any call; age and order mean nothing then.
    public var isEmpty: Bool { issued.isEmpty && responses.isEmpty && never.isEmpty }
}

/// A signed root call with what shards have certified of it. Starts frames, brings answers, ends what is decided;
/// without any certificate it only makes a shard look at its clock. Carries nothing of its own: whoever sends it is
/// untrusted.
public struct CallEvidence: Hashable, Sendable, CanonicalCodable {
    /// The request whose root call it is; `Verifier` refuses any other request.
    public let root: SignedRequest
    /// Ascending by shard, at most one a shard.
    public let certificates: [Certificate]

    /// Checks neither that the certificates are of this request nor their order: the decoder and `Verifier` do.
    public init(root: SignedRequest, certificates: [Certificate]) {
        (self.root, self.certificates) = (root, certificates)
    }
    /// Refuses more than `TransactionDecide.maxCertificates`, and any that are not ascending by shard.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        root = try reader.value()
        certificates = try reader.array(limit: TransactionDecide.maxCertificates)
        for (a, b) in zip(certificates, certificates.dropFirst()) where a.shard >= b.shard {
            throw reader.invalid("order of shards")
        }
    }
    /// The signed request, then the counted certificates.
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
    /// A counted blob of UTF-8, at most `Invocation.maxValueBytes`.
    /// - Throws: also for bytes that are not valid UTF-8: repaired text would have two encodings.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        try self.init(from: &reader, limit: Invocation.maxValueBytes)
    }

    init(from reader: inout ByteReader, limit: Int) throws(DecodingFailure) {
        let bytes = try reader.blob(limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw reader.invalid("UTF-8") }
        self = text
    }
    /// A count of bytes, then the UTF-8 as it is: no normalisation.
    public func encode(into writer: inout ByteWriter) { writer.put(blob: Array(utf8)) }
}

extension Bool: CanonicalEncodable, CanonicalDecodable {
    /// One byte, 0 or 1.
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.bool() }
    /// One byte: 1 for true.
    public func encode(into writer: inout ByteWriter) { writer.put(self) }
}

extension UInt64: CanonicalEncodable, CanonicalDecodable {
    /// Eight bytes, the lowest first.
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.uint64() }
    /// Eight bytes, the lowest first.
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension Int64: CanonicalEncodable, CanonicalDecodable {
    /// Eight bytes, the lowest first, in two's complement.
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.integer() }
    /// Eight bytes, the lowest first, in two's complement.
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension UInt128: CanonicalEncodable, CanonicalDecodable {
    /// Sixteen bytes, the lowest first.
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self = try reader.uint128() }
    /// Sixteen bytes, the lowest first.
    public func encode(into writer: inout ByteWriter) { writer.put(integer: self) }
}

extension Array: CanonicalEncodable where Element: CanonicalEncodable {
    /// A `UInt32` count, then the elements in order.
    public func encode(into writer: inout ByteWriter) { writer.put(array: self) }
}

extension Array: CanonicalDecodable where Element: CanonicalDecodable {
    /// Takes at most as many elements as a value may have bytes (`Invocation.maxValueBytes`).
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        self = try reader.array(limit: Invocation.maxValueBytes)
    }
}

/// For a procedure without arguments or result.
public struct Nothing: Hashable, Sendable, CanonicalCodable {
    /// There is only one.
    public init() {}
    /// Reads no byte.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {}
    /// Writes no byte.
    public func encode(into writer: inout ByteWriter) {}
}
