/// The colour of each shard count, the same in every chart of a page.
struct Palette {
    /// For a light and for a dark page. Red is left to what went wrong.
    private static let colours = [
        ("#2563eb", "#60a5fa"), ("#ea580c", "#fb923c"), ("#059669", "#34d399"), ("#9333ea", "#c084fc"),
        ("#db2777", "#f472b6"),
        ("#0891b2", "#22d3ee"), ("#a16207", "#facc15"), ("#4d7c0f", "#a3e635"),
    ]

    /// Ascending.
    let shards: [Int]

    init(_ runs: [RunResult]) { self.init(shards: Set(runs.map(\.shards)).sorted()) }
    init(shards: [Int]) { self.shards = shards }

    /// The class of its colour: `k0`, `k1`, …
    func style(_ shards: Int) -> String { "k\(self.shards.firstIndex(of: shards) ?? 0)" }

    /// The classes and their colours, as many as there are.
    var css: String {
        func variables(_ isDark: Bool) -> String {
            shards.indices.map { "--k\($0): \(Self.colour($0, isDark: isDark));" }.joined(separator: " ")
        }
        return ":root { \(variables(false)) }\n@media (prefers-color-scheme: dark) { :root { \(variables(true)) } }\n"
            + shards.indices.map { ".k\($0) { --k: var(--k\($0)); }" }.joined(separator: " ")
    }

    static func colour(_ index: Int, isDark: Bool) -> String {
        guard index >= colours.count else { return isDark ? colours[index].1 : colours[index].0 }
        // The golden angle: the next is far from those before it.
        let hue = HTML.number((Double(index) * 137.508).truncatingRemainder(dividingBy: 360))
        return isDark ? "hsl(\(hue) 75% 72%)" : "hsl(\(hue) 70% 38%)"
    }

    /// One for all charts.
    var legend: String {
        let items = shards.map {
            "<span><i class=\"chip \(style($0))\"></i>\($0 == 1 ? "1 shard" : "\($0) shards")</span>"
        }
        return "<div class=\"legend\">\(items.joined())</div>\n"
    }
}
