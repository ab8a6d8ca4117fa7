import Foundation
import Messages

/// Hosts that do not answer, or are not who they should be; processes that nobody needs.
enum HostChecks {
    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        cluster.snapshot.hosts.flatMap { host in [absence(of: host, cluster)].compactMap { $0 } + process(host, cluster)
        }
            + strays(cluster)
    }

    /// What keeps a host from answering, and since when, for whoever names it in a sentence.
    static func why(_ host: ClusterSnapshot.Host) -> String {
        guard let silence = host.answer.silence else { return "host \(host.number) answers" }
        if let process = host.process, process.isStopped {
            return "host \(host.number) is stopped (process \(process.pid) is under SIGSTOP)"
        }
        switch silence {
        case .otherKey, .stranger: return "on host \(host.number)'s address something else listens"
        case .otherCluster: return "host \(host.number) is of another cluster"
        case .otherVersion: return "host \(host.number) is another version"
        case .nobodyListens, .other: break
        }
        if let process = host.process { return "host \(host.number) does not answer (process \(process.pid))" }
        return host.isHere ? "host \(host.number) has no process" : "host \(host.number) cannot be reached"
    }

    static func since(_ host: ClusterSnapshot.Host) -> Finding.Since? {
        if let complaint = host.log.complaint, host.process == nil { return .at(complaint.at) }
        return host.log.lastWord.map { .after($0) }
    }

    private static func absence(of host: ClusterSnapshot.Host, _ cluster: DiagnosedCluster) -> Finding? {
        guard let silence = host.answer.silence else { return nil }
        let number = host.number
        func finding(_ code: Finding.Code, _ what: String, _ advice: String, _ commands: [String]) -> Finding {
            Finding(
                .warning, code, host: number, what, since: since(host),
                affects: cluster.consequence(ofLosing: number), advice: advice, commands: commands)
        }
        if let process = host.process, process.isStopped {
            return finding(
                .hostStopped,
                "host \(number) is stopped: its process \(process.pid) is under SIGSTOP, so it neither answers nor ends",
                "let it go on; it catches up by itself", ["kill -CONT \(process.pid)"])
        }
        switch silence {
        case .otherKey where host.process == nil && host.isHere, .stranger where host.process == nil && host.isHere:
            return finding(
                .portTaken,
                "host \(number) does not run, and something that is not this cluster's listens on its address \(host.address)",
                "find out what it is and end it, then start the host", [listener(host)] + cluster.up())
        case .otherKey:
            return finding(
                .hostOtherKey,
                "whoever listens on \(host.address) has another key than cluster.json names for host \(number)",
                "see that this cluster.json is the one that the hosts were made with, and that the host runs on its own folder",
                [listener(host)])
        case .stranger(let words):
            return finding(
                .hostOtherKey, "whoever listens on \(host.address) does not speak as a host does: \(words)",
                "find out what it is; the address in cluster.json may be wrong", [listener(host)])
        case .otherCluster(let words):
            return finding(
                .hostOtherCluster, "host \(number) does not take this cluster.json for its own: \(words)",
                "use the same cluster.json everywhere", [])
        case .otherVersion(let words):
            return finding(
                .hostOtherVersion, "host \(number) is another version than this tool: \(words)",
                "run the same build everywhere, this tool included", ["quorate --version"])
        case .nobodyListens where host.isHere && host.process == nil,
            .other where host.isHere && host.process == nil:
            let end = host.isExpected ? "ended without being told to" : "does not run"
            let word = host.log.complaint.map { ". Its last complaint: \($0.text)" } ?? ""
            return finding(
                .hostDown, "host \(number) \(end)\(word)", "start it; it catches up by itself",
                cluster.up() + (word.isEmpty ? [] : cluster.logs("\(number)")))
        case .nobodyListens where !host.isHere, .other where !host.isHere:
            return finding(
                .hostUnreachable, "host \(number) at \(host.address) cannot be reached: \(text(silence))",
                "see on its machine whether it runs, and whether the network lets connections through", [])
        case .nobodyListens, .other:
            return finding(
                .hostSilent,
                "host \(number) runs (process \(host.process.map { "\($0.pid)" } ?? "unknown")) and does not answer: \(text(silence))",
                "see its log; if it does not come back by itself, restart it",
                cluster.logs("\(number)") + cluster.restart(number))
        }
    }

    private static func text(_ silence: Silence) -> String {
        switch silence {
        case .nobodyListens: "nobody listens there"
        case .otherKey: "another key"
        case .stranger(let words), .otherCluster(let words), .otherVersion(let words), .other(let words): words
        }
    }

    private static func listener(_ host: ClusterSnapshot.Host) -> String {
        "ss -tlnp 'sport = :\(host.address.split(separator: ":").last ?? "")'"
    }

    private static func process(_ host: ClusterSnapshot.Host, _ cluster: DiagnosedCluster) -> [Finding] {
        guard let (open, limit) = host.process?.descriptors else { return [] }
        let most = 80
        guard limit > 0, open * 100 >= limit * most else { return [] }
        return [
            Finding(
                .warning, .descriptorsFew, host: host.number,
                "host \(host.number) has \(open) of the \(limit) files and connections open that it may have",
                affects: "who connects next is turned away, and the host cannot write when none is left",
                advice: "raise the limit where the host is started, and restart it",
                commands: ["ulimit -n 65536"] + cluster.restart(host.number))
        ]
    }

    private static func strays(_ cluster: DiagnosedCluster) -> [Finding] {
        cluster.snapshot.strays.map { stray in
            Finding(
                .warning, .processLeftOver,
                stray.isSecond
                    ? "there are two processes of \(stray.role): \(stray.pid) is one too many"
                    : "process \(stray.pid) is \(stray.role) of this folder, and no file names it",
                affects: stray.isSecond
                    ? "nobody, but it holds a port or memory"
                    : "commands that start and stop processes do not know of it",
                advice: stray.isSecond ? "end it" : "have it written down",
                commands: stray.isSecond ? ["kill \(stray.pid)"] : cluster.up())
        }
    }
}
