/// Money that is put into an account.
public struct Payment: Hashable, Sendable, CanonicalCodable {
    /// So much of one asset.
    public struct Money: Hashable, Sendable, CanonicalCodable {
        public let asset: AssetID
        public let amount: Amount
        public init(_ amount: UInt128, of asset: AssetID) { (self.asset, self.amount) = (asset, Amount(amount)) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (asset, amount) = (try reader.value(), try reader.value())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(asset)
            writer.put(amount)
        }
    }

    public let account: AccountID
    public let asset: AssetID
    public let amount: Amount

    public init(account: AccountID, asset: AssetID, amount: Amount) {
        (self.account, self.asset, self.amount) = (account, asset, amount)
    }
    public init(_ money: Money, to account: AccountID) {
        self.init(account: account, asset: money.asset, amount: money.amount)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (account, asset, amount) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(account)
        writer.put(asset)
        writer.put(amount)
    }
}

extension PublicKey {
    /// Owns accounts that no person owns: a hash, of which nobody has the private key. The procedure of this name and
    /// version takes money out of them, and nobody else. A change of the version is another owner.
    public static func procedure(_ name: String, version: UInt16 = 1) -> PublicKey {
        PublicKey(Hasher256.hash(.procedures, Array("\(name)@\(version)".utf8)).value)
    }
}

extension AccountSpecification {
    /// An account of a procedure. Its identifier follows from the procedure's name, so that whoever knows that needs no
    /// other proof of whose the account is. Anybody may open it.
    public init(procedure name: String, version: UInt16 = 1, asset: AssetID, index: UInt64 = 0) {
        self.init(owner: .procedure(name, version: version), asset: asset, index: index)
    }
}
