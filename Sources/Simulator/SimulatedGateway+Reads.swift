import Randomness
import Cores
import Messages

/// The clients' quorum reads, and reads in order where those find no agreement. They have a generator of their own: a
/// read moves nothing else of the run.
extension SimulatedGateway {
    /// Most often of one's own account and just after something was done to it, when replicas know least of it.
    mutating func maybeRead(_ client: Int, after request: SignedRequest? = nil, _ world: inout World) throws {
        guard clients.mayRead(client, now: world.instant),
            world.readRng.chance(perMille: request == nil ? 15 : 700)
        else { return }
        let touched: [AccountID] = (request?.request.operations ?? []).flatMap { operation -> [AccountID] in
            if case .transfer(let transfer) = operation { [transfer.from, transfer.from, transfer.to] } else { [] }
        }
        let accounts = touched.isEmpty ? clients.accounts.map(\.id) : touched
        let account = accounts[world.readRng.below(accounts.count)]
        clients.beginRead(client, account, nonce: world.readRng.digest(), now: world.now)
        try sendRead(client, &world)
    }

    mutating func readTick(_ world: inout World) throws {
        for client in clients.pending.indices {
            if let read = clients.reads.open[client], !read.isOrdered {
                if world.now > read.dueAt, clients.readsAgain(client, nonce: world.readRng.digest(), now: world.now) {
                    try sendRead(client, &world)
                }
            } else if clients.remaining[client] > 0 {
                try maybeRead(client, &world)
            }
        }
    }

    private mutating func sendRead(_ client: Int, _ world: inout World) throws {
        guard let read = clients.reads.open[client] else { return }
        // The attempt's number: an answer to an earlier one is too late.
        let message = ClientMessage.read(id: UInt64(read.attempts), .account(read.account), nonce: read.nonce)
        guard let verified = try? world.wire.verifier.verify(message) else {
            throw world.failure("a client's read is refused")
        }
        if world.options.keepsLog { world.note("client \(client) reads \(read.account)") }
        try step(.client(clients.session(of: client), verified), &world)
    }

    mutating func take(_ answers: [ReadAnswer], id: UInt64, client: Int, _ world: inout World) throws {
        guard let read = clients.reads.open[client], !read.isOrdered, id == UInt64(read.attempts) else { return }
        let answer = try? world.wire.verifier.verify(answers, of: .account(read.account), nonce: read.nonce)
        guard let statement = answer else {
            return clients.reads.disagreed(client, until: world.now + world.readRng.below(UInt64(200_000_000)))
        }
        let view = statement.value.statement.view
        if world.options.keepsLog {
            world.note("client \(client) has \(view.map { "\($0.posted)" } ?? "nothing") of \(read.account)")
        }
        if let problem = clients.reads.answered(client, view) { throw world.failure(problem) }
    }
}

extension SplitMix64 {
    mutating func digest() -> Digest {
        var hasher = Hasher256()
        hasher.update(integer: next())
        return hasher.finish()
    }
}

extension GatewayMessage {
    var isRead: Bool { if case .read = self { true } else { false } }
}

extension HostReply {
    var isRead: Bool { if case .read = self { true } else { false } }
}
