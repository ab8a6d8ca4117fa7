import Messages

/// One vote a replica, the first that arrived.
struct VoteSet: Sendable {
    private var votes: [Digest?]

    init(n: Int) { votes = Array(repeating: nil, count: n) }

    /// False if the replica had voted for another digest: it equivocates, or it forgot.
    mutating func insert(_ digest: Digest, from replica: ReplicaIndex) -> Bool {
        if let earlier = votes[replica.index] { return earlier == digest }
        votes[replica.index] = digest
        return true
    }

    func count(of digest: Digest, except excluded: ReplicaIndex? = nil) -> Int {
        var count = 0
        for (i, vote) in votes.enumerated() where vote == digest && i != excluded?.index { count += 1 }
        return count
    }

    func contains(_ replica: ReplicaIndex) -> Bool { votes[replica.index] != nil }

    func voters(for digest: Digest) -> ReplicaSet {
        var voters = ReplicaSet()
        for (i, vote) in votes.enumerated() where vote == digest { voters.insert(ReplicaIndex(UInt8(i))) }
        return voters
    }
}

/// Everything about one sequence number between the watermarks.
struct Slot: Sendable {
    let sequence: SequenceNumber

    // Of the current view.
    /// What the primary's PRE-PREPARE or NEW-VIEW said.
    var digest: Digest?
    /// The body is here and the record that makes it Q's is written.
    var isPrePrepared = false
    /// It came as a fresh proposal, and this replica has had every signature in it checked, not its share alone.
    var isWhollyChecked = false
    /// As the primary: the PRE-PREPARE has left, so it may be repeated.
    var hasProposalLeft = false
    var prepares: VoteSet
    /// Whose PREPARE vouches for its share. Who has said both is faulty, and has said that it does: its vote counts
    /// once, its word for what it is worth.
    var vouchers = ReplicaSet()
    var commits: VoteSet
    var isPrepared = false

    // Across views.
    /// The entry of P.
    var prepared: PQEntry?
    /// The entries of Q, one a digest.
    var prePrepared: [PQEntry] = []
    /// The bodies of P's and Q's digests.
    var bodies: [Batch] = []

    init(sequence: SequenceNumber, n: Int) {
        self.sequence = sequence
        (prepares, commits) = (VoteSet(n: n), VoteSet(n: n))
    }

    mutating func enterView(n: Int) {
        (digest, isPrePrepared, hasProposalLeft, isPrepared) = (nil, false, false, false)
        isWhollyChecked = false
        vouchers = ReplicaSet()
        (prepares, commits) = (VoteSet(n: n), VoteSet(n: n))
    }

    func body(_ digest: Digest) -> Batch? {
        digest.isNull ? .null : bodies.first { $0.digest == digest }
    }

    func hasBody(_ digest: Digest) -> Bool { digest.isNull || bodies.contains { $0.digest == digest } }

    /// Pre-prepares the batch in the current view.
    mutating func take(_ batch: Batch) {
        keep(batch)
        isPrePrepared = true
    }

    mutating func keep(_ batch: Batch) {
        if !batch.isNull, !hasBody(batch.digest) { bodies.append(batch) }
    }

    /// Q keeps, for each digest, the latest view. Its size is bounded by dropping the lowest views (TOCS '02 §4.4).
    mutating func addToQ(_ digest: Digest, view: View) {
        prePrepared.removeAll { $0.digest == digest }
        prePrepared.append(PQEntry(sequence: sequence, digest: digest, view: view))
        if prePrepared.count > Self.maxQ {
            prePrepared.sort { $0.view < $1.view }
            // Never P's digest: its body must stay.
            guard let lowest = prePrepared.firstIndex(where: { $0.digest != prepared?.digest }) else { return }
            let dropped = prePrepared.remove(at: lowest)
            bodies.removeAll { $0.digest == dropped.digest }
        }
    }

    static let maxQ = 8
}

/// The slots of (low, low + window], in a ring.
package struct MessageLog: Sendable {
    var ring: [Slot]
    private(set) var low: SequenceNumber
    let window: UInt64
    let group: ReplicaGroup

    init(low: SequenceNumber, window: UInt64, group: ReplicaGroup) {
        (self.low, self.window, self.group) = (low, window, group)
        ring = []
        ring.reserveCapacity(Int(window))
        // ring[i] holds the sequence number that is congruent to i.
        let base = low.number + 1
        for i in 0..<window {
            let offset = (i + window - base % window) % window
            ring.append(Slot(sequence: SequenceNumber(base + offset), n: group.n))
        }
    }

    var high: SequenceNumber { SequenceNumber(low.number + window) }

    func contains(_ sequence: SequenceNumber) -> Bool { sequence > low && sequence <= high }

    /// - Precondition: `contains(sequence)`.
    subscript(sequence: SequenceNumber) -> Slot {
        _read {
            precondition(contains(sequence))
            yield ring[Int(sequence.number % window)]
        }
        _modify {
            precondition(contains(sequence))
            yield &ring[Int(sequence.number % window)]
        }
    }

    /// The sequence numbers between the watermarks, ascending.
    var sequences: some BidirectionalCollection<SequenceNumber> {
        (low.number + 1...high.number).lazy.map { SequenceNumber($0) }
    }

    mutating func advance(to newLow: SequenceNumber) {
        guard newLow > low else { return }
        let oldHigh = high.number
        low = newLow
        for number in max(oldHigh, newLow.number) + 1...newLow.number + window {
            ring[Int(number % window)] = Slot(sequence: SequenceNumber(number), n: group.n)
        }
    }

    mutating func enterView() {
        for i in ring.indices { ring[i].enterView(n: group.n) }
    }
}
