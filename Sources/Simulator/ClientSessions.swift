import Cores
import Messages

/// Which clients are there. While a client is away it neither sends nor hears anything; each time it comes back with a
/// new session.
struct ClientSessions {
    private var awayUntil: [UInt64]
    private var visits: [UInt64]

    init(clients: Int) {
        (awayUntil, visits) = (Array(repeating: 0, count: clients), Array(repeating: 0, count: clients))
    }

    func isAway(_ client: Int, now: UInt64) -> Bool { now <= awayUntil[client] }

    func session(of client: Int) -> SessionID { SessionID(visits[client] << 16 | UInt64(client)) }

    /// Nil for a session that has ended.
    func client(of session: SessionID) -> Int? {
        let client = Int(session.number & 0xffff)
        return self.session(of: client) == session ? client : nil
    }

    /// - Returns: the session that ends.
    mutating func leave(_ client: Int, until: UInt64) -> SessionID {
        let session = session(of: client)
        visits[client] += 1
        awayUntil[client] = until
        return session
    }
}
