import DequeModule
import Gateway
import Messages

/// What gateways submit to a backup whose share it is not (docs/decisions/0040): nobody has checked its signature here,
/// so it starts no timer, is handed to nobody and proposed by nobody. It waits until a batch with it is executed; or
/// for so long that this replica has it checked, to watch over the primary as it does over its own share.
///
/// Bounded in number and bytes, and sessions share the room as `FairShare` says, so that junk of some keeps out nobody
/// else's requests. What is left of sessions that are closed goes first. Whoever finds no room makes the replica check
/// what is there: then it is charged for, or waits among what is checked.
package struct UncheckedPool: Sendable {
    private struct Entry: Sendable {
        let request: SignedRequest
        let session: SessionID
        let arrived: Instant
        /// Its session is closed.
        var isLeft = false
    }

    private struct Place: Sendable {
        let request: Digest
        let session: SessionID
        let at: UInt64
    }

    /// Mostly one for each request: one a session.
    private var entries: [Digest: [Entry]] = [:]
    /// In order of arrival, and some that are gone.
    private var unasked: Deque<Place> = []
    /// Those that are being checked, in the order in which that was asked for, and some that are gone.
    private var asked: Deque<Place> = []
    /// Those of closed sessions, and some that are gone.
    private var left: Deque<Place> = []
    /// What open sessions have here.
    private var numbers: FairShare<SessionID>
    private var bytes: FairShare<SessionID>
    /// What closed ones have here.
    private var remains = (number: 0, bytes: 0)
    /// Something found no room.
    private var isCrowded = false
    private var patience: Patience

    /// An answer that does not come in so long is lost.
    private static let checkTimeout: UInt64 = 1_000_000_000

    package init(options: HostOptions) {
        numbers = FairShare(limit: options.maxUncheckedRequests, holders: options.maxSessions)
        bytes = FairShare(limit: options.maxUncheckedBytes, holders: options.maxSessions)
        patience = Patience(from: options.checkAfter, to: options.checkAfterAtMost)
    }

    package var count: Int { numbers.total + remains.number }
    package func contains(_ request: Digest) -> Bool { entries[request] != nil }

    package func holds(_ request: Digest, from session: SessionID) -> Bool {
        entries[request]?.contains { $0.session == session } ?? false
    }

    /// False if there is no room for this session's.
    package mutating func insert(_ request: SignedRequest, from session: SessionID, now: Instant) -> Bool {
        if holds(request.digest, from: session) { return true }
        guard takeRoom(request.bytes.count, for: session) else {
            isCrowded = true
            return false
        }
        entries[request.digest, default: []].append(Entry(request: request, session: session, arrived: now))
        unasked.append(Place(request: request.digest, session: session, at: now.uptime))
        dropLeft()
        return true
    }

    private mutating func takeRoom(_ count: Int, for session: SessionID) -> Bool {
        guard numbers.take(1, for: session) else { return false }
        if bytes.take(count, for: session) { return true }
        numbers.giveBack(1, from: session)
        return false
    }

    // MARK: Sessions that are closed

    /// What it has brought waits on while there is room: it may be all that is left of a gateway that is dead.
    package mutating func close(_ session: SessionID) {
        guard numbers.held(by: session) > 0 else { return }
        for place in asked + unasked where place.session == session {
            guard let i = entries[place.request]?.firstIndex(where: { $0.session == session }),
                let entry = entries[place.request]?[i], !entry.isLeft
            else { continue }
            entries[place.request]?[i].isLeft = true
            left.append(place)
            remains.number += 1
            remains.bytes += entry.request.bytes.count
        }
        numbers.giveBackAll(from: session)
        bytes.giveBackAll(from: session)
    }

    /// As much of what is left as those who are there have no room for.
    private mutating func dropLeft() {
        while let first = left.first,
            numbers.total + remains.number > numbers.limit || bytes.total + remains.bytes > bytes.limit
        {
            left.removeFirst()
            isCrowded = true
            _ = take(first.request, from: first.session)
        }
    }

    // MARK: What is gone

    /// It was executed: nobody waits for it here any more.
    /// - Returns: the sessions that brought it, in order of arrival, and whether with the signature that was executed:
    ///   under another one it may be anybody's invention.
    package mutating func executed(
        _ request: SignedRequest, now: Instant
    ) -> [(session: SessionID, isSame: Bool)] {
        guard let gone = entries.removeValue(forKey: request.digest) else { return [] }
        for entry in gone {
            giveBack(entry)
            patience.note(now.uptime - min(now.uptime, entry.arrived.uptime))
        }
        tidy()
        return gone.map { ($0.session, $0.request.signature == request.signature) }
    }

    /// It was checked.
    /// - Returns: when it came; nil if it is gone.
    package mutating func remove(_ request: Digest, from session: SessionID) -> Instant? {
        defer { tidy() }
        return take(request, from: session)?.arrived
    }

    private mutating func take(_ request: Digest, from session: SessionID) -> Entry? {
        guard let i = entries[request]?.firstIndex(where: { $0.session == session }),
            let entry = entries[request]?.remove(at: i)
        else { return nil }
        if entries[request]?.isEmpty ?? false { entries[request] = nil }
        giveBack(entry)
        return entry
    }

    private mutating func giveBack(_ entry: Entry) {
        let count = entry.request.bytes.count
        if entry.isLeft {
            remains.number -= 1
            remains.bytes -= count
        } else {
            numbers.giveBack(1, from: entry.session)
            bytes.giveBack(count, from: entry.session)
        }
    }

    /// What is executed was mostly the oldest.
    private mutating func tidy() {
        while let first = unasked.first, !holds(first.request, from: first.session) { unasked.removeFirst() }
        while let first = asked.first, !holds(first.request, from: first.session) { asked.removeFirst() }
        while let first = left.first, !holds(first.request, from: first.session) { left.removeFirst() }
        if unasked.isEmpty { isCrowded = false }
    }

    // MARK: Checks

    /// What is to be checked now, each once until the answer is overdue.
    /// - Parameter isUrgent: whatever waits, and not only what has waited for long.
    package mutating func takeDue(
        isUrgent: Bool, atMost count: Int, now: Instant
    ) -> [(session: SessionID, request: SignedRequest)] {
        var due: [(session: SessionID, request: SignedRequest)] = []
        let patience = isUrgent || isCrowded ? 0 : patience.time
        while due.count < count, let first = unasked.first, now.uptime >= first.at + patience {
            unasked.removeFirst()
            ask(first, now: now, into: &due)
        }
        if unasked.isEmpty { isCrowded = false }
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

/// How long a request waits unchecked. Where what is executed lately took long from its arrival there is no point in
/// checking what is about to be executed all the same: so under load backups do not check everything. Never much
/// longer, because nobody watches over the primary for it meanwhile.
struct Patience: Sendable {
    private let least: UInt64
    private let most: UInt64
    /// Nanoseconds from arrival to execution, on average of the last few requests.
    private var typical: UInt64 = 0

    init(from least: UInt64, to most: UInt64) { (self.least, self.most) = (least, max(least, most)) }

    mutating func note(_ time: UInt64) { typical = typical - typical / 16 + min(time, most) / 16 }

    /// Twice as long as it takes, within its bounds.
    var time: UInt64 { min(max(least, 2 * typical), most) }
}
