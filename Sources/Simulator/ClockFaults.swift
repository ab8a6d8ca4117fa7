import Randomness
import Cores
import Messages

/// In a quarter of the runs of `everything` hosts' clocks jump, on all hosts or on some, forwards and back, by a second
/// to an hour, and are put right again; at the latest when the network heals. Some liars' clocks are far ahead for
/// good. Clients' clocks are right, and like `QuorateClient` they go by the shards' time where it differs.
struct ClockFaults {
    let exists: Bool
    /// Injected jumps are numbered from here, apart from other faults, which stay what they are.
    static let firstNumber = 5_000
    private let seed: UInt64
    private(set) var count = 0
    /// How far a shard's time stood ahead of the clocks when they were right for good, in microseconds.
    var standing: UInt64 = 0
    var healedAt: UInt64 = 0
    /// The right time when clocks that had jumped were put right last.
    var mended = Timestamp.zero
    /// Requests that were refused as from the future while a clock or the shard's time was wrong: who catches up
    /// refuses them again.
    var refused: Set<Digest> = []

    init(_ options: SimulationOptions) {
        (seed, exists) = (options.seed, options.jumpsClocks)
    }

    /// Microseconds, a second to an hour: as many of some seconds as of some minutes.
    static func size(using chance: inout SplitMix64) -> Int64 {
        let octave = chance.below(12)
        return min(3_600_000_000, (1_000_000 << Int64(octave)) + Int64(chance.below(UInt64(1_000_000 << octave))))
    }

    /// The chance of the next jump, whose number it is too.
    mutating func next() -> (number: Int, SplitMix64) {
        defer { count += 1 }
        return (Self.firstNumber + count, ChanceStream.jumps.generator(seed: seed, number: 1 + count))
    }

    /// After so long without a batch, once all is well and while a client waits, nothing will come any more.
    /// Nanoseconds.
    static let patience: UInt64 = 90_000_000_000
}

extension Simulation {
    /// Liars' clocks of such a run, drawn apart.
    mutating func setLiarsClocks() {
        guard clockFaults.exists else { return }
        var chance = ChanceStream.jumps.generator(seed: options.seed, number: 1_000_000)
        for i in byzantine.identities + byzantine.twins where chance.chance(perMille: 500) {
            hosts[i].clockSkew = 2_000_000 + ClockFaults.size(using: &chance)
        }
    }

    /// Clocks jump, or are put right; the next time in a while.
    mutating func jumpClocks() {
        guard !isHealed else { return }
        var (number, chance) = clockFaults.next()
        events.insert(.clocks, at: now + 100_000_000 + chance.below(UInt64(1_500_000_000)))
        let isMending = chance.chance(perMille: 400)
        let size = ClockFaults.size(using: &chance) * (chance.chance(perMille: 500) ? 1 : -1)
        let all = chance.chance(perMille: 700)
        let some = hosts.indices.filter { _ in chance.chance(perMille: 500) }
        guard options.allows(fault: number) else { return }
        if isMending {
            putClocksRight()
        } else {
            for i in all ? Array(hosts.indices) : some { hosts[i].jump = size }
        }
        let who = all ? "all hosts" : "hosts \(some.map(String.init).joined(separator: " "))"
        let what = isMending ? "clocks are put right" : "the clocks of \(who) jump by \(size / 1_000_000) s"
        faults.append(InjectedFault(number: number, time: now, what: what))
        if options.keepsLog { note("fault \(number): \(what)") }
    }

    mutating func putClocksRight() {
        guard hosts.contains(where: { $0.jump != 0 }) else { return }
        for i in hosts.indices { hosts[i].jump = 0 }
        clockFaults.mended = instant().wall
    }

    /// All clocks are right from now on.
    mutating func noteHealedClocks() {
        putClocksRight()
        clockFaults.healedAt = now
        clockFaults.standing = standing
    }

    /// How far the shard that is furthest ahead stands ahead of the right time, in microseconds.
    var standing: UInt64 {
        correctHosts.flatMap { hosts[$0].core?.progress() ?? [] }.map { $0.time.microseconds(since: instant().wall) }
            .max() ?? 0
    }

    /// What a quorum of signed answers would tell a client, from correct hosts.
    func shardClocks() -> [ShardClock] {
        guard clockFaults.exists else { return [] }
        let up = correctHosts.filter { hosts[$0].isUp }
        let clocks = up.map { instant($0).wall }.sorted()
        guard !clocks.isEmpty else { return [] }
        var times: [ShardID: Timestamp] = [:]
        for i in up {
            for progress in hosts[i].core?.progress() ?? [] {
                times[progress.shard] = max(times[progress.shard] ?? .zero, progress.time)
            }
        }
        return manifest.shards.indices.map { shard in
            let shard = ShardID(UInt16(shard))
            return ShardClock(shard: shard, time: times[shard] ?? .zero, clock: clocks[clocks.count / 2])
        }
    }

    /// R2: where correct hosts' clocks are right, and the shard's time is, no request is from the future that a right
    /// clock signed. Clients' are right, but they went by the shards' times, and these may have been ahead.
    mutating func checkFuture(_ refusal: Refusal, from i: Int) throws {
        func isSignedAhead() -> Bool {
            let request = clients.pending.lazy.compactMap { $0?.request }.first { $0.digest == refusal.request }?
                .request
            return request.map { $0.issuedAt > instant().wall } ?? true
        }
        if clockFaults.exists,
            clockFaults.refused.contains(refusal.request) || !isTimeRight(of: refusal.shard, on: i) || isSignedAhead()
        {
            clockFaults.refused.insert(refusal.request)
            return
        }
        throw failure(
            "host \(i) refuses \(refusal.request.short) as from the future: shard \(refusal.shard)'s time is held back")
    }

    /// Whether no clock is wrong, and a batch was ordered since the last one was.
    private func isTimeRight(of shard: ShardID, on i: Int) -> Bool {
        guard correctHosts.allSatisfy({ hosts[$0].jump == 0 }),
            let time = hosts[i].core?.progress().first(where: { $0.shard == shard })?.time
        else { return false }
        return time >= clockFaults.mended && time.microseconds(since: instant().wall) <= options.host.replica.timeAhead
    }

    /// R2: whatever clocks were before, batches go on when they are right, on every shard on which something waits.
    func checkGoesOn() throws {
        guard isHealed, clockFaults.exists, now > clockFaults.healedAt + ClockFaults.patience else { return }
        for shard in manifest.shards.indices.map({ ShardID(UInt16($0)) })
        where now > (checks.executedAt[shard] ?? 0) + ClockFaults.patience {
            let waits = clients.pending.contains { pending in
                guard let pending, now > pending.askedAt + ClockFaults.patience else { return false }
                return pending.request.request.participants(in: manifest.shardMap).contains(shard)
            }
            guard waits else { continue }
            throw failure(
                "not everything is answered: no batch on shard \(shard) for \(ClockFaults.patience / 1_000_000_000) s although clocks are right; a shard's time stood \(clockFaults.standing) µs ahead of them: \(describeState())"
            )
        }
    }
}
