extension WebProblem {
    /// One object. No encoder of the system's is needed for four fields.
    package var json: [UInt8] {
        let fields = [("type", type), ("title", title), ("detail", detail)].map { "\"\($0)\":\"\(Self.escape($1))\"" }
        return Array("{\(fields.joined(separator: ",")),\"status\":\(status)}\n".utf8)
    }

    private static func escape(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { out, scalar in
            switch scalar {
            case "\"", "\\": out += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
    }
}
