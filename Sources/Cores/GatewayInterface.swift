import Messages

/// Everything that can happen to a gateway.
public enum GatewayInput: Sendable {
    case client(SessionID, Verified<ClientMessage>)
    case clientClosed(SessionID)
    case host(HostID, Verified<HostReply>)
    case hostConnected(HostID)
    case hostDisconnected(HostID)
    /// Every few milliseconds, so that timers run.
    case tick
}

/// What one or several steps ask of the runtime.
public struct GatewayReady: Sendable {
    public struct Outgoing: Sendable {
        public let to: [HostID]
        public let message: GatewayMessage
        public init(to: [HostID], message: GatewayMessage) { (self.to, self.message) = (to, message) }
    }

    /// 1. Send.
    public var toHosts: [Outgoing] = []
    /// 2. Send.
    public var toClients: [(SessionID, GatewayReply)] = []

    public init() {}

    public mutating func removeAll() {
        toHosts.removeAll(keepingCapacity: true)
        toClients.removeAll(keepingCapacity: true)
    }
}
