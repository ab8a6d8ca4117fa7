/// Where things are in an array, by their hashes. A dictionary with the same keys takes some times as long: it hashes so
/// that even who knows the hashes finds no two that meet, and compares keys that cannot be equal. Nothing is taken out
/// again, and no order comes of it.
package struct PlaceIndex {
    /// Places, counted from 1, beside the upper half of the hash; 0 is free. Twice as many as are held at least.
    private var words: [UInt64] = []
    private var count = 0

    package init(capacity: Int = 0) {
        if capacity > 0 { words = Self.free(for: capacity) }
    }

    private static func free(for count: Int) -> [UInt64] {
        var size = 128
        while size < 2 * count { size *= 2 }
        return Array(repeating: 0, count: size)
    }

    /// The place with this hash that `matches`.
    @inline(__always)
    package func place(_ hash: UInt64, _ matches: (Int) -> Bool) -> Int? {
        guard !words.isEmpty else { return nil }
        let mask = words.count - 1
        var at = Int(truncatingIfNeeded: hash) & mask
        while words[at] != 0 {
            if words[at] >> 32 == hash >> 32 {
                let place = Int(truncatingIfNeeded: words[at] & 0xffff_ffff) - 1
                if matches(place) { return place }
            }
            at = (at + 1) & mask
        }
        return nil
    }

    /// What is where the hash points; mostly what has it, if there is such a thing.
    @inline(__always)
    package func first(_ hash: UInt64) -> Int? {
        let place = Int(truncatingIfNeeded: words[Int(truncatingIfNeeded: hash) & (words.count - 1)] & 0xffff_ffff)
        return place > 0 ? place - 1 : nil
    }

    /// - Parameters:
    ///   - place: it follows the one before, and is not held yet.
    ///   - hash: of each place from 0 to this one.
    package mutating func insert(_ place: Int, _ hash: (Int) -> UInt64) {
        count += 1
        if 2 * count > words.count {
            words = Self.free(for: max(64, 2 * count))
            for other in 0..<place { put(other, hash(other)) }
        }
        put(place, hash(place))
    }

    private mutating func put(_ place: Int, _ hash: UInt64) {
        let mask = words.count - 1
        var at = Int(truncatingIfNeeded: hash) & mask
        while words[at] != 0 { at = (at + 1) & mask }
        words[at] = (hash & ~0xffff_ffff) | UInt64(place + 1)
    }

    /// Of this process, so that nobody can choose keys that all meet in one place.
    private static let secret: (low: UInt64, high: UInt64) = {
        func word(_ number: Int) -> UInt64 {
            var hasher = Hasher()
            hasher.combine(number)
            return UInt64(bitPattern: Int64(hasher.finalize()))
        }
        return (word(1), word(2))
    }()

    /// Of 16 bytes.
    package static func hash(_ low: UInt64, _ high: UInt64) -> UInt64 {
        let (low, high) = (low ^ secret.low, high ^ secret.high)
        let product = low.multipliedFullWidth(by: high | 1)
        let mixed = (product.high ^ product.low ^ high) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ mixed >> 29
    }

    /// Of any bytes, sixteen at a time; the last sixteen may have been read before.
    package static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { bytes in
            func word(_ at: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
            guard bytes.count >= 16 else {
                var padded = (UInt64(0), UInt64(0))
                withUnsafeMutableBytes(of: &padded) { $0.copyMemory(from: bytes) }
                return hash(padded.0, padded.1 ^ UInt64(bytes.count) << 56)
            }
            var result = UInt64(bytes.count)
            var at = 0
            while at + 16 < bytes.count {
                result = hash(word(at) ^ result, word(at + 8))
                at += 16
            }
            return hash(word(bytes.count - 16) ^ result, word(bytes.count - 8))
        }
    }
}
