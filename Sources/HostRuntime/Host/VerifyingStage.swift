import CoreMetrics
import Messages
import NIOCore
import Synchronization
import Transport

/// What may wait for the verifiers, in bytes.
public struct VerifyingLimits: Sendable {
    /// Of one source in one lane: a peer host, or a session of a gateway or client.
    public var bytesPerSource = 32 << 20
    /// Of all hosts together, whose lane is the urgent one.
    public var urgentBytes = 128 << 20
    /// Of all gateways together, or of all clients where the process is a gateway.
    public var ordinaryBytes = 128 << 20

    /// For a host: 32 MiB of a source, 128 MiB in each lane.
    public init() {}
}

/// Checks signatures off the protocol's thread. Two lanes: what hosts say passes what gateways say, so that a flood of
/// requests does not hold back ordering; but not without end, or whoever makes hosts speak holds back all clients. In a
/// lane the sources take turns, so that one who says much does not hold back another. Bounded in bytes, for each source
/// and together; what does not fit is dropped and counted, and its sender repeats it.
final class VerifyingStage<Item: Sendable, Output: Sendable>: Sendable {
    struct Entry: Sendable {
        let item: Item
        /// Whose share of the queue it takes.
        let source: UInt64
        /// Bytes, roughly.
        let weight: Int
    }

    /// How many there may be at once, of each lane.
    struct Sources: Sendable {
        let urgent: Int
        let ordinary: Int
    }

    private typealias Lane = BoundedLane<UInt64, Entry>

    private struct State {
        var urgent: Lane
        var ordinary: Lane
        /// Threads that sleep.
        var idle: [Int]
        var isStopped = false

        init(_ limits: VerifyingLimits, _ sources: Sources, idle: [Int]) {
            urgent = Lane(bytes: limits.urgentBytes, sources: sources.urgent, perSource: limits.bytesPerSource)
            ordinary = Lane(bytes: limits.ordinaryBytes, sources: sources.ordinary, perSource: limits.bytesPerSource)
            self.idle = idle
        }
    }

    /// What one thread keeps.
    private final class Checker {
        var verifier: Verifier<Ed25519Scheme>
        var filter: ReplyFilter
        init(_ manifest: Manifest) {
            verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
            filter = ReplyFilter(manifest: manifest)
        }
    }

    /// Nil to drop the item: it is not genuine, or not needed.
    typealias Check = @Sendable (inout Verifier<Ed25519Scheme>, inout ReplyFilter, Item) -> Output?

    private let state: Mutex<State>
    private let loops: [any EventLoop]
    private let checkers: [NIOLoopBoundBox<Checker>]
    private let limits: VerifyingLimits
    private let sources: Sources
    private let counters: RuntimeCounters
    private let check: Check
    private let deliver: @Sendable ([Output]) -> Void

    /// - Parameter deliver: called on a verifier's thread with what was checked together.
    init(
        manifest: Manifest, on loops: [any EventLoop], limits: VerifyingLimits = .init(), sources: Sources,
        counters: RuntimeCounters, check: @escaping Check, deliver: @escaping @Sendable ([Output]) -> Void
    ) {
        state = Mutex(State(limits, sources, idle: Array(loops.indices)))
        checkers = loops.map { NIOLoopBoundBox.makeBoxSendingValue(Checker(manifest), eventLoop: $0) }
        (self.loops, self.limits, self.sources, self.counters) = (loops, limits, sources, counters)
        (self.check, self.deliver) = (check, deliver)
    }

    /// - Returns: what there was no room for.
    @discardableResult
    func submit(urgent: [Entry] = [], ordinary: [Entry] = []) -> [Item] {
        guard !urgent.isEmpty || !ordinary.isEmpty else { return [] }
        var dropped: [Item] = []
        let woken: Int? = state.withLock { state in
            if state.isStopped { return nil }
            dropped = Self.append(urgent, to: &state.urgent) + Self.append(ordinary, to: &state.ordinary)
            return state.urgent.isEmpty && state.ordinary.isEmpty ? nil : state.idle.popLast()
        }
        if !dropped.isEmpty { counters.inboundFull.increment(by: dropped.count) }
        if let woken { loops[woken].execute { self.run(woken) } }
        return dropped
    }

    /// - Returns: what there was no room for.
    private static func append(_ entries: [Entry], to lane: inout Lane) -> [Item] {
        entries.compactMap { lane.append($0, weight: $0.weight, from: $0.source) ? nil : $0.item }
    }

    /// Takes and delivers nothing more.
    func stop() {
        state.withLock { state in
            state = State(limits, sources, idle: [])
            state.isStopped = true
        }
    }

    /// Takes a few at a time, so that what is urgent waits for a few others at most, and the others for some more.
    private func run(_ thread: Int) {
        let checker = checkers[thread].value
        var output: [Output] = []
        var wasUrgent = false
        while true {
            var another: Int?
            let entries: [Entry] = state.withLock { state in
                wasUrgent = !state.urgent.isEmpty && (!wasUrgent || state.ordinary.isEmpty)
                let taken = wasUrgent ? state.urgent.take(64) : state.ordinary.take(16, bytes: 64 << 10)
                if taken.isEmpty {
                    state.idle.append(thread)
                } else if !state.urgent.isEmpty || !state.ordinary.isEmpty {
                    another = state.idle.popLast()
                }
                return taken
            }
            if let another { loops[another].execute { self.run(another) } }
            if entries.isEmpty { return }
            for entry in entries {
                if let checked = check(&checker.verifier, &checker.filter, entry.item) { output.append(checked) }
            }
            if !output.isEmpty { deliver(output) }
            output.removeAll(keepingCapacity: true)
        }
    }
}

/// Knows which attestations are not needed any more: f + 1 replicas' words for the same statement were verified, and
/// a further one adds nothing. Forgets within a second, because a host may have to answer again.
package struct ReplyFilter: Sendable {
    private let manifest: Manifest
    /// The replicas verified, as bits.
    private var young: [Digest: UInt64] = [:]
    private var old: [Digest: UInt64] = [:]
    private var turned: UInt64 = 0
    static let lifetimeNanoseconds: UInt64 = 500_000_000
    private static let capacity = 65536

    package init(manifest: Manifest) { self.manifest = manifest }

    /// - Returns: whether to verify, and the key under which `verified` counts it.
    package mutating func admits(_ attestation: BatchAttestation, now: UInt64) -> (Bool, Digest) {
        if now &- turned > Self.lifetimeNanoseconds || young.count >= Self.capacity {
            (old, young, turned) = (young, [:], now)
        }
        let key = attestation.statement.digest
        guard manifest.hasShard(attestation.statement.shard) else { return (true, key) }
        let seen = (young[key] ?? 0) | (old[key] ?? 0)
        let bit = UInt64(1) << UInt64(min(63, attestation.signature.replica.index))
        // A repeated word of a replica that was verified is cheap to verify again.
        let isNeeded =
            seen.nonzeroBitCount < manifest.group(of: attestation.statement.shard).weakQuorum || seen & bit != 0
        return (isNeeded, key)
    }

    package mutating func verified(_ attestation: BatchAttestation, key: Digest) {
        young[key, default: old[key] ?? 0] |= UInt64(1) << UInt64(min(63, attestation.signature.replica.index))
    }
}
