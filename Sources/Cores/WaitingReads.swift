import Gateway
import Messages

/// A quorum read that may be answered once everything up to `after` is executed.
struct WaitingRead: Sendable {
    let session: SessionID
    let id: UInt64
    let subject: ReadSubject
    let nonce: Digest
    let after: SequenceNumber
}

/// One shard's quorum reads that wait: for execution, or for the protocol's thread, of which signing their answers may
/// take no more than a part, however many are asked for. Sessions take turns, and none takes all the room from the
/// others.
struct WaitingReads: Sendable {
    private var reads = FairQueue<SessionID, WaitingRead>()
    private var room: FairShare<SessionID>
    /// Answers that may be given at once.
    private var allowance: UInt64
    private let burst: UInt64
    private let nanosecondsPerRead: UInt64
    private var filledAt: UInt64 = 0

    init(options: HostOptions) {
        precondition(options.readsPerSecond > 0 && options.readBurst > 0)
        room = FairShare(limit: options.maxWaitingReads, holders: options.maxSessions)
        burst = options.readBurst
        allowance = burst
        nanosecondsPerRead = max(1, 1_000_000_000 / options.readsPerSecond)
    }

    var isEmpty: Bool { reads.isEmpty }

    /// False if there is no room.
    mutating func append(_ read: WaitingRead) -> Bool {
        guard room.take(1, for: read.session) else { return false }
        reads.append(read, from: read.session)
        return true
    }

    /// The next one that may be answered now.
    mutating func popDue(executed: SequenceNumber) -> WaitingRead? {
        guard allowance > 0, let (session, read) = reads.popFirst(where: { $0.after <= executed }) else { return nil }
        allowance -= 1
        room.giveBack(1, from: session)
        return read
    }

    /// Time has passed.
    /// - Returns: whether somebody may have waited for it.
    mutating func fill(now uptime: UInt64) -> Bool {
        let more = (uptime - min(uptime, filledAt)) / nanosecondsPerRead
        guard more > 0 else { return false }
        let wasSpent = allowance == 0
        allowance = min(burst, allowance + min(more, burst))
        filledAt = allowance == burst ? uptime : filledAt + more * nanosecondsPerRead
        return wasSpent && !isEmpty
    }

    mutating func forget(_ session: SessionID) {
        reads.removeAll(from: session)
        room.giveBackAll(from: session)
    }
}
