import Cores
import Messages
import StrictInput

/// The picture from its sources: pure, so that it can be tested.
extension ClusterPicture {
    /// - Parameters:
    ///   - sightings: by host.
    ///   - gateway: nil while it stops.
    ///   - activity: what it has seen of its clients.
    package init(
        manifest: Manifest, sightings: [HostSighting], gateway: GatewayLook?, activity: ActivityLog.View,
        traces: TraceSampling, now: Instant
    ) {
        at_ms = now.wall.milliseconds
        cluster = manifest.cluster.hex
        let clocks = Self.clocks(sightings)
        hosts = Self.hosts(manifest, sightings, clocks)
        problems = clocks.problems.map(Printable.line)
        (shards, replicas) = ([], [])
        for number in manifest.shards.indices {
            let group = ShardSighting(ShardID(UInt16(number)), manifest, sightings)
            shards.append(group.verdict(since: now.wall))
            replicas += group.replicas
        }
        self.gateway = gateway.map(Gateway.init)
        (intra, cross) = (Latency(activity.slots, \.intra), Latency(activity.slots, \.cross))
        series = Series(activity.slots, end: now.wall)
        aborts = AbortCause.all.map { abort in
            Reason(
                reason: abort.label, text: abort.description,
                last_minute: Self.lastMinute(activity.slots) { $0.aborts[abort.place] },
                total: activity.aborts[abort.place])
        }
        refusals = GatewayRejection.allCases.enumerated().map { place, reason in
            Reason(
                reason: GatewayCounters.label(reason), text: reason.description,
                last_minute: Self.lastMinute(activity.slots) { $0.refusals[place] }, total: activity.refusals[place])
        }
        traffic = Traffic(activity.traffic, shards: manifest.shardCount)
        doubts = (gateway?.oldest ?? []).map { Doubt($0, now: now) }
        records = Self.records(manifest, sightings)
        recent = activity.recent.map { Recent($0, traces: traces, now: now) }
        trace_rate = traces.rate
    }

    private static func lastMinute(
        _ slots: [ActivityLog.Slot], _ count: (ActivityLog.Slot) -> UInt32
    ) -> UInt64 {
        slots.suffix(60).reduce(0) { $0 + UInt64(count($1)) }
    }

    private static func clocks(_ sightings: [HostSighting]) -> ClockReport {
        var report = ClockReport()
        for (host, sighting) in sightings.enumerated() {
            guard let answer = sighting.answer else { continue }
            for replica in answer.replicas where replica.clock > .zero {
                report.note(
                    HostID(UInt16(host)), clock: replica.clock, shard: replica.shard, time: replica.time,
                    own: answer.own)
            }
        }
        return report
    }

    private static func hosts(
        _ manifest: Manifest, _ sightings: [HostSighting], _ clocks: ClockReport
    ) -> [Host] {
        zip(manifest.hosts, sightings).enumerated().map { number, pair in
            let (host, sighting) = pair
            let clock = clocks.hosts.first { Int($0.host.number) == number }
            return Host(
                host: number,
                address: Printable.line(
                    host.address.contains(":") ? "[\(host.address)]:\(host.port)" : "\(host.address):\(host.port)"),
                answers: sighting.answer != nil, since_ms: sighting.since.milliseconds, why: sighting.why,
                round_trip_us: sighting.answer?.roundTrip, shortest_round_trip_us: sighting.shortestRoundTrip,
                clock_ahead_ms: clock.map { $0.ahead / 1000 },
                view_changes: sighting.answer.map { $0.sum(of: "quorate_view_changes_total") })
        }
    }
}

extension HostSighting.Answer {
    /// What a host says of itself may be anything: a sum that is too large is the largest.
    fileprivate func sum(of name: String) -> UInt64 {
        metrics.reduce(0) { sum, sample in
            guard sample.name == name else { return sum }
            let (total, isTooLarge) = sum.addingReportingOverflow(sample.value)
            return isTooLarge ? .max : total
        }
    }
}

/// What was seen of one shard's replicas.
private struct ShardSighting {
    private let shard: ShardID
    private let group: ReplicaGroup
    private let view: UInt64
    private let executed: UInt64
    private(set) var replicas: [ClusterPicture.Replica]

    init(_ shard: ShardID, _ manifest: Manifest, _ sightings: [HostSighting]) {
        self.shard = shard
        let group = manifest.group(of: shard)
        self.group = group
        let members = manifest.hosts(of: shard)
        let said = members.map { host in
            sightings[Int(host.number)].answer?.replicas.first { $0.shard == shard }
        }
        let executed = Self.reached(said.map { $0?.lastExecuted.number }, by: group)
        (view, self.executed) = (Self.reached(said.map { $0?.view.number }, by: group), executed)
        replicas = members.indices.map { index in
            let sighting = sightings[Int(members[index].number)]
            var found = ClusterPicture.Replica(
                shard: Int(shard.number), replica: index, host: Int(members[index].number), role: .unknown,
                standing: .no_answer, detail: sighting.why)
            guard let status = said[index] else {
                if sighting.answer != nil { found.detail = "its host does not say how it is" }
                return found
            }
            found.note(status, executed: executed)
            return found
        }
    }

