import HostCore
import NIOCore

/// How a host runs.
public struct HostRuntimeOptions: Sendable {
    public var core = HostOptions()
    public var transport = TransportOptions()
    public var verifierThreads = 1
    public var tickMilliseconds = 5
    /// Messages from outside that wait for the protocol's thread; more are dropped and counted.
    public var maxWaitingInputs = 131_072

    public init() {}
}
