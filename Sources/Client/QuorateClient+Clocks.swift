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

    /// Where all agree; where they do not; and where nobody answered: then what was said before has to do, or the own
    /// clock.
    private static let (agreed, differing, unknown) = (Duration.seconds(60), Duration.seconds(1), Duration.seconds(5))

    package init() {}

    /// - Parameter times: nil if nobody answered. What was known stays: a shard's time does not go back.
    package mutating func note(_ times: ShardTimes?, of shard: ShardID, own: Timestamp, at: ContinuousClock.Instant) {
        guard let times else {
            var entry =
                entries[shard]
                ?? Entry(times: nil, saidAt: at, own: own, askedAt: at, ownAsked: own, goodFor: Self.unknown)
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
            return Self.wasSet(own, since: entry.ownAsked, for: at - entry.askedAt)
        }
    }

    /// As they are by now. A shard's time may stand still; its hosts' clocks go on.
    ///
    /// Where nobody answered when this was asked last, and this machine's clock was set since somebody did, the hosts'
    /// may have been set with it: then it counts itself. A shard's time does not go back.
    /// - Parameter own: this machine's clock.
    package func clocks(of shards: [ShardID], own: Timestamp, at: ContinuousClock.Instant) -> [ShardClock] {
        shards.compactMap { shard in
            guard let entry = entries[shard], let times = entry.times else { return nil }
            let isOld = entry.saidAt != entry.askedAt && Self.wasSet(own, since: entry.own, for: at - entry.saidAt)
            let clock = isOld ? own : times.clock.adding(microseconds: Self.microseconds(at - entry.saidAt))
            return ShardClock(shard: shard, time: times.time, clock: clock)
        }
    }

    /// Whether a clock shows something else than it would if it had gone on for so long.
    private static func wasSet(_ clock: Timestamp, since before: Timestamp, for passed: Duration) -> Bool {
        let expected = before.adding(microseconds: microseconds(passed))
        return max(clock.microseconds(since: expected), expected.microseconds(since: clock)) > RequestTimes.tolerance
            / 2
    }

    private static func microseconds(_ duration: Duration) -> UInt64 { UInt64(max(.zero, duration) / .microseconds(1)) }

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

/// Clients go by the shards' time where it is not their own clock's: a client whose clock is wrong works all the same,
/// and so does one of a shard whose time stands ahead of all clocks (docs/decisions/0027).
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
        let own = WallClock.now()
        return RequestTimes(own: own, clocks: clockBook.clocks(of: shards, own: own, at: .now), lifetime: lifetime)
    }

    /// How long until the shards' time has passed a request's deadline, as far as is known. Where a shard's time stands
    /// still nobody waits until then: for as long as a request may live.
    func untilDeadline(of request: Request) -> Duration {
        let own = WallClock.now()
        let clocks = clockBook.clocks(of: shards(of: request.operations), own: own, at: .now)
        let now = clocks.map(\.present).max() ?? own
        return .microseconds(Int64(min(request.deadline.microseconds(since: now), RequestTimes.longestLifetime)))
    }

    /// What clocks have to do with it that a request is not accepted; nil if nothing.
    func clockProblem(of request: Request) async -> String? {
        let problems = await clockReport(of: shards(of: request.operations)).problems
        return problems.isEmpty ? nil : problems.joined(separator: "; ")
    }

    /// Whether it is certified that a request did nothing because a shard's time had passed its deadline, and that long
    /// before it should have: clocks were set after this client compared its own with them, and it may sign again.
    public nonisolated func isLateByClock(_ outcome: Outcome) -> Bool {
        Self.isLateByClock(outcome.decisions, outcome.receipt, latency: outcome.latency, lifetime: options.lifetime)
    }

    package static func isLateByClock(
        _ decisions: [Decision], _ receipt: Receipt, latency: Duration, lifetime: Duration
    ) -> Bool {
        // Where clocks differ by no more than they may, it was simply late.
        guard latency + .microseconds(Int64(RequestTimes.tolerance)) < lifetime, !decisions.contains(.commit) else {
            return false
        }
        return receipt.certificates.contains { $0.leaf.entries.contains { $0.status == .noRecordAbort } }
    }

    /// How often a request is signed again after that.
    package static let lateRetries = 2

    /// Which take part: nothing else than the operations tells, and it is their time that matters. Of a call the
    /// target's shard: where else it gets is not known before, and those shards follow each other.
    func shards(of operations: [Operation]) -> [ShardID] {
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: publicKey, number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(0), issuedAt: .zero, deadline: .zero, mode: .independent,
            operations: operations)
        return request.participants(in: manifest.shardMap)
    }

    /// Asks the shards of which nothing is known any more, once and not for long: without an answer the own clock has
    /// to do.
    private func learnClocks(of shards: [ShardID]) async {
        let stale = clockBook.stale(of: shards, own: WallClock.now(), at: .now)
        _ = try? await Self.each(stale) { await self.learnClock(of: $0) }
    }

    /// All who want to know it at once share one question.
    private func learnClock(of shard: ShardID) async {
        let question = clockQuestions[shard]?.task ?? Task { await askForTime(of: shard) }
        clockQuestions[shard, default: ClockQuestion(task: question)].waiting += 1
        await withTaskCancellationHandler {
            await question.value
        } onCancel: {
            Task { await self.stopWaiting(for: question, of: shard) }
        }
    }

    /// A question that nobody waits for any more is given up.
    private func stopWaiting(for question: Task<Void, Never>, of shard: ShardID) {
        guard clockQuestions[shard]?.task == question else { return }
        clockQuestions[shard]?.waiting -= 1
        guard clockQuestions[shard]?.waiting == 0 else { return }
        clockQuestions[shard] = nil
        question.cancel()
    }

    private func askForTime(of shard: ShardID) async {
        let proof = try? await proof(
            of: .principal(Self.nobody, at: shard), attempts: min(2, gateways.count), timeout: .seconds(1))
        // Then there is another one in its place.
        guard !Task.isCancelled else { return }
        clockQuestions[shard] = nil
        noteTimes(proof?.times, of: shard)
    }

    /// Of this key nothing is ever recorded: what replicas say of it is the same at any time, whatever is being
    /// ordered. No quorum says alike of a key in use.
    private static let nobody = PublicKey(FixedBytes32())

    func noteTimes(_ times: ShardTimes) { noteTimes(times, of: times.shard) }

    private func noteTimes(_ times: ShardTimes?, of shard: ShardID) {
        clockBook.note(times, of: shard, own: WallClock.now(), at: .now)
    }
}

/// A question for a shard's time that is under way.
struct ClockQuestion: Sendable {
    let task: Task<Void, Never>
    /// How many wait for it.
    var waiting = 0
}
