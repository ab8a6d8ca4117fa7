/// How long the rest of a grid will take, by what its cells took so far.
public struct GridClock: Sendable {
    private let guess: Double
    private var all = Mean()
    private var byShards: [String: Mean] = [:]

    private struct Mean {
        var sum = 0.0
        var count = 0
        var value: Double? { count == 0 ? nil : sum / Double(count) }
        mutating func note(_ seconds: Double) {
            sum += seconds
            count += 1
        }
    }

    /// - Parameter guess: seconds of a cell while none was measured.
    public init(guess: Double) { self.guess = guess }

    /// - Parameter seconds: what the whole cell took, from the start of its cluster to its end.
    public mutating func note(_ cell: GridCell, seconds: Double) {
        all.note(seconds)
        byShards[cell.values["shards"] ?? "", default: Mean()].note(seconds)
    }

    /// Seconds. Clusters of more shards take longer to fund and to check, so those of as many shards count first.
    public func estimate(_ cell: GridCell) -> Double {
        byShards[cell.values["shards"] ?? ""]?.value ?? all.value ?? guess
    }

    /// Seconds for all of them, one after the other.
    public func estimate(_ cells: some Sequence<GridCell>) -> Double { cells.reduce(0) { $0 + estimate($1) } }

    /// `2 h 5 min`, `12 min`, `40 s`
    public static func text(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds > 0 else { return "0 s" }
        guard seconds >= 90 else { return "\(Int(seconds.rounded(.up))) s" }
        let minutes = Int((min(seconds, 1e9) / 60).rounded())
        return minutes < 60 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
    }
}
