import Client
import Messages
import Synchronization

/// A connection to one gateway that comes back by itself. A request that cannot be sent fails at once; the engine
/// sends it again, later or over another channel.
public final class GatewayChannel: RequestChannel {
    private struct State {
        var connection: GatewayConnection?
        var isConnecting = false
        var isClosed = false
    }

    private let address: GatewayAddress
    private let state = Mutex(State())
    private static let pause = Duration.milliseconds(200)

    /// - Throws: `ConnectionError` if the gateway cannot be reached now.
    public init(_ address: GatewayAddress) async throws {
        self.address = address
        let connection = try await GatewayConnection.connect(address)
        state.withLock { $0.connection = connection }
    }

    /// Calls back with the gateway's answer, under id 0. After a failure of the connection it connects again, and until
    /// then fails at once with `ConnectionError.closed`.
    public func submit(
        _ request: SignedRequest, _ completion: @escaping @Sendable (Result<GatewayReply, any Error>) -> Void
    ) {
        guard let connection = state.withLock({ $0.connection }) else {
            reconnect()
            return completion(.failure(ConnectionError.closed))
        }
        connection.submit(request) { [self] result in
            switch result {
            case .success(.receipt(let receipt, let retries, let conflicts)):
                completion(.success(.receipt(id: 0, receipt, retries: retries, conflicts: conflicts)))
            case .success(.rejected(let reason, let retryAfter)):
                completion(.success(.rejected(id: 0, reason, retryAfterMicroseconds: retryAfter)))
            case .failure(let error):
                switch error {
                case .lost, .closed, .garbage, .cannotConnect, .notTrusted, .tlsMismatch: drop(connection)
                case .timeout, .tooManyOutstanding: break
                }
                completion(.failure(error))
            }
        }
    }

    private func drop(_ connection: GatewayConnection) {
        let wasCurrent = state.withLock { state in
            guard state.connection === connection else { return false }
            state.connection = nil
            return true
        }
        if wasCurrent { reconnect() }
    }

    private func reconnect() {
        let starts = state.withLock { state in
            guard !state.isConnecting, !state.isClosed, state.connection == nil else { return false }
            state.isConnecting = true
            return true
        }
        guard starts else { return }
        Task {
            let connection = try? await GatewayConnection.connect(address)
            if connection == nil { try? await Task.sleep(for: Self.pause) }
            let unwanted = state.withLock { state in
                state.isConnecting = false
                guard !state.isClosed else { return true }
                state.connection = connection
                return false
            }
            if unwanted { await connection?.close() }
        }
    }

    /// Closes the connection for good: later submits fail.
    public func close() async {
        let connection = state.withLock { state in
            state.isClosed = true
            defer { state.connection = nil }
            return state.connection
        }
        await connection?.close()
    }
}
