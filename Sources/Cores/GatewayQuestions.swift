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

/// What clients ask without order, on its way: a few questions of each shard are with the hosts, and the others wait.
/// Reads are fair between sessions: whoever asks for thousands waits for them alone.
struct GatewayQuestions: Sendable {
    /// What a step asks for, in the order in which it is to be done.
    struct Ready {
        var toHosts: [GatewayReady.Outgoing] = []
        /// To sessions that may have closed.
        var answers: [(session: SessionID, reply: GatewayReply)] = []
        /// Say `expire` of it then, unless it has its answer (`isOpen`).
        var timers: [(question: UInt64, due: UInt64)] = []
        /// Questions that were refused.
        var rejected: UInt64 = 0
    }

    /// A question that has not been passed on.
    private struct Waiting: Sendable {
        let id: UInt64
        let question: Question
        /// Uptime by which it must have been passed on.
        let startBy: UInt64
    }

    /// Questions for one shard, one session's in turn with another's.
    private struct Lane: Sendable {
        var waiting = FairQueue<SessionID, Waiting>()
        /// Of those that were passed on, without an answer.
        var asked = 0
    }

    /// A question that is with the hosts.
    private struct Asked: Sendable {
        let waiter: GatewayEntry.Waiter
        let shard: ShardID
        /// One bit a replica.
        var answered: UInt64 = 0
        var answers: Answers

        /// False if it has answered already.
        mutating func hears(_ replica: ReplicaIndex) -> Bool {
            let bit = UInt64(1) << UInt64(replica.number)
            defer { answered |= bit }
            return answered & bit == 0
        }
    }

    private enum Answers: Sendable {
        /// In the order of arrival.
        case account([(view: AccountView?, count: Int)])
        /// Equal ones together, in the order of arrival.
        case read([[ReadAnswer]])
    }

    private let manifest: Manifest
    private let options: GatewayOptions
    /// By shard.
    private var lanes: [Lane]
    /// How many questions each session has in the lanes and with the hosts.
    private var shares: FairShare<SessionID>
    private var asked: [UInt64: Asked] = [:]
    private var lastID: UInt64 = 0

    init(manifest: Manifest, options: GatewayOptions) {
        (self.manifest, self.options) = (manifest, options)
        lanes = Array(repeating: Lane(), count: manifest.shardCount)
        shares = FairShare(limit: options.maxQueries, holders: options.maxSessions)
    }

    /// How many are with the hosts.
    var count: Int { asked.count }
    /// Whether it waits for the hosts' answers.
    func isOpen(_ question: UInt64) -> Bool { asked[question] != nil }

    // MARK: Asking

    /// - Returns: false if the session has too many, and nothing was done.
    mutating func ask(_ question: Question, for waiter: GatewayEntry.Waiter, now: Instant, into ready: inout Ready)
        -> Bool
    {
        guard shares.take(1, for: waiter.session) else { return false }
        let shard = Int(question.shard(in: manifest.shardMap).number)
        let waiting = Waiting(id: waiter.id, question: question, startBy: now.uptime + options.questionPatience)
        lanes[shard].waiting.append(waiting, from: waiter.session)
        passOn(shard, now: now, into: &ready)
        return true
    }

    /// Passes on what the window has room for.
    private mutating func passOn(_ shard: Int, now: Instant, into ready: inout Ready) {
        while lanes[shard].asked < options.maxAsked, let (session, next) = lanes[shard].waiting.popFirst() {
            guard now.uptime <= next.startBy else {
                shares.giveBack(1, from: session)
                ready.rejected += 1
                let retryAfter = options.queryTimeout / 1000
                ready.answers.append(
                    (session, .rejected(id: next.id, .queueFull, retryAfterMicroseconds: retryAfter)))
                continue
            }
            lanes[shard].asked += 1
            let waiter = GatewayEntry.Waiter(session: session, id: next.id)
            start(next.question, for: waiter, on: ShardID(UInt16(shard)), now: now, into: &ready)
        }
    }

    private mutating func start(
        _ question: Question, for waiter: GatewayEntry.Waiter, on shard: ShardID, now: Instant, into ready: inout Ready
    ) {
        lastID += 1
        let hosts = manifest.hosts(of: shard).sorted()
        switch question {
        case .account(let account):
            asked[lastID] = Asked(waiter: waiter, shard: shard, answers: .account([]))
            ready.toHosts.append(.init(to: hosts, message: .account(id: lastID, account)))
        case .read(let subject, let nonce):
            asked[lastID] = Asked(waiter: waiter, shard: shard, answers: .read([]))
            ready.toHosts.append(.init(to: hosts, message: .read(id: lastID, subject, nonce: nonce)))
        }
        ready.timers.append((lastID, now.uptime + options.queryTimeout))
    }

