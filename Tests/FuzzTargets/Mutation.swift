import Randomness

/// Changes an input so that it stays nearly right: counts and lengths go with what they count, and words of the format
/// come in whole. libFuzzer's own changes seldom do that.
package struct Mutation: Sendable {
    private var random: SplitMix64
    private let words: [[UInt8]]
    private let maxLength: Int

    /// The same seed makes the same changes.
    package init(seed: UInt64, target: FuzzTarget, maxLength: Int? = nil) {
        random = SplitMix64(seed: seed)
        words = target.words.map { Array($0.utf8) }
        self.maxLength = maxLength ?? target.maxLength
    }

    /// - Parameter other: another input, of which pieces may be taken.
    package mutating func change(_ input: [UInt8], with other: [UInt8] = []) -> [UInt8] {
        var bytes = input
        for _ in 0..<1 + random.below(3) { step(&bytes, other) }
        return Array(bytes.prefix(maxLength))
    }

    private mutating func step(_ bytes: inout [UInt8], _ other: [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = other.isEmpty ? [UInt8(truncatingIfNeeded: random.next())] : other
            return
        }
        let place = random.below(bytes.count)
        switch random.below(12) {
        case 0: bytes[place] ^= 1 << UInt8(random.below(8))
        case 1: bytes[place] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x20, 0x30][random.below(8)]
        case 2: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(16)))
        case 4:
            let piece = piece(of: random.below(2) == 0 && !other.isEmpty ? other : bytes)
            bytes.insert(contentsOf: piece, at: place)
        case 5:
            let piece = piece(of: random.below(2) == 0 && !other.isEmpty ? other : bytes).prefix(bytes.count - place)
            bytes.replaceSubrange(place..<place + piece.count, with: piece)
        case 6: number(&bytes, at: place)
        case 7, 8: counted(&bytes)
        case 9: digits(&bytes, from: place)
        case 10 where !other.isEmpty: bytes = Array(bytes[..<place]) + other.suffix(random.below(other.count + 1))
        default:
            guard !words.isEmpty else { return bytes[place] = bytes[place] &+ 1 }
            bytes.insert(contentsOf: words[random.below(words.count)], at: place)
        }
    }

    private mutating func piece(of bytes: [UInt8]) -> ArraySlice<UInt8> {
        let start = random.below(bytes.count)
        return bytes[start..<min(bytes.count, start + 1 + random.below(64))]
    }

    /// A number of 2, 4, 8 or 16 bytes near a bound.
    private mutating func number(_ bytes: inout [UInt8], at place: Int) {
        let size = min(bytes.count - place, [2, 4, 8, 16][random.below(4)])
        let fill: UInt8 = random.below(2) == 0 ? 0 : 0xff
        for i in 0..<size { bytes[place + i] = fill }
        if random.below(2) == 0 { bytes[place] = fill ^ UInt8(random.below(4)) }
        if random.below(4) == 0 { bytes[place + size - 1] ^= 0x80 }
    }

    /// Where four bytes count what follows them, something is put in or taken out there, and they count it.
    private mutating func counted(_ bytes: inout [UInt8]) {
        guard bytes.count >= 5 else { return }
        let start = random.below(bytes.count - 4)
        for place in start..<bytes.count - 4 where bytes[place + 2] == 0 && bytes[place + 3] == 0 {
            let count = Int(bytes[place]) | Int(bytes[place + 1]) << 8
            guard count > 0, count <= bytes.count - place - 4 else { continue }
            let body = place + 4
            let new: Int
            if random.below(2) == 0 {
                let piece = piece(of: bytes)
                bytes.insert(contentsOf: piece, at: body + random.below(count + 1))
                new = count + piece.count
            } else {
                let removed = 1 + random.below(min(count, 16))
                let first = body + random.below(count - removed + 1)
                bytes.removeSubrange(first..<first + removed)
                new = count - removed
            }
            (bytes[place], bytes[place + 1]) = (UInt8(new & 0xff), UInt8(new >> 8 & 0xff))
            return
        }
    }

    /// A number in decimal digits becomes another one.
    private mutating func digits(_ bytes: inout [UInt8], from start: Int) {
        let isDigit: (UInt8) -> Bool = { (48...57).contains($0) }
        guard let first = bytes[start...].firstIndex(where: isDigit) else { return }
        let end = bytes[first...].firstIndex(where: { !isDigit($0) }) ?? bytes.count
        let numbers = ["0", "1", "65535", "4294967296", "9223372036854775807", "18446744073709551615", "1e999", "-1"]
        bytes.replaceSubrange(first..<end, with: Array(numbers[random.below(numbers.count)].utf8))
    }
}