    /// The highest number that f + 1 replicas have reached, at least one of which is correct: whoever lies lets nobody
    /// else lag.
    private static func reached(_ numbers: [UInt64?], by group: ReplicaGroup) -> UInt64 {
        let sorted = numbers.compactMap { $0 }.sorted(by: >)
        return sorted.isEmpty ? 0 : sorted[min(group.weakQuorum, sorted.count) - 1]
    }

    func verdict(since: Timestamp) -> ClusterPicture.Shard {
        // A replica that changes its view will vote again by itself: the shard is not lost.
        let voting = replicas.filter { $0.standing == .votes || $0.standing == .changing_view }.count
        return ClusterPicture.Shard(
            shard: Int(shard.number), commits: voting >= group.quorum, since_ms: since.milliseconds,
            replicas: replicas.count, voting: voting, needed: group.quorum, view: view, executed: executed,
            undecided: replicas.compactMap(\.undecided).max() ?? 0,
            oldest_undecided_ms: replicas.compactMap(\.oldest_undecided_ms).max() ?? 0,
            why: replicas.compactMap(\.obstacle))
    }
}

extension ClusterPicture.Replica {
    fileprivate mutating func note(_ status: ReplicaStatus, executed reference: UInt64) {
        role = status.isPrimary ? .primary : .backup
        if !status.halted.isEmpty {
            (standing, detail) = (.halted, Printable.line(status.halted))
        } else if !status.standing.isEmpty {
            (standing, detail) = (.not_voting, Printable.line(status.standing))
        } else {
            (standing, detail) = (status.isChangingView ? .changing_view : .votes, "")
        }
        (view, executed) = (status.view.number, status.lastExecuted.number)
        (stable, flushed) = (status.stable.number, status.flushed.number)
        lag = reference - min(reference, status.lastExecuted.number)
        (waiting, undecided, open) = (status.pendingRequests, status.undecided, status.open)
        oldest_undecided_ms = status.oldestUndecided / 1000
    }

    /// What keeps it from voting.
    fileprivate var obstacle: String? {
        switch standing {
        case .votes, .changing_view: nil
        case .not_voting: "host \(host) does not vote yet (\(detail))"
        case .halted: "host \(host) is halted (\(detail))"
        case .no_answer: "host \(host) does not answer"
        }
    }
}

extension ClusterPicture.Gateway {
    fileprivate init(_ look: GatewayLook) {
        (queued, in_flight) = (look.status.queued, look.status.inFlight)
        (backing_off, settling, undecided) = (look.backingOff, look.settling, look.undecided)
        (completed, rejected) = (look.status.completed, look.status.rejected)
        (retransmissions, conflicts) = (look.status.retransmissions, look.status.conflicts)
        lanes = look.shards.map { shard in
            Lane(
                shard: Int(shard.shard.number), queued: shard.queued, in_flight: shard.inFlight,
                breaker_open: !shard.isOpenToAll)
        }
    }
}

extension ClusterPicture.Latency {
    /// Over so many seconds.
    private static let seconds = 10

    fileprivate init(_ slots: [ActivityLog.Slot], _ kind: (ActivityLog.Slot) -> LatencyBuckets) {
        var sum = LatencyBuckets()
        for slot in slots.suffix(Self.seconds) { sum.add(kind(slot)) }
        (count, p50_us, p99_us) = (sum.total, sum.percentile(perMille: 500), sum.percentile(perMille: 990))
    }
}

extension ClusterPicture.Series {
    fileprivate init(_ slots: [ActivityLog.Slot], end: Timestamp) {
        end_ms = end.milliseconds / 1000 * 1000
        committed = slots.map(\.committed)
        aborted = slots.map(\.aborted)
        refused = slots.map(\.refused)
        intra_p50_us = slots.map { $0.intra.percentile(perMille: 500) }
        intra_p99_us = slots.map { $0.intra.percentile(perMille: 990) }
        cross_p50_us = slots.map { $0.cross.percentile(perMille: 500) }
        cross_p99_us = slots.map { $0.cross.percentile(perMille: 990) }
    }
}

extension ClusterPicture.Traffic {
    fileprivate init(_ cells: [[UInt64]], shards: Int) {
        (seconds, self.cells) = (ActivityLog.trafficSeconds, cells)
        labels = cells.indices.map { $0 < ActivityLog.maxTrafficShards ? "\($0)" : "others" }
    }
}

extension ClusterPicture.Doubt {
    fileprivate init(_ doubt: GatewayLook.Doubt, now: Instant) {
        request = doubt.request.hex
        age_ms = now.wall.microseconds(since: doubt.issuedAt) / 1000
        shards = doubt.shards.map { Int($0.number) }
        waits_for = doubt.missing.map { Int($0.number) }
        voted = doubt.shards.filter { !doubt.missing.contains($0) }.map { Int($0.number) }
    }
}

extension ClusterPicture.Recent {
    fileprivate init(_ recent: ActivityLog.Recent, traces: TraceSampling, now: Instant) {
        request = recent.request.hex
        ago_ms = (now.uptime - min(now.uptime, recent.at)) / 1_000_000
        (latency_us, shards) = (recent.microseconds, recent.shards.map { Int($0.number) })
        outcome = recent.abort?.label ?? "committed"
        text = recent.abort.map { "aborted: \($0.description)" } ?? "committed"
        traced = traces.takes(recent.request)
    }
}

extension Timestamp {
    fileprivate var milliseconds: UInt64 { number / 1000 }
}
