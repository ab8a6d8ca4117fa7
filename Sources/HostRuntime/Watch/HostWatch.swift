import Messages
import NIOCore
import Randomness
import StrictInput

/// Looks at one host again and again, over a session that stays open between the looks.
actor HostWatch {
    private let host: HostID
    private let manifest: Manifest
    private var connection: HostConnection?
    private var connecting: Task<HostConnection, any Error>?
    private var failures = 0
    private var timeouts = 0
    private var nextTry = ContinuousClock.now
    private var hasEverTried = false
    private var why = "not asked yet"
    private var answers = false
    private var since: Timestamp
    /// Microseconds, of the last looks.
    private var roundTrips: [UInt64] = []
    /// Where moments of batches go on; `.max` for only where that is.
    private var place = UInt64.max
    /// Questions about them without an answer, one after the other, and looks without such a question.
    private var (unobserved, unasked) = (0, 0)
    private var rng = SplitMix64(seed: UInt64.random(in: .min ... .max))

    /// Looks over which the shortest round trip is taken: a minute.
    private static let maxRoundTrips = 60
    /// A host that is stopped in the middle of a session keeps it; after so many looks in vain it is opened anew.
    private static let maxTimeouts = 5
    /// A host of an older version ends the session at a question that it does not know. After so many it is spared them
    /// for so many looks.
    private static let maxUnobserved = 2
    private static let spared = 600
    private static let backoff = Backoff(base: .milliseconds(500), cap: .seconds(5))

    init(_ host: HostID, of manifest: Manifest) {
        (self.host, self.manifest) = (host, manifest)
        since = Clock.now().wall
    }

    /// - Parameter timeout: no look takes longer, by much.
    func look(timeout: Duration) async -> HostSighting {
        // Between two watches nobody knows what was.
        if !hasEverTried { (answers, since) = (false, Clock.now().wall) }
        var answer: HostSighting.Answer?
        if let connection = await session(timeout: timeout) { answer = await ask(connection, timeout: timeout) }
        let now = Clock.now().wall
        if (answer != nil) != answers { (answers, since) = (answer != nil, now) }
        if let answer {
            why = ""
            roundTrips.append(answer.roundTrip)
            if roundTrips.count > Self.maxRoundTrips { roundTrips.removeFirst() }
        }
        return HostSighting(answer: answer, why: why, since: since, shortestRoundTrip: roundTrips.min())
    }

    /// Ends the session. The next look opens another.
    func rest() async {
        connecting?.cancel()
        connecting = nil
        await drop()
        (failures, hasEverTried, roundTrips) = (0, false, [])
        (place, unobserved, unasked) = (.max, 0, 0)
    }

    /// What it has stamped of traced requests; nil if it has no session, or does not answer.
    func stamps(_ query: StampQuery, timeout: Duration) async -> StampAnswer? {
        guard let connection = await session(timeout: timeout) else { return nil }
        return try? await connection.stamps(query, timeout: timeout)
    }

    private func ask(_ connection: HostConnection, timeout: Duration) async -> HostSighting.Answer? {
        let asked = Clock.now()
        do {
            let report = try await connection.report(timeout: timeout)
            let microseconds = (Clock.uptime() - asked.uptime) / 1000
            timeouts = 0
            let observed = await observe(connection, timeout: timeout)
            return HostSighting.Answer(
                replicas: report.replicas, metrics: report.metrics, roundTrip: microseconds,
                own: asked.wall.adding(microseconds: microseconds / 2), observed: observed)
        } catch {
            note(error)
            if case .timeout = error as? HostConnectionError, timeouts + 1 < Self.maxTimeouts {
                timeouts += 1
            } else {
                await drop()
            }
            return nil
        }
    }

    private func observe(_ connection: HostConnection, timeout: Duration) async -> HostSighting.Observed? {
        if unobserved >= Self.maxUnobserved {
            unasked += 1
            guard unasked > Self.spared else { return nil }
            (unobserved, unasked) = (0, 0)
        }
        let asked = Clock.uptime()
        do {
            let query = ObservationQuery(since: place, isSampled: true, wantsRecords: true)
            let answer = try await connection.observe(query, timeout: timeout)
            (place, unobserved) = (answer.next, 0)
            return HostSighting.Observed(answer, asked: asked, answered: Clock.uptime())
        } catch {
            unobserved += 1
            return nil
        }
    }

    /// The one that is open, or a new one. Only the first look waits until it is connected: those that follow find it
    /// done, and a host that is away holds nobody up.
    private func session(timeout: Duration) async -> HostConnection? {
        if let connection { return connection }
        guard connecting == nil, ContinuousClock.now >= nextTry else { return nil }
        var options = TransportOptions()
        options.connectTimeout = TimeAmount(timeout)
        options.handshakeTimeout = options.connectTimeout
        let (host, manifest, given) = (host, manifest, options)
        connecting = Task { try await HostConnection.connect(to: host, of: manifest, options: given) }
        let isFirst = !hasEverTried
        hasEverTried = true
        if isFirst { await adopt() } else { Task { await self.adopt() } }
        return connection
    }

    private func adopt() async {
        guard let attempt = connecting else { return }
        let result = await attempt.result
        // Another look has waited for the same, or the watch rests.
        guard connecting == attempt else { return }
        connecting = nil
        switch result {
        case .success(let opened): (connection, failures, timeouts) = (opened, 0, 0)
        case .failure(let error):
            note(error)
            let pause = Self.backoff.spacedDelay(attempt: failures, using: &rng)
            failures += 1
            nextTry = .now + .nanoseconds(Int64(clamping: pause))
        }
    }

    private func note(_ error: any Error) { why = Printable.line("\(error)") }

    private func drop() async {
        timeouts = 0
        guard let open = connection else { return }
        connection = nil
        await open.close()
    }
}
