import Randomness
import Messages
import Simulator

/// Clients that make one transfer after the other, and the gateway that gets them certified. Requests are repeated
/// until they are decided, also those that were decided before the power went.
struct PowerLossClients {
    private struct Waiting {
        let client: Int
        let request: SignedRequest
        var certificates: [ShardID: Certificate] = [:]
        var sentAt: UInt64?
        var isAnswered = false
    }

    /// What became of a request, as far as is known: the certificates go to its shards; `legs` once all are decided.
    struct Answer {
        let request: Digest
        let participants: [ShardID]
        let decide: TransactionDecide
        let legs: [Bool]?
    }

    static let issuer = StandInSigner(999)
    private static let clientCount = 6
    private static let signers = (0..<clientCount).map { StandInSigner(1_000 + UInt64($0)) }
    private static let lifetime: UInt64 = 20_000_000
    static let accounts = (0..<12).map {
        AccountSpecification(owner: signers[$0 % clientCount].publicKey, asset: AssetID(1), index: UInt64($0))
    }

    private let manifest: Manifest
    private var waiting: [Waiting] = []
    private var statements: [(statement: AttestationStatement, signatures: [ReplicaSignature], leaves: [Leaf])] = []
    /// By client; the issuer comes last.
    private var nextNumber = [RequestNumber](repeating: RequestNumber(1), count: clientCount + 1)
    private var remaining: Int
    private var setUpSteps = 0

    /// - Parameter transfers: how many the clients make, together.
    init(manifest: Manifest, transfers: Int) { (self.manifest, remaining) = (manifest, transfers) }

    /// The clients after a power loss: they ask again about everything, and make nothing new.
    init(manifest: Manifest, asking requests: [Evidence.Submitted]) {
        (self.manifest, remaining, setUpSteps) = (manifest, 0, 2)
        waiting = requests.map { Waiting(client: $0.client, request: $0.request) }
    }

    var waitingCount: Int { waiting.count { !$0.isAnswered } }
    var isDone: Bool { remaining == 0 && setUpSteps == 2 && waitingCount == 0 }

    // MARK: - Clients

    /// What is to be sent now: new requests, and again those without an answer.
    mutating func due(_ now: Instant, using rng: inout SplitMix64) -> [(client: Int, SignedRequest)] {
        if setUpSteps < 2, waitingCount == 0 { submit(setUp(), .independent, client: Self.clientCount, now) }
        if setUpSteps == 2, remaining > 0 {
            for client in 0..<Self.clientCount where !waiting.contains(where: { $0.client == client && !$0.isAnswered })
            {
                guard remaining > 0, rng.chance(perMille: 300),
                    !waiting.contains(where: { $0.client == Self.clientCount && !$0.isAnswered })
                else { continue }
                remaining -= 1
                let count = rng.chance(perMille: 600) ? 1 : 2 + rng.below(3)
                let operations = (0..<count).map { _ in transfer(by: client, using: &rng) }
                submit(operations, rng.chance(perMille: 700) ? .atomic : .independent, client: client, now)
            }
        }
        var due: [(Int, SignedRequest)] = []
        for i in waiting.indices where !waiting[i].isAnswered && now.uptime >= (waiting[i].sentAt ?? 0) {
            waiting[i].sentAt = now.uptime + 400_000_000
            due.append((waiting[i].client, waiting[i].request))
        }
        return due
    }

    private mutating func setUp() -> [Operation] {
        setUpSteps += 1
        if setUpSteps == 1 { return Self.accounts.map { .open($0) } }
        return Self.accounts.map { .issue(to: $0.id, asset: $0.asset, amount: Amount(1_000)) }
    }

    private func transfer(by client: Int, using rng: inout SplitMix64) -> Operation {
        let own = Self.accounts.indices.filter { $0 % Self.clientCount == client }
        let from = own[rng.below(own.count)]
        var to = rng.below(Self.accounts.count - 1)
        if to >= from { to += 1 }
        // Now and then more than there is.
        let amount = rng.chance(perMille: 50) ? 50_000 : 1 + rng.below(100)
        return .transfer(
            Transfer(
                from: Self.accounts[from].id, to: Self.accounts[to].id, asset: AssetID(1),
                amount: Amount(UInt128(amount))))
    }

    /// Nothing is ever acknowledged, so every outcome is kept and can be asked for again (R11).
    private mutating func submit(_ operations: [Operation], _ mode: Request.Mode, client: Int, _ now: Instant) {
        let signer = client < Self.clientCount ? Self.signers[client] : Self.issuer
        let request = Request(
            cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey, number: nextNumber[client],
            acknowledgedBelow: RequestNumber(0), issuedAt: now.wall,
            deadline: now.wall.adding(microseconds: Self.lifetime), mode: mode,
            operations: operations)
        nextNumber[client] = nextNumber[client].next
        waiting.append(Waiting(client: client, request: SignedRequest(request, signedBy: signer)))
    }

    // MARK: - Gateway

    mutating func receive(_ attestation: BatchAttestation) -> [Answer] {
        let statement = attestation.statement
        let index: Int
        if let known = statements.firstIndex(where: { $0.statement == statement }) {
            if statements[known].signatures.contains(where: { $0.replica == attestation.signature.replica }) {
                return []
            }
            statements[known].signatures.append(attestation.signature)
            index = known
        } else {
            if statements.count > 256 { statements.removeFirst() }
            statements.append((statement, [attestation.signature], attestation.leaves))
            index = statements.count - 1
        }
        let signatures = statements[index].signatures.sorted { $0.replica < $1.replica }
        guard signatures.count >= manifest.group(of: statement.shard).weakQuorum else { return [] }
        let tree = MerkleTree(leaves: attestation.leaves)
        return attestation.leaves.enumerated().compactMap { position, leaf in
            let certificate = Certificate(
                statement: statement, leaf: leaf, path: tree.path(at: position), signatures: signatures)
            return add(certificate)
        }
    }

    private mutating func add(_ certificate: Certificate) -> Answer? {
        guard let i = waiting.firstIndex(where: { $0.request.digest == certificate.leaf.request }) else { return nil }
        if let known = waiting[i].certificates[certificate.shard],
            known.statement.sequence >= certificate.statement.sequence
        {
            return nil
        }
        waiting[i].certificates[certificate.shard] = certificate
        let request = waiting[i].request
        let certificates = waiting[i].certificates.values.sorted { $0.shard < $1.shard }
        let receipt = Receipt(request: request, certificates: certificates)
        let decisions = (0..<request.request.legCount).map { receipt.decision(ofLeg: $0, in: manifest.shardMap) }
        guard decisions.allSatisfy({ $0 != nil }) else { return nil }
        let isNew = !waiting[i].isAnswered
        waiting[i].isAnswered = true
        let decide = TransactionDecide(
            principal: request.request.principal, number: request.request.number, request: request.digest,
            certificates: certificates)
        return Answer(
            request: request.digest, participants: request.request.participants(in: manifest.shardMap), decide: decide,
            legs: isNew ? decisions.map { $0 == .commit } : nil)
    }
}
