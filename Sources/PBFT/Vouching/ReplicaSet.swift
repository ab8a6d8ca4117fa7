import Messages

/// Some members of a group: a bit for each, of at most 64.
package struct ReplicaSet: Hashable, Sendable {
    private var bits: UInt64 = 0

    package init(_ replicas: some Sequence<ReplicaIndex> = []) { for replica in replicas { insert(replica) } }

    package var isEmpty: Bool { bits == 0 }
    package var count: Int { bits.nonzeroBitCount }
    package func contains(_ replica: ReplicaIndex) -> Bool { bits >> UInt64(replica.index) & 1 == 1 }
    package mutating func insert(_ replica: ReplicaIndex) { bits |= 1 << UInt64(replica.index) }
    package mutating func formUnion(_ others: Self) { bits |= others.bits }
    package mutating func formIntersection(_ others: Self) { bits &= others.bits }
    package mutating func subtract(_ others: Self) { bits &= ~others.bits }
    package func subtracting(_ others: Self) -> Self {
        var left = self
        left.subtract(others)
        return left
    }
    package func intersects(_ others: Self) -> Bool { bits & others.bits != 0 }
}
