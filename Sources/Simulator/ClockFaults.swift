import Randomness
import Cores
import Messages

/// In a quarter of the runs of `everything` hosts' clocks jump, on all hosts or on some, forwards and back, by a second
/// to an hour, and are put right again; at the latest when the network heals. Some liars' clocks are far ahead for
/// good. Clients' clocks are right, and like `QuorateClient` they go by the shards' time where it differs.
struct ClockFaults {
    let exists: Bool
    /// Injected jumps are numbered from here, apart from other faults, which stay what they are.
    private static let firstNumber = 5_000
    private let seed: UInt64
    private var count = 0
    /// How far a shard's time stood ahead of the clocks when they were right for good, in microseconds.
    private(set) var standing: UInt64 = 0
    private var healedAt: UInt64 = 0
    /// The right time when clocks that had jumped were put right last.
    private var mended = Timestamp.zero
    /// Requests that were refused as from the future while a clock or the shard's time was wrong: who catches up
    /// refuses them again.
    private var refusedBefore: Set<Digest> = []

    init(_ options: SimulationOptions) {
        (seed, exists) = (options.seed, options.jumpsClocks)
    }

    /// Microseconds, a second to an hour: as many of some seconds as of some minutes.
    private static func size(using chance: inout SplitMix64) -> Int64 {
        let octave = chance.below(12)
        return min(3_600_000_000, (1_000_000 << Int64(octave)) + Int64(chance.below(UInt64(1_000_000 << octave))))
    }

    /// The chance of the next jump, whose number it is too.
    private mutating func next() -> (number: Int, SplitMix64) {
        defer { count += 1 }
        return (Self.firstNumber + count, ChanceStream.jumps.generator(seed: seed, number: 1 + count))
    }

    /// After so long without a batch, once all is well and while a client waits, nothing will come any more.
    /// Nanoseconds.
    private static let patience: UInt64 = 90_000_000_000

    // MARK: What happens to the clocks

    /// Liars' clocks of such a run, drawn apart.
    func setLiars(_ hosts: inout SimulatedHosts) {
        guard exists else { return }
        var chance = ChanceStream.jumps.generator(seed: seed, number: 1_000_000)
        for i in hosts.byzantine.identities + hosts.byzantine.twins where chance.chance(perMille: 500) {
            hosts.all[i].clock.skew = 2_000_000 + Self.size(using: &chance)
        }
    }

    /// Clocks jump, or are put right; the next time in a while.
    mutating func jump(_ hosts: inout SimulatedHosts, _ plan: inout FaultPlan, _ world: inout World) {
        guard !world.isHealed else { return }
        var (number, chance) = next()
        world.events.insert(.clocks, at: world.now + 100_000_000 + chance.below(UInt64(1_500_000_000)))
        let isMending = chance.chance(perMille: 400)
        let size = Self.size(using: &chance) * (chance.chance(perMille: 500) ? 1 : -1)
        let all = chance.chance(perMille: 700)
        let some = hosts.all.indices.filter { _ in chance.chance(perMille: 500) }
        guard world.options.allows(fault: number) else { return }
        if isMending {
            putRight(&hosts, world)
        } else {
            for i in all ? Array(hosts.all.indices) : some { hosts.all[i].clock.jump = size }
        }
        let who = all ? "all hosts" : "hosts \(some.map(String.init).joined(separator: " "))"
        let what = isMending ? "clocks are put right" : "the clocks of \(who) jump by \(size / 1_000_000) s"
        plan.record(what, number: number, &world)
    }

    private mutating func putRight(_ hosts: inout SimulatedHosts, _ world: World) {
        guard hosts.all.contains(where: { $0.clock.jump != 0 }) else { return }
        for i in hosts.all.indices { hosts.all[i].clock.jump = 0 }
        mended = world.instant.wall
    }

    /// All clocks are right from now on.
    mutating func heal(_ hosts: inout SimulatedHosts, _ world: World) {
        putRight(&hosts, world)
        healedAt = world.now
        standing = hosts.standing(world.instant.wall)
    }

    // MARK: What must hold

    /// R2: where correct hosts' clocks are right, and the shard's time is, no request is from the future that a right
    /// clock signed. Clients' are right, but they went by the shards' times, and these may have been ahead.
    mutating func check(
        _ refused: SimulatedHosts.FutureRefusal, _ hosts: SimulatedHosts, _ clients: ClientModel, _ world: World
    ) throws {
        let (refusal, i) = (refused.refusal, refused.host)
        func isSignedAhead() -> Bool {
            let request = clients.pending.lazy.joined().first { $0.request.digest == refusal.request }?.request.request
            return request.map { $0.issuedAt > world.instant.wall } ?? true
        }
        if exists,
            refusedBefore.contains(refusal.request) || refused.timeBefore < mended
                || !isTimeRight(of: refusal.shard, on: i, hosts, world) || isSignedAhead()
        {
            refusedBefore.insert(refusal.request)
            return
        }
        throw world.failure(
            "host \(i) refuses \(refusal.request.short) as from the future: shard \(refusal.shard)'s time is held back")
    }

    /// Whether no clock is wrong, and a batch was ordered since the last one was.
    private func isTimeRight(of shard: ShardID, on i: Int, _ hosts: SimulatedHosts, _ world: World) -> Bool {
        guard hosts.correct.allSatisfy({ hosts.all[$0].clock.jump == 0 }),
            let time = hosts.all[i].core?.progress().first(where: { $0.shard == shard })?.time
        else { return false }
        return time >= mended
            && time.microseconds(since: world.instant.wall) <= world.options.host.replica.timeAhead
    }

    /// R2: whatever clocks were before, batches go on when they are right, on every shard on which something waits.
    /// - Parameter state: of the run, for a failure.
    func checkGoesOn(_ clients: ClientModel, _ world: World, state: () -> String) throws {
        guard exists, world.isHealed, world.now > healedAt + Self.patience else { return }
        for shard in world.manifest.shards.indices.map({ ShardID(UInt16($0)) })
        where world.now > (world.checks.times.executedAt[shard] ?? 0) + Self.patience {
            let waits = clients.pending.lazy.joined().contains { pending in
                guard world.now > pending.askedAt + Self.patience else { return false }
                return pending.request.request.participants(in: world.manifest.shardMap).contains(shard)
            }
            guard waits else { continue }
            throw world.failure(
                "not everything is answered: no batch on shard \(shard) for \(Self.patience / 1_000_000_000) s although clocks are right; a shard's time stood \(standing) µs ahead of them: \(state())"
            )
        }
    }
}
