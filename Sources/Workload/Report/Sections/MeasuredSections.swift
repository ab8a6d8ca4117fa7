/// Sections that are tables of their own.
extension ReportSection {
    /// What is not valid, how the load was offered, what repeated runs came to.
    static let load = ReportSection(id: "load", title: "Load") { LoadSection(report: $0.report).html() }

    /// By kind, of workloads of several.
    static let transactions = ReportSection(id: "transactions", title: "Transactions") {
        TransactionTable(runs: $0.runs).html()
    }

    /// How batches travelled.
    static let propagation = ReportSection(id: "propagation", title: "Propagation") {
        PropagationSection(runs: $0.runs, palette: $0.palette).html()
    }
}

extension ReportSection {
    /// That no process ran, and what was simulated; first of all.
    static let simulation = ReportSection(id: "simulation", title: "Simulation") {
        SimulationTable(runs: $0.runs).html()
    }
}
