import Gateway
import Messages

/// What a client asks of one shard without order.
enum Question: Sendable {
    /// Weak: what f + 1 replicas say.
    case account(AccountID)
    /// What 2f + 1 replicas say alike (R6).
    case read(ReadSubject, nonce: Digest)

    func shard(in map: ShardMap) -> ShardID {
        switch self {
        case .account(let account): map.shard(of: account)
        case .read(let subject, _): subject.shard(in: map)
        }
    }
}

/// A question that has not been passed on.
struct WaitingQuestion: Sendable {
    let id: UInt64
    let question: Question
    /// Uptime by which it must have been passed on.
    let startBy: UInt64
}

/// Questions for one shard: a few are with the hosts, and the others wait, one session's in turn with another's.
struct QuestionLane: Sendable {
    var waiting = FairQueue<SessionID, WaitingQuestion>()
    var asked = 0
}

/// Reads are fair between sessions: whoever asks for thousands waits for them alone.
extension GatewayCore {
    mutating func ask(
        _ question: Question, for waiter: GatewayEntry.Waiter, now: Instant, into ready: inout GatewayReady
    ) {
        guard questions.take(1, for: waiter.session) else {
            counters.rejected += 1
            return reject(waiter, .queueFull, retryAfter: options.queryTimeout / 1000, into: &ready)
        }
        expectAnswer(waiter)
        let shard = Int(question.shard(in: map).number)
        let waiting = WaitingQuestion(id: waiter.id, question: question, startBy: now.uptime + options.questionPatience)
        lanes[shard].waiting.append(waiting, from: waiter.session)
        passOn(shard, now: now, into: &ready)
    }

    /// Passes on what the window has room for.
    private mutating func passOn(_ shard: Int, now: Instant, into ready: inout GatewayReady) {
        while lanes[shard].asked < options.maxAsked, let (session, next) = lanes[shard].waiting.popFirst() {
            let waiter = GatewayEntry.Waiter(session: session, id: next.id)
            guard now.uptime <= next.startBy else {
                questions.giveBack(1, from: session)
                counters.rejected += 1
                let retryAfter = options.queryTimeout / 1000
                deliver(
                    .rejected(id: next.id, .queueFull, retryAfterMicroseconds: retryAfter), to: session, into: &ready)
                continue
            }
            lanes[shard].asked += 1
            lastQuery += 1
            start(next.question, lastQuery, for: waiter, on: ShardID(UInt16(shard)), now: now, into: &ready)
        }
    }

    private mutating func start(
        _ question: Question, _ id: UInt64, for waiter: GatewayEntry.Waiter, on shard: ShardID, now: Instant,
        into ready: inout GatewayReady
    ) {
        let hosts = manifest.hosts(of: shard).sorted()
        switch question {
        case .account(let account):
            queries[id] = AccountQuery(waiter: waiter, shard: shard)
            ready.toHosts.append(.init(to: hosts, message: .account(id: id, account)))
            _ = timers.set(.query(id), due: now.uptime + options.queryTimeout)
        case .read(let subject, let nonce):
            reads[id] = QuorumRead(waiter: waiter, shard: shard)
            ready.toHosts.append(.init(to: hosts, message: .read(id: id, subject, nonce: nonce)))
            _ = timers.set(.read(id), due: now.uptime + options.queryTimeout)
        }
    }

    /// A question that was passed on has its answer.
    mutating func finish(_ waiter: GatewayEntry.Waiter, on shard: ShardID, now: Instant, into ready: inout GatewayReady)
    {
        questions.giveBack(1, from: waiter.session)
        lanes[Int(shard.number)].asked -= 1
        passOn(Int(shard.number), now: now, into: &ready)
    }

    /// What has not been passed on is not needed any more.
    mutating func forgetQuestions(of session: SessionID) {
        for shard in lanes.indices where !lanes[shard].waiting.isEmpty {
            questions.giveBack(lanes[shard].waiting.removeAll(from: session).count, from: session)
        }
    }
}
