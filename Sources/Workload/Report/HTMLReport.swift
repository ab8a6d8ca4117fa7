import StrictInput

/// A page that needs nothing but itself, and no script: what was measured in a sentence, then its sections.
struct HTMLReport {
    private let context: ReportContext
    private let title: String

    init(_ report: BenchReport, title: String) { (context, self.title) = (ReportContext(report), title) }

    func text() -> String {
        let sections = ReportSection.all.map { ($0, $0.html(context)) }.filter { !$0.1.isEmpty }
        var body = "<a class=\"skip\" href=\"#\(sections.first?.0.id ?? "")\">Skip to the figures</a>\n"
        body += "<header><h1>\(Markup.escape(title))</h1>\n" + Headline(context).html()
        body += "<nav aria-label=\"Sections\">"
        for (section, _) in sections where !section.title.isEmpty {
            body += "<a href=\"#\(section.id)\">\(Markup.escape(section.title))</a>"
        }
        body += "</nav></header>\n"
        for (section, html) in sections { body += "<section id=\"\(section.id)\">\n\(html)</section>\n" }
        return HTML.page(
            title: title, css: context.palette.css + "\n" + StackedBars.css + "\n" + PropagationSection.css, body: body)
    }
}
