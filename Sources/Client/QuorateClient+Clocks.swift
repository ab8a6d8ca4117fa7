import Messages

/// What a client has learnt of the shards' times, and until when it goes by that.
package struct ClockBook: Sendable {
    private struct Entry: Sendable {
        /// The last that was said.
        var times: ShardTimes?
        /// When that was, and this machine's clock then.
        var saidAt: ContinuousClock.Instant
        var own: Timestamp
        /// When it was asked for last, this machine's clock then, and for how long it is not asked for again.
        var askedAt: ContinuousClock.Instant
        var ownAsked: Timestamp
        var goodFor: Duration
    }
    private var entries: [ShardID: Entry] = [:]

    /// Where all agree; where they do not; and where nobody answered: then what was said before has to do, or the own clock.
    private static let (agreed, differing, unknown) = (Duration.seconds(60), Duration.seconds(1), Duration.seconds(5))

    package init() {}

    /// - Parameter times: nil if nobody answered. What was known stays: a shard's time does not go back.
    package mutating func note(_ times: ShardTimes?, of shard: ShardID, own: Timestamp, at: ContinuousClock.Instant) {
        guard let times else {
            var entry = entries[shard] ?? Entry(times: nil, saidAt: at, own: own, askedAt: at, ownAsked: own, goodFor: Self.unknown)
            (entry.askedAt, entry.ownAsked, entry.goodFor) = (at, own, Self.unknown)
            return entries[shard] = entry
        }
        let clock = ShardClock(shard: shard, time: times.time, clock: times.clock)
        let difference = max(clock.present.microseconds(since: own), own.microseconds(since: clock.present))
        let goodFor = difference > RequestTimes.tolerance / 2 ? Self.differing : Self.agreed
        entries[shard] = Entry(times: times, saidAt: at, own: own, askedAt: at, ownAsked: own, goodFor: goodFor)
    }

    /// Clocks may have been set: all is asked for again before it is used.
    package mutating func doubt() {
        for shard in entries.keys { entries[shard]?.goodFor = .zero }
    }

    /// Those of which nothing is known any more. This machine's clock may have been set since it was compared.
    package func stale(of shards: [ShardID], own: Timestamp, at: ContinuousClock.Instant) -> [ShardID] {
        shards.filter { shard in
            guard let entry = entries[shard], at - entry.askedAt < entry.goodFor else { return true }
            let expected = entry.ownAsked.adding(microseconds: UInt64(max(.zero, at - entry.askedAt) / .microseconds(1)))
            return max(own.microseconds(since: expected), expected.microseconds(since: own)) > RequestTimes.tolerance / 2
        }
    }

    /// As they are by now. A shard's time may stand still; its hosts' clocks go on.
    package func clocks(of shards: [ShardID], at: ContinuousClock.Instant) -> [ShardClock] {
        shards.compactMap { shard in
            guard let entry = entries[shard], let times = entry.times else { return nil }
            let passed = UInt64(max(.zero, at - entry.saidAt) / .microseconds(1))
            return ShardClock(shard: shard, time: times.time, clock: times.clock.adding(microseconds: passed))
        }
    }

    /// Of the shards that answered when they were asked last.
    func report(of shards: [ShardID], _ manifest: Manifest) -> ClockReport {
        var report = ClockReport()
        for shard in shards {
            guard let entry = entries[shard], entry.saidAt == entry.askedAt else { continue }
            for reading in entry.times?.replicas ?? [] {
                let host = manifest.hosts(of: shard)[reading.replica.index]
                report.note(host, clock: reading.clock, shard: shard, time: reading.time, own: entry.own)
            }
        }
        return report
    }
}

/// Clients go by the shards' time where it is not their own clock's: a client whose clock is wrong works all the same, and so does one of
/// a shard whose time stands ahead of all clocks (docs/decisions/0027).
extension QuorateClient {
    /// Which clocks are wrong, and by how much, asked now; empty if no quorum answers.
    public func clockReport() async -> ClockReport {
        await clockReport(of: (0..<manifest.shardCount).map { ShardID(UInt16($0)) })
    }

    private func clockReport(of shards: [ShardID]) async -> ClockReport {
        clockBook.doubt()
        await learnClocks(of: shards)
        return clockBook.report(of: shards, manifest)
    }

    /// When to issue a request with these operations, and its deadline.
    func times(of operations: [Operation], lifetime: UInt64) async -> RequestTimes {
        let shards = shards(of: operations)
        await learnClocks(of: shards)
        return RequestTimes(own: WallClock.now(), clocks: clockBook.clocks(of: shards, at: .now), lifetime: lifetime)
    }

    /// How long until the shards' time has passed a request's deadline, as far as is known. Where a shard's time stands still nobody
    /// waits until then: for as long as a request may live.
    func untilDeadline(of request: Request) -> Duration {
        let clocks = clockBook.clocks(of: shards(of: request.operations), at: .now)
        let now = clocks.map(\.present).max() ?? WallClock.now()
        return .microseconds(Int64(min(request.deadline.microseconds(since: now), RequestTimes.longestLifetime)))
    }

    /// What clocks have to do with it that a request is not accepted; nil if nothing.
    func clockProblem(of request: Request) async -> String? {
        let problems = await clockReport(of: shards(of: request.operations)).problems
        return problems.isEmpty ? nil : problems.joined(separator: "; ")
    }

    /// Whether it is certified that a request did nothing because a shard's time had passed its deadline, and that long before it should
    /// have: clocks were set after this client compared its own with them, and it may sign again.
    public nonisolated func isLateByClock(_ outcome: Outcome) -> Bool {
        Self.isLateByClock(outcome.decisions, outcome.receipt, latency: outcome.latency, lifetime: options.lifetime)
    }

    package static func isLateByClock(_ decisions: [Decision], _ receipt: Receipt, latency: Duration, lifetime: Duration) -> Bool {
        // Where clocks differ by no more than they may, it was simply late.
        guard latency + .microseconds(Int64(RequestTimes.tolerance)) < lifetime, !decisions.contains(.commit) else { return false }
        return receipt.certificates.contains { $0.leaf.entries.contains { $0.status == .noRecordAbort } }
    }

    /// How often a request is signed again after that.
    package static let lateRetries = 2

    /// Whose time matters. Of a call the target's shard: where else it gets is not known before, and those shards follow each other.
    private func shards(of operations: [Operation]) -> [ShardID] {
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: publicKey, number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(0), issuedAt: .zero, deadline: .zero, mode: .independent, operations: operations)
        return request.participants(in: manifest.shardMap)
    }

    /// How many shards are asked at once.
    private static let questionsAtOnce = 32

    /// Asks the shards of which nothing is known any more, once and not for long: without an answer the own clock has to do.
    private func learnClocks(of shards: [ShardID]) async {
        let stale = clockBook.stale(of: shards, own: WallClock.now(), at: .now)
        let attempts = min(2, gateways.count)
        for first in stride(from: 0, to: stale.count, by: Self.questionsAtOnce) {
            await withTaskGroup(of: (ShardID, ShardTimes?).self) { group in
                for shard in stale[first..<min(first + Self.questionsAtOnce, stale.count)] {
                    group.addTask {
                        let proof = try? await self.proof(of: .principal(self.publicKey, at: shard), attempts: attempts, timeout: .seconds(1))
                        return (shard, proof?.times)
                    }
                }
                while let (shard, times) = await group.next() {
                    clockBook.note(times, of: shard, own: WallClock.now(), at: .now)
                }
            }
        }
    }
}
