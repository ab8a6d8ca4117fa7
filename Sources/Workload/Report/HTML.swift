import StrictInput

enum HTML {
    /// At most three digits after the point, none that are zero.
    static func number(_ value: Double) -> String {
        var text = decimal(value, abs(value) >= 100 ? 1 : 3)
        while text.contains("."), text.last == "0" || text.last == "." {
            let wasPoint = text.removeLast() == "."
            if wasPoint { break }
        }
        return text
    }

    /// 12345 as "12,345".
    static func grouped(_ value: Int) -> String {
        var out = ""
        for (i, digit) in String(abs(value)).reversed().enumerated() {
            if i > 0, i.isMultiple(of: 3) { out.append(",") }
            out.append(digit)
        }
        return (value < 0 ? "-" : "") + String(out.reversed())
    }

    /// - Parameters:
    ///   - provenance: for the head.
    ///   - css: beside what all pages have.
    static func page(title: String, subtitle: String, provenance: Provenance?, css: String, body: String) -> String {
        page(
            title: title, css: css,
            body: "<h1>\(Markup.escape(title))</h1>\n<p class=\"muted\">\(Markup.escape(subtitle))</p>\n"
                + (provenance.map { facts(of: $0) } ?? "") + body)
    }

    /// Everything below the head is `body`.
    static func page(title: String, css: String, body: String) -> String {
        var page =
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        page +=
            "<title>\(Markup.escape(title))</title>\n<style>\n\(PageStyle.css)\n\(css)\n</style></head>\n<body><main>\n"
        return page + body + "</main></body></html>\n"
    }

    /// Date, version, command and machine.
    static func facts(of provenance: Provenance) -> String {
        list([
            ("date", Markup.escape(provenance.date)), ("version", "quorate \(Markup.escape(provenance.version))"),
            ("command", "<code>\(Markup.escape(provenance.command))</code>"),
            ("machine", Markup.escape(provenance.machine)),
        ])
    }

    /// Names and what they stand for.
    /// - Parameter facts: what is written behind a name is markup.
    static func list(_ facts: [(name: String, markup: String)]) -> String {
        "<dl>" + facts.map { "<dt>\(Markup.escape($0.name))</dt><dd>\($0.markup)</dd>" }.joined() + "</dl>\n"
    }

    /// A table. The first row is its header; of the others the first cell heads its row.
    /// - Parameters:
    ///   - caption: read to whoever does not see the page.
    ///   - isText: columns that are aligned to the left.
    static func table(_ rows: [[String]], caption: String, text isText: Set<Int> = [0]) -> String {
        guard let header = rows.first else { return "" }
        func style(_ column: Int) -> String { isText.contains(column) ? " class=\"text\"" : "" }
        var out =
            "<div class=\"scroll\" tabindex=\"0\"><table><caption>\(Markup.escape(caption))</caption>\n<thead><tr>"
        for (i, cell) in header.enumerated() { out += "<th scope=\"col\"\(style(i))>\(Markup.escape(cell))</th>" }
        out += "</tr></thead>\n<tbody>\n"
        for row in rows.dropFirst() {
            out += "<tr>"
            for (i, cell) in row.enumerated() {
                out +=
                    i == 0
                    ? "<th scope=\"row\"\(style(i))>\(Markup.escape(cell))</th>"
                    : "<td\(style(i))>\(Markup.escape(cell))</td>"
            }
            out += "</tr>\n"
        }
        return out + "</tbody></table></div>\n"
    }

    /// What is behind a picture, closed until it is asked for.
    static func figures(_ table: String) -> String {
        table.isEmpty ? "" : "<details class=\"figures\"><summary>Figures</summary>\(table)</details>\n"
    }
}