    /// What has not been passed on is not needed any more.
    mutating func forget(_ session: SessionID) {
        for shard in lanes.indices where !lanes[shard].waiting.isEmpty {
            shares.giveBack(lanes[shard].waiting.removeAll(from: session).count, from: session)
        }
    }

    // MARK: Answers

    /// Nothing is certified, but f + 1 equal answers hold one by a correct replica.
    mutating func note(
        _ view: AccountView?, of question: UInt64, from host: HostID, now: Instant, into ready: inout Ready
    ) {
        guard var entry = asked[question], case .account(var views) = entry.answers,
            let replica = manifest.replica(of: entry.shard, on: host), entry.hears(replica)
        else { return }
        let place = views.firstIndex { $0.view == view } ?? views.count
        if place == views.count { views.append((view, 0)) }
        views[place].count += 1
        entry.answers = .account(views)
        asked[question] = entry
        let group = manifest.group(of: entry.shard)
        if views[place].count >= group.weakQuorum || entry.answered.nonzeroBitCount == group.n {
            answer(question, now: now, into: &ready)
        }
    }

    /// Its signature is checked; the client checks it again, for it trusts no gateway.
    mutating func note(
        _ answer: ReadAnswer?, of question: UInt64, from host: HostID, now: Instant, into ready: inout Ready
    ) {
        guard var entry = asked[question], case .read(var answers) = entry.answers,
            let replica = manifest.replica(of: entry.shard, on: host), entry.hears(replica)
        else { return }
        if let answer, answer.signature.replica == replica {
            let place = answers.firstIndex { $0.first?.statement == answer.statement } ?? answers.count
            if place == answers.count { answers.append([]) }
            answers[place].append(answer)
        }
        entry.answers = .read(answers)
        asked[question] = entry
        let group = manifest.group(of: entry.shard)
        let most = answers.map(\.count).max() ?? 0
        // Proven, or never any more: the client may ask again at once.
        if most >= group.quorum || most + group.n - entry.answered.nonzeroBitCount < group.quorum {
            self.answer(question, now: now, into: &ready)
        }
    }

    /// It is answered with what is there.
    mutating func expire(_ question: UInt64, now: Instant, into ready: inout Ready) {
        answer(question, now: now, into: &ready)
    }

    private mutating func answer(_ question: UInt64, now: Instant, into ready: inout Ready) {
        guard let entry = asked.removeValue(forKey: question) else { return }
        let waiter = entry.waiter
        switch entry.answers {
        case .account(let views):
            // The most frequent answer, the earliest of equals; `agreeing` 0 if there is none.
            var best: (view: AccountView?, count: Int) = (nil, 0)
            for candidate in views where candidate.count > best.count { best = candidate }
            let reply = GatewayReply.account(id: waiter.id, best.view, agreeing: UInt32(best.count))
            ready.answers.append((waiter.session, reply))
        case .read(let answers):
            var best: [ReadAnswer] = []
            for equal in answers where equal.count > best.count { best = equal }
            ready.answers.append((waiter.session, .read(id: waiter.id, best)))
        }
        shares.giveBack(1, from: waiter.session)
        lanes[Int(entry.shard.number)].asked -= 1
        passOn(Int(entry.shard.number), now: now, into: &ready)
    }
}

extension GatewayCore {
    mutating func ask(
        _ question: Question, for waiter: GatewayEntry.Waiter, now: Instant, into ready: inout GatewayReady
    ) {
        expectAnswer(waiter)
        var asked = GatewayQuestions.Ready()
        guard questions.ask(question, for: waiter, now: now, into: &asked) else {
            countRejection(.queueFull, into: &ready)
            return deliver(
                .rejected(id: waiter.id, .queueFull, retryAfterMicroseconds: options.queryTimeout / 1000),
                to: waiter.session, into: &ready)
        }
        carryOut(asked, into: &ready)
    }

    /// Steps the questions, and does what they ask for.
    mutating func withQuestions(
        into ready: inout GatewayReady, _ step: (inout GatewayQuestions, inout GatewayQuestions.Ready) -> Void
    ) {
        var asked = GatewayQuestions.Ready()
        step(&questions, &asked)
        carryOut(asked, into: &ready)
    }

    private mutating func carryOut(_ asked: GatewayQuestions.Ready, into ready: inout GatewayReady) {
        ready.toHosts += asked.toHosts
        for (session, reply) in asked.answers { deliver(reply, to: session, into: &ready) }
        for (question, due) in asked.timers { _ = timers.set(.question(question), due: due) }
        for _ in 0..<asked.rejected { countRejection(.queueFull, into: &ready) }
    }
}
