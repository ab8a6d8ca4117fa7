import Randomness

#if canImport(Glibc)
import Glibc
#endif

/// When a load begins its requests.
public enum LoadShape: Sendable, Equatable {
    /// A client begins the next one when it has the outcome of the one before: what is slow is offered less.
    case closed
    /// Each begins at a moment of its own, whatever became of those before.
    case open(OpenLoop)
}

/// How the moments of an open loop lie.
public enum Arrivals: String, CaseIterable, Sendable {
    /// Independent of each other, as those of many clients who know nothing of each other are: exponential gaps.
    case poisson
    /// At equal distances.
    case constant
}

/// Requests at moments that are fixed beforehand. Latency counts from these moments, so that a request which could not
/// be sent because the load itself waited is as slow as its user would find it ("coordinated omission", which Tene
/// named; Schroeder, Wierman and Harchol-Balter, "Open Versus Closed", NSDI 2006, show what closed loops hide).
public struct OpenLoop: Sendable, Equatable {
    /// Requests a second, each of which may carry several operations.
    public var requestsPerSecond: Double
    /// How their moments lie.
    public var arrivals: Arrivals
    /// Of the gaps.
    public var seed: UInt64
    /// Requests that are begun and have no outcome: as many at most, so that memory is bounded.
    public var maxInFlight: Int

    /// What one connection to a gateway takes, too.
    public static let usualMaxInFlight = 65_536

    /// - Precondition: the rate and the bound are above 0.
    public init(
        requestsPerSecond: Double, arrivals: Arrivals = .poisson, seed: UInt64,
        maxInFlight: Int = OpenLoop.usualMaxInFlight
    ) {
        precondition(requestsPerSecond > 0 && maxInFlight > 0)
        (self.requestsPerSecond, self.arrivals) = (requestsPerSecond, arrivals)
        (self.seed, self.maxInFlight) = (seed, maxInFlight)
    }

    /// How many requests are meant for a time.
    /// - Parameter time: nanoseconds since the begin.
    public func count(in time: Range<UInt64>) -> Int {
        var (times, count) = (ArrivalTimes(self), 0)
        while times.next < time.upperBound {
            if times.next >= time.lowerBound { count += 1 }
            times.advance()
        }
        return count
    }
}

/// The moments of an open loop, as nanoseconds since its begin. The first is 0; the same for the same loop.
public struct ArrivalTimes: Sendable {
    private let interval: Double
    private let arrivals: Arrivals
    private var random: SplitMix64
    private var index = 0.0
    private var offset = 0.0

    /// - Parameter loop: of which the moments are.
    public init(_ loop: OpenLoop) {
        (interval, arrivals) = (1e9 / loop.requestsPerSecond, loop.arrivals)
        random = SplitMix64(seed: loop.seed, stream: "arrivals")
    }

    /// The next moment.
    public var next: UInt64 { UInt64(min(offset, 9e18)) }

    /// Goes on to the one behind it.
    public mutating func advance() {
        index += 1
        switch arrivals {
        // Multiplied, so that no error adds up.
        case .constant: offset = index * interval
        // Of 1 - u, which is never 0.
        case .poisson: offset -= log(1 - random.unit()) * interval
        }
    }
}
