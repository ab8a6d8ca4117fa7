import Messages
public struct GatewayOptions: Sendable { public init() {} }
public struct GatewayCore {
    struct Entry { let id: UInt64; let session: SessionID; let request: SignedRequest; var certs: [ShardID: Certificate] = [:]; var sentAt: UInt64; var done = false; var decideSent = 0 }
    let manifest: Manifest
    var entries: [(Digest, Entry)] = []
    var seen: [(AttestationStatement, [ReplicaSignature], [Leaf])] = []
    public init(manifest: Manifest, options: GatewayOptions = .init(), seed: UInt64) { self.manifest = manifest }
    func submit(_ e: Entry, _ ready: inout GatewayReady) {
        ready.toHosts.append(.init(to: manifest.hosts.indices.map { HostID(UInt16($0)) }, message: .submit(e.request.request.participants(in: manifest.shardMap), e.request)))
    }
    func decide(_ e: Entry, _ ready: inout GatewayReady) {
        let r = e.request.request
        let d = TransactionDecide(principal: r.principal, number: r.number, request: e.request.digest, certificates: e.certs.keys.sorted().compactMap { e.certs[$0] })
        ready.toHosts.append(.init(to: manifest.hosts.indices.map { HostID(UInt16($0)) }, message: .decide(r.participants(in: manifest.shardMap), d)))
    }
    public mutating func step(_ input: GatewayInput, now: Instant, into ready: inout GatewayReady) {
        switch input {
        case .client(let s, let m):
            guard case .submit(let id, let r) = m.value else { return }
            if entries.contains(where: { $0.0 == r.digest && !$0.1.done }) { return }
            entries.removeAll { $0.0 == r.digest }
            let e = Entry(id: id, session: s, request: r, sentAt: now.uptime)
            entries.append((r.digest, e)); submit(e, &ready)
            if entries.count > 64 { entries.removeFirst() }
        case .host(_, let reply):
            guard case .attestation(let a) = reply.value else { return }
            if let i = seen.firstIndex(where: { $0.0 == a.statement }) { if !seen[i].1.contains(where: { $0.replica == a.signature.replica }) { seen[i].1.append(a.signature) } }
            else { seen.append((a.statement, [a.signature], a.leaves)) }
            if seen.count > 256 { seen.removeFirst() }
            guard let s = seen.first(where: { $0.0 == a.statement }), s.1.count >= manifest.group(of: a.statement.shard).weakQuorum else { return }
            let tree = MerkleTree(leaves: s.2)
            for (k, leaf) in s.2.enumerated() {
                guard let i = entries.firstIndex(where: { $0.0 == leaf.request }) else { continue }
                if let old = entries[i].1.certs[a.statement.shard], old.statement.sequence >= a.statement.sequence { continue }
                entries[i].1.certs[a.statement.shard] = Certificate(statement: s.0, leaf: leaf, path: tree.path(at: k), signatures: s.1.sorted { $0.replica < $1.replica })
                let e = entries[i].1
                let receipt = Receipt(request: e.request, certificates: e.certs.keys.sorted().compactMap { e.certs[$0] })
                let all = (0..<e.request.request.legCount).allSatisfy { receipt.decision(ofLeg: $0, in: manifest.shardMap) != nil }
                if all {
                    if !e.done { entries[i].1.done = true; ready.toClients.append((e.session, .receipt(id: e.id, receipt, retries: 0, conflicts: 0))) }
                    decide(e, &ready)
                }
            }
        case .tick:
            for i in entries.indices where !entries[i].1.done && now.uptime > entries[i].1.sentAt + 400_000_000 { entries[i].1.sentAt = now.uptime; submit(entries[i].1, &ready) }
        case .clientClosed, .hostConnected, .hostDisconnected: break
        }
    }
}
