extension SequenceDiagram {
    /// What the signs of `text` mean.
    public static let textLegend =
        "●──▶ a message, ●╌╌✕ a lost one, ● something happens, ✕ a host loses power, ○ it starts again, ┊ time passes"

    /// For a terminal: an arrow a row, its label at the right. A lost message ends at ✕, a host that is down has no
    /// line. Where much more time passes than between other rows, a row says how much.
    public var text: String {
        let spacing = hosts <= 4 ? 9 : 6
        let margin = (steps.map(\.time.count).max() ?? 0) + 4
        let width = margin + spacing * hosts + 4
        func position(_ column: Int) -> Int { margin + spacing * (column + 1) }
        var down = self.down
        var lines = [header(position, width)]
        let rows = rows
        let jumps = Self.jumps(rows)
        for (number, row) in rows.enumerated() {
            if let jump = jumps[number] { lines.append(pause(jump, position, width, down)) }
            var cells = Array(repeating: Character(" "), count: width)
            for column in columns where !down.contains(column) { cells[position(column)] = "│" }
            var label = ""
            for step in row {
                step.follow(&down)
                switch step.event {
                case .message(let from, let to, let lost, let what):
                    draw(from: position(from), to: to.map(position), lost: lost.map(position), into: &cells)
                    label = what
                case .mark(let column, let what):
                    guard columns.contains(column) else { continue }
                    cells[position(column)] = step.isCrash ? "✕" : step.isStart ? "○" : "●"
                    label =
                        row.count == 1
                        ? "\(Self.name(column)) \(what)"
                        : label.isEmpty ? what : label == what ? what : "\(label), \(what)"
                case .note(let what): label = "── \(what)"
                }
            }
            let time = row.first?.time ?? ""
            for (i, character) in (String(repeating: " ", count: max(0, margin - 4 - time.count)) + time).enumerated() {
                cells[i] = character
            }
            lines.append(String(cells) + label)
        }
        return lines.joined(separator: "\n")
    }

    private func header(_ position: (Int) -> Int, _ width: Int) -> String {
        var cells = Array(repeating: Character(" "), count: width)
        if let timeUnit {
            // Over the ends of the times.
            let start = max(0, position(Self.client) - 4 - timeUnit.count)
            for (i, character) in timeUnit.enumerated() { cells[start + i] = character }
        }
        for column in columns {
            let name = column == Self.client ? "client" : "\(column)"
            for (i, character) in name.enumerated() { cells[position(column) - name.count / 2 + i] = character }
        }
        while cells.last == " " { cells.removeLast() }
        return String(cells)
    }

    private func pause(_ text: String, _ position: (Int) -> Int, _ width: Int, _ down: Set<Int>) -> String {
        var cells = Array(repeating: Character(" "), count: width)
        for column in columns where !down.contains(column) { cells[position(column)] = "┊" }
        return String(cells) + "┄┄ \(text) later"
    }

    private func draw(from: Int, to: [Int], lost: [Int], into cells: inout [Character]) {
        guard let low = (to + [from]).min(), let high = (to + [from]).max(), high < cells.count else { return }
        let line: Character = lost.count == to.count ? "╌" : "─"
        for i in low...high { cells[i] = cells[i] == " " ? line : "┼" }
        for target in to { cells[target] = lost.contains(target) ? "✕" : target > from ? "▶" : "◀" }
        cells[from] = "●"
    }
}
