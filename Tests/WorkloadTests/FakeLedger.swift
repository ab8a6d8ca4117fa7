import Messages
import Workload

/// Four replicas' keys and one set of accounts: executes requests at once and certifies what came of them.
struct FakeLedger {
    let manifest: Manifest
    private let replicas: [Ed25519Signer]
    private(set) var balances: [AccountID: UInt128] = [:]
    private(set) var issued: UInt128 = 0
    private var sequence: UInt64 = 0
    /// What was decided for each request, given again when it is asked again (exactly once).
    private var decided: [Digest: [LegStatus]] = [:]
    private(set) var committedOrder: [Transfer] = []
    /// Numbers that were executed, by principal.
    private var executed: [PublicKey: Set<RequestNumber>] = [:]

    init(shards: Int) throws {
        replicas = (0..<5).compactMap { Ed25519Signer(seed: Array(repeating: UInt8($0 + 1), count: 32)) }
        manifest = Manifest(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(1),
            hosts: replicas.prefix(4).map { .init(address: "127.0.0.1", port: 1, publicKey: $0.publicKey) },
            shards: Array(repeating: (0..<4).map { HostID($0) }, count: shards), issuer: replicas[4].publicKey)
        try manifest.validate()
    }

    var issuer: Ed25519Signer { replicas[4] }

    private mutating func execute(_ operation: Operation) -> LegStatus {
        switch operation {
        case .open(let specification):
            guard balances[specification.id] == nil else { return .aborted(.accountExists) }
            balances[specification.id] = 0
        case .issue(let account, _, let amount):
            guard let balance = balances[account] else { return .aborted(.unknownAccount) }
            balances[account] = balance + amount.number
            issued += amount.number
        case .transfer(let transfer):
            guard let from = balances[transfer.from], let to = balances[transfer.to] else {
                return .aborted(.unknownAccount)
            }
            guard from >= transfer.amount.number else { return .aborted(.insufficientFunds) }
            balances[transfer.from] = from - transfer.amount.number
            balances[transfer.to] = to + transfer.amount.number
            committedOrder.append(transfer)
        case .read, .call, .freeze, .release: return .aborted(.malformed)
        }
        return .committed
    }

    /// Whether all that it follows is executed or acknowledged: before that, shards do not look at it.
    func isInOrder(_ request: Request) -> Bool {
        request.follows.allSatisfy {
            $0.number < request.acknowledgedBelow || executed[request.principal]?.contains($0.number) == true
        }
    }

    /// - Parameters:
    ///   - status: instead of executing, certify this for every leg.
    ///   - forged: sign with keys that are not the replicas'.
    mutating func answer(_ request: SignedRequest, status: LegStatus? = nil, forged: Bool = false) -> GatewayReply {
        executed[request.request.principal, default: []].insert(request.request.number)
        let statuses: [LegStatus]
        if let status {
            statuses = Array(repeating: status, count: request.request.legCount)
        } else if let known = decided[request.digest] {
            statuses = known
        } else {
            statuses = request.request.operations.map { execute($0) }
            decided[request.digest] = statuses
        }
        let map = manifest.shardMap
        var certificates: [Certificate] = []
        for shard in request.request.participants(in: map) {
            let legs = statuses.indices.filter { request.request.participants(ofLeg: $0, in: map).contains(shard) }
            let leaf = Leaf(
                request: request.digest, entries: legs.map { Leaf.Entry(leg: UInt16($0), status: statuses[$0]) })
            sequence += 1
            let statement = AttestationStatement(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, sequence: SequenceNumber(sequence),
                previousHistory: .null, batch: request.digest, leavesRoot: MerkleTree(leaves: [leaf]).root)
            let signatures = [1, 3].map {
                ReplicaSignature(
                    replica: ReplicaIndex(UInt8($0)), signature: replicas[forged ? 4 : $0].sign(statement.signingBytes))
            }
            certificates.append(
                Certificate(
                    statement: statement, leaf: leaf, path: MerkleTree(leaves: [leaf]).path(at: 0),
                    signatures: signatures))
        }
        return .receipt(id: 0, Receipt(request: request, certificates: certificates), retries: 0, conflicts: 0)
    }
}
