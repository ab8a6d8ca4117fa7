/// The colour of each shard count, the same in every chart of a page: darker or lighter from one count to the next, so
/// that the order shows, and so that they can be told apart by whoever sees few colours, and on grey paper. Red is left
/// to what went wrong.
struct Palette {
    /// Evenly spaced points of the colour map viridis (S. van der Walt, N. Smith, E. Firing; matplotlib, CC0), made for
    /// readers who are colour-blind.
    private static let viridis: [(r: Double, g: Double, b: Double)] = [
        (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
        (110, 206, 88), (181, 222, 43), (253, 231, 37),
    ]
    /// The part of it that stands out, from a white page and from a dark one.
    private static let (onLight, onDark) = (0.05...0.60, 0.42...1.0)

    /// Ascending.
    let shards: [Int]

    init(_ runs: [RunResult]) { self.init(shards: Set(runs.map(\.shards)).sorted()) }
    init(shards: [Int]) { self.shards = shards }

    /// The class of its colour: `k0`, `k1`, …
    func style(_ shards: Int) -> String { "k\(self.shards.firstIndex(of: shards) ?? 0)" }

    /// The classes and their colours, as many as there are.
    var css: String {
        func variables(_ isDark: Bool) -> String {
            shards.indices.map { "--k\($0): \(Self.colour($0, of: shards.count, isDark: isDark));" }.joined(
                separator: " ")
        }
        return
            ":root { \(variables(false)) }\n@media screen and (prefers-color-scheme: dark) { :root { \(variables(true)) } }\n"
            + shards.indices.map { ".k\($0) { --k: var(--k\($0)); }" }.joined(separator: " ")
    }

    /// The place of one among so many, as a browser takes it.
    static func colour(_ index: Int, of count: Int, isDark: Bool) -> String {
        let range = isDark ? onDark : onLight
        let share = count > 1 ? Double(index) / Double(count - 1) : 0.5
        let place = (range.lowerBound + (range.upperBound - range.lowerBound) * share) * Double(viridis.count - 1)
        let below = min(viridis.count - 2, Int(place))
        let (a, b, part) = (viridis[below], viridis[below + 1], place - Double(below))
        func mixed(_ from: Double, _ to: Double) -> String { decimal(from + (to - from) * part, 0) }
        return "rgb(\(mixed(a.r, b.r)) \(mixed(a.g, b.g)) \(mixed(a.b, b.b)))"
    }

    /// One for all charts.
    var legend: String {
        let items = shards.map {
            "<span><i class=\"chip \(style($0))\"></i>\($0 == 1 ? "1 shard" : "\($0) shards")</span>"
        }
        return "<div class=\"legend\">\(items.joined())</div>\n"
    }
}
