/// A fault that has a name, so that runs with it can be compared: what is done to which process of a run is the same
/// every time, whichever host leads by then.
public enum NamedFault: String, CaseIterable, Codable, Sendable {
    /// Nothing.
    case none
    /// The host that leads shard 0 is killed, and started again.
    case primaryKilled = "primary-killed"
    /// Gateway 0 keeps its connections, and neither answers nor forwards.
    case muteGateway = "mute-gateway"
    /// The host that leads shard 0 stands still most of the time.
    case slowPrimary = "slow-primary"
    /// Each sync of host 0's journal takes longer; it leads shard 0 when the cluster starts.
    case slowDisk = "slow-disk"

    /// What the disk of `slow-disk` takes longer for each sync, in milliseconds.
    public static let syncDelayMilliseconds = 20

    /// Whether it lasts as long as the host does, and has no moment.
    public var isOfTheWholeRun: Bool { self == .none || self == .slowDisk }

    /// When it begins and ends, in seconds since the load began.
    public struct Window: Equatable, Sendable {
        /// When it begins.
        public var from: Double
        /// When it is over; nil where the load is over before.
        public var to: Double?
    }

    /// A third of the load long, from the end of its first third on where nobody says otherwise: there is as much
    /// before it, in it and after it.
    /// - Parameters:
    ///   - begin: seconds since the load began; nil for the end of its first third.
    ///   - duration: seconds of load.
    /// - Returns: nil for a fault of the whole run.
    public func window(begin: Double?, duration: Double) -> Window? {
        guard !isOfTheWholeRun else { return nil }
        let from = begin ?? duration / 3
        let to = from + duration / 3
        return Window(from: from, to: to < duration ? to : nil)
    }
}
