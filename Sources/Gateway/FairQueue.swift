import DequeModule

/// A queue in which sources take turns: what one of them asks for waits for one thing of every other source at most,
/// and not for all that another has piled up. In the order of arrival within a source. Its owner keeps the bound
/// (`FairShare`).
public struct FairQueue<Source: Hashable & Sendable, Element: Sendable>: Sendable {
    @usableFromInline var queues: [Source: Deque<Element>] = [:]
    /// Every source with something in `queues`, once.
    @usableFromInline var turns = Deque<Source>()
    @usableFromInline var held = 0
    /// Elements of all sources together.
    @inlinable public var count: Int { held }

    /// Without sources: each comes with its first element and goes with its last.
    @inlinable public init() {}

    /// Whether no source has anything.
    @inlinable public var isEmpty: Bool { count == 0 }

    /// At the end of its source's line. A source that had nothing takes its turn after all who have something.
    @inlinable
    public mutating func append(_ element: Element, from source: Source) {
        if queues[source] == nil { turns.append(source) }
        queues[source, default: Deque()].append(element)
        held += 1
    }

    /// The first element of the source whose turn it is; nil if there is nothing.
    @inlinable public mutating func popFirst() -> (source: Source, element: Element)? { popFirst { _ in true } }

    /// The first that may go of the next source that has one; it does not overtake others of its own source.
    @inlinable
    public mutating func popFirst(where mayGo: (Element) -> Bool) -> (source: Source, element: Element)? {
        for _ in 0..<turns.count {
            guard let source = turns.popFirst(), let first = queues[source]?.first else { return nil }
            guard mayGo(first) else {
                turns.append(source)
                continue
            }
            _ = queues[source]?.popFirst()
            held -= 1
            if queues[source]?.isEmpty == true { queues[source] = nil } else { turns.append(source) }
            return (source, first)
        }
        return nil
    }

    /// - Returns: what is dropped, in order.
    @discardableResult
    public mutating func removeAll(from source: Source) -> [Element] {
        guard let queue = queues.removeValue(forKey: source) else { return [] }
        turns.removeAll { $0 == source }
        held -= queue.count
        return Array(queue)
    }
}
