import ArgumentParser
import Foundation
import Messages
import StrictInput
import Synchronization
import Workload

/// What a demo says: lines for people, or an object on each line for a program.
final class DemoVoice: Sendable {
    let json: Bool
    /// Lines since the columns' names.
    private let lines = Mutex(0)
    private static let linesOfScreen = 20

    init(json: Bool) { self.json = json }

    private func say(_ line: String) {
        if !json { Console.out(line) }
    }

    /// In one line for a program. What goes wrong later has a line of its own.
    private func tell(_ object: some Encodable) {
        guard json, let line = try? Console.document(object) else { return }
        Console.out(line)
    }

    // MARK: The beginning

    /// Three sentences, before anything has happened.
    func introduce(_ run: DemoRun, folder: String) {
        let (hosts, needed) = (run.replicas, 2 * (run.replicas - 1) / 3 + 1)
        let share = run.crossShard == 0 ? "" : ", \(run.crossShard) % of them between two shards"
        let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
        say(
            """
            This starts a cluster to be thrown away: \(hosts) host processes, each with a replica of every one of \(shards), and a gateway, through which go \(Figures.text(run.rate, digits: run.rate.rounded() == run.rate ? 0 : 1)) transfers a second\(share).
            A shard commits while \(needed) of its \(hosts) replicas vote: kill a host and see what it costs, kill one too many and see everything wait, start it again and see that nothing was lost.
            Nothing here is kept: the processes and \(folder) are gone when this ends; for a cluster that keeps its data, see quorate cluster --help.

            """)
    }

    func dashboard(_ processes: ClusterProcesses) -> String? {
        processes.page(of: .gateway(0))
    }

    func start(_ processes: ClusterProcesses, keys: Bool) {
        let (page, folder) = (dashboard(processes), processes.folder.path)
        tell(
            Started(
                dashboard: page, gateway: processes.gateways.first?.description, cluster: folder,
                hosts: processes.folder.manifest.hosts.count, shards: processes.folder.manifest.shardCount))
        if let page { say("dashboard  \(page)") }
        say("to try     quorate shell --cluster \(Shell.quoted(folder))     in another terminal")
        if keys { help() } else { say("orders     kill [N], restart [N] and quit, a line each on standard input") }
        say("")
    }

    func help() {
        say("keys       k kills a host that can be spared, r starts it again, 0-9 does either to that host, q ends")
        say(
            "columns    transfers a second; latencies in ms, of those on one shard (intra) and on two (cross), from the"
        )
        say(
            "           client's first word to the receipt it has checked; open: without an outcome yet; hosts that run (~:"
        )
        say("           does not vote yet, ?: does not answer, -: has no process); shards that can commit")
    }

    /// - Parameter problem: why no browser was opened; nil if one was.
    func opened(_ problem: String?) {
        if let problem { Console.error("--open: \(problem)") }
    }

    // MARK: While it runs

    /// Of one look.
    /// - Parameters:
    ///   - seconds: since the last one.
    ///   - moment: seconds since the load began.
    func show(
        _ figures: LiveFigures.Figures, over seconds: Double, inFlight: Int, _ status: ClusterStatus, at moment: Double
    ) {
        let line = Live(figures, over: seconds, inFlight: inFlight, status, at: moment)
        if json { return tell(line) }
        let isFirst = lines.withLock { lines in
            defer { lines += 1 }
            return lines % Self.linesOfScreen == 0
        }
        if isFirst { say(DemoRow.header) }
        let row = DemoRow(line, status)
        // What it is made of is our own, but for its colours there is nothing that a terminal obeys.
        Console.write(row.text(hasColour: Console.hasColour(on: STDOUT_FILENO)) + "\n", to: STDOUT_FILENO)
    }

    enum Event: String, Encodable { case killed, restarted, lost, refused }

    func event(_ event: Event, host: Int, _ text: String) {
        tell(Happened(event: event, host: host, text: text))
        say("      \(text)")
    }

    func problem(_ text: String) {
        tell(Happened(event: .refused, host: nil, text: text))
        say("      \(text)")
    }

    // MARK: The end

    func interrupted() { say("\ninterrupted: the demo's processes and its folder are gone") }

