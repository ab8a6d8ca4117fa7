import Cores
import Messages
import Randomness

/// Clients that bring the gateway what its principal has not signed, on sessions that it has come to trust by what
/// they brought before. A copy of what another has under way, or a request of its own: neither may come to anything,
/// and the other gets its answer all the same.
struct ForgingClients {
    private var rng: SplitMix64
    private let exist: Bool
    private var made: Set<SignedRequest> = []
    private var sent: Set<SignedRequest> = []

    /// Such answers are nobody's: the client has asked for nothing that is genuine.
    static let firstID: UInt64 = 1 << 63

    init(_ options: SimulationOptions) {
        var chance = ChanceStream.forgers.generator(seed: options.seed)
        exist = chance.chance(perMille: 500) && options.hasByzantineHosts
        rng = chance
    }

    /// What somebody says now, and by whose session.
    mutating func next(_ clients: ClientModel, isHealed: Bool) -> (client: Int, message: ClientMessage)? {
        guard exist, !isHealed, clients.isSetUp, rng.chance(perMille: 60) else { return nil }
        let client = rng.below(clients.pending.count)
        let victim = rng.below(clients.pending.count)
        guard let request = clients.pending[victim].first?.request else { return nil }
        let forged = rng.chance(perMille: 500) ? request.request : Self.another(request.request)
        let signed = SignedRequest(forged, signedBy: StandInSigner(.max))
        // Whoever brings it for the first time may be believed.
        guard made.insert(signed).inserted else { return nil }
        return (client, .submit(id: Self.firstID | rng.below(UInt64(1 << 32)), signed))
    }

    /// The gateway sends these at once.
    /// - Returns: one that nobody has signed, and that it has sent before.
    mutating func note(_ outgoing: [GatewayReady.Outgoing]) -> SignedRequest? {
        guard !made.isEmpty else { return nil }
        let forged = Set(
            outgoing.compactMap { outgoing -> SignedRequest? in
                guard case .submit(_, let request) = outgoing.message, made.contains(request) else { return nil }
                return request
            })
        defer { sent.formUnion(forged) }
        return sent.first(where: forged.contains)
    }

    /// One that its principal could have signed, and has not.
    private static func another(_ request: Request) -> Request {
        Request(
            cluster: request.cluster, epoch: request.epoch, principal: request.principal, number: request.number,
            acknowledgedBelow: request.acknowledgedBelow, follows: request.follows, issuedAt: request.issuedAt,
            deadline: request.deadline.adding(microseconds: 1), mode: request.mode, operations: request.operations)
    }
}
