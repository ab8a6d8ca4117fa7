import Randomness
import Cores
import Messages

/// The clients' quorum reads, and reads in order where those find no agreement. They have a generator of their own: a
/// read moves nothing else of the run.
extension Simulation {
    /// Most often of one's own account and just after something was done to it, when replicas know least of it.
    mutating func maybeRead(_ client: Int, after request: SignedRequest? = nil) throws {
        guard clients.mayRead(client, now: instant()), readRng.chance(perMille: request == nil ? 15 : 700) else {
            return
        }
        let touched: [AccountID] = (request?.request.operations ?? []).flatMap { operation -> [AccountID] in
            if case .transfer(let transfer) = operation { [transfer.from, transfer.from, transfer.to] } else { [] }
        }
        let accounts = touched.isEmpty ? clients.accounts.map(\.id) : touched
        clients.beginRead(client, accounts[readRng.below(accounts.count)], nonce: readRng.digest(), now: now)
        try sendRead(client)
    }

    mutating func readTick() throws {
        for client in clients.pending.indices {
            if let read = clients.reads.open[client], !read.isOrdered {
                if now > read.dueAt, clients.readsAgain(client, nonce: readRng.digest(), now: now) {
                    try sendRead(client)
                }
            } else if clients.remaining[client] > 0 {
                try maybeRead(client)
            }
        }
    }

    private mutating func sendRead(_ client: Int) throws {
        guard let read = clients.reads.open[client] else { return }
        // The attempt's number: an answer to an earlier one is too late.
        let message = ClientMessage.read(id: UInt64(read.attempts), .account(read.account), nonce: read.nonce)
        guard let verified = try? verifier.verify(message) else { throw failure("a client's read is refused") }
        if options.keepsLog { note("client \(client) reads \(read.account)") }
        try gatewayStep(.client(clients.session(of: client), verified))
    }

    mutating func take(_ answers: [ReadAnswer], id: UInt64, client: Int) throws {
        guard let read = clients.reads.open[client], !read.isOrdered, id == UInt64(read.attempts) else { return }
        guard let statement = try? verifier.verify(answers, of: .account(read.account), nonce: read.nonce) else {
            return clients.reads.disagreed(client, until: now + readRng.below(UInt64(200_000_000)))
        }
        let view = statement.value.statement.view
        if options.keepsLog {
            note("client \(client) has \(view.map { "\($0.posted)" } ?? "nothing") of \(read.account)")
        }
        if let problem = clients.reads.answered(client, view) { throw failure(problem) }
    }

    // MARK: Liars

    /// What a Byzantine host says of an account instead of the truth: mostly what the correct host that is furthest
    /// behind still believes, which is the lie that others may confirm.
    mutating func falseRead(_ input: HostInput, core i: Int, by m: Int) -> DistortedReply? {
        guard case .gateway(_, let message) = input,
            case .read(let id, .account(let account), let nonce) = message.value
        else { return nil }
        let shard = manifest.shardMap.shard(of: account)
        guard let replica = manifest.replica(of: shard, on: hostID(i)), readRng.chance(perMille: 800) else {
            return nil
        }
        var furthest: (sequence: SequenceNumber, view: AccountView?)?
        for host in correctHosts {
            guard let sequence = hosts[host].core?.progress().first(where: { $0.shard == shard })?.sequence else {
                continue
            }
            if furthest.map({ sequence < $0.sequence }) ?? true {
                furthest = (sequence, hosts[host].core?.view(of: account))
            }
        }
        guard var view = furthest?.view else { return nil }
        var answered = (nonce: nonce, replica: replica)
        switch readRng.below(10) {
        case 0: view = Self.bent(view, posted: view.posted.number + 1)
        case 1: answered.nonce = readRng.digest()
        case 2: answered.replica = ReplicaIndex(UInt8(readRng.below(options.replicas)))
        default: view = Self.bent(view, posted: view.posted.number)
        }
        let statement = ReadStatement(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, nonce: answered.nonce, account: account,
            view: view)
        // Any times: nothing that has to be equal.
        let (time, clock) = (Timestamp(readRng.next()), Timestamp(readRng.next()))
        let signature = ReplicaSignature(
            replica: answered.replica,
            signature: byzantine.members[m].signer.sign(ReadAnswer.signingBytes(statement, time: time, clock: clock)))
        let answer = ReadAnswer(statement: statement, time: time, clock: clock, signature: signature)
        return DistortedReply(reply: .read(id: id, answer), act: .falseRead)
    }

    private static func bent(_ view: AccountView, posted: UInt128) -> AccountView {
        AccountView(
            owner: view.owner, asset: view.asset, posted: Amount(posted), pendingDebits: .zero, pendingCredits: .zero)
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
