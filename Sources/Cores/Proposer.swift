import Messages
import ShardState

/// What waits at a replica to be ordered, and the batches that it makes of it as the primary.
package struct Proposer: Sendable {
    private var requests: PendingPool
    private var decides: PendingPool
    /// From when on what waits in `decides` makes a batch of its own; nil if nothing of it waits to be proposed.
    private var decidesDue: UInt64?
    /// Requests whose signatures other backups check.
    package var unchecked: UncheckedPool
    /// Certificates that came before the request that they decide.
    private var early = EarlyDecides()
    /// The view in which the pools' "proposed" marks were made.
    private var view: View
    /// Proposed for replicas that rejoin, less what was ordered since.
    private var emptyBatches = 0
    private var emptyBatchAt: UInt64 = 0
    /// Nothing is forwarded before this uptime.
    private var forwardsFrom: UInt64 = 0
    private let options: HostOptions

    package init(options: HostOptions, view: View) {
        (self.options, self.view) = (options, view)
        requests = PendingPool(capacity: options.maxPendingRequests)
        decides = PendingPool(capacity: options.maxPendingDecides)
        unchecked = UncheckedPool(options: options)
    }

    // MARK: What waits

    package var count: Int { requests.count + decides.count }

    var oldest: Instant? {
        switch (requests.oldest, decides.oldest) {
        case (let a?, let b?): a.uptime <= b.uptime ? a : b
        case (let a?, nil): a
        case (nil, let b): b
        }
    }

    /// Whether it is on its way to be ordered, as far as is known here.
    package func isWaiting(request: Digest) -> Bool { requests.contains(request) || unchecked.contains(request) }

    /// Whether its signature is checked, and it waits to be proposed or executed.
    package func isPending(request: Digest) -> Bool { requests.contains(request) }

    package func source(of key: Digest) -> Source? { requests.source(of: key) ?? decides.source(of: key) }

    /// False if there is no room.
    package mutating func insert(_ request: SignedRequest, from source: Source, now: Instant) -> Bool {
        requests.insert(
            .request(request), key: request.digest, bytes: request.bytes.count + 72, from: source, now: now)
    }

    /// What one that waits, or is on its way in a batch, does as well is not ordered a second time. When that one is
    /// executed the other has nothing left to do, at any replica.
    /// - Parameter isEarly: the shard has no record yet, so the first of two may do nothing, and the second is needed.
    /// - Returns: why it does not wait; nil if it does, or if enough others that decide the same do.
    package mutating func insert(
        _ decide: TransactionDecide, from source: Source, isEarly: Bool = false, now: Instant
    ) -> MessageDrop? {
        if !isEarly, decides.contains(in: decide.request, where: { $0.covers(decide) }) { return nil }
        let isFull = decides.isFull(for: source) && !decides.contains(decide.digest)
        decidesDue = min(decidesDue ?? .max, now.uptime + options.decidesAlone)
        _ = decides.insert(
            .decide(decide), key: decide.digest, bytes: decide.maxSize, from: source, group: decide.request, now: now)
        return isFull ? .poolFull : nil
    }

    /// What changes something: passes caps as decides do (R12).
    /// - Returns: why it does not wait; nil if it does.
    package mutating func insert(_ evidence: CallEvidence, from source: Source, now: Instant) -> MessageDrop? {
        guard let bytes = batchBytes(of: evidence) else { return .tooLarge }
        decidesDue = 0
        let waits = decides.insert(
            .evidence(evidence), key: evidence.contentDigest, bytes: bytes, from: source, now: now)
        return waits ? nil : .poolFull
    }

    /// Into the ordinary share of batches: nothing here is decided by it.
    /// - Returns: why it does not wait; nil if it does.
    package mutating func insert(question evidence: CallEvidence, from source: Source, now: Instant) -> MessageDrop? {
        guard let bytes = batchBytes(of: evidence) else { return .tooLarge }
        let waits = requests.insert(
            .evidence(evidence), key: evidence.contentDigest, bytes: bytes, from: source, now: now)
        return waits ? nil : .poolFull
    }

    /// The leaf that follows may be much larger than what brings it about. Nil if it can never be ordered.
    private func batchBytes(of evidence: CallEvidence) -> Int? {
        let bytes = max(evidence.encoded().count + 1, options.evidenceBytes)
        return bytes <= options.maxBatchBytes / 2 ? bytes : nil
    }

    package mutating func remove(_ key: Digest) {
        requests.remove(key)
        decides.remove(key)
    }

    /// What else waits for a place in a batch that may decide the same request.
    package func unproposedDecides(of request: Digest) -> [TransactionDecide] {
        decides.unproposed(of: request).compactMap { if case .decide(let decide) = $0 { decide } else { nil } }
    }

    // MARK: What waits for its vote

    package mutating func keepEarly(_ decide: TransactionDecide, from source: Source) {
        early.keep(decide, from: source)
    }

    /// After the request that it decides was executed.
    package mutating func takeEarly(_ request: Digest) -> (decide: TransactionDecide, source: Source)? {
        early.take(request)
    }

    // MARK: Views and states

    /// What the old primary proposed may be lost.
    /// - Returns: whether the view is another one.
    @discardableResult
    package mutating func enter(_ view: View) -> Bool {
        guard view != self.view else { return false }
        self.view = view
        proposeAgain()
        return true
    }

    /// Another replica's state is here: what this replica proposed below it will not be executed here.
    package mutating func goOn(now: Instant) {
        early.removeAll()
        proposeAgain()
        // First the batches after the state: what waits here may be in them.
        forwardsFrom = now.uptime + options.forwardAfter
    }

    private mutating func proposeAgain() {
        requests.enterView()
        decides.enterView()
        decidesDue = 0
    }

    // MARK: Proposing

    package var hasUnproposed: Bool {
        mutating get { decides.hasUnproposed || requests.hasUnproposed }
    }

    /// Whether a batch is to be made now. A lone request does not wait. Decides wait a little for a request to ride with:
    /// a batch for them alone costs the shard as much as one that somebody waits for, and whatever comes meanwhile takes
    /// them along and is executed after them, so nothing that is ordered misses what they free.
    package mutating func isDue(now: Instant) -> Bool {
        if requests.hasUnproposed { return true }
        guard decides.hasUnproposed else {
            decidesDue = nil
            return false
        }
        return now.uptime >= decidesDue ?? 0
    }

    /// The next batch's items; while the pipeline is full, it fills up.
    package mutating func take(_ executor: borrowing ShardExecutor) -> [BatchItem] {
        var items: [BatchItem] = []
        var bytes = options.maxBatchBytes
        // Decides release what others wait for; requests keep a share (R12).
        decides.take(atMost: options.maxDecidesPerBatch, on: executor.shard, bytes: &bytes, into: &items)
        decidesDue = decides.hasUnproposed ? 0 : nil
        bytes = max(bytes, options.maxBatchBytes / 4)
        if executor.isPressed { takeBacked(executor, bytes: &bytes, into: &items) }
        requests.take(
            atMost: options.maxBatchItems - items.count, on: executor.shard, bytes: &bytes, into: &items)
        return items
    }

    /// Under pressure certified votes back a request of the same batch only (R12), so it does not wait for its turn.
    private mutating func takeBacked(
        _ executor: borrowing ShardExecutor, bytes: inout Int, into items: inout [BatchItem]
    ) {
        for case .decide(let decide) in items where (try? executor.effect(of: decide)) == .noRecord {
            if let request = requests.take(decide.request, bytes: &bytes) { items.append(request) }
        }
    }

    /// A replica that rejoins waits for the shard to move on (R4); an idle primary moves it, a batch a tick, and after
    /// `maxEmptyBatches` more slowly.
    package mutating func takeEmpty(now: Instant) -> Bool {
        guard !hasUnproposed else { return false }
        guard emptyBatches < options.maxEmptyBatches || now.uptime >= emptyBatchAt + options.emptyBatchInterval else {
            return false
        }
        emptyBatches += 1
        emptyBatchAt = now.uptime
        return true
    }

    package mutating func noteOrdered(items: Int) { emptyBatches = max(0, emptyBatches - items) }

    // MARK: Forwarding

    /// What has waited for long is handed to the primary, with how often it was.
    package mutating func takeForForwarding(now: Instant) -> [(item: BatchItem, times: Int)] {
        guard now.uptime > options.forwardAfter, now.uptime >= forwardsFrom else { return [] }
        let before = now.uptime - options.forwardAfter
        guard let oldest, oldest.uptime <= before else { return [] }
        return decides.takeForForwarding(waitingSince: before, now: now.uptime, atMost: 32)
            + requests.takeForForwarding(waitingSince: before, now: now.uptime, atMost: 32)
    }
}
