import Cores
import LMDBStore
import Messages
import NIOCore

/// How a host runs.
public struct HostRuntimeOptions: Sendable {
    /// Bounds and times of the core, and the procedures that it executes.
    public var core = HostOptions()
    /// Bounds and times of sessions. Its `procedures` are taken from `core`.
    public var transport = TransportOptions()
    /// Of every shard's state.
    public var stores = LMDBOptions()
    /// Where it listens, whatever the manifest says, which is where others look for it; nil for what follows from the
    /// manifest (`HostAddress.listening`).
    public var listen: HostAddress?
    /// Threads that check signatures, 1 or more, beside the five for sockets, protocol, journal, store and
    /// archive.
    public var verifierThreads = 1
    /// How often the core is told that time passes, and twice as often while it has something to do then; its timers
    /// are no more exact than this.
    public var tickMilliseconds = 10
    /// Messages from outside that wait for the protocol's thread; more are dropped and counted.
    public var maxWaitingInputs = 131_072
    /// As many bytes, roughly: a verifier's lanes are bounded, but what costs it nothing passes through them at once.
    public var maxWaitingBytes = 256 << 20
    /// What gateways and tools may take of it; no session takes all of it from the others. A message counts 2 KiB at
    /// least.
    public var maxWaitingGatewayBytes = 128 << 20

    /// Requests of which the host keeps stamps, for whoever asks: none.
    public var traces = TraceSampling.off

    /// Whether it keeps what it has executed, for exports (docs/EXPORT.md).
    public var archives = true
    /// Bytes of all its archives together, in equal parts for its shards; the oldest go. Nil keeps everything.
    public var archiveBytes: Int? = 16 << 30

    /// By how much each sync of the journal takes longer than the disk does, for measuring what a slow disk costs. The
    /// syncs of archives and of the state, for which nobody waits, stay as they are.
    public var syncDelay = Duration.zero

    /// One verifier and a tick of 10 ms, without procedures.
    public init() {}
}