    func summarize(_ summary: DemoSummary) {
        tell(summary)
        let reasons = summary.aborted.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        say(
            "\n\(summary.committed) transfers committed and \(summary.aborted.values.reduce(0, +)) aborted\(reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))") in \(Figures.text(summary.seconds)) s; \(summary.kills) \(summary.kills == 1 ? "host was" : "hosts were") killed"
        )
        if summary.unfinished > 0 { say("\(summary.unfinished) were still on their way, and were not waited for") }
        if summary.invariants?.allHold == true {
            say("invariants hold on every replica: money conserved, replicas identical, no lock left")
        }
        say("the demo's processes and its folder are gone")
    }

    // MARK: Objects

    private struct Started: Encodable {
        var schema = 1
        var type = "started"
        /// Null if the gateway serves no page.
        var dashboard: String?
        var gateway: String?
        var cluster: String
        var hosts: Int
        var shards: Int
        /// The cluster's folder goes with the demo.
        var is_kept = false
    }

    private struct Happened: Encodable {
        var schema = 1
        var type = "event"
        var event: Event
        var host: Int?
        var text: String
    }

    /// What a second brought.
    struct Live: Encodable, Sendable {
        struct Latency: Encodable, Sendable {
            var count: Int
            /// Null of nothing.
            var p50_ms: Double?
            var p99_ms: Double?

            init(_ microseconds: [UInt64]) {
                count = microseconds.count
                p50_ms = LiveFigures.Figures.percentile(50, of: microseconds).map { Figures.milliseconds($0 * 1000) }
                p99_ms = LiveFigures.Figures.percentile(99, of: microseconds).map { Figures.milliseconds($0 * 1000) }
            }
        }
        struct Host: Encodable, Sendable {
            /// `down`: it has no process; `silent`: it has one that does not answer; `catching_up`: a replica of it does
            /// not vote.
            enum State: String, Encodable, Sendable { case votes, catching_up, silent, down }
            var host: Int
            var state: State

            init(_ host: ClusterStatus.Host) {
                self.host = host.host
                let allVote = host.replicas.allSatisfy { $0.halted.isEmpty && $0.standing.isEmpty }
                state = host.answers ? allVote ? .votes : .catching_up : host.pid == nil ? .down : .silent
            }
        }
        var schema = 1
        var type = "figures"
        var at_s: Double
        var committed: Int
        var committed_per_s: Double
        /// Of what was committed on one shard.
        var intra: Latency
        /// The same over two.
        var cross: Latency
        /// By reason.
        var aborted: [String: Int]
        var unknown: Int
        var in_flight: Int
        var hosts: [Host]
        var shards: [ClusterStatus.Verdict]

        init(
            _ figures: LiveFigures.Figures, over seconds: Double, inFlight: Int, _ status: ClusterStatus,
            at moment: Double
        ) {
            at_s = (moment * 10).rounded() / 10
            committed = figures.committed
            committed_per_s = seconds > 0 ? (Double(figures.committed) / seconds * 10).rounded() / 10 : 0
            (intra, cross) = (Latency(figures.intra), Latency(figures.cross))
            aborted = figures.aborts.reduce(into: [:]) { $0["\($1.key)", default: 0] += $1.value }
            (unknown, in_flight) = (figures.unknown, inFlight)
            hosts = status.hosts.map(Host.init)
            shards = status.verdicts
        }
    }
}

/// A line of figures.
struct DemoRow {
    private let cells: [String]
    private let hosts: [(text: String, isAway: Bool)]
    private let shards: (text: String, isAway: Bool)

    private static let names = ["   s", " tx/s", "intra p50", "  p99", "cross p50", "  p99", "aborts", "open"]
    static var header: String { names.joined(separator: "  ") + "  hosts    commit" }

    init(_ live: DemoVoice.Live, _ status: ClusterStatus) {
        let values = [
            Figures.text(live.at_s, digits: 0), Figures.text(live.committed_per_s, digits: 0),
            Figures.text(live.intra.p50_ms), Figures.text(live.intra.p99_ms), Figures.text(live.cross.p50_ms),
            Figures.text(live.cross.p99_ms), "\(live.aborted.values.reduce(0, +))", "\(live.in_flight)",
        ]
        cells = zip(values, Self.names).map { value, name in
            String(repeating: " ", count: max(0, name.count - value.count)) + value
        }
        hosts = live.hosts.map { host in
            switch host.state {
            case .votes: ("\(host.host)", false)
            case .catching_up: ("\(host.host)~", true)
            case .silent: ("\(host.host)?", true)
            case .down: ("-", true)
            }
        }
        let committing = status.verdicts.filter(\.can_commit).map(\.shard)
        shards =
            committing.count == status.verdicts.count
            ? ("all", false)
            : (committing.isEmpty ? "NONE" : committing.map(String.init).joined(separator: " "), true)
    }

    func text(hasColour: Bool) -> String {
        func marked(_ cell: (text: String, isAway: Bool)) -> String {
            hasColour && cell.isAway ? "\u{1b}[31m\(cell.text)\u{1b}[0m" : cell.text
        }
        let width = hosts.map(\.text.count).reduce(0, +) + max(0, hosts.count - 1)
        let space = String(repeating: " ", count: max(0, 7 - width))
        return cells.joined(separator: "  ") + "  " + hosts.map(marked).joined(separator: " ") + space + "  "
            + marked(shards)
    }
}

/// What became of a demo.
struct DemoSummary: Encodable, Sendable {
    var schema = 1
    var type = "summary"
    var seconds: Double
    var committed: Int
    /// By reason.
    var aborted: [String: Int]
    /// Transfers of which nothing was certified in time.
    var unknown: Int
    /// Those that were not waited for.
    var unfinished: Int
    var invalid_receipts: Int
    var kills: Int
    /// Null where nothing was checked.
    var invariants: RunResult.Invariants?

    init(seconds: Double, _ total: LiveFigures.Figures, unfinished: Int, invalidReceipts: Int, kills: Int) {
        self.seconds = (seconds * 10).rounded() / 10
        committed = total.committed
        aborted = total.aborts.reduce(into: [:]) { $0["\($1.key)", default: 0] += $1.value }
        (unknown, self.unfinished, invalid_receipts, self.kills) = (total.unknown, unfinished, invalidReceipts, kills)
    }

    /// - Throws: the exit code of what is wrong.
    func finish(_ voice: DemoVoice) throws {
        voice.summarize(self)
        if let invariants, !invariants.allHold {
            for problem in invariants.problems { Console.error("INVARIANT FAILED: \(problem)") }
            throw ExitCode(ExitReason.invariantFailed.rawValue)
        }
        guard unknown == 0, invalid_receipts == 0 else {
            throw ToolError(
                .benchIncomplete,
                "\(unknown) transfers have no certified outcome, \(invalid_receipts) receipts were not valid")
        }
    }
}
