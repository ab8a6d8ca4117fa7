import Messages

/// The text format in which Prometheus reads metrics, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/).
public enum PrometheusText {
    /// Of an answer that holds it.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// By name, each with what the table says of it. Of two points with one name and the same labels the first counts:
    /// Prometheus would refuse the whole answer.
    public static func text(_ points: [MetricPoint], table: [MetricDefinition] = MetricTable.all) -> String {
        let definitions = Dictionary(table.map { ($0.name, $0) }) { first, _ in first }
        var families: [String: [MetricPoint]] = [:]
        var seen: Set<Series> = []
        for point in points where seen.insert(Series(name: point.name, labels: point.labels)).inserted {
            families[point.name, default: []].append(point)
        }
        var text = ""
        for (name, points) in families.sorted(by: { $0.key < $1.key }) {
            if let definition = definitions[name] {
                text += "# HELP \(name) \(escaped(definition.meaning, isQuoted: false))\n"
                text += "# TYPE \(name) \(definition.kind.word)\n"
            } else {
                text += "# TYPE \(name) untyped\n"
            }
            for point in points { append(point, to: &text) }
        }
        return text
    }

    private struct Series: Hashable {
        let name: String
        let labels: [MetricLabel]
    }

    private static func append(_ point: MetricPoint, to text: inout String) {
        let name = point.name
        switch point.value {
        case .whole(let number): line(name, point.labels, "\(number)", to: &text)
        case .real(let number): line(name, point.labels, Self.number(number), to: &text)
        case .distribution(let counts):
            for bucket in counts.buckets {
                let bound = MetricLabel(name: "le", value: number(bucket.upperBound))
                line(name + "_bucket", point.labels + [bound], "\(bucket.count)", to: &text)
            }
            let all = MetricLabel(name: "le", value: "+Inf")
            line(name + "_bucket", point.labels + [all], "\(counts.count)", to: &text)
            line(name + "_sum", point.labels, number(counts.sum), to: &text)
            line(name + "_count", point.labels, "\(counts.count)", to: &text)
        }
    }

    private static func line(_ name: String, _ labels: [MetricLabel], _ value: String, to text: inout String) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(escaped($0.value, isQuoted: true))\"" }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// As Go reads numbers.
    private static func number(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: number) { return "\(whole)" }
        return "\(number)"
    }

    private static func escaped(_ text: String, isQuoted: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where isQuoted: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
