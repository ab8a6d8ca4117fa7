import CoreMetrics
import Cores
import Gateway
import Messages
import Meter

/// How long a gateway's clients wait for their answers, seen from outside the core, which knows no clock. For each
/// request it costs an entry in a dictionary and some atomics. Lives on the gateway's loop.
package struct RequestTimes {
    /// What is asked for.
    private enum Kind: Int, CaseIterable {
        /// All of it on one shard.
        case intra
        /// On several.
        case cross
        /// A procedure: which shards take part shows as it runs.
        case call
    }

    private struct Arrival {
        /// Uptime.
        let at: UInt64
        let kind: Kind
    }

    private let map: ShardMap
    /// By kind, then by outcome.
    private let times: [Timer]
    private let aborts: [AbortCause: Counter]
    /// By session and by its own number. Each is answered, or its session ends.
    private var arrivals: [SessionID: [UInt64: Arrival]] = [:]
    /// Requests that wait for their answers.
    package private(set) var count = 0

    /// More are not measured.
    package static let maxArrivals = 1 << 17

    package init(registry: MetricsRegistry, map: ShardMap) {
        self.map = map
        times = Kind.allCases.flatMap { kind in
            RequestOutcome.allCases.map { outcome in
                let dimensions = [("kind", "\(kind)"), ("outcome", "\(outcome)")]
                return Timer(label: "quorate_request_seconds", dimensions: dimensions, factory: registry)
            }
        }
        aborts = Dictionary(
            uniqueKeysWithValues: AbortCause.certain.map {
                let dimensions = [("reason", $0.label)]
                return ($0, Counter(label: "quorate_aborted_legs_total", dimensions: dimensions, factory: registry))
            })
    }

    /// A request has come; one that came already and has no answer yet keeps its time.
    package mutating func begin(_ request: Request, id: UInt64, of session: SessionID, at uptime: UInt64) {
        guard count < Self.maxArrivals, arrivals[session]?[id] == nil else { return }
        arrivals[session, default: [:]][id] = Arrival(at: uptime, kind: kind(of: request))
        count += 1
    }

    /// A request was answered.
    package struct Answered {
        /// Uptime in nanoseconds.
        package let at: UInt64
        /// Nanoseconds from its arrival, if that is known.
        package let took: UInt64?
        /// Nil if it was given up.
        package let legs: DecidedLegs?
    }

    /// An answer leaves.
    /// - Returns: nil if it is none to a request.
    package mutating func end(_ reply: GatewayReply, of session: SessionID) -> Answered? {
        let (id, legs): (UInt64, DecidedLegs?)
        switch reply {
        case .receipt(let answered, let receipt, _, _): (id, legs) = (answered, DecidedLegs(receipt))
        case .rejected(let answered, _, _): (id, legs) = (answered, nil)
        case .account, .status, .read, .stamps: return nil
        }
        for cause in legs?.aborts ?? [] { aborts[cause]?.increment() }
        let outcome = legs?.outcome ?? .rejected
        let now = Clock.uptime()
        guard let arrival = arrivals[session]?.removeValue(forKey: id) else {
            return Answered(at: now, took: nil, legs: legs)
        }
        count -= 1
        let took = now - min(now, arrival.at)
        times[arrival.kind.rawValue * RequestOutcome.allCases.count + outcome.rawValue]
            .recordNanoseconds(Int64(clamping: took))
        return Answered(at: now, took: took, legs: legs)
    }

    /// Nobody waits any more.
    package mutating func close(_ session: SessionID) { count -= arrivals.removeValue(forKey: session)?.count ?? 0 }

    private func kind(of request: Request) -> Kind {
        var first: ShardID?
        func isElsewhere(_ account: AccountID) -> Bool {
            let shard = map.shard(of: account)
            defer { first = shard }
            return first.map { $0 != shard } ?? false
        }
        for operation in request.operations {
            switch operation {
            case .transfer(let transfer): if isElsewhere(transfer.from) || isElsewhere(transfer.to) { return .cross }
            case .open(let account): if isElsewhere(account.id) { return .cross }
            case .issue(let to, _, _): if isElsewhere(to) { return .cross }
            case .read(let account): if isElsewhere(account) { return .cross }
            case .call: return .call
            }
        }
        return .intra
    }
}

