import Messages

/// What makes the store hold a state: what changed since the one that it holds, entries first, then the tree's nodes,
/// each ascending by key; a value of nil removes its key.
///
/// Bytes are made of a record when its turn comes. So it is not the thread that executes which makes them but the one
/// that writes them down, and there are never all of them in memory.
public struct StateWrites: Sequence, Sendable {
    private let layer: OverlayLayer
    /// Nothing of these, nor of the nodes that are in them or over them.
    private let buckets: Set<Int>
    private var last: [KeyValueWrite] = []

    init(of layer: OverlayLayer, outside buckets: Set<Int>) { (self.layer, self.buckets) = (layer, buckets) }

    func followed(by writes: [KeyValueWrite]) -> StateWrites {
        var all = self
        all.last += writes
        return all
    }

    /// Sorts the nodes, which is not done before.
    public func makeIterator() -> Iterator {
        let parents = Set(buckets.map(StateTree.firstSibling))
        let nodes = layer.nodeIDs.filter { id in
            let part = StatePart(id: id)
            return part.depth < StateTree.bucketDepth
                ? !parents.contains(part.bucket) : !buckets.contains(part.bucket)
        }
        return Iterator(layer: layer, buckets: buckets, nodes: nodes[...], last: last[...])
    }

    /// Goes through them once.
    public struct Iterator: IteratorProtocol {
        private let layer: OverlayLayer
        private let buckets: Set<Int>
        private var index = 0
        private var nodes: ArraySlice<UInt64>
        private var last: ArraySlice<KeyValueWrite>

        fileprivate init(
            layer: OverlayLayer, buckets: Set<Int>, nodes: ArraySlice<UInt64>, last: ArraySlice<KeyValueWrite>
        ) {
            (self.layer, self.buckets, self.nodes, self.last) = (layer, buckets, nodes, last)
        }

        /// Makes the bytes of one.
        public mutating func next() -> KeyValueWrite? {
            while index < layer.count {
                defer { index += 1 }
                if buckets.isEmpty || !buckets.contains(StateKey.bucket(layer.key(at: index))) {
                    return layer.write(at: index)
                }
            }
            if let id = nodes.popFirst() { return layer.write(ofNode: id) }
            return last.popFirst()
        }
    }
}
