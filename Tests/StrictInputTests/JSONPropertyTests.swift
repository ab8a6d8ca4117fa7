import Randomness
import Foundation
import StrictInput
import Testing

/// A value, and how somebody may have written it.
private indirect enum Sample {
    case object([(String, Sample)])
    case array([Sample])
    case string(String)
    case number(String)
    case word(String)

    static func make(_ random: inout SplitMix64, depth: Int = 0) -> Sample {
        switch random.below(depth < 4 ? 8 : 5) {
        case 0: return .word(["true", "false", "null"][random.below(3)])
        case 1, 2:
            return .number(["0", "-1", "18446744073709551615", "1.50", "-0.0e-7", "\(random.next())"][random.below(6)])
        case 3, 4: return .string(text(&random))
        case 5: return .array((0..<random.below(5)).map { _ in make(&random, depth: depth + 1) })
        default:
            var keys: [String] = []
            for _ in 0..<random.below(5) {
                let key = text(&random)
                if !keys.contains(where: { $0.utf8.elementsEqual(key.utf8) }) { keys.append(key) }
            }
            return .object(keys.map { ($0, make(&random, depth: depth + 1)) })
        }
    }

    static func text(_ random: inout SplitMix64) -> String {
        let scalars: [Unicode.Scalar] = [
            "a", "\"", "\\", "\n", "\u{0}", "\u{e9}", "e", "\u{301}", "\u{202e}", "\u{1d11e}", "\u{ffff}", "/", " ",
            "\u{7f}",
        ]
        return String(String.UnicodeScalarView((0..<random.below(6)).map { _ in scalars[random.below(scalars.count)] }))
    }

    func write(_ random: inout SplitMix64) -> String {
        func space() -> String {
            String(repeating: " \n\t\r".randomElement(using: &random) ?? " ", count: random.below(2))
        }
        switch self {
        case .word(let text), .number(let text): return text
        case .string(let text): return Self.quote(text, &random)
        case .array(let values):
            var parts: [String] = []
            for value in values { parts.append(space() + value.write(&random) + space()) }
            return "[" + (parts.isEmpty ? space() : parts.joined(separator: ",")) + "]"
        case .object(let members):
            var parts: [String] = []
            for (key, value) in members {
                parts.append(
                    space() + Self.quote(key, &random) + space() + ":" + space() + value.write(&random) + space())
            }
            return "{" + (parts.isEmpty ? space() : parts.joined(separator: ",")) + "}"
        }
    }

    private static func quote(_ text: String, _ random: inout SplitMix64) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" || scalar.value < 0x20 || random.below(4) == 0 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: random.below(2) == 0)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

struct JSONPropertyTests {
    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func `a value is the same however it is written`(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let sample = Sample.make(&random)
        let (first, second) = (sample.write(&random), sample.write(&random))
        try JSONReader(Array(first.utf8), file: "seed \(seed)").expect(
            JSONReader(Array(second.utf8), file: "seed \(seed)"))
    }

    private static let signs = Array("{}[],:\"\\u0eE+-.\u{0}".utf8)

    /// Whatever is done to a document: nothing crashes, and what is still read is read alike by Foundation, which takes
    /// more.
    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func `a damaged document is refused or is JSON to others too`(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed &* 7919)
        let bytes = Array(Sample.make(&random).write(&random).utf8)
        let others = Array(Sample.make(&random).write(&random).utf8)
        for _ in 0..<60 {
            var damaged = bytes
            for _ in 0...random.below(2) {
                let at = random.below(damaged.count + 1)
                switch random.below(6) {
                case 0: damaged = Array(damaged[..<at])
                case 1: if at < damaged.count { damaged[at] ^= 1 << UInt8(random.below(8)) }
                case 2: damaged.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                case 3: if at < damaged.count { damaged.remove(at: at) }
                case 4: damaged.insert(contentsOf: others, at: at)
                default: damaged.insert(Self.signs[random.below(Self.signs.count)], at: at)
                }
            }
            guard let read = try? JSONReader(damaged, file: "f") else { continue }
            let text = String(decoding: damaged, as: UTF8.self)
            do {
                _ = try JSONSerialization.jsonObject(with: Data(damaged), options: .fragmentsAllowed)
            } catch {
                // 1e999 is JSON, and no number of Foundation's.
                #expect("\(error)".contains("is not representable"), "seed \(seed): \(text.debugDescription): \(error)")
            }
            #expect(throws: Never.self, "seed \(seed)") { try read.expect(read) }
        }
    }
}
