import Messages

/// Everything that can happen to a gateway.
public enum GatewayInput: Sendable {
    case client(SessionID, Verified<ClientMessage>)
    /// A request whose signature nobody here has checked. What a client says comes in the order in which it says it.
    case submitted(SessionID, id: UInt64, SignedRequest)
    /// A check was carried out: the request, or nil if nobody has signed it.
    case checked(GatewayCheck, Verified<SignedRequest>?)
    /// A check was not carried out, for want of room.
    case checkDropped(GatewayCheck)
    case clientClosed(SessionID)
    case host(HostID, Verified<HostReply>)
    case hostConnected(HostID)
    case hostDisconnected(HostID)
    /// Every few milliseconds, so that timers run.
    case tick
}

/// What one or several steps ask of the runtime.
public struct GatewayReady: Sendable {
    /// A message that is encoded once, whatever the number of hosts that get it.
    public struct Outgoing: Sendable {
        /// Each once, whether or not it is connected: what a link does not take is lost, and the core sends again.
        public let to: [HostID]
        /// It names the shards that it is for; each host in `to` has a replica of all of them.
        public let message: GatewayMessage
        /// Says nothing yet: the runtime sends it.
        public init(to: [HostID], message: GatewayMessage) { (self.to, self.message) = (to, message) }
    }

    /// 1. Send.
    public var toHosts: [Outgoing] = []
    /// 2. Send.
    public var toClients: [(SessionID, GatewayReply)] = []
    /// 3. Have checked; each comes back as `checked` or `checkDropped`.
    public var checks: [GatewayCheck] = []
    /// 4. Count.
    public var counts: [GatewayCount] = []

    /// With nothing to do.
    public init() {}

    /// Empties it for the next step, and keeps its memory.
    public mutating func removeAll() {
        toHosts.removeAll(keepingCapacity: true)
        toClients.removeAll(keepingCapacity: true)
        checks.removeAll(keepingCapacity: true)
        counts.removeAll(keepingCapacity: true)
    }
}
