/// A result of a procedure, as JSON has it. Of 128 bits as decimal text, as everywhere.
indirect enum CallValue: Encodable, Sendable {
    case number(UInt64)
    case text(String)
    case list([CallValue])
    case object([String: CallValue])
    case nothing

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        case .list(let values): try container.encode(values)
        case .object(let fields): try container.encode(fields)
        case .nothing: try container.encodeNil()
        }
    }
}
