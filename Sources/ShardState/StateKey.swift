import Messages

/// Keys of the state: bucket (UInt16, big-endian) ‖ place in it (UInt32, big-endian) ‖ kind ‖ logical key.
///
/// Buckets are what state transfer fetches, and a range of keys is a range of buckets. What belongs to a shard because
/// of its identifier (accounts, procedures' values) is placed by the very hash that `ShardMap` places it by: where it
/// lies among the shard's identifiers. So a range of identifiers is a range of buckets with nothing else in them, and
/// can go to another shard as a whole. Records of requests, which stay where they were made, have other buckets, and
/// what hosts still have to push (R10, R13) has some of its own, so that a start finds it without reading the rest.
enum StateKey {
    enum Kind: UInt8 {
        /// AccountID → `AccountRecord`
        case account = 0x41
        /// request digest → `SignedRequest`, while hosts may have to push it (R10)
        case body = 0x42
        /// digest of a root call → `CallRecord`
        case call = 0x43
        /// AssetID → UInt128 issued on this shard
        case issued = 0x49
        /// PublicKey → `PrincipalRecord`
        case principal = 0x50
        /// (PublicKey, RequestNumber) → `RequestRecord`
        case request = 0x52
        /// key → value, of procedures
        case value = 0x56
    }

    static let bucketBits = 12
    static let bucketCount = 1 << bucketBits
    /// By identifier.
    static let placedBuckets = 0..<2048
    /// Of what was requested here.
    static let recordBuckets = 2048..<3584
    /// Of what other shards may have to be told.
    static let openBuckets = 3584..<4096
    static let prefixLength = 7

    static func account(_ id: AccountID, in map: ShardMap) -> EntryKey<AccountRecord> {
        EntryKey(
            key(
                .account, bigEndian(id.number), placedBuckets, map.position(of: id),
                UInt32(truncatingIfNeeded: id.number >> 32)))
    }
    static func value(_ name: [UInt8], in map: ShardMap) -> [UInt8] {
        let own = Hasher256.hash(.stateKey, name).value.bytes
        return key(
            .value, name, placedBuckets, map.position(ofKey: name), own[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        )
    }
    static func body(_ digest: Digest) -> EntryKey<SignedRequest> {
        EntryKey(key(.body, digest.bytes, openBuckets, hash: digest.bytes))
    }
    static func call(_ digest: Digest) -> EntryKey<CallRecord> {
        EntryKey(key(.call, digest.bytes, openBuckets, hash: digest.bytes))
    }
    static func issued(_ asset: AssetID) -> EntryKey<Amount> { EntryKey(hashed(.issued, bigEndian(asset.number))) }
    static func principal(_ principal: PublicKey) -> EntryKey<PrincipalRecord> {
        EntryKey(key(.principal, principal.bytes, recordBuckets, hash: principal.bytes))
    }
    static func request(_ principal: PublicKey, _ number: RequestNumber) -> EntryKey<RequestRecord> {
        EntryKey(hashed(.request, principal.bytes + bigEndian(number.number)))
    }

    static func kind(of key: [UInt8]) -> Kind? {
        key.count > prefixLength ? Kind(rawValue: key[prefixLength - 1]) : nil
    }

    /// The bucket and the place that the key's prefix names; nil if they are not the ones that belong to the rest of
    /// the key.
    static func bucket(of key: [UInt8], in map: ShardMap) -> Int? {
        guard let kind = kind(of: key) else { return nil }
        let right: [UInt8]? =
            switch kind {
            case .account: decodeAccount(key).map { account($0, in: map).bytes }
            case .body: decodeBody(key).map { body($0).bytes }
            case .call: decodeBody(key).map { call($0).bytes }
            case .issued: decodeIssued(key).map { issued($0).bytes }
            case .principal: decodePrincipal(key).map { principal($0).bytes }
            case .request: decodeRequest(key).map { request($0, $1).bytes }
            case .value: value(Array(key[prefixLength...]), in: map)
            }
        return right == key ? bucket(key) : nil
    }

    /// Of what a broken disk has for a key: that of a key which ends with zeros.
    static func bucket(_ key: [UInt8]) -> Int {
        key.count > 1 ? Int(key[0]) << 8 | Int(key[1]) : Int(key.first ?? 0) << 8
    }

    /// First bytes of every key of a bucket; the first key of no bucket is `lowerBound(bucketCount)`.
    static func lowerBound(_ bucket: Int) -> [UInt8] { [UInt8(bucket >> 8), UInt8(bucket & 0xff)] }

    /// The order of locks on a shard that procedures see (R5): accounts before keys, each by their bytes; places do not
    /// count.
    static func isLockedBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.dropFirst(prefixLength - 1).lexicographicallyPrecedes(b.dropFirst(prefixLength - 1))
    }

    static func decodeAccount(_ key: [UInt8]) -> AccountID? {
        guard key.count == prefixLength + 16 else { return nil }
        return AccountID(key[prefixLength...].reduce(UInt128(0)) { $0 << 8 | UInt128($1) })
    }

    static func decodeIssued(_ key: [UInt8]) -> AssetID? {
        guard key.count == prefixLength + 4 else { return nil }
        return AssetID(key[prefixLength...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }

    static func decodeBody(_ key: [UInt8]) -> Digest? { Digest(bytes: key.dropFirst(prefixLength)) }
    static func decodePrincipal(_ key: [UInt8]) -> PublicKey? { PublicKey(bytes: key.dropFirst(prefixLength)) }

    static func decodeRequest(_ key: [UInt8]) -> (PublicKey, RequestNumber)? {
        guard key.count == prefixLength + 40, let principal = PublicKey(bytes: key[prefixLength..<prefixLength + 32])
        else { return nil }
        return (principal, RequestNumber(key[(prefixLength + 32)...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }))
    }

    /// - Parameters:
    ///   - position: where it is among all that may be in `buckets`.
    ///   - place: where in its bucket.
    private static func key(
        _ kind: Kind, _ logical: [UInt8], _ buckets: Range<Int>, _ position: UInt64, _ place: UInt32
    ) -> [UInt8] {
        let bucket = buckets.lowerBound + Int(position.multipliedFullWidth(by: UInt64(buckets.count)).high)
        var key: [UInt8] = []
        key.reserveCapacity(prefixLength + logical.count)
        key.append(UInt8(bucket >> 8))
        key.append(UInt8(bucket & 0xff))
        key += bigEndian(place)
        key.append(kind.rawValue)
        key += logical
        return key
    }

    /// - Parameter hash: at least twelve bytes that nobody can choose.
    private static func key(_ kind: Kind, _ logical: [UInt8], _ buckets: Range<Int>, hash: [UInt8]) -> [UInt8] {
        let position = hash[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return key(kind, logical, buckets, position, hash[8..<12].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }

    /// Numbers are chosen by whoever signs: a hash keeps them from being chosen so that they all meet in one place.
    private static func hashed(_ kind: Kind, _ logical: [UInt8]) -> [UInt8] {
        key(kind, logical, recordBuckets, hash: Hasher256.hash(.stateKey, logical).bytes)
    }

    private static func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
