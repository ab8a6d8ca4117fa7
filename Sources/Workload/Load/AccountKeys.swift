import Messages

/// Who owns the accounts of a workload, derived from a seed: nothing has to be stored to repeat a run.
public struct AccountKeys: Sendable {
    /// The one asset of all workloads.
    public static let asset = AssetID(1)

    /// By member; where every account has a key of its own, by account.
    public let signers: [Ed25519Signer]
    /// By account.
    public let specifications: [AccountSpecification]
    /// By account.
    public let ids: [AccountID]

    /// - Parameter members: nil gives every account a key of its own; otherwise account i belongs to member i mod N.
    public init(accounts: Int, members: Int? = nil, seed: UInt64) {
        precondition(accounts > 0 && (members ?? 1) > 0)
        let signers = (0..<(members ?? accounts)).map { Self.signer(seed: seed, index: $0) }
        self.signers = signers
        specifications = (0..<accounts).map { account in
            let owner = account % signers.count
            return AccountSpecification(
                owner: signers[owner].publicKey, asset: Self.asset, index: members == nil ? 0 : UInt64(account))
        }
        ids = specifications.map(\.id)
    }

    /// The index into `signers` of an account's owner.
    public func owner(of account: Int) -> Int { account % signers.count }

    /// By account: the shard that owns it in this cluster.
    public func shards(in map: ShardMap) -> [ShardID] { ids.map { map.shard(of: $0) } }

    private static func signer(seed: UInt64, index: Int) -> Ed25519Signer {
        var hasher = Hasher256()
        hasher.update(Array("quorate/1/workload-key".utf8))
        hasher.update(integer: seed)
        hasher.update(integer: UInt64(index))
        guard let signer = Ed25519Signer(seed: hasher.finish().bytes) else {
            preconditionFailure("a SHA-256 digest is a valid Ed25519 seed")
        }
        return signer
    }
}
