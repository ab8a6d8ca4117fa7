import Client
import Messages
import Workload

/// Asks for the outcome of a request that was answered already, with the same signed bytes, through another gateway.
struct SecondOpinion: Sendable {
    enum Answer: Sendable {
        case same
        case different(told: Decision, now: Decision)
        /// Its principal has acknowledged the number meanwhile: the shards may have forgotten it.
        case acknowledged
        case none(String)
    }

    private let connections: [(gateway: Int, connection: GatewayConnection)]
    private let manifest: Manifest
    private static let patience = Duration.seconds(30)
    private static let pause = Duration.milliseconds(50)

    static func open(_ gateways: [(number: Int, address: GatewayAddress)], of manifest: Manifest) async throws
        -> SecondOpinion
    {
        var connections: [(Int, GatewayConnection)] = []
        do {
            for gateway in gateways {
                connections.append((gateway.number, try await GatewayConnection.connect(gateway.address)))
            }
        } catch {
            for (_, connection) in connections { await connection.close() }
            throw error
        }
        return SecondOpinion(connections: connections, manifest: manifest)
    }

    func close() async { for (_, connection) in connections { await connection.close() } }

    func ask(_ told: Traffic.Told) async -> Answer {
        guard let first = decision(of: told.receipt) else { return .none("the first receipt proves nothing") }
        guard let connection = connections.first(where: { $0.gateway != told.gateway })?.connection else {
            return .none("there is no other gateway")
        }
        let end = ContinuousClock.now + Self.patience
        var why = "no answer in time"
        while ContinuousClock.now < end, !Task.isCancelled {
            do {
                switch try await connection.submit(told.receipt.request, timeout: Self.patience) {
                case .receipt(let receipt, _, _):
                    if receipt.isBeyondProof(leg: 0, in: manifest.shardMap) { return .acknowledged }
                    guard let second = decision(of: receipt) else { return .none("the second receipt proves nothing") }
                    return (first == .commit) == (second == .commit) ? .same : .different(told: first, now: second)
                case .rejected(let reason, _): why = "\(reason)"
                }
            } catch {
                why = "\(error)"
            }
            try? await Task.sleep(for: Self.pause)
        }
        return .none(why)
    }

    /// Nil if the receipt is not valid, or decides nothing.
    private func decision(of receipt: Receipt) -> Decision? {
        var verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
        guard (try? verifier.verify(receipt)) != nil else { return nil }
        return receipt.decision(ofLeg: 0, in: manifest.shardMap)
    }
}
