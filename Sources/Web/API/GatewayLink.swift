import Client
import Messages

/// The one connection of the HTTP side to its gateway's port for clients (docs/decisions/0044).
actor GatewayLink {
    private let connect: @Sendable () async throws -> GatewayConnection
    private var connection: GatewayConnection?

    init(connect: @escaping @Sendable () async throws -> GatewayConnection) { self.connect = connect }

    /// One call on it, and a second one on a new connection if that which was there had been lost: a gateway that was
    /// started anew shows only so. All that is asked here may be asked twice. A connection that failed is made anew by the
    /// next call.
    /// - Throws: `ConnectionError`, or what connecting throws.
    func ask<Answer: Sendable>(
        _ call: @Sendable (GatewayConnection) async throws -> Answer
    ) async throws -> Answer {
        let isOld = connection != nil
        let first = try await open()
        do { return try await call(first) } catch {
            await leave(first, after: error)
            guard isOld, Self.isLost(error), !Task.isCancelled else { throw error }
        }
        let second = try await open()
        do { return try await call(second) } catch {
            await leave(second, after: error)
            throw error
        }
    }

    private static func isLost(_ error: any Error) -> Bool {
        switch error {
        case ConnectionError.lost, ConnectionError.closed: true
        default: false
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
        case ConnectionError.lost, ConnectionError.garbage, ConnectionError.tlsMismatch,
            // That of a call that was cancelled is as good as before.
            ConnectionError.closed where !Task.isCancelled:
            if connection === failed { connection = nil }
            await failed.close()
        // The gateway answers in less, so that nothing may come on this one any more; others may still wait on it.
        case ConnectionError.timeout:
            if connection === failed { connection = nil }
            failed.closeWhenIdle()
        default: break
        }
    }
}
