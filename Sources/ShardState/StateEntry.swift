import Messages

/// A record of the state in its own type. Bytes are made of it when it is hashed, written down or sent, and not before.
enum StateEntry: Hashable, Sendable, CanonicalEncodable {
    case account(AccountRecord)
    /// These two are large, and the others would take as much room.
    indirect case body(SignedRequest)
    indirect case call(CallRecord)
    case issued(Amount)
    case principal(PrincipalRecord)
    case request(RequestRecord)
    case value([UInt8])

    /// - Throws: `corruptEntry`
    init(decoding bytes: [UInt8], of key: [UInt8]) throws(ShardStateError) {
        switch StateKey.kind(of: key) {
        case .account: self = .account(try decodeEntry(bytes, of: key))
        case .body: self = .body(try decodeEntry(bytes, of: key))
        case .call: self = .call(try decodeEntry(bytes, of: key))
        case .issued: self = .issued(try decodeEntry(bytes, of: key))
        case .principal: self = .principal(try decodeEntry(bytes, of: key))
        case .request: self = .request(try decodeEntry(bytes, of: key))
        case .value: self = .value(bytes)
        case nil: throw .corruptEntry(key: key, what: "not a key of the state")
        }
    }

    /// As what it is of: the key says which.
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .account(let record): record.encode(into: &writer)
        case .body(let request): request.encode(into: &writer)
        case .call(let record): record.encode(into: &writer)
        case .issued(let amount): amount.encode(into: &writer)
        case .principal(let record): record.encode(into: &writer)
        case .request(let record): record.encode(into: &writer)
        case .value(let bytes): writer.put(raw: bytes)
        }
    }
}

/// What may be under a typed key.
protocol StateRecord: CanonicalDecodable {
    /// Nil if the entry is another kind's.
    init?(_ entry: StateEntry)
    var entry: StateEntry { get }
}

/// A key of the state that says what is under it.
struct EntryKey<Record: StateRecord>: Hashable, Sendable {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

extension AccountRecord: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .account(let record) = entry else { return nil }
        self = record
    }
    var entry: StateEntry { .account(self) }
}

extension SignedRequest: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .body(let request) = entry else { return nil }
        self = request
    }
    var entry: StateEntry { .body(self) }
}

extension CallRecord: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .call(let record) = entry else { return nil }
        self = record
    }
    var entry: StateEntry { .call(self) }
}

extension Amount: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .issued(let amount) = entry else { return nil }
        self = amount
    }
    var entry: StateEntry { .issued(self) }
}

extension PrincipalRecord: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .principal(let record) = entry else { return nil }
        self = record
    }
    var entry: StateEntry { .principal(self) }
}

extension RequestRecord: StateRecord {
    init?(_ entry: StateEntry) {
        guard case .request(let record) = entry else { return nil }
        self = record
    }
    var entry: StateEntry { .request(self) }
}
