extension SequenceDiagram.Step {
    /// Nanoseconds since the start. A scenario's times are milliseconds and have no unit, a log's are microseconds and
    /// have one.
    var nanoseconds: UInt64? {
        let words = time.split(separator: " ")
        guard let number = words.first.flatMap({ Double($0) }), number.isFinite, number >= 0, number < 1e12 else {
            return nil
        }
        let unit = words.dropFirst().first.map(String.init)
        switch unit {
        case nil: return UInt64((number * 1e6).rounded())
        case "µs": return UInt64((number * 1e3).rounded())
        default: return nil
        }
    }
}

extension SequenceDiagram {
    /// What stands over the times; nil where each has its unit.
    var timeUnit: String? { steps.contains { !$0.time.contains(" ") } ? "ms" : nil }

    /// Rows before which much more time passes than usual, by their numbers: how much, in words. Distances down the
    /// page are steps, so nobody would see it.
    static func jumps(_ rows: [[Step]]) -> [Int: String] {
        let times = rows.map { $0.first?.nanoseconds }
        var gaps: [(row: Int, nanoseconds: UInt64)] = []
        for row in times.indices.dropFirst() {
            guard let earlier = times[row - 1], let later = times[row], later > earlier else { continue }
            gaps.append((row, later - earlier))
        }
        let sorted = gaps.map(\.nanoseconds).sorted()
        guard let usual = sorted.isEmpty ? nil : sorted[(sorted.count - 1) / 2] else { return [:] }
        var jumps: [Int: String] = [:]
        for gap in gaps where gap.nanoseconds >= 20 * usual { jumps[gap.row] = words(gap.nanoseconds) }
        return jumps
    }

    private static func words(_ nanoseconds: UInt64) -> String {
        func tenths(_ unit: UInt64) -> String { "\(nanoseconds / unit).\(nanoseconds % unit * 10 / unit)" }
        return nanoseconds >= 1_000_000_000
            ? "\(tenths(1_000_000_000)) s"
            : nanoseconds >= 1_000_000
                ? "\(tenths(1_000_000)) ms"
                : "\(tenths(1000)) µs"
    }
}
