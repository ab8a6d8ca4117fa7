import Cores
import Messages
import Synchronization

/// Sees what a gateway's clients ask and are answered, from outside the core. The gateway's loop adds to it, a few
/// operations a request; whoever looks is on another thread.
public final class GatewayObserver: Sendable {
    private let log: Mutex<ActivityLog>

    /// Nothing has happened yet.
    /// - Parameter traces: what the gateway traces.
    public init(manifest: Manifest, traces: TraceSampling) {
        log = Mutex(ActivityLog(map: manifest.shardMap, sampling: traces))
    }

    /// Messages have come from a client.
    func noteArrival(_ messages: [ClientMessage], from session: SessionID, at uptime: UInt64) {
        log.withLock { log in
            for message in messages {
                if case .submit(let id, _) = message { log.noteArrival(id, from: session, at: uptime) }
            }
        }
    }

    /// An answer leaves for a client.
    func noteAnswer(_ reply: GatewayReply, to session: SessionID) {
        switch reply {
        case .receipt, .rejected:
            let uptime = Clock.uptime()
            log.withLock { $0.noteAnswer(reply, to: session, at: uptime) }
        case .account, .status, .read, .stamps: break
        }
    }

    /// A client is gone.
    func noteClosed(_ session: SessionID) { log.withLock { $0.noteClosed(session) } }

    /// What was seen until now.
    package func view(at uptime: UInt64) -> ActivityLog.View { log.withLock { $0 }.view(at: uptime) }
}
