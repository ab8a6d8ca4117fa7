import Randomness
import Cores
import Messages

/// What hosts, gateway and clients of a run share: the time, chance, the network and what is on its way; and what is
/// held against all that they do.
struct World {
    let options: SimulationOptions
    let manifest: Manifest
    /// The network, the disks and the clocks. Clients and faults have chances of their own (`ChanceStream`).
    var rng: SplitMix64
    /// Of all that has to do with reads, see `ReadBook`.
    var readRng: SplitMix64
    var now: UInt64 = 0
    var events = EventQueue<SimulationEvent>()
    var network: Network
    var wire: Wire
    var isHealed = false
    /// The gateway's, with the hosts.
    var session = SessionID(1)
    var checks: Checks
    var rest = RestWatch()
    var epilogue = Epilogue()
    private(set) var log: [String] = []

    init(_ options: SimulationOptions, manifest: Manifest, liars: [Int]) {
        (self.options, self.manifest) = (options, manifest)
        rng = SplitMix64(seed: options.seed)
        readRng = ChanceStream.reads.generator(seed: options.seed)
        network = Network(
            hosts: options.replicas, isLossy: options.isLossy, lossPerMille: options.lossPerMille, using: &rng)
        wire = Wire(manifest: manifest, options: options.host)
        checks = Checks(byzantine: Set(liars), manifest: manifest, window: options.host.replica.window)
    }

    var f: Int { (options.replicas - 1) / 3 }

    /// By a clock that is right.
    var instant: Instant { Instant(uptime: now + 1, wall: Timestamp(1_700_000_000_000_000 + now / 1000)) }

    func failure(_ what: String) -> SimulationFailure {
        SimulationFailure(seed: options.seed, time: now, what: what, log: log)
    }

    /// For runs that keep a log: what goes into a line costs more than most events.
    mutating func note(_ line: String) { log.append("\(now / 1000) µs  \(line)") }

    mutating func noteLoss(_ message: HostMessage, from: Int, to: Int) {
        if options.keepsLog { note("\(from) -x \(to) \(message.brief)") }
    }

    // MARK: The network

    /// Messages are not lost, repeated or late now.
    var isCalm: Bool { isHealed || !options.allowsLoss(at: now) }
    /// The gateway's and its clients' place on the network.
    var gatewayEndpoint: Int { options.replicas }

    /// When a message from host to host arrives, and when again.
    mutating func arrivals(from: Int, to: Int) -> (first: UInt64?, again: UInt64?) {
        network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &rng)
    }

    /// When something arrives that the gateway sends or gets; nil if it does not.
    mutating func arrival(from: Int, to: Int, isRead: Bool) -> UInt64? {
        isRead
            ? network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &readRng).first
            : network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &rng).first
    }
}
