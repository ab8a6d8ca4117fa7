import Randomness
/// What becomes of a file, by chance.
public enum FileDamage {
    /// - Returns: the bytes, and in words what is different; perhaps nothing is.
    public static func damage(_ whole: [UInt8], using rng: inout SplitMix64) -> (bytes: [UInt8], what: String) {
        var bytes = whole
        let pages = max(1, bytes.count / 4096)
        func below(_ bound: Int, _ rng: inout SplitMix64) -> Int { Int(rng.below(UInt64(max(1, bound)))) }
        func range(_ page: Int) -> Range<Int> { page * 4096..<min(bytes.count, (page + 1) * 4096) }
        switch rng.below(12) {
        case 0, 1, 2:
            let at = below(bytes.count, &rng)
            if at < bytes.count { bytes[at] ^= UInt8(1 + rng.below(255)) }
            return (bytes, "another byte \(at)")
        case 3, 4:
            // Where LMDB's numbers are.
            let at = min(bytes.count - 1, below(pages, &rng) * 4096 + below(160, &rng))
            if at >= 0 { bytes[at] ^= 1 << UInt8(rng.below(8)) }
            return (bytes, "another bit of byte \(at)")
        case 5:
            for _ in 0..<32 where !bytes.isEmpty { bytes[below(bytes.count, &rng)] = UInt8(rng.below(256)) }
            return (bytes, "32 other bytes")
        case 6:
            let length = below(bytes.count + 1, &rng)
            return (Array(bytes.prefix(length)), "\(length) bytes left")
        case 7:
            let length = below(pages + 1, &rng)
            return (Array(bytes.prefix(length * 4096)), "\(length) pages left")
        case 8:
            let page = below(pages, &rng)
            for i in range(page) { bytes[i] = 0 }
            return (bytes, "no byte in page \(page)")
        case 9:
            let page = below(pages, &rng)
            for i in range(page) { bytes[i] = UInt8(rng.below(256)) }
            return (bytes, "rubbish in page \(page)")
        case 10:
            let (one, other) = (below(pages, &rng), below(pages, &rng))
            guard range(one).count == range(other).count else { return ([], "nothing left") }
            let (first, second) = (Array(bytes[range(one)]), Array(bytes[range(other)]))
            bytes.replaceSubrange(range(one), with: second)
            if rng.below(2) == 0 { bytes.replaceSubrange(range(other), with: first) }
            return (bytes, "page \(other) in place of \(one)")
        default:
            return (bytes + (0..<1 + below(20_000, &rng)).map { _ in UInt8(rng.below(256)) }, "more at its end")
        }
    }
}
