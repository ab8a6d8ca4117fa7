/// Transactions without an outcome, each of which happened whole or not at all: whether some of them together explain
/// by how much what is there differs from what is certified.
public struct OpenTransactions<Place: Hashable & Comparable & Sendable>: Sendable {
    /// What became of the question.
    public enum Answer: Sendable, Equatable {
        /// Some choice of them explains all that is known.
        case explained
        /// No choice of them explains these places.
        case unexplained([Place])
        /// There were too many choices to tell.
        case undecided
    }

    /// Choices that are looked at, at most, for transactions that hang together.
    public static var usualLimit: Int { 100_000 }

    /// What each adds where.
    private var effects: [[Place: Int128]] = []

    /// None.
    public init() {}

    /// - Parameter effect: what it has added if it happened.
    public mutating func add(_ effect: [Place: Int128]) {
        let effect = effect.filter { $0.value != 0 }
        if !effect.isEmpty { effects.append(effect) }
    }

    /// - Parameter differences: what is there, less what is certified, of each place that an open transaction names;
    ///   places that are left out are not known.
    public func explain(_ differences: [Place: Int128], limit: Int = usualLimit) -> Answer {
        let effects = effects.map { effect in effect.filter { differences[$0.key] != nil } }
        var isUndecided = false
        var unexplained: [Place] = []
        for group in groups(effects) {
            var search = Search(group.map { effects[$0] }, differences, limit: limit)
            switch search.run() {
            case true: continue
            case false: unexplained += search.places
            case nil: isUndecided = true
            }
        }
        if !unexplained.isEmpty { return .unexplained(unexplained.sorted()) }
        return isUndecided ? .undecided : .explained
    }

    /// Those that have places in common, or have over others; neighbours follow each other.
    private func groups(_ effects: [[Place: Int128]]) -> [[Int]] {
        var at: [Place: [Int]] = [:]
        for (index, effect) in effects.enumerated() {
            for place in effect.keys { at[place, default: []].append(index) }
        }
        var seen = [Bool](repeating: false, count: effects.count)
        var groups: [[Int]] = []
        for first in effects.indices where !seen[first] && !effects[first].isEmpty {
            seen[first] = true
            var group = [first]
            var next = 0
            while next < group.count {
                for place in effects[group[next]].keys.sorted() {
                    for other in at.removeValue(forKey: place) ?? [] where !seen[other] {
                        seen[other] = true
                        group.append(other)
                    }
                }
                next += 1
            }
            groups.append(group)
        }
        return groups
    }

    /// Of one group: one transaction after the other happened or not, as long as the rest can make up for it.
    private struct Search {
        private let effects: [[(place: Int, amount: Int128)]]
        let places: [Place]
        private var left: [Int128]
        /// What those that are not chosen yet can add at least and at most.
        private var (least, most): ([Int128], [Int128])
        private var steps: Int

        init(_ effects: [[Place: Int128]], _ differences: [Place: Int128], limit: Int) {
            let places = Set(effects.flatMap(\.keys)).sorted()
            let index = Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1, $0) })
            self.places = places
            self.effects = effects.map { effect in
                effect.compactMap { place, amount in index[place].map { ($0, amount) } }
            }
            left = places.map { differences[$0] ?? 0 }
            (least, most, steps) = (left.map { _ in 0 }, left.map { _ in 0 }, limit)
            for (place, amount) in self.effects.joined() {
                if amount < 0 { least[place] += amount } else { most[place] += amount }
            }
        }

        /// - Returns: whether some choice explains all; nil if that took too long.
        mutating func run() -> Bool? {
            guard places.indices.allSatisfy({ isPossible($0) }) else { return false }
            // What was chosen so far; a stack instead of recursion, as there may be thousands.
            var chosen: [Bool] = []
            while chosen.count < effects.count {
                steps -= 1
                guard steps > 0 else { return nil }
                chosen.append(false)
                if decide(chosen.count - 1, happened: false) { continue }
                while true {
                    guard let last = chosen.popLast() else { return false }
                    undo(chosen.count, happened: last)
                    guard !last else { continue }
                    chosen.append(true)
                    if decide(chosen.count - 1, happened: true) { break }
                }
            }
            return true
        }

        private func isPossible(_ place: Int) -> Bool { least[place] <= left[place] && left[place] <= most[place] }

        private mutating func decide(_ index: Int, happened: Bool) -> Bool {
            var isPossible = true
            for (place, amount) in effects[index] {
                if amount < 0 { least[place] -= amount } else { most[place] -= amount }
                if happened { left[place] -= amount }
                isPossible = isPossible && self.isPossible(place)
            }
            return isPossible
        }

        private mutating func undo(_ index: Int, happened: Bool) {
            for (place, amount) in effects[index] {
                if amount < 0 { least[place] += amount } else { most[place] += amount }
                if happened { left[place] += amount }
            }
        }
    }
}

extension CheckVerdict {
    /// Only if nothing else is wrong: what is out of its bounds cannot be explained either.
    mutating func add<Place>(
        _ answer: OpenTransactions<Place>.Answer, _ what: String, _ name: (Place) -> String
    ) {
        guard holds else { return }
        switch answer {
        case .explained: return
        case .unexplained(let places):
            add(
                "no choice of the \(what) without an outcome, each whole or not at all, explains "
                    + places.prefix(5).map(name).joined(separator: ", ")
                    + (places.count > 5 ? " and \(places.count - 5) more" : ""))
        case .undecided:
            isUndecided = true
            summary += "; too many \(what) without an outcome to tell whether each is whole"
        }
    }
}
