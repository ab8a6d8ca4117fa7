import Messages
import Synchronization
import Workload

/// Which requests of a load are on their way through which gateway, and what their clients were told: for drills that
/// kill gateways. Monotonic nanoseconds.
final class Traffic: Sendable {
    /// What a client was told of a request that was on its way when a gateway died, or was answered just before.
    struct Told: Sendable {
        let receipt: Receipt
        /// Who answered.
        let gateway: Int
        let wasInFlight: Bool
    }

    private struct State {
        /// By request: the gateway that was asked last.
        var open: [Digest: Int] = [:]
        /// Open when a gateway died, and not answered since.
        var marked: Set<Digest> = []
        /// The last answers, in order; pruned behind `memory`.
        var answered: [(at: UInt64, told: Told)] = []
        var told: [Told] = []
        /// By gateway.
        var lastAnswer: [Int: UInt64] = [:]
    }

    private let state = Mutex(State())
    /// How long answers are remembered.
    static let memory: UInt64 = 250_000_000
    private static let prunedAt = 4096

    func sent(_ request: Digest, through gateway: Int) { state.withLock { $0.open[request] = gateway } }

    func answered(_ receipt: Receipt, by gateway: Int, at now: UInt64) {
        state.withLock { state in
            let digest = receipt.request.digest
            state.lastAnswer[gateway] = now
            // An answer that comes twice, through two gateways, is the client's first one.
            guard state.open.removeValue(forKey: digest) != nil else { return }
            if state.marked.remove(digest) != nil {
                state.told.append(Told(receipt: receipt, gateway: gateway, wasInFlight: true))
            } else {
                state.answered.append((now, Told(receipt: receipt, gateway: gateway, wasInFlight: false)))
                guard state.answered.count > Self.prunedAt else { return }
                // Half goes at once, so that this is rare; what is young enough stays in any case.
                let keepFrom = now - min(now, Self.memory)
                let first = state.answered.firstIndex { $0.at >= keepFrom } ?? state.answered.count
                state.answered.removeFirst(min(first, Self.prunedAt / 2))
            }
        }
    }

    /// The gateway is about to die: what is open through it is followed, and what it has answered in the last moments
    /// is told.
    /// - Returns: how many are open through it.
    func mark(_ gateway: Int, now: UInt64) -> Int {
        state.withLock { state in
            let open = state.open.filter { $0.value == gateway }.keys
            state.marked.formUnion(open)
            state.told += state.answered.filter { $0.told.gateway == gateway && $0.at + Self.memory >= now }.map(\.told)
            state.answered = []
            return open.count
        }
    }

    /// What has been told of marked requests since the last call, and how many have not been answered yet.
    func take() -> (told: [Told], unanswered: Int) {
        state.withLock { state in
            defer { state.told = [] }
            return (state.told, state.marked.count)
        }
    }

    /// When the last answer came through a gateway.
    func lastAnswer(by gateway: Int) -> UInt64? { state.withLock { $0.lastAnswer[gateway] } }
}

/// A way to a gateway whose requests and answers go into a `Traffic`.
struct RecordedChannel: RequestChannel {
    let base: GatewayChannel
    let gateway: Int
    let traffic: Traffic

    func submit(_ request: SignedRequest, _ completion: @escaping @Sendable (Result<GatewayReply, any Error>) -> Void) {
        traffic.sent(request.digest, through: gateway)
        base.submit(request) { [traffic, gateway] result in
            if case .success(.receipt(_, let receipt, _, _)) = result, receipt.request.digest == request.digest {
                traffic.answered(receipt, by: gateway, at: Instant.current().uptime)
            }
            completion(result)
        }
    }
}
