import HostRuntime
import Messages
import Meter
import Workload

/// Fetches the moments of batches from all hosts while a load runs, before newer ones take their places, and puts them
/// together.
actor PropagationMeter {
    private let connections: ClusterConnections
    private let manifest: Manifest
    /// Nil during the warm-up.
    private var figures: PropagationFigures?
    private var places: [HostID: UInt64] = [:]
    /// In place of those that have ended: hosts are killed and started again during a load.
    private var again: [HostID: HostConnection] = [:]
    private var lost: Set<HostID> = []

    private static let period = Duration.seconds(1)
    private static let timeout = Duration.seconds(2)
    /// Of one host in one round: more than its ring has.
    private static let maxAnswers = 20
    /// Of these the shortest round trip tells the host's clock best.
    private static let firstLooks = 8

    private struct Answer: Sendable {
        let observation: HostObservation
        let asked: UInt64
        let answered: UInt64
    }

    init(_ connections: ClusterConnections, _ manifest: Manifest) {
        (self.connections, self.manifest) = (connections, manifest)
    }

    /// Until it is cancelled. Does nothing until the warm-up is over.
    /// - Parameter warmup: seconds.
    func run(after warmup: Double) async {
        let origin = Instant.current().uptime
        try? await Task.sleep(for: .microseconds(Int64(warmup * 1e6)))
        guard !Task.isCancelled else { return }
        figures = PropagationFigures(manifest, measureFrom: Instant.current().uptime, origin: origin)
        for _ in 0..<Self.firstLooks where !Task.isCancelled { await collect() }
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.period)
            if !Task.isCancelled {
                await collect()
                figures?.settle(now: Instant.current().uptime)
            }
        }
    }

    /// All that is there now, and what has come of it.
    /// - Parameter traces: of requests of this load, by the clock of this machine.
    func end(traces: [RequestTrace]) async -> RunResult.Propagation? {
        await collect()
        for connection in again.values { await connection.close() }
        again = [:]
        figures?.settle(now: nil)
        figures?.note(clients: traces)
        return figures?.result()
    }

    private func collect() async {
        let (places, again, lost) = (places, again, lost)
        let manifest = manifest
        let found = await connections.ask { role, connection -> Found? in
            guard case .host(let number) = role, case .host(let first) = connection else { return nil }
            let host = HostID(UInt16(clamping: number))
            // At first only where it is; of one that was away all that it has.
            if lost.contains(host) {
                var options = TransportOptions()
                options.connectTimeout = .milliseconds(500)
                options.handshakeTimeout = options.connectTimeout
                guard let new = try? await HostConnection.connect(to: host, of: manifest, options: options) else {
                    return Found(host: host, isLost: true)
                }
                return await Self.ask(new, host, since: 0, isNew: true)
            }
            return await Self.ask(again[host] ?? first, host, since: places[host] ?? .max, isNew: false)
        }
        for case let found? in found.values { await take(found) }
    }

    /// What one host has said in one round.
    private struct Found: Sendable {
        let host: HostID
        var answers: [Answer] = []
        var isLost = false
        /// Made in this round.
        var connection: HostConnection?
    }

    private static func ask(
        _ connection: HostConnection, _ host: HostID, since: UInt64, isNew: Bool
    ) async -> Found {
        var found = Found(host: host, connection: isNew ? connection : nil)
        var place = since
        repeat {
            let asked = Instant.current().uptime
            do {
                let answer = try await connection.observe(.init(since: place, isSampled: false), timeout: timeout)
                found.answers.append(
                    Answer(observation: answer, asked: asked, answered: Instant.current().uptime))
                place = answer.next
            } catch {
                if case .lost = error as? HostConnectionError { found.isLost = true }
                break
            }
        } while found.answers.last?.observation.moments.count == HostObservation.maxMoments
            && found.answers.count < maxAnswers
        return found
    }

    private func take(_ found: Found) async {
        if let new = found.connection {
            let old = again.updateValue(new, forKey: found.host)
            // Its numbers begin anew.
            places[found.host] = nil
            await old?.close()
        }
        if found.isLost { lost.insert(found.host) } else { lost.remove(found.host) }
        for answer in found.answers { note(answer, of: found.host) }
    }

    private func note(_ answer: Answer, of host: HostID) {
        // Another round may have been quicker.
        let next = answer.observation.next
        if let place = places[host], next < place { return }
        places[host] = next
        figures?.note(answer.observation, of: host, asked: answer.asked, answered: answer.answered)
    }
}
