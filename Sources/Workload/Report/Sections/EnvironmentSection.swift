import StrictInput

extension ReportSection {
    /// On what it was measured, and the command that does it again.
    static let environment = ReportSection(id: "environment", title: "Environment") { context in
        guard let made = context.report.made else { return "" }
        var facts: [(name: String, markup: String)] = [
            ("command", "<code>\(Markup.escape(made.command))</code>"), ("date", Markup.escape(made.date)),
            ("version", "quorate \(Markup.escape(made.version))"), ("machine", Markup.escape(made.machine)),
        ]
        for (name, value) in made.environment?.facts ?? [] { facts.append((name, Markup.escape(value))) }
        return "<div class=\"card wide\"><h2>Environment</h2>\(HTML.list(facts))</div>\n"
    }
}
