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
        figures?.settle(now: nil)
        figures?.note(clients: traces)
        return figures?.result()
    }

    private func collect() async {
        let places = places
        let found = await connections.ask { role, connection -> (host: HostID, answers: [Answer])? in
            guard case .host(let number) = role, case .host(let host) = connection else { return nil }
            let id = HostID(UInt16(clamping: number))
            // At first only where it is.
            var place = places[id] ?? .max
            var answers: [Answer] = []
            repeat {
                let asked = Instant.current().uptime
                guard
                    let answer = try? await host.observe(.init(since: place, isSampled: false), timeout: Self.timeout)
                else { break }
                answers.append(Answer(observation: answer, asked: asked, answered: Instant.current().uptime))
                place = answer.next
            } while answers.last?.observation.moments.count == HostObservation.maxMoments
                && answers.count < Self.maxAnswers
            return (id, answers)
        }
        for case (host: let host, answers: let answers)? in found.values {
            for answer in answers { note(answer, of: host) }
        }
    }

    private func note(_ answer: Answer, of host: HostID) {
        // Another round may have been quicker.
        let next = answer.observation.next
        if let place = places[host], next < place { return }
        places[host] = next
        figures?.note(answer.observation, of: host, asked: answer.asked, answered: answer.answered)
    }
}
