import Messages
import Networks

/// Hosts, gateways and load of one forecast, on machines with cores, and the network between them. Confined to one
/// thread; no clock, and no chance but by seed.
final class ForecastWorld {
    /// Where a process is, for the network.
    struct Place {
        let machine: Int
        let region: Int
    }

    enum Owner {
        case host(Int, HostThread)
        case gateway(Int, GatewayThread)
        case load(Int)
    }

    /// What a thread's burst brings about once it is done.
    enum Effect {
        case post(thread: Int, Job, isUrgent: Bool, wakes: Bool)
        case send(from: Int, to: Int, thread: Int, Job, bytes: Int)
    }

    /// A burst while it is carried out.
    struct Turn {
        let start: UInt64
        var cost: Double
        var effects: [Effect] = []
        /// How long the thread waits for the disk afterwards.
        var blocks: UInt64 = 0
        /// Connections that were read from, or written to, in this burst: one system call each.
        private var touched: [Int] = []

        init(start: UInt64, cost: Double) { (self.start, self.cost) = (start, cost) }

        var now: Instant { ForecastWorld.instant(start + UInt64(cost)) }

        /// - Returns: whether it is the first time in this burst.
        mutating func touches(_ connection: Int) -> Bool {
            if touched.contains(connection) { return false }
            touched.append(connection)
            return true
        }
    }

    let costs: Costs
    let manifest: Manifest
    let network: NetworkProfile
    /// Set while the load runs: what funding costs is another matter.
    var meter: StepMeter?
    private let seed: UInt64
    private let isCancelled: () -> Bool
    private(set) var now: UInt64 = 0
    private(set) var agenda = Agenda()
    private(set) var processors = Processors<Job>()
    private var owners: [Owner] = []
    private var effects: [[Effect]] = []
    /// By host, then by gateway, then by channel of the load.
    private var places: [Place] = []
    /// By the numbers of both ends.
    private var links: [UInt64: LinkClock] = [:]
    var hosts: [ForecastHost] = []
    var gateways: [ForecastGateway] = []
    var channels: [ForecastChannel] = []
    var load: any LoadDriver = NoLoad()
    var onSample: () throws -> Void = {}
    private var isDueScheduled = false
    private(set) var steps = 0

    private static let hostTick: UInt64 = 10_000_000
    private static let gatewayTick: UInt64 = 5_000_000
    private static let loadTick: UInt64 = 10_000_000

    init(manifest: Manifest, network: NetworkProfile, costs: Costs, seed: UInt64, isCancelled: @escaping () -> Bool) {
        (self.manifest, self.network, self.costs, self.seed) = (manifest, network, costs, seed)
        self.isCancelled = isCancelled
        agenda.insert(.loadTick, at: Self.loadTick)
    }

    static func instant(_ time: UInt64) -> Instant {
        Instant(uptime: time + 1, wall: Timestamp(1_700_000_000_000_000 + time / 1000))
    }

    // MARK: Making it

    func addMachine(cores: Int) -> Int { processors.addMachine(cores: cores) }

    func addThread(_ owner: Owner, on machine: Int, limit: Int, urgentLimit: Int = 1) -> Int {
        let thread = processors.addThread(on: machine, limit: limit, urgentLimit: urgentLimit)
        owners.append(owner)
        effects.append([])
        return thread
    }

    /// - Returns: its number on the network.
    func addPlace(machine: Int, region: Int) -> Int {
        places.append(Place(machine: machine, region: region))
        return places.count - 1
    }

    /// After everything has been made.
    func startTicks() {
        // Processes do not start at one moment.
        for i in hosts.indices { agenda.insert(.hostTick(i), at: 1 + UInt64(i) * 7_919_317 % Self.hostTick) }
        for i in gateways.indices { agenda.insert(.gatewayTick(i), at: 1 + UInt64(i) * 3_571_729 % Self.gatewayTick) }
    }

    var threadCount: Int { owners.count }
    func owner(of thread: Int) -> Owner { owners[thread] }

    func post(_ job: Job, to thread: Int) { processors.post(job, to: thread) }

    func sample(at time: UInt64) { agenda.insert(.sample, at: max(time, now)) }

