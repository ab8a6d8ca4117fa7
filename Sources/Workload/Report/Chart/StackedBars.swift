import StrictInput

/// Bars of one scale, each of parts that follow each other. Colours alone tell nothing: a part has a label and a title.
struct StackedBars {
    struct Part {
        var name: String
        /// Not below zero.
        var value: Double
        /// The class of its colour: `s0` to `s5`.
        var style: String
        /// Written on it where there is room.
        var label: String
    }

    struct Row {
        var name: String
        var parts: [Part]
        var sum: Double { parts.reduce(0) { $0 + $1.value } }
    }

    var title: String
    var unit: String
    /// After the point.
    var digits: Int
    var rows: [Row]

    func html() -> String {
        guard let most = rows.map(\.sum).max(), most > 0 else { return "" }
        var out = "<div class=\"stack\">\n"
        for row in rows where row.sum > 0 {
            let words = row.parts.map { "\($0.name) \(text($0.value))" }.joined(separator: ", ")
            out +=
                "<div class=\"row\"><span class=\"name\">\(Markup.escape(row.name))</span><div class=\"bar\"><svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"\(Markup.escape("\(title): \(row.name)"))\"><desc>\(Markup.escape(words))</desc>"
            var (left, labels) = (0.0, "")
            for part in row.parts where part.value > 0 {
                let width = part.value / most
                out +=
                    "<rect class=\"\(part.style)\" x=\"\(decimal(left * 1000, 2))\" y=\"0\" width=\"\(decimal(width * 1000, 2))\" height=\"10\"><title>\(Markup.escape("\(part.name): \(text(part.value)) \(unit)"))</title></rect>"
                // Narrower than its text: the title says it.
                if width > 0.012 * Double(max(2, part.label.count)) {
                    labels +=
                        "<span aria-hidden=\"true\" style=\"left: \(decimal(left * 100, 2))%; width: \(decimal(width * 100, 2))%\">\(Markup.escape(part.label))</span>"
                }
                left += width
            }
            out += "</svg>\(labels)</div><b>\(text(row.sum)) \(unit)</b></div>\n"
        }
        return out + "</div>\n"
    }

    private func text(_ value: Double) -> String { decimal(value, digits) }

    /// Of six kinds: colours that readers who are colour-blind can tell apart (M. Okabe, K. Ito, Color Universal
    /// Design, 2008), darkened for a light page so that white text can be read on them.
    static let css: String = {
        let colours = [
            ("#0072b2", "#56b4e9"), ("#5f5f5f", "#b0b7c3"), ("#9a5b00", "#e69f00"), ("#8b2f6b", "#e08cc0"),
            ("#00694d", "#2fc79a"), ("#b34700", "#ff8a4c"),
        ]
        func variables(_ isDark: Bool) -> String {
            colours.enumerated().map { "--s\($0.offset): \(isDark ? $0.element.1 : $0.element.0);" }.joined(
                separator: " ")
        }
        return
            ":root { \(variables(false)) }\n@media screen and (prefers-color-scheme: dark) { :root { \(variables(true)) } }\n"
            + colours.indices.map { ".s\($0) { --k: var(--s\($0)); }" }.joined(separator: " ")
    }()
}
