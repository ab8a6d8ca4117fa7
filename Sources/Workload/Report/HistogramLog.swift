import CZlib
import Foundation
import Histogram

/// A histogram as HdrHistogram's tools exchange it: the format V2, compressed, in base64. Written after the layout that
/// `org.HdrHistogram.Histogram` documents (HdrHistogram 2.1): big-endian header, then counts by index as zigzag LEB128,
/// where a number below zero stands for so many zeros.
enum HistogramLog {
    /// Nil if zlib has no memory.
    static func encoded(_ histogram: Histogram<UInt64>) -> String? {
        let payload = counts(histogram)
        var bytes: [UInt8] = []
        append(UInt32(0x1c84_9313), to: &bytes)
        append(UInt32(payload.count), to: &bytes)
        // No index is shifted.
        append(UInt32(0), to: &bytes)
        append(UInt32(UInt8(bitPattern: histogram.numberOfSignificantValueDigits.rawValue)), to: &bytes)
        append(histogram.lowestDiscernibleValue, to: &bytes)
        append(histogram.highestTrackableValue, to: &bytes)
        append((1.0 as Double).bitPattern, to: &bytes)
        bytes += payload
        guard let packed = deflated(bytes) else { return nil }
        var out: [UInt8] = []
        append(UInt32(0x1c84_9314), to: &out)
        append(UInt32(packed.count), to: &out)
        return Data(out + packed).base64EncodedString()
    }

    /// Up to the last index that was counted.
    private static func counts(_ histogram: Histogram<UInt64>) -> [UInt8] {
        let digits = histogram.numberOfSignificantValueDigits.rawValue
        // As many as tell values apart up to twice the smallest that has so many digits, a power of two.
        let wanted = (0..<Int(digits)).reduce(2) { result, _ in result * 10 }
        let bits = Int.bitWidth - (wanted - 1).leadingZeroBitCount
        let half = 1 << (bits - 1)
        let unit = 63 - max(1, histogram.lowestDiscernibleValue).leadingZeroBitCount
        let mask = UInt64((1 << bits) - 1) << UInt64(unit)
        func index(_ value: UInt64) -> Int {
            let bucket = 64 - (value | mask).leadingZeroBitCount - unit - bits
            return (bucket + 1) << (bits - 1) + Int(value >> UInt64(bucket + unit)) - half
        }
        var out: [UInt8] = []
        var next = 0
        for step in histogram.recordedValues() where step.count > 0 {
            let place = index(step.value)
            if place > next { append(zigzag: Int64(next - place), to: &out) }
            append(zigzag: Int64(clamping: step.count), to: &out)
            next = place + 1
        }
        return out
    }

    private static func append(zigzag value: Int64, to bytes: inout [UInt8]) {
        var left = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        // Eight times seven bits, then all that is left.
        for _ in 0..<8 {
            guard left > 0x7f else { break }
            bytes.append(UInt8(truncatingIfNeeded: left) | 0x80)
            left >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: left))
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func deflated(_ bytes: [UInt8]) -> [UInt8]? {
        var size = compressBound(uLong(bytes.count))
        var out = [UInt8](repeating: 0, count: Int(size))
        guard compress2(&out, &size, bytes, uLong(bytes.count), 9) == Z_OK else { return nil }
        return Array(out.prefix(Int(size)))
    }
}

extension BenchReport {
    /// The latencies of all runs as HdrHistogram's tools read a log: a line a run and kind, each with a tag; values are
    /// microseconds. Runs of reports from before there were logs are left out.
    public func histogramLog() -> String {
        var out = "#[Quorate \(made?.version ?? "")]\n#[Histogram log format version 1.3]\n#[Values are microseconds]\n"
        out += "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        for (tag, run, latency) in taggedLatencies {
            guard let hdr = latency.hdr else { continue }
            out +=
                "Tag=\(tag),\(decimal(run.setup.warmup_s, 3)),\(decimal(run.elapsed_s, 3)),\(decimal(Double(latency.max_us), 3)),\(hdr)\n"
        }
        return out
    }

    /// Distributions by percentile, as HdrHistogram's plotter reads them, by the name of the file. Milliseconds.
    public func percentileFiles() -> [(name: String, text: String)] {
        taggedLatencies.map { ("latency-\($0.tag).hgrm", $0.latency.percentileText()) }
    }

    /// `4-shards-10-cross-intra`: each once.
    private var taggedLatencies: [(tag: String, run: RunResult, latency: RunResult.Latency)] {
        var used: [String: Int] = [:]
        return runs.flatMap { run -> [(String, RunResult, RunResult.Latency)] in
            var tag = "\(run.shards)-shards" + (run.setup.cross_shard_percent.map { "-\($0)-cross" } ?? "")
            used[tag, default: 0] += 1
            if let number = used[tag], number > 1 { tag += "-run-\(number)" }
            return [("\(tag)-intra", run, run.intra), ("\(tag)-cross", run, run.cross)].filter { $0.2.count > 0 }
        }
    }
}

extension RunResult.Latency {
    /// Columns of the field's usual text format.
    func percentileText() -> String {
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        var out =
            padded("Value", 12) + padded("Percentile", 15) + padded("TotalCount", 11) + padded("1/(1-Percentile)", 17)
        out += "\n\n"
        for point in curve {
            let share = point.percentile / 100
            let below = point.count ?? UInt64((share * Double(count)).rounded(.up))
            out +=
                padded(decimal(Double(point.us) / 1000, 3), 12) + padded(decimal(share, 12), 15)
                + padded("\(below)", 11)
            if share < 1 { out += padded(decimal(1 / (1 - share), 2), 15) }
            out += "\n"
        }
        out +=
            "#[Mean    = \(padded(decimal(mean_us / 1000, 3), 12)), StdDeviation   = \(padded(decimal((stddev_us ?? 0) / 1000, 3), 12))]\n"
        out +=
            "#[Max     = \(padded(decimal(Double(max_us) / 1000, 3), 12)), Total count    = \(padded("\(count)", 12))]\n"
        return out
    }
}
