import ArgumentParser
import Foundation
import NIOCore

struct DrillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drill",
        abstract: "Do harm to a fresh cluster of real processes under load, and measure what it costs.",
        discussion: """
            Each drill starts a cluster of its own in a temporary folder, opens and funds accounts, runs transfers as \
            quorate bench does, and harms one host at a time meanwhile. At the end it waits until all replicas are at rest \
            and checks the same invariants as the bench. No process is left behind, even if the command is killed.

              quorate drill kill-primary --kills 20 --clients 256
              quorate drill kill-gateway --kills 20 --clients 256
              quorate drill pause --seconds 60
              quorate drill pause --seconds 60 --primary --report out
              quorate drill wipe --accounts 1000000
              quorate drill overload --factor 10
              quorate drill hot-account
              quorate drill replay
              quorate drill abuse
              quorate drill soak --minutes 30 --report out

            docs/DRILLS.md says what the figures mean. The exit code is \(ExitReason.drillFailed.rawValue) if the cluster did not \
            do what it must, and \(ExitReason.invariantFailed.rawValue) if an invariant failed.
            """,
        subcommands: [
            KillPrimary.self, KillGateway.self, Pause.self, Wipe.self, Overload.self, HotAccount.self, Replay.self,
            Abuse.self, Soak.self,
        ])
}

/// What all drills take.
struct DrillOptions: ParsableArguments {
    @Option(
        name: .customLong("shards"),
        help: Whole(1...64).help("Shards of the cluster. Default: 1, and 2 for kill-gateway and replay."),
        transform: Whole(1...64).parse) var givenShards: Int?
    @Option(
        help: Limits.replicas.help("Replicas of each shard, and so host processes."), transform: Limits.replicas.parse)
    var replicas = 4
    @Option(help: Limits.seed.help("Repeats a workload: keys and rows."), transform: Limits.seed.parse) var seed:
        UInt64 = 1
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false
    @Option(help: "Keep the cluster's folder and logs in this folder.") var keep: String?
    @OptionGroup var reporting: ReportOption
    @OptionGroup var hostProgram: HostProgramOption

    var shards: Int { givenShards ?? 1 }

    func validate() throws {
        try Limits.checkReplicas(replicas)
    }

    /// - Parameter accounts: one key each, unless there are so many that their keys would take longer than the drill.
    func setup(clients: Int, accounts: Int, shards: Int? = nil, gateways: Int = 1) -> DrillSetup {
        DrillSetup(
            shards: shards ?? self.shards, replicas: replicas, gateways: gateways, clients: clients, accounts: accounts,
            principals: accounts > 50_000 ? 1024 : nil, seed: seed, machine: Made.now.machine + ".")
    }

    /// Before the first connection.
    func prepare() throws {
        try reporting.prepare()
        // One loop for all connections of the load: what an answer releases is sent from the thread on which it
        // arrived.
        NIOSingletons.groupLoopCountSuggestion = 1
    }

    /// While a drill runs: to people, not to programs.
    func say(_ line: String) {
        if json { Console.error(line) } else { Console.out(line) }
    }
}
