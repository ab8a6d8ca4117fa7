/// Money that is put into an account.
public struct Payment: Hashable, Sendable, CanonicalCodable {
    /// So much of one asset.
    public struct Money: Hashable, Sendable, CanonicalCodable {
        /// The asset that is counted.
        public let asset: AssetID
        /// In minor units.
        public let amount: Amount
        /// Any amount; zero, and one above `Amount.limit`, is refused where it moves.
        public init(_ amount: UInt128, of asset: AssetID) { (self.asset, self.amount) = (asset, Amount(amount)) }
        /// Any asset and amount are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (asset, amount) = (try reader.value(), try reader.value())
        }
        /// Asset, amount.
        public func encode(into writer: inout ByteWriter) {
            writer.put(asset)
            writer.put(amount)
        }
    }

    /// Where the money goes.
    public let account: AccountID
    /// The asset that the account must hold.
    public let asset: AssetID
    /// In minor units.
    public let amount: Amount

    /// Checks nothing: the account's shard refuses what does not fit (`ProcedureContext.credit`).
    public init(account: AccountID, asset: AssetID, amount: Amount) {
        (self.account, self.asset, self.amount) = (account, asset, amount)
    }
    /// The same money, on its way to an account.
    public init(_ money: Money, to account: AccountID) {
        self.init(account: account, asset: money.asset, amount: money.amount)
    }
    /// Any account, asset and amount are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (account, asset, amount) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// Account, asset, amount.
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
