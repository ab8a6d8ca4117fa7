extension LMDBFileCheck {
    /// A branch or a leaf: a header, offsets of nodes ascending by key, room, and the nodes without gaps.
    struct Page {
        private static let nodeHeader = 8

        struct Node {
            let key: [UInt8]
            /// Of a leaf; 1 is "the value is the number of its first page".
            let flags: UInt16
            /// Of the value, wherever it is.
            let length: Int
            let value: [UInt8]
            /// Of a branch.
            let child: UInt64
        }

        private let bytes: [UInt8]
        private let number: UInt64

        init(_ bytes: [UInt8], number: UInt64) { (self.bytes, self.number) = (bytes, number) }

        func isLeaf() throws(Finding) -> Bool {
            let (own, flags): (UInt64, UInt16) = bytes.withUnsafeBytes { ($0.number(0), $0.number(10)) }
            guard own == number, flags == 1 || flags == 2 else {
                throw Finding(page: number, what: "no page of a tree")
            }
            return flags == 2
        }

        func nodes(isLeaf: Bool) throws(Finding) -> [Node] {
            let (lower, upper): (Int, Int) = bytes.withUnsafeBytes {
                (Int($0.number(12) as UInt16), Int($0.number(14) as UInt16))
            }
            guard lower > LMDBFileCheck.header, lower.isMultiple(of: 2), lower <= upper, upper <= bytes.count else {
                throw Finding(page: number, what: "bounds of its nodes")
            }
            var nodes: [Node] = []
            var places: [(start: Int, size: Int)] = []
            for index in 0..<(lower - LMDBFileCheck.header) / 2 {
                let start = bytes.withUnsafeBytes { Int($0.number(LMDBFileCheck.header + 2 * index) as UInt16) }
                let (node, size) = try node(at: start, from: upper, isLeaf: isLeaf)
                nodes.append(node)
                places.append((start, size))
            }
            var end = upper
            for place in places.sorted(by: { $0.start < $1.start }) {
                guard place.start == end else {
                    throw Finding(page: number, what: "nodes that overlap, or a gap between them")
                }
                end += place.size
            }
            guard end == bytes.count else {
                throw Finding(page: number, what: "nodes that overlap, or a gap between them")
            }
            return nodes
        }

        private func node(at start: Int, from upper: Int, isLeaf: Bool) throws(Finding) -> (Node, size: Int) {
            let outside = Finding(page: number, what: "a node that is not within the page")
            guard start >= upper, start.isMultiple(of: 2), start + Self.nodeHeader <= bytes.count else {
                throw outside
            }
            let (low, high, flags, keySize): (UInt16, UInt16, UInt16, UInt16) = bytes.withUnsafeBytes {
                ($0.number(start), $0.number(start + 2), $0.number(start + 4), $0.number(start + 6))
            }
            let key = start + Self.nodeHeader
            let value = key + Int(keySize)
            let length = Int(low) | Int(high) << 16
            let held = !isLeaf ? 0 : flags & 1 != 0 ? 8 : length
            guard value <= bytes.count, held <= bytes.count - value else { throw outside }
            let node = Node(
                key: Array(bytes[key..<value]), flags: isLeaf ? flags : 0, length: isLeaf ? length : 0,
                value: Array(bytes[value..<value + held]), child: isLeaf ? 0 : UInt64(length) | UInt64(flags) << 32)
            return (node, (Self.nodeHeader + Int(keySize) + held + 1) & ~1)
        }
    }
}

extension UnsafeRawBufferPointer {
    func number<T: FixedWidthInteger>(_ offset: Int) -> T {
        loadUnaligned(fromByteOffset: offset, as: T.self)
    }
    func part(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[offset..<offset + count])
    }
}
