import Randomness
import Foundation
import Messages
import PBFT
import Testing

/// Random schedules of loss, delay, partition, crash with loss of unsynced records, and restart. `TestGroup` checks
/// after every step that no two replicas or lives differ and no replica contradicts itself; at the end the network is
/// whole and the group must order batches again.
///
/// `QUORATE_PBFT_SEEDS=n` runs more seeds, `QUORATE_PBFT_SEED=s` one.
@Suite struct RandomScheduleTests {
    static var seeds: [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        if let only = environment["QUORATE_PBFT_SEED"].flatMap(UInt64.init) { return [only] }
        return Array(1...(environment["QUORATE_PBFT_SEEDS"].flatMap(UInt64.init) ?? 60))
    }

    @Test(arguments: [4, 7])
    func noScheduleMakesReplicasDisagreeOrContradictThemselves(n: Int) throws {
        var (executed, views, restarts) = (0, UInt64(0), 0)
        for seed in Self.seeds {
            var schedule = Schedule(n: n, seed: seed)
            do { try schedule.run() } catch {
                Issue.record("QUORATE_PBFT_SEED=\(seed) n \(n): \(error)")
            }
            executed += schedule.executedBeforeHealing
            views += schedule.viewBeforeHealing
            restarts += schedule.restarts
        }
        // The schedules are hard, and not so hard that nothing happens.
        guard Self.seeds.count >= 20 else { return }
        let perRun = [executed, Int(views), restarts].map { $0 / Self.seeds.count }
        #expect(perRun[0] >= 8 && perRun[1] >= 2 && perRun[2] >= 4, "batches, views, restarts a run: \(perRun)")
    }
}

/// One random run.
private struct Schedule {
    var group: TestGroup
    var random: SplitMix64
    private(set) var executedBeforeHealing = 0
    private(set) var viewBeforeHealing: UInt64 = 0
    private(set) var restarts = 0

    init(n: Int, seed: UInt64) {
        // Short waits, so that much happens in few steps.
        group = TestGroup(n: n) {
            $0.retainedBatches = 24
            ($0.progressTimeout, $0.maxTimeout, $0.censorshipTimeout) = (100_000_000, 1_000_000_000, 800_000_000)
            ($0.statusInterval, $0.fetchTimeout) = (50_000_000, 50_000_000)
        }
        random = SplitMix64(seed: seed)
        (group.syncsAtOnce, group.flushesAtOnce) = (false, false)
    }

    mutating func run() throws {
        group.everybodyWaits()
        for _ in 0..<2000 { try act() }
        executedBeforeHealing = group.agreed.count
        viewBeforeHealing = group.live.map { group.view($0) }.max() ?? 0
        try heal()
    }

    private mutating func act() throws {
        let i = random.below(group.n)
        switch random.below(1000) {
        case ..<500: for _ in 0...random.below(8 * group.n) { try deliverOne() }
        case ..<760: for i in 0..<group.n where random.chance(perMille: 500) { try group.sync(i) }
        case ..<800:
            if let i = group.live.first(where: { group.nodes[$0].replica?.canPropose == true }) { try group.propose(i) }
        case ..<930:
            group.uptime += UInt64(random.below(30)) * 1_000_000
            for i in 0..<group.n { try group.tick(i) }
        case ..<960: if group.nodes[i].replica != nil { try group.flush(i) }
        case ..<968: try compact(i)
        case ..<974: if let packet = group.network.randomElement(using: &random) { group.network.append(packet) }
        case ..<984: group.cut(i, random.chance(perMille: 250))
        case ..<987:
            if group.nodes[i].replica != nil {
                group.crash(i, surviving: random.below(group.nodes[i].volatile.count + 1))
            }
        case ..<988: for i in 0..<group.n { group.crash(i, surviving: random.below(group.nodes[i].volatile.count + 1)) }
        default: try restart(i)
        }
        for i in group.live where group.nodes[i].needsState != nil { try group.installState(i) }
    }

    private mutating func deliverOne() throws {
        guard !group.network.isEmpty else { return }
        // Mostly in order, and sometimes never.
        let packet = group.network.remove(at: random.chance(perMille: 900) ? 0 : random.below(group.network.count))
        if random.chance(perMille: 20) { return }
        try group.receive(packet.to, from: packet.from, packet.message)
    }

    private mutating func restart(_ i: Int) throws {
        guard group.nodes[i].replica == nil else { return }
        restarts += 1
        try group.restart(i)
        group.nodes[i].waitingSince = group.now
    }

    /// The journal is replaced by what a restart still needs.
    private mutating func compact(_ i: Int) throws {
        try group.sync(i)
        guard group.nodes[i].volatile.isEmpty, let live = group.nodes[i].replica?.liveRecords() else { return }
        group.nodes[i].durable = live
    }

    private mutating func heal() throws {
        for i in 0..<group.n { group.cut(i, false) }
        for i in 0..<group.n { try restart(i) }
        (group.syncsAtOnce, group.flushesAtOnce) = (true, true)
        for i in 0..<group.n { try group.sync(i) }
        let goal = UInt64(group.agreed.count) + 5
        for _ in 0..<600 {
            group.everybodyWaits()
            if let primary = group.primary { try group.propose(primary) }
            try group.run(milliseconds: 100)
            for i in group.live where group.nodes[i].needsState != nil { try group.installState(i) }
            if (0..<group.n).allSatisfy({ group.lastExecuted($0) >= goal && group.nodes[$0].halt == nil }) { return }
        }
        let state = (0..<group.n).map {
            "\($0): view \(group.view($0))\(group.isChangingView($0) ? "?" : "") executed \(group.lastExecuted($0)) \(group.nodes[$0].halt ?? "")"
        }
        throw TestGroup.Failure(description: "no progress to \(goal): \(state.joined(separator: "; "))")
    }
}
