import Messages

/// Keys of the state: bucket (UInt16, big-endian) ‖ kind ‖ logical key. The bucket is a hash of the rest, so that a
/// range of keys is a range of buckets, and buckets fill evenly.
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
    static let prefixLength = 3

    static func account(_ id: AccountID) -> [UInt8] { key(.account, bigEndian(id.number)) }
    static func body(_ digest: Digest) -> [UInt8] { key(.body, digest.bytes) }
    static func call(_ digest: Digest) -> [UInt8] { key(.call, digest.bytes) }
    static func value(_ name: [UInt8]) -> [UInt8] { key(.value, name) }
    static func issued(_ asset: AssetID) -> [UInt8] { key(.issued, bigEndian(asset.number)) }
    static func principal(_ principal: PublicKey) -> [UInt8] { key(.principal, principal.bytes) }
    static func request(_ principal: PublicKey, _ number: RequestNumber) -> [UInt8] {
        key(.request, principal.bytes + bigEndian(number.number))
    }

    static func kind(of key: [UInt8]) -> Kind? { key.count > prefixLength ? Kind(rawValue: key[2]) : nil }

    /// The bucket that the key's prefix names; nil if it is not the one that the rest of the key hashes to.
    static func bucket(of key: [UInt8]) -> Int? {
        guard key.count > prefixLength else { return nil }
        let bucket = Int(key[0]) << 8 | Int(key[1])
        return bucket == hash(key[2...]) ? bucket : nil
    }

    /// First bytes of every key of a bucket; the first key of no bucket is `lowerBound(bucketCount)`.
    static func lowerBound(_ bucket: Int) -> [UInt8] { [UInt8(bucket >> 8), UInt8(bucket & 0xff)] }

    /// The order of locks on a shard that procedures see (R5): accounts before keys, each by their bytes; buckets do not count.
    static func isLockedBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.dropFirst(2).lexicographicallyPrecedes(b.dropFirst(2)) }

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
        guard key.count == prefixLength + 40, let principal = PublicKey(bytes: key[prefixLength..<prefixLength + 32]) else { return nil }
        return (principal, RequestNumber(key[(prefixLength + 32)...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }))
    }

    private static func key(_ kind: Kind, _ logical: [UInt8]) -> [UInt8] {
        var key: [UInt8] = [0, 0, kind.rawValue]
        key.reserveCapacity(prefixLength + logical.count)
        key += logical
        let bucket = hash(key[2...])
        key[0] = UInt8(bucket >> 8)
        key[1] = UInt8(bucket & 0xff)
        return key
    }

    /// FNV-1a, 64 bits, folded: it only has to spread keys, the digests protect them.
    private static func hash(_ bytes: ArraySlice<UInt8>) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        hash ^= hash >> 32
        hash ^= hash >> 16
        return Int(hash & UInt64(bucketCount - 1))
    }

    private static func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
