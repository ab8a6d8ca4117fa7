import DequeModule
import Messages

/// What gateways submit to a backup whose share it is not (docs/decisions/0040): nobody has checked its signature here,
/// so it starts no timer, is handed to nobody and proposed by nobody. It waits until a batch with it is executed; or
/// for so long that this replica has it checked, to watch over the primary as it does over its own share.
///
/// Bounded in number and bytes, and no session takes more than half, so that junk keeps out nobody else's requests for
/// longer than it takes to check it.
package struct UncheckedPool: Sendable {
    private struct Entry: Sendable {
        let request: SignedRequest
        let session: SessionID
        let arrived: Instant
    }

    private struct Place: Sendable {
        let request: Digest
        let session: SessionID
        let at: UInt64
    }

    private struct Share: Sendable {
        var count = 0
        var bytes = 0
    }

    /// Mostly one for each request: one a session.
    private var entries: [Digest: [Entry]] = [:]
    /// In order of arrival, and some that are gone.
    private var unasked: Deque<Place> = []
    /// Those that are being checked, in the order in which that was asked for, and some that are gone.
    private var asked: Deque<Place> = []
    private var shares: [SessionID: Share] = [:]
    private var total = Share()
    private let capacity: Int
    private let maxBytes: Int
    private let patience: UInt64

    /// An answer that does not come in so long is lost.
    private static let checkTimeout: UInt64 = 1_000_000_000

    package init(options: HostOptions) {
        (capacity, maxBytes, patience) = (
            options.maxPendingRequests, options.maxUncheckedBytes, options.checkAfter
        )
    }

    package var count: Int { total.count }
    package func contains(_ request: Digest) -> Bool { entries[request] != nil }

    package func holds(_ request: Digest, from session: SessionID) -> Bool {
        entries[request]?.contains { $0.session == session } ?? false
    }

    /// False if there is no room for this session's.
    package mutating func insert(_ request: SignedRequest, from session: SessionID, now: Instant) -> Bool {
        if holds(request.digest, from: session) { return true }
        let share = shares[session] ?? Share()
        let bytes = request.bytes.count
        guard total.count < capacity, total.bytes + bytes <= maxBytes, share.count < max(1, capacity / 2),
            share.bytes + bytes <= max(SignedRequest.maxBytes, maxBytes / 2)
        else { return false }
        entries[request.digest, default: []].append(Entry(request: request, session: session, arrived: now))
        unasked.append(Place(request: request.digest, session: session, at: now.uptime))
        add(1, bytes, of: session)
        return true
    }

    private mutating func add(_ count: Int, _ bytes: Int, of session: SessionID) {
        var share = shares[session] ?? Share()
        (share.count, share.bytes) = (share.count + count, share.bytes + bytes)
        (total.count, total.bytes) = (total.count + count, total.bytes + bytes)
        shares[session] = share.count > 0 ? share : nil
    }

    /// It was executed, or came in another way: nobody waits for it here any more.
    /// - Returns: the sessions that brought it, in order of arrival.
    package mutating func remove(_ request: Digest) -> [SessionID] {
        guard let gone = entries.removeValue(forKey: request) else { return [] }
        for entry in gone { add(-1, -entry.request.bytes.count, of: entry.session) }
        tidy()
        return gone.map(\.session)
    }

    /// It was checked.
    /// - Returns: when it came; nil if it is gone.
    package mutating func remove(_ request: Digest, from session: SessionID) -> Instant? {
        guard let i = entries[request]?.firstIndex(where: { $0.session == session }),
            let entry = entries[request]?.remove(at: i)
        else { return nil }
        if entries[request]?.isEmpty ?? false { entries[request] = nil }
        add(-1, -entry.request.bytes.count, of: session)
        tidy()
        return entry.arrived
    }

    /// What is executed was mostly the oldest.
    private mutating func tidy() {
        while let first = unasked.first, !holds(first.request, from: first.session) { unasked.removeFirst() }
        while let first = asked.first, !holds(first.request, from: first.session) { asked.removeFirst() }
    }

    /// What is to be checked now, each once until the answer is overdue.
    /// - Parameter isUrgent: whatever waits, and not only what has waited for long.
    package mutating func takeDue(
        isUrgent: Bool, atMost count: Int, now: Instant
    ) -> [(session: SessionID, request: SignedRequest)] {
        var due: [(session: SessionID, request: SignedRequest)] = []
        while due.count < count, let first = unasked.first, isUrgent || now.uptime >= first.at + patience {
            unasked.removeFirst()
            ask(first, now: now, into: &due)
        }
        while due.count < count, let first = asked.first, now.uptime >= first.at + Self.checkTimeout {
            asked.removeFirst()
            ask(first, now: now, into: &due)
        }
        return due
    }

    private mutating func ask(
        _ place: Place, now: Instant, into due: inout [(session: SessionID, request: SignedRequest)]
    ) {
        guard let entry = entries[place.request]?.first(where: { $0.session == place.session }) else { return }
        due.append((place.session, entry.request))
        asked.append(Place(request: place.request, session: place.session, at: now.uptime))
    }
}
