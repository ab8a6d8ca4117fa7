import NIOCore
import Transport

/// Bounds and times of sessions. Bytes and nanoseconds where units are not in a name.
public struct TransportOptions: Sendable {
    /// The longest frame from another host; a state-transfer message or a batch fits.
    public var maxHostFrame = 16 << 20
    /// The longest frame from a gateway or tool.
    public var maxGatewayFrame = 1 << 20
    /// What waits for one peer host at most; more is dropped and counted.
    public var maxOutboundPerHost = 64 << 20
    /// The same for one gateway or tool, and for what a tool's calls hand to its `HostConnection`.
    public var maxOutboundPerGateway = 16 << 20
    /// What waits for all gateways and tools together.
    public var maxOutboundToGateways = 256 << 20
    /// Memory of frames from gateways and tools that have not wholly arrived, over all of them.
    public var maxUnfinished = 64 << 20
    /// Sessions of gateways and tools. One more takes the place of one that has been quiet for so long, or is a
    /// visitor.
    public var maxGateways = 64
    /// How long nothing must have come from a gateway before its place may go to another.
    public var gatewayQuiet = TimeAmount.seconds(10)
    /// Sessions beyond `maxGateways`, each for a short time, so that a host can always be asked how it is.
    public var maxVisitors = 16
    /// How long a visitor stays, unless a place is free by then, which it takes.
    public var visit = TimeAmount.seconds(15)
    /// Of gateways and tools in all.
    var maxSessions: Int { max(1, maxGateways + maxVisitors) }
    /// Accepted connections that have not said hello; one more takes the oldest one's place. Hosts of the manifest do
    /// not count once they have proven their key.
    public var maxUnidentified = 128
    /// TLS handshakes that one address of another machine (of IPv6, one /64) begins in a second; two and a half times as
    /// many at once. Those of hosts of the manifest do not count once they have proven their key.
    public var maxHandshakesPerSecond = 20
    /// A session that has brought too much in vain is read once in so long, so many bytes at most, until so many reads
    /// have brought nothing in vain.
    public var vainPause = TimeAmount.milliseconds(100)
    /// Of one such read, at most.
    public var vainReadBytes = 16 << 10
    /// Reads in a row with nothing in vain until the session is read as before.
    public var vainReads = 8
    /// From a read of one such session to that of the next: what all of them together cost is bounded.
    public var vainTurn = TimeAmount.microseconds(12_500)
    /// What the system keeps unread of a gateway or tool, which is what it has ready however seldom it is read.
    public var gatewayReceiveBuffer = 256 << 10
    /// For a name to be resolved and TCP to connect, before TLS.
    public var connectTimeout = TimeAmount.seconds(3)
    /// For TLS and hello together.
    public var handshakeTimeout = TimeAmount.seconds(5)
    /// Before the first attempt to connect again, half to the whole of this; it doubles with each further one.
    public var backoffBase = TimeAmount.milliseconds(50)
    /// Where doubling ends. A session that lasted longer than this starts again from `backoffBase`.
    public var backoffCap = TimeAmount.seconds(2)
    /// Unacknowledged data for this long ends a connection whose peer vanished without a word.
    public var silenceMilliseconds: CInt = 10_000

    /// Where this process is in an emulated network, whose delays connections to hosts have then; nil for the network
    /// that there is.
    package var network: NetworkPlace?

    /// The names of the host's procedures; `Host.start` sets them. A host with others is refused.
    public var procedures: [String] = []

    /// The bounds that docs/ARCHITECTURE.md lists, and no procedures.
    public init() {}
}
