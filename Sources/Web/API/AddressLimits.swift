import NIOCore
import Synchronization
import Transport

/// Requests by address: a token bucket for the rate, and how many are being answered. A value without a clock.
package struct AddressLimits {
    package enum Verdict: Equatable {
        case admitted
        /// Come back after so many milliseconds.
        case tooMany(retryAfterMilliseconds: UInt64)
        /// All that may be answered at once is.
        case busy
    }

    private struct Bucket {
        var requests: TokenBucket
        var inFlight = 0
    }

    private let rate: Double
    private let burst: Double
    private let maxInFlightEach: Int
    private let maxInFlight: Int
    private let maxAddresses: Int
    private var buckets: [PeerNetwork: Bucket] = [:]
    package private(set) var inFlight = 0

    package init(_ options: APIOptions) {
        (rate, burst) = (Double(max(1, options.requestsPerSecond)), Double(max(1, options.burst)))
        (maxInFlightEach, maxInFlight) = (options.maxConcurrentPerAddress, options.maxConcurrent)
        maxAddresses = max(1, options.maxAddresses)
    }

    /// - Parameter now: uptime in nanoseconds.
    /// - Returns: if admitted, `leave` is to follow.
    package mutating func admit(_ peer: PeerNetwork, now: UInt64) -> Verdict {
        guard inFlight < maxInFlight else { return .busy }
        if buckets[peer] == nil {
            guard makeRoom(now: now) else { return .busy }
            buckets[peer] = Bucket(requests: TokenBucket(rate: rate, burst: burst, now: now))
        }
        guard var bucket = buckets[peer] else { return .busy }
        defer { buckets[peer] = bucket }
        guard bucket.inFlight < maxInFlightEach else { return .tooMany(retryAfterMilliseconds: 100) }
        guard bucket.requests.take(now: now) else {
            return .tooMany(retryAfterMilliseconds: bucket.requests.wait(now: now))
        }
        bucket.inFlight += 1
        inFlight += 1
        return .admitted
    }

    package mutating func leave(_ peer: PeerNetwork) {
        inFlight = max(0, inFlight - 1)
        guard let left = buckets[peer]?.inFlight else { return }
        buckets[peer]?.inFlight = max(0, left - 1)
    }

    /// Forgets addresses that are as if they had never come. Those that have asked lately stay: whoever has many
    /// addresses must not get a new allowance by that.
    private mutating func makeRoom(now: UInt64) -> Bool {
        guard buckets.count >= maxAddresses else { return true }
        for (peer, bucket) in buckets where bucket.inFlight == 0 {
            var requests = bucket.requests
            if requests.isFull(now: now) { buckets[peer] = nil }
        }
        return buckets.count < maxAddresses
    }
}

/// The limits with their clock, for all threads.
final class AddressLimitsBox: Sendable {
    private let limits: Mutex<AddressLimits>

    init(_ options: APIOptions) { limits = Mutex(AddressLimits(options)) }

    func admit(_ peer: PeerNetwork) -> AddressLimits.Verdict {
        limits.withLock { $0.admit(peer, now: NIODeadline.now().uptimeNanoseconds) }
    }

    func leave(_ peer: PeerNetwork) { limits.withLock { $0.leave(peer) } }
}
