import Foundation

/// Any JSON as names and values: `load.committed` and `1234`.
indirect enum FlatJSON: Decodable {
    case value(String)
    case list([FlatJSON])
    case object([String: FlatJSON])

    init(from decoder: any Decoder) throws {
        if let object = try? [String: FlatJSON](from: decoder) {
            self = .object(object)
        } else if let list = try? [FlatJSON](from: decoder) {
            self = .list(list)
        } else {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .value("")
            } else if let flag = try? container.decode(Bool.self) {
                self = .value("\(flag)")
            } else if let number = try? container.decode(Int64.self) {
                self = .value("\(number)")
            } else if let number = try? container.decode(UInt64.self) {
                self = .value("\(number)")
            } else if let number = try? container.decode(Double.self) {
                self = .value("\(number)")
            } else {
                self = .value(try container.decode(String.self))
            }
        }
    }

    /// Of what can be written as JSON.
    init(of value: some Encodable) throws {
        self = try JSONDecoder().decode(FlatJSON.self, from: JSONEncoder().encode(value))
    }

    /// In the order of their names, lists in theirs.
    func members(name: String = "") -> [(name: String, value: String)] {
        func child(_ part: String) -> String { name.isEmpty ? part : "\(name).\(part)" }
        return switch self {
        case .value(let text): [(name, text)]
        case .list(let values): values.enumerated().flatMap { $1.members(name: child("\($0)")) }
        case .object(let members): members.sorted { $0.key < $1.key }.flatMap { $1.members(name: child($0)) }
        }
    }
}
