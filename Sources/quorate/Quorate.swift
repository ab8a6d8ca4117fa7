import ArgumentParser
import Foundation
import Meter
import StrictInput

@main
struct Quorate: AsyncParsableCommand {
    /// As the library's, but what it quotes of the command line is printable, a number below zero is a number and no
    /// option, and what cannot be written is no success.
    static func main() async {
        // A reader that has gone is an error of the write; the signal would end this process without a word to its
        // children.
        signal(SIGPIPE, SIG_IGN)
        let arguments = CommandWords.joiningNegativeNumbers(Array(CommandLine.arguments.dropFirst()))
        Foundation.exit(Console.exitCode(await perform(arguments, json: arguments.contains("--json"))))
    }

    /// Runs one command line, and says what goes wrong.
    /// - Parameter json: whether a program reads what goes wrong.
    /// - Returns: its exit code.
    static func perform(_ arguments: [String], json: Bool) async -> Int32 {
        do {
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            let code = exitCode(for: error).rawValue
            let message = fullMessage(for: error)
            if code == 0 {
                // A host that was told to end has nothing to say.
                if !message.isEmpty { Console.write(message + "\n", to: STDOUT_FILENO) }
            } else if !message.isEmpty {
                Console.error(message)
                if json { Console.failure(.init(usage: Self.message(for: error))) }
            }
            return code
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "quorate",
        abstract: "A sharded, Byzantine-fault-tolerant transaction runtime.",
        discussion: """
            Each shard is a group of replicas that order transactions by PBFT. Transactions over several shards are \
            atomic, and every outcome is proven by certificates that anyone can check offline.

            See it live (a cluster to be thrown away, whose hosts you kill):
              quorate demo

            Try it:
              quorate cluster init demo --shards 2
              quorate cluster up demo
              export QUORATE_CLUSTER=demo
              quorate account create alice --shard 0 --issue 1000
              quorate account create bob --shard 1
              quorate transfer alice bob 250
              quorate receipt verify demo/receipts/*.json
              quorate cluster down demo

            Measure it (a cluster of its own in a temporary folder for each shard count):
              quorate bench --shards 1,2,4 --duration 10 --report bench-report

            Test it (whole clusters under a virtual clock, network and disk; docs/SIMULATION.md):
              quorate simulate --seeds 1..1000 --profile everything

            Have your shell complete it (bash, zsh or fish):
              quorate --generate-completion-script bash > ~/.local/share/bash-completion/completions/quorate

            \(ExitReason.documentation)
            """,
        version: Build.version,
        subcommands: [
            ClusterCommand.self, DoctorCommand.self, InspectCommand.self, TopCommand.self, AccountCommand.self,
            TransferCommand.self,
            IssueCommand.self, FreezeCommand.self, ReleaseCommand.self, CallCommand.self,
            TransactionCommand.self, TraceCommand.self,
            ReceiptCommand.self, ExportCommand.self, ShellCommand.self, DemoCommand.self, BenchCommands.self,
            DrillCommand.self,
            SimulateCommand.self,
            HostCommand.self,
            GatewayCommand.self,
        ])
}
