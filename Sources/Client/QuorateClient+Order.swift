import Messages

/// A request that has its place among those of its principal: signed, and on its way.
public struct OrderedRequest: Sendable {
    /// As it was signed at first. The outcome's receipt has the request that it is of: that is another one if this one
    /// was certified to have done nothing and was signed anew (`QuorateClient.submitInOrder`).
    public let request: SignedRequest
    fileprivate let work: Task<Outcome, any Error>

    /// Waits until every leg's outcome is proven; it may be asked for more than once, or never.
    /// - Throws: `ClientError`.
    public var outcome: Outcome { get async throws { try await work.value } }
}

/// Many requests under way, in order.
extension QuorateClient {
    /// Signs the operations under the next request number, sends them, and returns without an outcome: so a wallet can
    /// have many payments under way. On each shard where it takes money, reads or calls, the request comes after all
    /// that was submitted in order before: nothing of it is looked at before those are recorded there, whatever came of
    /// them. Each has an outcome of its own; that one of them is aborted ends no other.
    ///
    /// Who calls one after the other gets that order; of calls that are made at the same time either may be first. What
    /// `submit` and `call` send has no part in it.
    ///
    /// Shards accept 1,024 numbers above the oldest without an outcome (R11). Where there are so many, this waits until
    /// there is room.
    ///
    /// A request that never comes to be recorded (its gateway refuses it, or its deadline passes) is waited for by
    /// those behind it until its deadline. If it is certified to have done nothing because another program with the key
    /// used its number, or because of a clock, it is signed anew, and comes behind what was submitted meanwhile.
    /// - Parameter mode: as in `submit`.
    /// - Throws: `ClientError.windowFull` if there is no room, and nothing in order is under way whose outcome could
    ///   make some: an earlier outcome is unknown, and is to be asked for (`resolve`) or given up (`abandon`).
    ///   Otherwise as `submit`; the outcome's errors are those of `OrderedRequest.outcome`.
    public func submitInOrder(_ operations: [Operation], mode: Request.Mode = .atomic) async throws -> OrderedRequest {
        try Self.check(operations, mode)
        guard !gateways.isEmpty else { throw ClientError.noGateways }
        // Before the number is taken: from there to the sending nothing may come in between.
        let connection = await preferredConnection()
        let request = try await signInOrder(operations, mode)
        let sent = connection?.send(request, timeout: options.answerTimeout)
        let work = Task { try await outcome(of: request, operations, mode, sent) }
        return OrderedRequest(request: request, work: work)
    }

    private func signInOrder(_ operations: [Operation], _ mode: Request.Mode) async throws -> SignedRequest {
        while true {
            do { return try await sign(operations, mode, isInOrder: true) } catch ClientError.windowFull(let oldest) {
                guard order.count > 0 else { throw ClientError.windowFull(oldest: oldest) }
                try Task.checkCancellation()
                // No longer than what is under way takes: until the last deadline, and the grace.
                await withCheckedContinuation { roomWaiters.append($0) }
            }
        }
    }

    private func outcome(
        of first: SignedRequest, _ operations: [Operation], _ mode: Request.Mode, _ sent: SentRequest?
    ) async throws -> Outcome {
        var (request, sent, attempts) = (first, sent, 0)
        while true {
            let result: Result<Outcome, any Error>
            do { result = .success(try await resolve(request, sent: sent)) } catch { result = .failure(error) }
            order.end(request.request.number)
            let waiters = roomWaiters
            roomWaiters = []
            for waiter in waiters { waiter.resume() }
            let outcome = try result.get()
            guard try await isToBeSignedAgain(outcome, &attempts) else { return outcome }
            (request, sent) = (try await signInOrder(operations, mode), nil)
        }
    }
}
