import Cores
import LMDBStore
import NIOCore

/// How a host runs.
public struct HostRuntimeOptions: Sendable {
    public var core = HostOptions()
    public var transport = TransportOptions()
    /// Of every shard's state.
    public var stores = LMDBOptions()
    public var verifierThreads = 1
    public var tickMilliseconds = 5
    /// Messages from outside that wait for the protocol's thread; more are dropped and counted.
    public var maxWaitingInputs = 131_072
    /// As many bytes, roughly: a verifier's lanes are bounded, but what costs it nothing passes through them at once.
    public var maxWaitingBytes = 256 << 20
    /// What gateways and tools may take of it; no session takes all of it from the others. A message counts 2 KiB at
    /// least.
    public var maxWaitingGatewayBytes = 128 << 20

    public init() {}
}
