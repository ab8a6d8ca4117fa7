/// Why a transaction cannot commit. Part of what is certified.
public enum AbortReason: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// True even with all pending credits applied and all pending debits released.
    case insufficientFunds = 1
    /// No such account on its shard; it may be opened later.
    case unknownAccount = 2
    /// The principal does not own the debited account, or is not the issuer or the compliance authority.
    case notAuthorised = 3
    /// The account holds another asset than the operation names.
    case wrongAsset = 4
    /// A balance would pass `Amount.limit`.
    case overflow = 5
    /// An account with this identifier is open, so it is of the same owner, asset and index.
    case accountExists = 6
    /// Wrong in itself: zero amount, transfer to itself, lifetime too long, open or issue in an atomic request.
    case malformed = 7
    /// Another attempt with the same number voted yes or committed here (R11).
    case superseded = 8
    /// Another participant did not vote yes.
    case participantAborted = 9
    /// A call failed; `LegStatus.failed` says which.
    case callFailed = 10
    /// The account is frozen that way; it may be released later.
    case frozen = 11
    /// The manifest names nobody who may freeze accounts.
    case noComplianceAuthority = 12

    /// In words, as clients and receipts show it.
    public var description: String {
        switch self {
        case .insufficientFunds: "insufficient funds"
        case .unknownAccount: "unknown account"
        case .notAuthorised: "the signer does not own the account"
        case .wrongAsset: "the account holds another asset"
        case .overflow: "a balance would exceed its limit"
        case .accountExists: "the account exists already"
        case .malformed: "the request is malformed"
        case .superseded: "another attempt with the same request number holds or committed"
        case .participantAborted: "another shard aborted"
        case .callFailed: "a call failed"
        case .frozen: "the account is frozen"
        case .noComplianceAuthority: "the manifest names no compliance authority"
        }
    }
}

/// What one shard has certified of one leg.
public enum LegStatus: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    /// Recorded, escrow taken, undecided here.
    case votedYes
    /// Recorded; final: the transaction aborts.
    case votedNo(AbortReason)
    /// Decided and applied here. For a leg with one participant, the outcome.
    case committed
    /// Decided here: reservations released. For a leg with one participant, the outcome.
    case aborted(AbortReason)
    /// This shard's time has passed the deadline and it has no record, nor ever will have (R10).
    case noRecordAbort
    /// The number is below what the principal acknowledged: refused for ever (R11). Says nothing of what was before: it
    /// may have committed and been forgotten.
    case acknowledged
    /// The outcome of a read: the account at this place in the order; nil if there is none.
    // Indirect, as most legs have a status of a byte, and every copy is of the largest.
    indirect case read(AccountView?)
    /// A root call at its home shard: recorded, and waits for locks or answers.
    case running
    /// The outcome of a root call: its result, and every call whose effects are committed with it (R13).
    case returned([UInt8], consumed: [ConsumedCall])
    /// The outcome of a root call that has no effects.
    indirect case failed(CallFailure)
    /// A shard that was called, or might be: its time has passed the deadline, nothing of the call is open there, nor
    /// ever will be. Says nothing of what was: it may have forgotten that it committed (R13).
    case closed

    /// A kind byte, 1 to 11; refuses unknown reasons, and results and lists of calls above their bounds.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        let kind = try reader.uint8()
        switch kind {
        case 1: self = .votedYes
        case 2, 4:
            guard let reason = AbortReason(rawValue: try reader.uint8()) else { throw reader.invalid("abort reason") }
            self = kind == 2 ? .votedNo(reason) : .aborted(reason)
        case 3: self = .committed
        case 5: self = .noRecordAbort
        case 6: self = .acknowledged
        case 7: self = .read(try reader.accountView())
        case 8: self = .running
        case 9:
            self = .returned(
                try reader.blob(limit: Invocation.maxValueBytes),
                consumed: try reader.array(limit: CallResponse.maxConsumed))
        case 10: self = .failed(try reader.value())
        case 11: self = .closed
        default: throw reader.invalid("leg status")
        }
    }

    /// A kind byte, counting the cases from 1, then what the case carries.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .votedYes: writer.put(UInt8(1))
        case .votedNo(let reason):
            writer.put(UInt8(2))
            writer.put(reason.rawValue)
        case .committed: writer.put(UInt8(3))
        case .aborted(let reason):
            writer.put(UInt8(4))
            writer.put(reason.rawValue)
        case .noRecordAbort: writer.put(UInt8(5))
        case .acknowledged: writer.put(UInt8(6))
        case .read(let view):
            writer.put(UInt8(7))
            writer.put(account: view)
        case .running: writer.put(UInt8(8))
        case .returned(let bytes, let consumed):
            writer.put(UInt8(9))
            writer.put(blob: bytes)
            writer.put(array: consumed)
        case .failed(let failure):
            writer.put(UInt8(10))
            writer.put(failure)
        case .closed: writer.put(UInt8(11))
        }
    }

    /// Nothing more can happen to the leg on the shard that certified this.
    public var isDecided: Bool {
        switch self {
        case .votedYes, .running: false
        case .votedNo, .committed, .aborted, .noRecordAbort, .acknowledged, .read, .returned, .failed, .closed: true
        }
    }

    /// In words; of a result only its length, of a read the posted balance.
    public var description: String {
        switch self {
        case .votedYes: "voted yes"
        case .votedNo(let reason): "voted no: \(reason)"
        case .committed: "committed"
        case .aborted(let reason): "aborted: \(reason)"
        case .noRecordAbort: "aborted: no record by the deadline"
        case .acknowledged: "refused: the number was acknowledged"
        case .read(nil): "read: no such account"
        case .read(let view?): "read: \(view.posted)"
        case .running: "running"
        case .returned(let bytes, let consumed): "returned \(bytes.count) bytes, \(consumed.count) calls committed"
        case .failed(let failure): "aborted: \(failure)"
        case .closed: "closed"
        }
    }
}

