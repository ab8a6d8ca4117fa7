import Messages

/// A weak read that waits for replicas' answers.
struct AccountQuery: Sendable {
    let waiter: GatewayEntry.Waiter
    let shard: ShardID
    /// One bit a replica.
    var answered: UInt64 = 0
    /// In the order of arrival.
    var views: [(view: AccountView?, count: Int)] = []
}

/// A quorum read that waits for equal answers of 2f + 1 replicas.
struct QuorumRead: Sendable {
    let waiter: GatewayEntry.Waiter
    let shard: ShardID
    /// One bit a replica.
    var answered: UInt64 = 0
    /// Equal ones together, in the order of arrival.
    var answers: [[ReadAnswer]] = []
}

/// Account queries: nothing is certified, but f + 1 equal answers hold one by a correct replica.
extension GatewayCore {
    mutating func note(
        _ view: AccountView?, ofQuery id: UInt64, from host: HostID, now: Instant, into ready: inout GatewayReady
    ) {
        guard var query = queries[id], let replica = manifest.replica(of: query.shard, on: host),
            query.answered & 1 << UInt64(replica.number) == 0
        else { return }
        query.answered |= 1 << UInt64(replica.number)
        let place = query.views.firstIndex { $0.view == view } ?? query.views.count
        if place == query.views.count { query.views.append((view, 0)) }
        query.views[place].count += 1
        queries[id] = query
        let group = manifest.group(of: query.shard)
        if query.views[place].count >= group.weakQuorum || query.answered.nonzeroBitCount == group.n {
            answer(query, id, now: now, into: &ready)
        }
    }

    /// The most frequent answer, the earliest of equals; `agreeing` 0 if there is none.
    mutating func answer(_ query: AccountQuery, _ id: UInt64, now: Instant, into ready: inout GatewayReady) {
        queries[id] = nil
        var best: (view: AccountView?, count: Int) = (nil, 0)
        for candidate in query.views where candidate.count > best.count { best = candidate }
        deliver(
            .account(id: query.waiter.id, best.view, agreeing: UInt32(best.count)), to: query.waiter.session,
            into: &ready)
        finish(query.waiter, on: query.shard, now: now, into: &ready)
    }

    // MARK: Quorum reads

    /// Its signature is checked; the client checks it again, for it trusts no gateway.
    mutating func note(
        _ answer: ReadAnswer?, ofRead id: UInt64, from host: HostID, now: Instant, into ready: inout GatewayReady
    ) {
        guard var read = reads[id], let replica = manifest.replica(of: read.shard, on: host),
            read.answered & 1 << UInt64(replica.number) == 0
        else { return }
        read.answered |= 1 << UInt64(replica.number)
        if let answer, answer.signature.replica == replica {
            let place = read.answers.firstIndex { $0.first?.statement == answer.statement } ?? read.answers.count
            if place == read.answers.count { read.answers.append([]) }
            read.answers[place].append(answer)
        }
        reads[id] = read
        let group = manifest.group(of: read.shard)
        let most = read.answers.map(\.count).max() ?? 0
        // Proven, or never any more: the client may ask again at once.
        if most >= group.quorum || most + group.n - read.answered.nonzeroBitCount < group.quorum {
            self.answer(read, id, now: now, into: &ready)
        }
    }

    mutating func answer(_ read: QuorumRead, _ id: UInt64, now: Instant, into ready: inout GatewayReady) {
        reads[id] = nil
        var best: [ReadAnswer] = []
        for answers in read.answers where answers.count > best.count { best = answers }
        deliver(.read(id: read.waiter.id, best), to: read.waiter.session, into: &ready)
        finish(read.waiter, on: read.shard, now: now, into: &ready)
    }
}
