/// A part of the page of a bench.
struct ReportSection: Sendable {
    /// Where links to it lead.
    let id: String
    /// In the list of sections; empty: it is not listed.
    let title: String
    /// Empty if there is nothing to show.
    let html: @Sendable (ReportContext) -> String

    /// From top to bottom. What is measured beside is one more line, with a file of its own in `Sections`.
    static let all: [ReportSection] = [
        .simulation, .predictions, .grid, .latency, .throughput, .load, .distributions, .timeLines, .faults, .phases,
        .propagation,
        .costs,
        .transactions, .aborts, .tables, .environment, .reading,
    ]
}