/// One result of an executed batch that others need: the legs of one request, as this shard has certified them.
public struct Leaf: Hashable, Sendable, CanonicalCodable {
    /// What was certified of one leg.
    public struct Entry: Hashable, Sendable, CanonicalCodable {
        /// Counted from 0; an atomic request has only leg 0.
        public let leg: UInt16
        /// As it was when the batch had been executed.
        public let status: LegStatus

        /// Any leg: whether the request has it is for the reader to see.
        public init(leg: UInt16, status: LegStatus) { (self.leg, self.status) = (leg, status) }
        /// Two bytes for the leg, then its status.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (leg, status) = (try reader.uint16(), try reader.value())
        }
        /// Two bytes for the leg, then its status.
        public func encode(into writer: inout ByteWriter) {
            writer.put(leg)
            writer.put(status)
        }
    }

    /// Hash of the signed request.
    public let request: Digest
    /// Ascending by leg, each leg once.
    public let entries: [Entry]
    /// Of a root call: what waits, and what was answered.
    public let calls: CallReport

    /// Checks nothing. Legs that were refused have no entry, and a callee's leaf has none while its frames run.
    public init(request: Digest, entries: [Entry], calls: CallReport = CallReport()) {
        (self.request, self.entries, self.calls) = (request, entries, calls)
    }

    /// Refuses legs that do not ascend, more than `Request.maxOperations`, and an empty report in place of none.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        request = try reader.value()
        entries = try reader.array(limit: Request.maxOperations)
        for (a, b) in zip(entries, entries.dropFirst()) where a.leg >= b.leg { throw reader.invalid("order of legs") }
        guard try reader.bool() else {
            calls = CallReport()
            return
        }
        calls = try reader.value()
        guard !calls.isEmpty else { throw reader.invalid("empty report") }
    }

    /// Request, counted entries, then a byte that says whether a report follows; an empty one is left out.
    public func encode(into writer: inout ByteWriter) {
        writer.put(request)
        writer.put(array: entries)
        writer.put(!calls.isEmpty)
        if !calls.isEmpty { writer.put(calls) }
    }

    /// As it stands in the batch's Merkle tree.
    public var hash: Digest { MerkleTree.leaf(encoded()) }

    /// Whether it says the same of every leg that `other` speaks of, or how the leg ended after the yes vote.
    func covers(_ other: Leaf) -> Bool {
        // Both are in the order of legs: one walk.
        var place = entries.startIndex
        for entry in other.entries {
            while place < entries.endIndex, entries[place].leg < entry.leg { place += 1 }
            guard place < entries.endIndex, entries[place].leg == entry.leg else { return false }
            switch (entry.status, entries[place].status) {
            case (.votedYes, .committed), (.votedYes, .aborted): continue
            case (let said, let says): guard said == says else { return false }
            }
        }
        return true
    }

    /// Nil if this leaf says nothing of the leg: another one, of another batch, may.
    public func status(ofLeg leg: UInt16) -> LegStatus? { entries.first { $0.leg == leg }?.status }
}

/// The decision of a transaction: the AND of its participants' first votes, a pure function of certified statuses.
public enum Decision: Hashable, Sendable {
    /// Every participant voted yes, or one is certified to have committed.
    case commit
    /// Some participant did not vote yes. Of several reasons the first, in the order of the participants.
    case abort(AbortReason)

    /// Nil while the statuses that are there decide nothing.
    ///
    /// `acknowledged` is an abort to a shard that holds an undecided vote: no participant forgets before it has proof
    /// that all are decided, so whoever says it then never had the transaction. To anybody else it proves nothing
    /// (`Receipt.decision`).
    /// - Parameter statuses: one slot a participant; nil where nothing certified is known.
    public init?(_ statuses: [LegStatus?]) {
        var allYes = true
        var abort: AbortReason?
        for status in statuses {
            switch status {
            // A shard commits only with every yes vote in hand, so its word decides.
            case .committed, .read, .returned:
                self = .commit
                return
            case .votedYes: continue
            case .votedNo(let reason), .aborted(let reason): abort = abort ?? reason
            case .failed: abort = abort ?? .callFailed
            // Not of a participant.
            case .running, .closed: allYes = false
            case .noRecordAbort, .acknowledged: abort = abort ?? .participantAborted
            case nil:
                if Mutant.is(.decidesWithoutAllVotes) { continue }
                allYes = false
            }
        }
        if let abort { self = .abort(abort) } else if allYes { self = .commit } else { return nil }
    }
}
