/// Makes up a value of any type that can be decoded, so that no key that its JSON can have is forgotten: each list has
/// one item, and what is optional is there down to some depth, and not below it.
struct EveryKey: Decoder {
    /// Lists and objects around this one.
    fileprivate let depth: Int
    fileprivate let limit: Int
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    /// - Parameter limit: objects with fewer lists and objects around them have their optional keys; 0 for none.
    static func value<T: Decodable>(_ type: T.Type, optionalsAbove limit: Int) throws -> T {
        try EveryKey(depth: 0, limit: limit).made(type)
    }

    fileprivate var inner: EveryKey { EveryKey(depth: depth + 1, limit: limit) }

    fileprivate func made<T: Decodable>(_ type: T.Type) throws -> T {
        // Any text is a string, but not any is a case.
        if let cases = type as? any CaseIterable.Type, let first = Self.first(of: cases) as? T { return first }
        return try T(from: self)
    }

    private static func first<T: CaseIterable>(of type: T.Type) -> Any? { type.allCases.first }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(Keyed(decoder: self))
    }
    func unkeyedContainer() -> any UnkeyedDecodingContainer { List(decoder: self) }
    func singleValueContainer() -> any SingleValueDecodingContainer { Single(decoder: self) }
}

private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: EveryKey
    let codingPath: [any CodingKey] = []
    /// Only a dictionary asks for them.
    var allKeys: [Key] { Key(stringValue: "some").map { [$0] } ?? [] }

    func contains(_ key: Key) -> Bool { decoder.depth < decoder.limit }
    func decodeNil(forKey key: Key) -> Bool { false }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try decoder.inner.made(type) }
    func nestedContainer<Other: CodingKey>(keyedBy type: Other.Type, forKey key: Key) -> KeyedDecodingContainer<Other> {
        decoder.inner.container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedDecodingContainer { decoder.inner.unkeyedContainer() }
    func superDecoder() -> any Decoder { decoder.inner }
    func superDecoder(forKey key: Key) -> any Decoder { decoder.inner }
}

private struct List: UnkeyedDecodingContainer {
    let decoder: EveryKey
    let codingPath: [any CodingKey] = []
    let count: Int? = 1
    private(set) var currentIndex = 0
    var isAtEnd: Bool { currentIndex == count }

    init(decoder: EveryKey) { self.decoder = decoder }

    func decodeNil() -> Bool { false }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        currentIndex += 1
        return try decoder.inner.made(type)
    }
    func nestedContainer<Other: CodingKey>(keyedBy type: Other.Type) -> KeyedDecodingContainer<Other> {
        decoder.inner.container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedDecodingContainer { decoder.inner.unkeyedContainer() }
    func superDecoder() -> any Decoder { decoder.inner }
}

private struct Single: SingleValueDecodingContainer {
    struct Unknown: Error { let type: String }

    let decoder: EveryKey
    let codingPath: [any CodingKey] = []

    func decodeNil() -> Bool { false }
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let known: Any? =
            switch type {
            case is Bool.Type: true
            case is String.Type: "some"
            case is Double.Type: 1.0
            case let number as any FixedWidthInteger.Type: number.init(1)
            default: nil
            }
        guard let value = known as? T else { throw Unknown(type: "\(type)") }
        return value
    }
}