    // MARK: Running it

    /// Until `isDone`, which is looked at every 10 ms of its time.
    /// - Returns: false if that was not so by `limit`.
    func run(limit: UInt64, until isDone: () -> Bool) throws -> Bool {
        while true {
            while let burst = processors.next() { try carryOut(burst) }
            guard let (time, event) = agenda.popFirst() else { return isDone() }
            now = time
            steps += 1
            switch event {
            case .finished(let thread, let busy, let blocks):
                processors.finish(thread, busy: busy, blocks: blocks > 0)
                if blocks > 0 {
                    agenda.insert(.unblocked(thread: thread), at: now + blocks)
                } else {
                    apply(thread)
                }
            case .unblocked(let thread):
                processors.unblock(thread)
                apply(thread)
            case .arrived(let thread, let job): processors.post(job, to: thread)
            case .hostTick(let i):
                let after = hosts[i].tick(in: self)
                agenda.insert(.hostTick(i), at: now + (after ? Self.hostTick / 2 : Self.hostTick))
            case .gatewayTick(let i):
                processors.post(.gatewayInput(.tick), to: gateways[i].io)
                agenda.insert(.gatewayTick(i), at: now + Self.gatewayTick)
            case .loadTick:
                load.tick(now: Self.instant(now))
                issue()
                agenda.insert(.loadTick, at: now + Self.loadTick)
                if isDone() { return true }
                if isCancelled() { throw CancellationError() }
                if now >= limit { return false }
            case .due:
                isDueScheduled = false
                load.pump(now: Self.instant(now))
                issue()
            case .sample: try onSample()
            }
        }
    }

    private func apply(_ thread: Int) {
        let due = effects[thread]
        effects[thread] = []
        for effect in due {
            switch effect {
            case .post(let thread, let job, let isUrgent, let wakes):
                processors.post(job, to: thread, isUrgent: isUrgent, wakes: wakes)
            case .send(let from, let to, let thread, let job, let bytes):
                agenda.insert(.arrived(thread: thread, job), at: arrival(from: from, to: to, bytes: bytes))
            }
        }
    }

    private func arrival(from: Int, to: Int, bytes: Int) -> UInt64 {
        let (here, there) = (places[from], places[to])
        guard here.machine != there.machine else { return now + UInt64(costs.machine.loopback_ns) }
        let key = UInt64(from) << 32 | UInt64(to)
        if links[key] == nil {
            links[key] = LinkClock(
                network.link(from: here.region, to: there.region),
                back: network.link(from: there.region, to: here.region),
                seed: seed &+ key &* 0x9E37_79B9_7F4A_7C15)
        }
        return links[key]?.arrival(of: bytes, at: now) ?? now
    }

    private func carryOut(_ burst: Processors<Job>.Burst) throws {
        var turn = Turn(start: now, cost: burst.wasIdle ? costs.machine.wake_ns : 0)
        switch owners[burst.thread] {
        case .host(let i, let role): try hosts[i].run(role, burst.jobs, &turn, in: self)
        case .gateway(let i, let role): gateways[i].run(role, burst.jobs, &turn, in: self)
        case .load(let i): channels[i].run(burst.jobs, &turn, in: self)
        }
        effects[burst.thread] = turn.effects
        let cost = UInt64(turn.cost)
        agenda.insert(.finished(thread: burst.thread, busy: cost, blocks: turn.blocks), at: now + cost)
    }

    // MARK: The load

    /// What the load wants to send goes to the threads of its channels.
    func issue() {
        scheduleDue()
        let outbox = load.takeOutbox()
        guard !outbox.isEmpty else { return }
        var byChannel: [[Issued]] = Array(repeating: [], count: channels.count)
        for issued in outbox { byChannel[issued.channel].append(issued) }
        for (channel, issued) in byChannel.enumerated() where !issued.isEmpty {
            processors.post(.issue(issued), to: channels[channel].thread)
        }
    }

    func scheduleDue() {
        guard !isDueScheduled, let due = load.nextDue, due > now else { return }
        isDueScheduled = true
        agenda.insert(.due, at: due)
    }
}
