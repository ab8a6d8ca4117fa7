import HostRuntime
import Messages
import StrictInput

extension HostKeeper {
    /// Why this host is not ready, in a line for each reason: it has a replica that does not take part.
    func problems() async -> [String] {
        guard let replicas = await replicas() else { return ["the host is stopped, or waits for room on its disk"] }
        return replicas.compactMap { replica in
            if !replica.halted.isEmpty { return "shard \(replica.shard): halted: \(Printable.line(replica.halted))" }
            if !replica.standing.isEmpty { return "shard \(replica.shard): \(Printable.line(replica.standing))" }
            return replica.isChangingView ? "shard \(replica.shard): changing its view" : nil
        }
    }
}
