import Messages

/// What the issuer has ordered: accounts are opened, then filled, and some more are opened when it is asked to.
struct AccountSetUp {
    private static let opening = 1000

    let issuer: StandInSigner
    private let accounts: [AccountSpecification]
    private var step = 0
    private(set) var isDone = false
    /// Opened by the issuer when it is asked to.
    private(set) var closing: [AccountSpecification] = []

    init(issuer: StandInSigner, accounts: [AccountSpecification]) { (self.issuer, self.accounts) = (issuer, accounts) }

    mutating func next() -> (operations: [Operation], number: RequestNumber)? {
        let operations: [Operation]
        switch step {
        case 0: operations = accounts.map { .open($0) }
        case 1:
            operations = accounts.map {
                .issue(to: $0.id, asset: $0.asset, amount: Amount(UInt128(Self.opening)))
            }
        default:
            isDone = true
            guard !closing.isEmpty else { return nil }
            operations = closing.map { .open($0) }
            closing = []
        }
        step += 1
        return (operations, RequestNumber(UInt64(step)))
    }

    /// Has an account opened on each of these shards, which moves no money.
    mutating func close(_ shards: [ShardID], in map: ShardMap) {
        var index: UInt64 = 1 << 32
        for shard in shards {
            var account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: index)
            while map.shard(of: account.id) != shard {
                index += 1
                account = AccountSpecification(owner: issuer.publicKey, asset: AssetID(1), index: index)
            }
            closing.append(account)
            index += 1
        }
    }
}
