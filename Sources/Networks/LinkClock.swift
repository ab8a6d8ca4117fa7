import Randomness

/// When what is written to one direction of a connection arrives at its other end. Pure: the caller has the clock.
///
/// - Bandwidth: bytes leave one after the other, at the link's speed.
/// - Jitter: uniform, drawn for each write.
/// - Loss: TCP hides it as delay. Each packet of a write is lost with the link's probability. If one is lost that others
///   of the same write follow, the sender learns it by their acknowledgements and sends it again: a round trip more. If
///   it is the last, nothing follows, and it is sent again when a tail loss probe is due: two round trips more (RFC
///   8985). A connection that waits for it delivers nothing meanwhile.
/// - Order: nothing overtakes anything.
///
/// What it has not: slow start and congestion windows, and queues that connections share.
public struct LinkClock: Sendable {
    /// Of an Ethernet packet, what TCP has for data, with time stamps.
    private static let segment = 1448

    private let link: NetworkProfile.Link
    private let roundTrip: UInt64
    private var random: SplitMix64
    /// When the last byte so far has left.
    private var free: UInt64 = 0
    /// When it arrives.
    private var last: UInt64 = 0

    /// - Parameters:
    ///   - back: the way of the acknowledgements.
    ///   - seed: of jitter and loss.
    public init(_ link: NetworkProfile.Link, back: NetworkProfile.Link, seed: UInt64) {
        (self.link, roundTrip, random) = (link, link.delay + back.delay, SplitMix64(seed: seed))
    }

    /// - Parameter now: nanoseconds of the caller's clock, never less than before.
    /// - Returns: nanoseconds of the same clock, never less than before.
    public mutating func arrival(of bytes: Int, at now: UInt64) -> UInt64 {
        free = max(free, now)
        if let speed = link.bytesPerSecond {
            free += UInt64(Double(max(0, bytes)) * 1e9 / Double(max(1, speed)))
        }
        last = max(last, free + link.delay - min(link.jitter, link.delay) + swing() + lateness(of: bytes))
        return last
    }

    /// From none to twice the jitter.
    private mutating func swing() -> UInt64 {
        let jitter = min(link.jitter, link.delay)
        return jitter == 0 ? 0 : random.below(2 * jitter + 1)
    }

    private mutating func lateness(of bytes: Int) -> UInt64 {
        guard link.lossPerMillion > 0, bytes > 0 else { return 0 }
        let segments = (bytes - 1) / Self.segment + 1
        var lateness: UInt64 = 0
        for segment in 1...segments where random.below(1_000_000 as UInt64) < UInt64(link.lossPerMillion) {
            lateness = max(lateness, segment == segments ? 2 * roundTrip : roundTrip)
        }
        return lateness
    }
}
