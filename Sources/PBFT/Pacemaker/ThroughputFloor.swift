import Messages

/// The throughput that a shard may expect of its primary, measured by each replica for itself, as Aardvark does
/// (Clement et al., NSDI '09, §4.3): a primary that is just fast enough for the timers is replaced all the same.
///
/// The best rate of the last n views is what the shard can do. Offered a requests on average, a fair primary orders
/// about a / (W + a / best) of them in a second, where W is the wait when nothing queues (Little's law); one that
/// orders less than a quarter of that, twice in a row, is suspected. So neither few clients nor a burst make a fair
/// primary look slow.
struct ThroughputFloor: Sendable {
    struct Window: Sendable {
        /// Nanoseconds in which something waited.
        var busy: UInt64 = 0
        /// Requests × nanoseconds that they waited.
        var waited: UInt64 = 0
        var ordered: UInt64 = 0

        /// Thousandths of requests in a second.
        var rate: UInt64 { scaled(ordered, by: 1_000_000_000_000, over: max(1, busy)) }
        /// Thousandths of requests that waited on average.
        var offered: UInt64 { scaled(waited, by: 1000, over: max(1, busy)) }
    }

    private(set) var window = Window()
    private var sampledAt: UInt64?
    /// Rates in thousandths of requests a second: the best of each of the last views, the current one last.
    private(set) var best: [UInt64] = [0]
    private var misses = 0
    private var good = 0
    /// Each view change that slowness caused doubles the wait that is excused and the time of a measurement; many good
    /// ones halve them. When the whole shard has become slower, it does not change views for ever.
    private(set) var excuse = 0

    var isViolated: Bool { misses >= 2 }

    mutating func ordered(_ count: Int) { window.ordered &+= UInt64(count) }

    mutating func enterView(n: Int) {
        if isViolated { excuse = min(excuse + 1, 5) }
        best.append(0)
        if best.count > n { best.removeFirst(best.count - n) }
        (window, sampledAt, misses) = (Window(), nil, 0)
    }

    /// - Parameter pending: requests that wait to be ordered now.
    mutating func sample(pending: Int, now: UInt64, limits: ReplicaConfiguration.Limits) {
        defer { sampledAt = pending > 0 ? now : nil }
        guard let sampledAt, now > sampledAt else { return }
        window.busy &+= now - sampledAt
        window.waited &+= (now - sampledAt) &* UInt64(pending)
        guard window.busy >= limits.floorWindow << UInt64(excuse) else { return }
        let (rate, required) = (window.rate, required(limits))
        best[best.count - 1] = max(best[best.count - 1], rate)
        if rate < required {
            (misses, good) = (misses + 1, 0)
        } else {
            (misses, good) = (0, good + 1)
            if good >= 32 { (good, excuse) = (0, max(0, excuse - 1)) }
        }
        window = Window()
    }

    func required(_ limits: ReplicaConfiguration.Limits) -> UInt64 {
        let offered = window.offered
        let possible = max(best.max() ?? 0, max(1, limits.assumedThroughput &* 1000))
        let queueing = scaled(offered, by: 1_000_000_000, over: possible)
        let wait = (limits.floorLatency << UInt64(excuse)) &+ min(queueing, .max / 16)
        return scaled(offered, by: 1_000_000_000, over: 4 * wait)
    }
}

/// a × b / c without overflow; saturates.
private func scaled(_ a: UInt64, by b: UInt64, over c: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    guard c > product.high else { return .max }
    return c.dividingFullWidth(product).quotient
}
