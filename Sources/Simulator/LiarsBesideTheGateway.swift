import Randomness
import Cores
import Messages

/// Those that lie to the hosts and are none: a client without a gateway, and a second coordinator. Like all that is
/// faulty they stop when the network is healed: everything that they began must end too.
struct LiarsBesideTheGateway {
    var client = ByzantineClient()
    var coordinator: ByzantineGateway
    private let hasCoordinator: Bool
    private let exists: Bool
    private var rng: SplitMix64

    init(manifest: Manifest, options: SimulationOptions) {
        coordinator = ByzantineGateway(manifest: manifest, seed: options.seed)
        hasCoordinator = ByzantineGateway.exists(seed: options.seed)
        exists = options.hasByzantineHosts
        rng = SplitMix64(seed: ~options.seed)
    }

    mutating func tick(_ world: inout World) {
        guard exists, !world.isHealed else { return }
        for (host, message) in client.next(manifest: world.manifest, now: world.instant, using: &rng) {
            send(message, to: host, on: ByzantineClient.session, &world)
        }
        guard hasCoordinator else { return }
        for (host, message) in coordinator.next(now: world.now) {
            send(message, to: host, on: ByzantineGateway.session, &world)
        }
    }

    private mutating func send(_ message: GatewayMessage, to host: Int, on session: SessionID, _ world: inout World) {
        let arrivals = world.network.arrivals(
            from: world.gatewayEndpoint, to: host, now: world.now, isHealed: world.isCalm, using: &rng)
        guard let time = arrivals.first else { return }
        world.events.insert(.fromGateway(to: host, Box(message), session: session), at: time)
    }
}
