import Messages

/// One measurement of a grid: a value of each axis, and which of the repetitions it is.
public struct GridCell: Codable, Hashable, Sendable {
    /// By the axis' name. An axis that stays at its fallback is not there: one that is added to a grid later then does
    /// not change what the cells are that have been measured.
    public var values: [String: String]
    /// From 1.
    public var repetition: Int

    /// - Parameters:
    ///   - values: by axis, without fallbacks.
    ///   - repetition: from 1.
    public init(values: [String: String], repetition: Int) { (self.values, self.repetition) = (values, repetition) }

    /// Names the cell's file: the same for the same values, in whatever order the axes were given. 16 hexadecimal
    /// digits.
    public var digest: String {
        var hasher = Hasher256()
        for (axis, value) in values.sorted(by: { $0.key < $1.key }) {
            // With their lengths: no two cells read alike.
            for text in [axis, value] {
                hasher.update(integer: UInt32(clamping: text.utf8.count))
                hasher.update(Array(text.utf8))
            }
        }
        hasher.update(integer: UInt32(clamping: repetition))
        return String(hasher.finish().hex.prefix(16))
    }

    /// `2 shards, cross-shard 10, fault slow-disk`
    public var label: String {
        let shards = values["shards"].map { [$0 == "1" ? "1 shard" : "\($0) shards"] } ?? []
        return (shards + variants).joined(separator: ", ")
    }

    /// The same without the shards: what a line over shard counts is called.
    public var variant: String { variants.isEmpty ? "nothing varied" : variants.joined(separator: ", ") }

    private var variants: [String] {
        values.sorted { $0.key < $1.key }.filter { $0.key != "shards" }.map { "\($0.key) \($0.value)" }
    }

    /// What cells have in common with the one shard that they are compared with, which has nothing to cross.
    public var uncrossed: [String: String] {
        values.filter { !["shards", "cross-shard", "participants"].contains($0.key) }
    }
}
