import Client
import Messages

/// The one connection of the HTTP side to its gateway's port for clients (docs/decisions/0044).
actor GatewayLink {
    private let connect: @Sendable () async throws -> GatewayConnection
    private var connection: GatewayConnection?

    init(connect: @escaping @Sendable () async throws -> GatewayConnection) { self.connect = connect }

    /// One call on it. A connection that failed is made anew by the next call.
    /// - Throws: `ConnectionError`, or what connecting throws.
    func ask<Answer: Sendable>(
        _ call: @Sendable (GatewayConnection) async throws -> Answer
    ) async throws -> Answer {
        let connection = try await open()
        do { return try await call(connection) } catch {
            await leave(connection, after: error)
            throw error
        }
    }

    /// A submission; its failures are answers.
    func submit(_ request: SignedRequest) async -> SubmissionOutcome {
        do {
            // The gateway gives up by itself, after two minutes at the latest.
            switch try await ask({ try await $0.submit(request, timeout: .seconds(150)) }) {
            case .receipt(let receipt, _, _): return .receipt(receipt)
            case .rejected(let reason, let pause): return .problem(Problem(reason, retryAfterMicroseconds: pause))
            }
        } catch { return .problem(Self.problem(error)) }
    }

    /// What a client is told of a failure on this machine: nothing of its addresses.
    static func problem(_ error: any Error) -> Problem {
        switch error {
        case ConnectionError.timeout: Problem(.timeout, "the gateway did not answer in time")
        case ConnectionError.tooManyOutstanding:
            Problem(.busy, "too many requests wait for the gateway", retryAfterMilliseconds: 1000)
        default: Problem(.gatewayUnavailable, "the gateway did not answer", retryAfterMilliseconds: 1000)
        }
    }

    func close() async {
        let last = connection
        connection = nil
        await last?.close()
    }

    private func open() async throws -> GatewayConnection {
        if let connection { return connection }
        let made = try await connect()
        // Another call may have connected meanwhile.
        if let connection {
            await made.close()
            return connection
        }
        connection = made
        return made
    }

    private func leave(_ failed: GatewayConnection, after error: any Error) async {
        switch error {
        case ConnectionError.lost, ConnectionError.garbage,
            // That of a call that was cancelled is as good as before.
            ConnectionError.closed where !Task.isCancelled:
            if connection === failed { connection = nil }
            await failed.close()
        default: break
        }
    }
}
