/// What a number is about, beside its name: `reason` and `queue_full`, for example.
public struct MetricLabel: Hashable, Sendable, CanonicalCodable {
    /// What it distinguishes.
    public let name: String
    /// Which of them this is.
    public let value: String

    static let maxBytes = 128

    /// What is longer than 128 bytes of UTF-8 is refused by who decodes it.
    public init(name: String, value: String) { (self.name, self.value) = (name, value) }
    /// Refuses texts above 128 bytes, or that are not UTF-8.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (name, value) = (try Self.text(from: &reader), try Self.text(from: &reader))
    }
    /// Both as counted UTF-8.
    public func encode(into writer: inout ByteWriter) {
        writer.put(blob: Array(name.utf8))
        writer.put(blob: Array(value.utf8))
    }

    static func text(from reader: inout ByteReader) throws(DecodingFailure) -> String {
        guard let text = String(validating: try reader.blob(limit: maxBytes), as: UTF8.self) else {
            throw reader.invalid("text")
        }
        return text
    }
}

/// A number that a process counts of itself, as Prometheus names them: what ends in `_total` was counted since the
/// process started, what ends in `_max` is the largest that it ever was. Nobody checks it.
public struct MetricSample: Hashable, Sendable, CanonicalCodable {
    /// With its unit, where that is not a count: `quorate_sent_bytes_total`.
    public let name: String
    /// What tells it from others of the same name.
    public let labels: [MetricLabel]
    /// In what the name says.
    public let value: UInt64

    /// Of one process at most.
    public static let maximum = 4096
    private static let maxLabels = 8

    /// - Parameter labels: 8 at most, or who decodes it refuses it.
    public init(name: String, labels: [MetricLabel] = [], value: UInt64) {
        (self.name, self.labels, self.value) = (name, labels, value)
    }
    /// Refuses more than 8 labels, and texts above 128 bytes or that are not UTF-8.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (name, labels) = (try MetricLabel.text(from: &reader), try reader.array(limit: Self.maxLabels))
        value = try reader.uint64()
    }
    /// The name as counted UTF-8, the counted labels, eight bytes.
    public func encode(into writer: inout ByteWriter) {
        writer.put(blob: Array(name.utf8))
        writer.put(array: labels)
        writer.put(value)
    }
}
