import Randomness

/// What is done to whom and when in a soak: one host at a time, on a grid of seconds, the same for the same seed. The
/// next one is asked for only when the host before has caught up, so never are two of them away at once.
public struct SoakSchedule: Sendable {
    /// What is done to a host.
    public enum Act: String, Codable, Sendable, CaseIterable {
        /// SIGKILL, and a new process later.
        case kill
        /// SIGSTOP, and SIGCONT later.
        case stop
        /// It runs, and reaches nobody and is reached by nobody; mended later.
        case cut

        /// What has been done to a host then.
        public var past: String {
            switch self {
            case .kill: "killed"
            case .stop: "stopped"
            case .cut: "cut off"
            }
        }
    }

    /// One fault.
    public struct Fault: Sendable, Equatable {
        /// Seconds since the load began.
        public let at: Double
        /// By number.
        public let host: Int
        /// What is done.
        public let act: Act
        /// Seconds until its process is started again, continues, or is reached again.
        public let away: Double
    }

    private let hosts: Int
    private let every: Double
    private let acts: [Act]
    private var random: SplitMix64
    private var last: Int?

    /// - Parameters:
    ///   - hosts: how many there are; one more than one.
    ///   - every: seconds from one to the next, if the host before has caught up by then.
    ///   - acts: of which one is drawn each time.
    public init(hosts: Int, every: Double, acts: [Act] = Act.allCases, seed: UInt64) {
        precondition(hosts >= 2 && every > 0 && !acts.isEmpty)
        (self.hosts, self.every, self.acts) = (hosts, every, acts)
        random = SplitMix64(seed: seed, stream: "soak")
    }

    /// The next fault: at the first moment of the grid that is not before `now`, to another host than the last one.
    /// - Parameter now: seconds since the load began.
    public mutating func next(now: Double) -> Fault {
        let at = max(1, (now / every).rounded(.up)) * every
        var host = random.below(last == nil ? hosts : hosts - 1)
        if let last, host >= last { host += 1 }
        last = host
        let act = acts[random.below(acts.count)]
        // A quarter of the time at most, so that most of it is for catching up.
        let away = min(5, every / 4) * (0.5 + Double(random.below(51)) / 100)
        return Fault(at: at, host: host, act: act, away: away)
    }
}
