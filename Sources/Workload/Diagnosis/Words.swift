import Foundation

/// Pieces of sentences.
enum Words {
    /// `0`, `0 and 1`, `0, 1 and 2`
    static func list(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " and " + last
    }

    /// `shard 0`, `shards 0 and 1`
    static func shards(_ numbers: [Int]) -> String {
        "\(numbers.count == 1 ? "shard" : "shards") \(list(numbers.map(String.init)))"
    }

    static func hosts(_ numbers: [Int]) -> String {
        "\(numbers.count == 1 ? "host" : "hosts") \(list(numbers.map(String.init)))"
    }

    /// `850 MiB`, `3.2 GiB`
    static func bytes(_ bytes: UInt64) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var (value, unit) = (Double(bytes), 0)
        while value >= 1024, unit + 1 < units.count { (value, unit) = (value / 1024, unit + 1) }
        let rounded = value >= 100 || unit == 0 ? "\(Int(value))" : "\((value * 10).rounded(.down) / 10)"
        return "\(rounded) \(units[unit])"
    }

    /// `2.5 s`, `90 s`, `12 min`, `3 h`, `5 days`
    static func time(_ seconds: Double) -> String {
        switch seconds {
        case ..<10: "\((seconds * 10).rounded() / 10) s"
        case ..<120: "\(Int(seconds)) s"
        case ..<7200: "\(Int(seconds / 60)) min"
        case ..<172_800: "\(Int(seconds / 3600)) h"
        default: "\(Int(seconds / 86_400)) days"
        }
    }
}
