import Cores
import Messages
import Synchronization

/// Sees what a gateway's clients are answered, from outside the core. The gateway's loop adds to it, a few
/// operations a request; whoever looks is on another thread.
public final class GatewayObserver: Sendable {
    private let map: ShardMap
    private let log: Mutex<ActivityLog>
    private let pending = Atomic(0)

    /// Nothing has happened yet.
    /// - Parameter traces: what the gateway traces.
    public init(manifest: Manifest, traces: TraceSampling) {
        map = manifest.shardMap
        log = Mutex(ActivityLog(map: manifest.shardMap, sampling: traces))
    }

    /// Requests wait for their answers.
    func notePending(_ count: Int) { pending.store(count, ordering: .relaxed) }

    /// An answer leaves for a client.
    func note(_ reply: GatewayReply, _ answered: RequestTimes.Answered) {
        switch reply {
        case .receipt(_, let receipt, _, _):
            guard let legs = answered.legs else { return }
            let request = AnsweredRequest(receipt, legs: legs, map: map)
            log.withLock { $0.note(request, microseconds: answered.took.map { $0 / 1000 }, at: answered.at) }
        case .rejected(_, let reason, _): log.withLock { $0.note(reason, at: answered.at) }
        case .account, .status, .read, .stamps: break
        }
    }

    /// What was seen until now.
    package func view(at uptime: UInt64) -> ActivityLog.View {
        log.withLock { $0 }.view(at: uptime, pending: pending.load(ordering: .relaxed))
    }
}
