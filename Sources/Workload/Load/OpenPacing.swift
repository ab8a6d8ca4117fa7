import Histogram

/// What of an open loop is due, and how late it is begun.
struct OpenPacing: Sendable {
    private var times: ArrivalTimes
    private var start: UInt64?
    /// The last moment at which something was due and could not begin: whatever was meant for a time before it is late
    /// through no fault of the load.
    private var blockedUntil: UInt64?
    private(set) var isBlocked = false
    private(set) var figures = OpenFigures()
    let maxInFlight: Int

    init(_ loop: OpenLoop) {
        times = ArrivalTimes(loop)
        maxInFlight = loop.maxInFlight
    }

    mutating func begin(at now: UInt64) { start = start ?? now }

    /// Monotonic nanoseconds of the next request; nil before the begin.
    var due: UInt64? { start.map { $0 + times.next } }

    /// When it is worth to look again; nil if that is for somebody else to say.
    var wakeUp: UInt64? { isBlocked ? nil : due }

    /// Nothing may start now.
    /// - Parameter isFull: because as many are in flight as may be; otherwise because all work waits for other work.
    mutating func block(now: UInt64, isFull: Bool) {
        (blockedUntil, isBlocked) = (now, true)
        if isFull { figures.isFull = true }
    }

    /// There will be nothing more to begin.
    mutating func end() { isBlocked = true }

    /// The next request begins.
    /// - Parameter inFlight: with this one.
    mutating func begin(now: UInt64, inFlight: Int) {
        guard let due else { return }
        times.advance()
        isBlocked = false
        figures.begun += 1
        figures.maxInFlight = max(figures.maxInFlight, inFlight)
        figures.mostLate = max(figures.mostLate, now - min(now, due))
        if let blockedUntil, due <= blockedUntil {
            figures.lateStarts += 1
        } else {
            figures.record(lagMicroseconds: (now - min(now, due)) / 1000)
        }
    }

    /// Requests whose moment came and that were never begun, because nothing could be.
    var unstarted: Int {
        guard let start, let blockedUntil else { return 0 }
        var (rest, count) = (times, 0)
        while start + rest.next <= blockedUntil {
            count += 1
            rest.advance()
        }
        return count
    }
}

/// How well an open loop kept to its moments.
public struct OpenFigures: Sendable {
    /// Requests that were begun.
    public var begun = 0
    /// Of these: after their moment, because all work that there was had to wait for other work, or because as many
    /// were in flight as may be.
    public var lateStarts = 0
    /// Requests whose moment came and that were never begun, for the same reasons.
    public var unstarted = 0
    /// How long after its moment any request was begun at most, for whatever reason: nanoseconds.
    public var mostLate: UInt64 = 0
    /// Most that were in flight at one time.
    public var maxInFlight = 0
    /// The bound on what is in flight was reached.
    public var isFull = false
    /// From the intended moment to the actual one, microseconds, of all but `lateStarts`: what the load's own process
    /// is to blame for.
    public private(set) var lag = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: Measurements.maxMicroseconds,
        numberOfSignificantValueDigits: .three)

    /// Nothing was begun.
    public init() {}

    mutating func record(lagMicroseconds: UInt64) {
        _ = lag.record(min(max(1, lagMicroseconds), Measurements.maxMicroseconds))
    }
}
