import Messages

/// What a client has learnt of the shards' times, and until when it goes by that.
struct ClockBook: Sendable {
    private struct Entry: Sendable {
        var times: ShardTimes?
        let at: ContinuousClock.Instant
        /// This machine's clock then.
        let own: Timestamp
        let goodFor: Duration
    }
    private var entries: [ShardID: Entry] = [:]

    /// Where all agree; where they do not; and where nobody answered: then the own clock has to do.
    private static let (agreed, differing, unknown) = (Duration.seconds(60), Duration.seconds(1), Duration.seconds(5))

    mutating func note(_ times: ShardTimes?, of shard: ShardID, own: Timestamp, at: ContinuousClock.Instant) {
        var goodFor = Self.unknown
        if let times {
            let clock = ShardClock(shard: shard, time: times.time, clock: times.clock)
            let difference = max(clock.present.microseconds(since: own), own.microseconds(since: clock.present))
            goodFor = difference > RequestTimes.tolerance / 2 ? Self.differing : Self.agreed
        }
        entries[shard] = Entry(times: times, at: at, own: own, goodFor: goodFor)
    }

    mutating func forget() { entries = [:] }

    /// Those of which nothing is known any more. This machine's clock may have been set since it was compared.
    func stale(of shards: [ShardID], own: Timestamp, at: ContinuousClock.Instant) -> [ShardID] {
        shards.filter { shard in
            guard let entry = entries[shard], at - entry.at < entry.goodFor else { return true }
            let expected = entry.own.adding(microseconds: UInt64(max(.zero, at - entry.at) / .microseconds(1)))
            return max(own.microseconds(since: expected), expected.microseconds(since: own)) > RequestTimes.tolerance / 2
        }
    }

    /// As they are by now. A shard's time may stand still; its hosts' clocks go on.
    func clocks(of shards: [ShardID], at: ContinuousClock.Instant) -> [ShardClock] {
        shards.compactMap { shard in
            guard let entry = entries[shard], let times = entry.times else { return nil }
            let passed = UInt64(max(.zero, at - entry.at) / .microseconds(1))
            return ShardClock(shard: shard, time: times.time, clock: times.clock.adding(microseconds: passed))
        }
    }

    func report(_ manifest: Manifest) -> ClockReport {
        var report = ClockReport()
        for (shard, entry) in entries.sorted(by: { $0.key < $1.key }) {
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
        clockBook.forget()
        await learnClocks(of: allShards)
        return clockBook.report(manifest)
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

    /// What clocks have to do with it that a request is not accepted; nil if nothing. Asked only when something was refused that may have
    /// to do with time.
    func clockProblem(after rejection: GatewayRejection) async -> String? {
        guard rejection == .deadlinePassed || rejection == .refused else { return nil }
        let problems = await clockReport().problems
        return problems.isEmpty ? nil : problems.joined(separator: "; ")
    }

    private var allShards: [ShardID] { (0..<manifest.shardCount).map { ShardID(UInt16($0)) } }

    /// Whose time matters: a call may reach any shard.
    private func shards(of operations: [Operation]) -> [ShardID] {
        let isCall = operations.contains { if case .call = $0 { true } else { false } }
        guard !isCall else { return allShards }
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: publicKey, number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(0), issuedAt: .zero, deadline: .zero, mode: .independent, operations: operations)
        return request.participants(in: manifest.shardMap)
    }

    /// Asks the shards of which nothing is known any more, once and not for long: without an answer the own clock has to do.
    private func learnClocks(of shards: [ShardID]) async {
        let stale = clockBook.stale(of: shards, own: WallClock.now(), at: .now)
        guard !stale.isEmpty else { return }
        await withTaskGroup(of: (ShardID, ShardTimes?).self) { group in
            for shard in stale {
                group.addTask {
                    let proof = try? await self.proof(of: .principal(self.publicKey, at: shard), attempts: 1, timeout: .seconds(1))
                    return (shard, proof?.times)
                }
            }
            while let (shard, times) = await group.next() {
                clockBook.note(times, of: shard, own: WallClock.now(), at: .now)
            }
        }
    }
}
