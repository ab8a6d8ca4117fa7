import ArgumentParser

/// Parts of Quorate, measured alone: what a profile of a whole cluster spreads over many threads is in one place here.
@main struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quorate-benchmarks", abstract: "Measures parts of Quorate alone.",
        discussion: "Times are CPU time of the thread that does the work: other work on the machine counts little.",
        subcommands: [ExecutorBenchmark.self, PartsBenchmark.self])
}
