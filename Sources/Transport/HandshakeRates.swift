/// How many TLS handshakes each address begins: they cost a server about a millisecond of a processor each, and those who
/// ask for them next to nothing. Programs on this machine are not bounded: they could take its processors anyway, and
/// all of them have one address. A value without a clock.
package struct HandshakeRates: Sendable {
    private let rate: Double
    private let burst: Double
    private let maxAddresses: Int
    private var buckets: [PeerNetwork: TokenBucket] = [:]
    private var lookedAt: UInt64 = 0
    /// Nanoseconds from one look for addresses that can be forgotten to the next.
    private static let pause: UInt64 = 100_000_000

    /// - Parameters:
    ///   - rate: of one address (of IPv6, one /64) of another machine, a second; two and a half times as many at once.
    ///   - maxAddresses: that are remembered. While there are more, the others are let through: that many machines
    ///     could begin as many anyway, and nobody who is honest is shut out by them.
    package init(rate: Int, maxAddresses: Int = 4096) {
        (self.rate, burst) = (Double(max(1, rate)), (Double(max(1, rate)) * 2.5).rounded(.up))
        self.maxAddresses = max(1, maxAddresses)
    }

    /// - Parameter now: uptime in nanoseconds.
    package mutating func admit(_ peer: PeerNetwork, now: UInt64) -> Bool {
        guard !peer.isLoopback else { return true }
        if buckets[peer] == nil {
            guard makeRoom(now: now) else { return true }
            buckets[peer] = TokenBucket(rate: rate, burst: burst, now: now)
        }
        return buckets[peer]?.take(now: now) ?? true
    }

    /// Its handshake ended well, and it is one who is not bounded.
    package mutating func giveBack(_ peer: PeerNetwork) { buckets[peer]?.giveBack() }

    /// Forgets addresses that are as if they had never come.
    private mutating func makeRoom(now: UInt64) -> Bool {
        guard buckets.count >= maxAddresses else { return true }
        guard now >= lookedAt + Self.pause else { return false }
        lookedAt = now
        for (peer, bucket) in buckets {
            var filled = bucket
            if filled.isFull(now: now) { buckets[peer] = nil }
        }
        return buckets.count < maxAddresses
    }
}
