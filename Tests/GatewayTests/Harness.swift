import Cores
import Messages

/// A gateway with hand-made hosts: everything that it receives went through a real `Verifier`.
struct Harness {
    let manifest: Manifest
    let hosts: [Ed25519Signer]
    let principal: Ed25519Signer
    var verifier: Verifier<Ed25519Scheme>
    var gateway: GatewayCore
    var ready = GatewayReady()
    private(set) var milliseconds: UInt64 = 0
    static let start: UInt64 = 1_000_000_000

    static func signer(_ number: Int) throws -> Ed25519Signer {
        struct NoKey: Error {}
        var seed = [UInt8](repeating: 9, count: 32)
        (seed[0], seed[1]) = (UInt8(number & 255), UInt8(number >> 8))
        guard let signer = Ed25519Signer(seed: seed) else { throw NoKey() }
        return signer
    }

    /// - Parameter hostCount: shard s has its four replicas on hosts s ..< s + 4, modulo this.
    init(shards: Int = 2, hostCount: Int = 4, options: GatewayOptions = .init()) throws {
        hosts = try (0..<hostCount).map { try Self.signer($0) }
        principal = try Self.signer(1000)
        manifest = Manifest(
            cluster: ClusterID(Hasher256.hash(.manifest, [1]).value), epoch: Epoch(1),
            hosts: hosts.map { .init(address: "127.0.0.1", port: 1, publicKey: $0.publicKey) },
            shards: (0..<shards).map { s in (0..<4).map { HostID(UInt16((s + $0) % hostCount)) } },
            issuer: principal.publicKey)
        try manifest.validate()
        verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme())
        gateway = GatewayCore(manifest: manifest, options: options, seed: 1)
    }

    var now: Instant {
        Instant(uptime: 5_000_000_000 + milliseconds * 1_000_000, wall: Timestamp(Self.start + milliseconds * 1000))
    }

    func account(on shard: Int, salt: UInt64 = 0) -> AccountID {
        var index = salt << 32
        while true {
            let id = AccountSpecification(owner: principal.publicKey, asset: AssetID(1), index: index).id
            if manifest.shardMap.shard(of: id).number == UInt16(shard) { return id }
            index += 1
        }
    }

    func request(
        _ from: Int, _ to: Int, number: UInt64 = 1, after predecessors: [Int: UInt64] = [:],
        deadline milliseconds: UInt64 = 20_000, cluster: ClusterID? = nil
    ) -> SignedRequest {
        let deadline = Timestamp(Self.start + milliseconds * 1000)
        let follows = predecessors.sorted { $0.key < $1.key }.map {
            Predecessor(shard: ShardID(UInt16($0.key)), number: RequestNumber($0.value), deadline: deadline)
        }
        let transfer = Transfer(
            from: account(on: from), to: account(on: to, salt: 1), asset: AssetID(1), amount: Amount(5))
        return SignedRequest(
            Request(
                cluster: cluster ?? manifest.cluster, epoch: manifest.epoch, principal: principal.publicKey,
                number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), follows: follows,
                issuedAt: Timestamp(1), deadline: deadline, mode: .atomic, operations: [.transfer(transfer)]),
            signedBy: principal)
    }

    // MARK: Inputs

    mutating func step(_ input: GatewayInput) { gateway.step(input, now: now, into: &ready) }

    mutating func submit(_ request: SignedRequest, session: UInt64 = 1, id: UInt64 = 1) throws {
        step(.client(SessionID(session), try verifier.verify(ClientMessage.submit(id: id, request))))
    }

    mutating func ask(_ account: AccountID, session: UInt64 = 1, id: UInt64 = 1) throws {
        step(.client(SessionID(session), try verifier.verify(ClientMessage.account(id: id, account))))
    }

    mutating func reply(_ reply: HostReply, from host: Int) throws {
        step(.host(HostID(UInt16(host)), try verifier.verify(reply)))
    }

    /// The shard's first `replicas` attest a batch with this leaf.
    mutating func attest(
        _ request: SignedRequest, _ status: LegStatus, shard: Int, sequence: UInt64, replicas: [Int] = [0, 1, 2, 3]
    ) throws {
        try attest([request], status, shard: shard, sequence: sequence, replicas: replicas)
    }

    /// The same of a batch with a leaf of each.
    mutating func attest(
        _ requests: [SignedRequest], _ status: LegStatus, shard: Int, sequence: UInt64,
        replicas: [Int] = [0, 1, 2, 3]
    ) throws {
        let leaves = requests.map { Leaf(request: $0.digest, entries: [.init(leg: 0, status: status)]) }
        let statement = AttestationStatement(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: ShardID(UInt16(shard)),
            sequence: SequenceNumber(sequence),
            previousHistory: .null, batch: .null, leavesRoot: MerkleTree(leaves: leaves).root)
        for replica in replicas {
            let host = Int(manifest.hosts(of: ShardID(UInt16(shard)))[replica].number)
            let signature = ReplicaSignature(
                replica: ReplicaIndex(UInt8(replica)), signature: hosts[host].sign(statement.signingBytes))
            try reply(
                .attestation(BatchAttestation(statement: statement, signature: signature, leaves: leaves)), from: host)
        }
    }

    /// - Parameter legs: execution names them; a replica that refuses before the order names none.
    mutating func refuse(
        _ request: SignedRequest, _ reason: RefusalReason, shard: Int, hosts: [Int], legs: [UInt16] = []
    ) throws {
        for host in hosts {
            try reply(
                .refused(
                    Refusal(
                        shard: ShardID(UInt16(shard)), request: request.digest, legs: legs, reason: reason,
                        retryAfterMicroseconds: 1000)),
                from: host)
        }
    }

    mutating func advance(by duration: UInt64, tickEvery tick: UInt64 = 5) {
        let end = milliseconds + duration
        while milliseconds < end {
            milliseconds = min(end, milliseconds + tick)
            step(.tick)
        }
    }

    // MARK: Outputs

    /// What was asked of hosts since the last call: "submit [0, 1] to [0, 1, 2, 3]".
    mutating func sent() -> [String] {
        defer { ready.toHosts = [] }
        return ready.toHosts.map { outgoing in
            let hosts = outgoing.to.map { Int($0.number) }
            return switch outgoing.message {
            case .submit(let shards, _): "submit \(shards) to \(hosts)"
            case .decides(let shards, let decides):
                "decide \(shards) with \(decides.map { "\($0.certificates.count)" }.joined(separator: " and ")) to \(hosts)"
            case .evidence(let shards, let evidence):
                "evidence \(shards) with \(evidence.certificates.count) to \(hosts)"
            case .account: "account to \(hosts)"
            case .read: "read to \(hosts)"
            case .status, .audit, .stamps, .archive, .observe: "other to \(hosts)"
            }
        }
    }

    /// Numbers of the requests that hosts were sent since the last call.
    mutating func submitted(_ requests: [SignedRequest]) -> [Int] {
        defer { ready.toHosts = [] }
        return ready.toHosts.compactMap { outgoing in
            guard case .submit(_, let request) = outgoing.message else { return nil }
            return requests.firstIndex(of: request).map { $0 + 1 }
        }
    }

    mutating func answers() -> [(session: UInt64, reply: GatewayReply)] {
        defer { ready.toClients = [] }
        return ready.toClients.map { ($0.0.number, $0.1) }
    }
}

extension GatewayReply {
    var receipt: Receipt? { if case .receipt(_, let receipt, _, _) = self { receipt } else { nil } }
    var rejection: GatewayRejection? { if case .rejected(_, let reason, _) = self { reason } else { nil } }
}
