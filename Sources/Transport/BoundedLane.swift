import Gateway

/// What waits in one line, bounded in bytes for each source and over all of them. The sources take turns, so that one
/// who says much does not hold back another.
public struct BoundedLane<Source: Hashable & Sendable, Element: Sendable>: Sendable {
    @usableFromInline var entries = FairQueue<Source, (element: Element, weight: Int)>()
    /// In bytes, so that a source that is heard seldom has room whatever the others say.
    @usableFromInline var room: FairShare<Source>

    /// - Parameters:
    ///   - bytes: of all sources.
    ///   - sources: how many there may be at once, 1 or more.
    ///   - perSource: bytes of one source.
    @inlinable
    public init(bytes: Int, sources: Int, perSource: Int) {
        room = FairShare(limit: bytes, holders: sources, perHolder: perSource)
    }

    /// Nothing waits of any source.
    @inlinable
    public var isEmpty: Bool { entries.isEmpty }

    /// False if there is no room. What weighs nothing is bounded by the number of sources, and must not be lost.
    @inlinable
    public mutating func append(_ element: Element, weight: Int, from source: Source) -> Bool {
        guard room.take(weight, for: source) else { return false }
        entries.append((element, weight), from: source)
        return true
    }

    /// So many at most, each source's in their order, and none after so many bytes: what takes long to look at must not
    /// hold up what is in another lane.
    @inlinable
    public mutating func take(_ count: Int, bytes: Int = .max) -> [Element] {
        var taken: [Element] = []
        var weight = 0
        while taken.count < count, weight < bytes, let (source, entry) = entries.popFirst() {
            room.giveBack(entry.weight, from: source)
            weight += entry.weight
            taken.append(entry.element)
        }
        return taken
    }
}
