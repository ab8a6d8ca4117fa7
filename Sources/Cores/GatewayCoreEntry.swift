import Randomness
import DequeModule
import Gateway
import Messages
import TwoPhaseCommit

/// One request between its admission and the moment when nothing is left to do for it.
struct GatewayEntry: Sendable {
    struct Waiter: Hashable, Sendable {
        let session: SessionID
        let id: UInt64
    }

    enum Stage: Hashable, Sendable {
        case queued
        /// Sent; the timer is for silence.
        case inFlight
        /// Refused; the timer is for sending again, if the budget has the cost.
        case backingOff(Backoff, cost: UInt64)
        /// Answered; the timer is for sending decides again.
        case settling(resends: Int)
    }

    let shards: [ShardID]
    var coordinator: Coordinator
    var stage = Stage.queued
    var waiters: [Waiter]
    /// Whose share of the bytes it takes.
    let holder: SessionID
    /// Whether somebody is known to have signed it. If not, its place in `SessionTrust` is `holder`'s.
    var isChecked: Bool
    var isBeingChecked = false
    /// Its timer ran out: it is woken as soon as it is checked.
    var isDueWhenChecked = false
    /// Serial number of the timer that counts.
    var timer: UInt64 = 0
    /// The present interval after which silence is noticed, in nanoseconds.
    var silence: UInt64 = 0
    /// On the monotonic clock: when it was sent, first or after a refusal, and once it is answered, when that was.
    var since: UInt64?
    var retries: UInt32 = 0
    /// Those after the deadline.
    var lateRetries = 0
    var conflicts: UInt32 = 0
    /// Refusals one after the other, for the backoff.
    var refusedAttempts = 0
    var refusals: [RefusalTally] = []
    /// On the monotonic clock: when a request that still waits is dropped, its deadline, and when it is given up.
    let startBy: UInt64
    let deadlineAt: UInt64
    let giveUpAt: UInt64
    /// The last retry did not leave for want of budget.
    var wasDenied = false

    var request: SignedRequest { coordinator.request }
}

/// The replicas of one shard that refused the present attempt of one request.
struct RefusalTally: Sendable {
    let shard: ShardID
    private var replicas: UInt64 = 0
    /// How many name legs: what execution says of a request, and not a replica by itself before the order.
    private var ordered = 0
    private var reasons: [(reason: RefusalReason, count: Int, retryAfter: UInt64)] = []

    init(shard: ShardID) { self.shard = shard }

    mutating func add(_ refusal: Refusal, by replica: ReplicaIndex) {
        guard replicas & 1 << UInt64(replica.number) == 0 else { return }
        replicas |= 1 << UInt64(replica.number)
        if !refusal.legs.isEmpty { ordered += 1 }
        if let i = reasons.firstIndex(where: { $0.reason == refusal.reason }) {
            reasons[i].count += 1
            // One of them is correct, and a liar may only make us come earlier, within the backoff.
            reasons[i].retryAfter = min(reasons[i].retryAfter, refusal.retryAfterMicroseconds)
        } else {
            reasons.append((refusal.reason, 1, refusal.retryAfterMicroseconds))
        }
    }

    /// At least one correct replica has executed a batch with the request.
    func wasOrdered(weakQuorum: Int) -> Bool { ordered >= weakQuorum }

    /// Nil until f + 1 distinct replicas have refused: a single liar causes no work. A reason that ends the request
    /// needs f + 1 replicas of its own; otherwise what most say is acted upon.
    func verdict(weakQuorum: Int) -> (cause: RetryCause, retryAfterMicroseconds: UInt64)? {
        guard replicas.nonzeroBitCount >= weakQuorum else { return nil }
        var best: (reason: RefusalReason, count: Int, retryAfter: UInt64)?
        for candidate in reasons {
            if RetryCause(candidate.reason) == .clientFault, candidate.count < weakQuorum { continue }
            if candidate.count > best?.count ?? 0 { best = candidate }
        }
        return best.map { (RetryCause($0.reason), $0.retryAfter) }
    }
}

/// Requests that were answered and whose participants are not all certified decided, oldest first; some are gone
/// already.
struct Settling: Sendable {
    private var order: Deque<Digest> = []
    /// Of those that are not gone.
    private var bytes = 0

    mutating func add(_ request: Digest, bytes more: Int) {
        order.append(request)
        bytes += more
    }

    /// A request of so many bytes is gone.
    mutating func release(_ less: Int) { bytes -= less }

    /// Takes the oldest if there are too many; nil otherwise.
    mutating func excess(_ options: GatewayOptions) -> Digest? {
        guard order.count > options.maxSettling || bytes > options.maxSettlingBytes else { return nil }
        return order.popFirst()
    }
}

/// The last answers, by request, bounded in number and in bytes.
struct FinishedRequests: Sendable {
    struct Answer: Sendable {
        var receipt: Receipt
        let retries: UInt32
        let conflicts: UInt32

        /// Bytes, roughly.
        var weight: Int { receipt.request.bytes.count + 4096 * receipt.certificates.count }
    }

    private let capacity: Int
    private let byteLimit: Int
    private var bytes = 0
    private var answers: [Digest: Answer] = [:]
    /// Oldest first.
    private var order: Deque<Digest> = []

    init(capacity: Int, bytes: Int) {
        precondition(capacity > 0)
        (self.capacity, byteLimit) = (capacity, bytes)
    }

    subscript(_ request: Digest) -> Answer? { answers[request] }

    mutating func add(_ answer: Answer) {
        let digest = answer.receipt.request.digest
        if let old = answers.updateValue(answer, forKey: digest) {
            bytes += answer.weight - old.weight
            return
        }
        bytes += answer.weight
        order.append(digest)
        while answers.count > capacity || (bytes > byteLimit && answers.count > 1) {
            if let oldest = answers.removeValue(forKey: order.removeFirst()) { bytes -= oldest.weight }
        }
    }
}
