import ArgumentParser
import Foundation
import NIOCore

struct DemoCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "See a cluster live: one that is thrown away, with a gentle load, whose hosts you kill.",
        discussion: """
            Starts hosts and a gateway as processes of their own in a temporary folder, opens and funds accounts, makes some \
            transfers a second, and shows each second how long they took, which hosts run and which shards commit. \
            Nothing of it is kept: at the end the processes and the folder are gone. A cluster that keeps what it is \
            given is made by quorate cluster init.

              quorate demo                                  # k kills a host, r starts it again, q ends
              quorate demo --shards 2 --rate 200 --open     # the dashboard in a browser
              quorate demo --shards 2 --duration 10 --json  # for a program: one object on each line
              (sleep 5; echo kill 0; sleep 5; echo restart 0) | quorate demo --duration 20

            On a terminal these keys do something:

              k      kill -9 a host, chosen at random among those that no shard needs just now
              0..9   kill -9 the host of this number, even if shards need it; start it, if it does not run
              r      start the host again that was killed first
              h      say this again
              q      end; Ctrl-C ends too, without the checks of the end

            Where standard input is no terminal, or with --json, it takes lines instead: kill, kill N, restart, restart N, \
            quit. Its end changes nothing.

            At the end hosts that were killed are started again, and when all replicas are at rest the tool checks that no money \
            appeared or disappeared and that the replicas of each shard are identical. The exit code is \
            \(ExitReason.invariantFailed.rawValue) if they are not, \(ExitReason.benchIncomplete.rawValue) if a transfer has no \
            certified outcome, and \(ExitReason.interrupted.rawValue) after Ctrl-C.
            """)

    @Option(help: Whole(1...16).help("Shards of the cluster."), transform: Whole(1...16).parse) var shards = 4
    @Option(
        help: Whole(4...10).help("Replicas of each shard, and so host processes: 4, 7 or 10."),
        transform: Whole(4...10).parse) var replicas = 4
    @Option(help: Real(0.1...5000).help("Transfers a second."), transform: Real(0.1...5000).parse) var rate = 50.0
    @Option(
        name: .customLong("cross-shard"),
        help: Whole(0...100).help("The share of transfers between two shards, in percent."),
        transform: Whole(0...100).parse) var crossShard = 25
    @Option(help: Whole(2...5000).help("Accounts, a key each."), transform: Whole(2...5000).parse) var accounts = 200
    @Option(
        help: Real(0.1...86_400).help("Seconds of load, after which it ends by itself. Default: until q."),
        transform: Real(0.1...86_400).parse) var duration: Double?
    @Flag(help: "Open the dashboard in a browser (xdg-open).") var open = false
    @Flag(name: .customLong("no-check"), help: "Do not check the replicas' state at the end.") var noCheck = false
    @Option(help: Limits.seed.help("Repeats keys and draws."), transform: Limits.seed.parse) var seed: UInt64 = 1
    @Option(
        help:
            "Whether clients and the gateway speak TLS, and the dashboard HTTPS. Off by default: all is on loopback, and a browser does not know the authority of a cluster that is to be thrown away."
    ) var clientTLS = ClientTLS.off
    @OptionGroup var network: NetworkOption
    @Flag(help: "Print one JSON object on each line of standard output, and nothing else there.") var json = false

    func validate() throws { try Limits.checkReplicas(replicas) }

    func execute() async throws {
        // One loop for all connections of the load, as benches have it.
        NIOSingletons.groupLoopCountSuggestion = 1
        let run = DemoRun(
            shards: shards, replicas: replicas, rate: rate, crossShard: shards > 1 ? crossShard : 0,
            accounts: accounts, duration: duration, opensBrowser: open, isChecked: !noCheck, seed: seed,
            clientTLS: clientTLS, network: try network.emulation(hosts: replicas, gateways: 1),
            voice: DemoVoice(json: json))
        do { try (try await run.run()).finish(run.voice) } catch is CancellationError {
            run.voice.interrupted()
            throw ExitCode(ExitReason.interrupted.rawValue)
        }
    }
}
