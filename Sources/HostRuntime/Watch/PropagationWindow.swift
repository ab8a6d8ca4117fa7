import Messages
import Meter

/// How batches travelled in the last minute, from what hosts say of sampled ones, in memory that does not grow.
package struct PropagationWindow {
    /// Ten seconds.
    private struct Part {
        var decade: UInt64 = 0
        var links: [Direction: LatencyBuckets] = [:]
        var steps: [PropagationStep: LatencyBuckets] = [:]
    }

    private struct Direction: Hashable {
        let from: HostID
        let to: HostID
        let message: LinkDelay.Message
    }

    private let manifest: Manifest
    private var join: BatchJoin
    private var clocks: [HostID: ClockTrack] = [:]
    private var parts = [Part](repeating: Part(), count: PropagationWindow.seconds / 10 + 1)

    /// How far back it goes, in steps of ten.
    package static let seconds = 60
    /// What is not heard of a batch within this, after the first word of it, is not waited for.
    private static let patience: UInt64 = 3_000_000_000

    /// Nothing was seen.
    package init(_ manifest: Manifest) {
        self.manifest = manifest
        join = BatchJoin(manifest)
    }

    /// - Parameters:
    ///   - sightings: by host.
    ///   - now: by the own monotonic clock.
    package mutating func note(_ sightings: [HostSighting], now: UInt64) {
        for (number, sighting) in sightings.enumerated() {
            guard let seen = sighting.answer?.observed else { continue }
            let host = HostID(UInt16(number))
            clocks[host, default: ClockTrack()].note(
                asked: seen.asked, there: seen.observation.now.uptime, answered: seen.answered)
            guard let clock = clocks[host]?.estimate(at: seen.answered) else { continue }
            for moment in seen.observation.moments {
                join.note(moment.moved(to: clock.own(moment.at)), by: host, now: now)
            }
        }
        let settled = join.settle(before: now - min(now, Self.patience))
        // By when it was heard of: what hosts say of times may be anything.
        let place = begin(now / 10_000_000_000)
        for link in settled.links {
            let direction = Direction(from: link.from, to: link.to, message: link.message)
            parts[place].links[direction, default: LatencyBuckets()].add(
                microseconds: UInt64(max(0, link.delay)) / 1000)
        }
        for batch in settled.batches {
            for step in PropagationStep.allCases {
                guard let took = batch[step] else { continue }
                parts[place].steps[step, default: LatencyBuckets()].add(microseconds: took / 1000)
            }
        }
    }

    private mutating func begin(_ decade: UInt64) -> Int {
        let place = Int(decade % UInt64(parts.count))
        if parts[place].decade != decade { parts[place] = Part(decade: decade) }
        return place
    }

    /// What is known of the last minute.
    package func view(now: UInt64) -> ClusterPicture.Propagation {
        let decade = now / 10_000_000_000
        let first = decade - min(decade, UInt64(parts.count - 1))
        var (links, steps): ([Direction: LatencyBuckets], [PropagationStep: LatencyBuckets]) = ([:], [:])
        for part in parts where (first...decade).contains(part.decade) {
            links.merge(part.links) { $0.adding($1) }
            steps.merge(part.steps) { $0.adding($1) }
        }
        func error(_ host: HostID) -> UInt64 { (clocks[host]?.estimate(at: now)?.error ?? 0) / 1000 }
        let cells = links.map { direction, buckets in
            ClusterPicture.Propagation.Link(
                from: Int(direction.from.number), to: Int(direction.to.number), message: direction.message.rawValue,
                count: buckets.total, p50_us: buckets.percentile(perMille: 500),
                p99_us: buckets.percentile(perMille: 990), error_us: error(direction.from) + error(direction.to))
        }
        let told = PropagationStep.allCases.compactMap { step -> ClusterPicture.Propagation.Step? in
            guard let buckets = steps[step] else { return nil }
            return ClusterPicture.Propagation.Step(
                step: step.rawValue, count: buckets.total, p50_us: buckets.percentile(perMille: 500),
                p99_us: buckets.percentile(perMille: 990))
        }
        return ClusterPicture.Propagation(
            seconds: Self.seconds, sampled_each: BatchMoment.sampledEach, steps: told,
            links: cells.sorted { ($0.from, $0.to, $0.message) < ($1.from, $1.to, $1.message) })
    }
}

extension LatencyBuckets {
    fileprivate func adding(_ other: LatencyBuckets) -> LatencyBuckets {
        var sum = self
        sum.add(other)
        return sum
    }
}
