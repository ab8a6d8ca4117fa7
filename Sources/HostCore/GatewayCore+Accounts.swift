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

/// Account queries: nothing is certified, but f + 1 equal answers hold one by a correct replica.
extension GatewayCore {
    mutating func query(_ account: AccountID, for waiter: GatewayEntry.Waiter, now: Instant, into ready: inout GatewayReady) {
        guard queries.count < options.maxQueries else {
            counters.rejected += 1
            return reject(waiter, .queueFull, retryAfter: options.queryTimeout / 1000, into: &ready)
        }
        lastQuery += 1
        let shard = map.shard(of: account)
        queries[lastQuery] = AccountQuery(waiter: waiter, shard: shard)
        expectAnswer(waiter)
        ready.toHosts.append(.init(to: manifest.hosts(of: shard).sorted(), message: .account(id: lastQuery, account)))
        _ = timers.set(.query(lastQuery), due: now.uptime + options.queryTimeout)
    }

    mutating func note(_ view: AccountView?, ofQuery id: UInt64, from host: HostID, into ready: inout GatewayReady) {
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
            answer(query, id, into: &ready)
        }
    }

    /// The most frequent answer, the earliest of equals; `agreeing` 0 if there is none.
    mutating func answer(_ query: AccountQuery, _ id: UInt64, into ready: inout GatewayReady) {
        queries[id] = nil
        var best: (view: AccountView?, count: Int) = (nil, 0)
        for candidate in query.views where candidate.count > best.count { best = candidate }
        deliver(
            .account(id: query.waiter.id, best.view, agreeing: UInt32(best.count)), to: query.waiter.session, into: &ready)
    }
}