/// What a request came to.
package enum RequestOutcome: Int, CaseIterable, Sendable {
    /// All its transactions.
    case committed
    case aborted
    /// Some of its transactions committed, some aborted.
    case mixed
    /// It was given up: nothing is certified.
    case rejected
    /// The principal had acknowledged its number before: nobody can prove any more what became of it.
    case unknown
}

/// Why a transaction is answered as aborted.
package enum AbortCause: Hashable, Sendable {
    case certified(AbortReason)
    /// A shard without a record had passed the deadline.
    case noRecord
    /// The principal had acknowledged the number before: it may have been committed (R11).
    case acknowledged

    /// Those that say that it is aborted.
    static let certain = AbortReason.allCases.map(AbortCause.certified) + [.noRecord]
    /// All, in the order of their places.
    package static let all = certain + [.acknowledged]

    /// In `all`.
    package var place: Int {
        switch self {
        case .certified(let reason): Int(reason.rawValue) - 1
        case .noRecord: Self.all.count - 2
        case .acknowledged: Self.all.count - 1
        }
    }

    /// In words.
    package var description: String {
        switch self {
        case .certified(let reason): reason.description
        case .noRecord: "no record by the deadline"
        case .acknowledged: "acknowledged before: nobody can prove the outcome any more"
        }
    }

    /// As metrics and JSON have it: `insufficient_funds`. Its description is a sentence.
    package var label: String {
        switch self {
        case .certified(let reason):
            switch reason {
            case .insufficientFunds: "insufficient_funds"
            case .unknownAccount: "unknown_account"
            case .notAuthorised: "not_authorised"
            case .wrongAsset: "wrong_asset"
            case .overflow: "overflow"
            case .accountExists: "account_exists"
            case .malformed: "malformed"
            case .superseded: "superseded"
            case .participantAborted: "participant_aborted"
            case .callFailed: "call_failed"
            }
        case .noRecord: "no_record"
        case .acknowledged: "acknowledged"
        }
    }

    /// Nil if the status is no abort.
    package init?(_ status: LegStatus) {
        switch status {
        case .votedNo(let reason), .aborted(let reason): self = .certified(reason)
        case .failed: self = .certified(.callFailed)
        case .noRecordAbort: self = .noRecord
        case .acknowledged: self = .acknowledged
        case .votedYes, .committed, .read, .running, .returned, .closed: return nil
        }
    }

    /// Another shard says why.
    var isSecondHand: Bool { self == .certified(.participantAborted) }
}

/// What a receipt's certificates say of its legs. Whoever has the receipt computes the decision of each leg
/// (`Receipt.decision`); here it is enough that of certificates that decide a leg one says no if it aborts.
package struct DecidedLegs: Sendable {
    package let outcome: RequestOutcome
    /// One for each leg that aborted.
    package let aborts: [AbortCause]
    /// Of the first leg for which it tells more than that another shard aborted; nil if none aborted.
    package var cause: AbortCause? { aborts.first { !$0.isSecondHand } ?? aborts.first }

    package init(_ receipt: Receipt) {
        let legCount = receipt.request.request.legCount
        var causes: [AbortCause?] = []
        var committed: [Bool] = []
        for certificate in receipt.certificates {
            for entry in certificate.leaf.entries where Int(entry.leg) < legCount {
                switch entry.status {
                // Who knows the decision is right, whatever another one voted.
                case .committed, .read, .returned:
                    if committed.isEmpty { committed = Array(repeating: false, count: legCount) }
                    committed[Int(entry.leg)] = true
                case .votedNo, .aborted, .failed, .noRecordAbort, .acknowledged:
                    guard let cause = AbortCause(entry.status) else { continue }
                    if causes.isEmpty { causes = Array(repeating: nil, count: legCount) }
                    let known = causes[Int(entry.leg)]
                    // Whoever certifies the abort proves more than who only says that he forgot.
                    let isBetter = known?.isSecondHand ?? true ? cause != .acknowledged : known == .acknowledged
                    if known == nil || isBetter { causes[Int(entry.leg)] = cause }
                case .votedYes, .running, .closed: continue
                }
            }
        }
        if !committed.isEmpty { for leg in causes.indices where committed[leg] { causes[leg] = nil } }
        aborts = causes.compactMap { $0 }
        outcome =
            aborts.contains(.acknowledged)
            ? .unknown : aborts.isEmpty ? .committed : aborts.count == legCount ? .aborted : .mixed
    }
}
