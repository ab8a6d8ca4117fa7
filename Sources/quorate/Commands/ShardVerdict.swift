import Foundation
import Messages
import StrictInput

extension ClusterStatus {
    /// Whether a shard can commit, from what its replicas' hosts say of themselves.
    struct Verdict: Encodable, Sendable {
        var shard: Int
        var can_commit: Bool
        var replicas: Int
        /// Whose hosts answer.
        var answering: Int
        /// That take part in ordering, by their own word.
        var voting: Int
        /// 2f + 1.
        var needed: Int
        /// What keeps replicas from voting, by host.
        var why: [String]

        var text: String {
            guard !can_commit else {
                let missing = why.isEmpty ? "" : "; \(why.joined(separator: ", "))"
                return "shard \(shard) commits: \(voting) of \(replicas) replicas vote, \(needed) are needed\(missing)"
            }
            let what =
                answering < needed
                ? "\(answering) of \(replicas) hosts answer" : "\(voting) of \(replicas) replicas vote"
            return "shard \(shard) cannot commit: \(what), \(needed) are needed, since \(why.joined(separator: ", "))"
        }
    }

    /// - Parameter hosts: all of them, by number.
    static func verdicts(_ manifest: Manifest, hosts: [Host]) -> [Verdict] {
        manifest.shards.indices.map { number in
            let shard = ShardID(UInt16(number))
            let members = manifest.shards[number].map { Int($0.number) }
            var (answering, voting, why) = (0, 0, [String]())
            for member in members {
                let host = hosts[member]
                guard host.answers else {
                    why.append("host \(member) \(host.absence)")
                    continue
                }
                answering += 1
                guard let replica = host.replicas.first(where: { $0.shard == number }) else {
                    why.append("host \(member) does not say how its replica is")
                    continue
                }
                if !replica.halted.isEmpty {
                    why.append("host \(member) is halted (\(Printable.line(replica.halted)))")
                } else if !replica.standing.isEmpty {
                    why.append("host \(member) does not vote yet (\(Printable.line(replica.standing)))")
                } else {
                    voting += 1
                }
            }
            let needed = manifest.group(of: shard).quorum
            return Verdict(
                shard: number, can_commit: voting >= needed, replicas: members.count, answering: answering,
                voting: voting, needed: needed,
                why: why)
        }
    }

    /// What keeps an answer from coming, as a sentence.
    var obstacle: String {
        let stuck = verdicts.filter { !$0.can_commit }
        if let first = stuck.first { return first.text + (stuck.count > 1 ? " (nor can \(stuck.count - 1) more)" : "") }
        guard let gateway = gateways.first(where: { !$0.answers }) else {
            return gateways.isEmpty
                ? "no gateway runs" : "every shard can commit, and every gateway answers: it only takes long"
        }
        return
            "gateway \(gateway.gateway) does not answer (\(gateway.pid.map { "process \($0)\(gateway.stopped ? ", which is stopped" : "")" } ?? "no process")); every shard can commit"
    }
}

extension ClusterStatus.Host {
    /// Why it does not answer, as far as this machine can tell.
    var absence: String {
        guard let pid else { return "has no process" }
        return stopped ? "is stopped (process \(pid) is under SIGSTOP)" : "does not answer (process \(pid))"
    }
}
