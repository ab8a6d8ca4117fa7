import ArgumentParser

/// `quorate bench`: without the name of a subcommand it is a bench. A command that had options of its own beside
/// subcommands would take theirs wherever they stand.
struct BenchCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract:
            "Measure transfers or transactions on lists, on fresh clusters of real processes, for each shard count.",
        discussion: """
              quorate bench --shards 1,2,4 --duration 10 --report out
              quorate bench grid --shards 1,2,4 --fault none,primary-killed --duration 10 --repeat 3 --output folder
              quorate bench compare before after
              quorate bench calibrate --fit --output here.json

            Without the name of a subcommand it is a run, of which this has all options and examples:

              quorate bench run --help
            """,
        subcommands: [BenchCommand.self, GridCommand.self, CompareCommand.self, CalibrateCommand.self],
        defaultSubcommand: BenchCommand.self)
}
