import Randomness

/// The cells of a grid in the order in which they are measured, and what is left out.
///
/// A machine gets warmer, its disk fuller and its neighbours busier while a grid runs. If the cells came in the order
/// of their axes, that drift would look like an effect of the slowest axis. So every round measures each cell once, in
/// an order drawn anew, and a cell's repetitions lie a round apart.
public struct GridPlan: Sendable {
    /// What was left out, and how many measurements of it.
    public struct Omission: Equatable, Sendable {
        /// In a few words.
        public var reason: String
        /// Repetitions counted.
        public var count: Int
    }

    /// In the order of measurement.
    public let cells: [GridCell]
    /// In the order in which they were found.
    public let omissions: [Omission]

    /// - Parameters:
    ///   - axes: with different names, one of them `shards`.
    ///   - repetitions: of each cell, 1 or more.
    ///   - seed: of the order.
    ///   - hasPrincipals: whether members own the accounts, so that bundles can be signed.
    public init(axes: [GridAxis], repetitions: Int, seed: UInt64, hasPrincipals: Bool) {
        var points: [[String: String]] = [[:]]
        for axis in axes {
            points = points.flatMap { point in
                axis.values.map { value in
                    var point = point
                    if value != axis.fallback { point[axis.name] = value }
                    return point
                }
            }
        }
        var kept: [[String: String]] = []
        var seen: Set<[String: String]> = []
        var omissions: [Omission] = []
        for point in points {
            let reason: String
            switch GridRules.judge(point, hasPrincipals: hasPrincipals) {
            case .measure(let point) where seen.insert(point).inserted:
                kept.append(point)
                continue
            case .measure: reason = GridRules.oneShard
            case .leaveOut(let why): reason = why
            }
            if let known = omissions.firstIndex(where: { $0.reason == reason }) {
                omissions[known].count += repetitions
            } else {
                omissions.append(Omission(reason: reason, count: repetitions))
            }
        }
        var random = SplitMix64(seed: seed)
        var cells: [GridCell] = []
        for repetition in 1...max(1, repetitions) {
            cells += kept.shuffled(using: &random).map { GridCell(values: $0, repetition: repetition) }
        }
        (self.cells, self.omissions) = (cells, omissions)
    }
}

/// Which combinations say something.
enum GridRules {
    enum Verdict: Equatable {
        /// As this, which may be less than was combined.
        case measure([String: String])
        case leaveOut(String)
    }

    static let oneShard = "one shard has nothing to cross: it is measured once, whatever the shares and participants"

    static func judge(_ point: [String: String], hasPrincipals: Bool) -> Verdict {
        var point = point
        let shards = point["shards"].flatMap { Int($0) }
        if shards == 1 {
            point["cross-shard"] = nil
            point["participants"] = nil
        }
        if let shards, let participants = point["participants"].flatMap({ Int($0) }), participants > shards {
            return .leaveOut("more participants than shards")
        }
        if let bundle = point["bundle"].flatMap({ Int($0) }), bundle > 1, !hasPrincipals {
            return .leaveOut("a bundle is signed by a member who owns all its paying accounts: give --principals")
        }
        return .measure(point)
    }
}
