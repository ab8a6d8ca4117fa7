import Client
import ExampleProcedures
import HostRuntime
import Messages
import NIOPosix
import Synchronization
import Workload

/// Calls and transfers that are over, with what the shards certified of them on the way.
struct OldRequests: Sendable {
    var requests: [SignedRequest]
    var certificates: [Certificate]

    /// Each certificate to every shard, as evidence or as a decide, and of each transfer all votes together, which is
    /// what decided it.
    func repetitions(_ manifest: Manifest) -> [GatewayMessage] {
        let shards = manifest.shards.indices.map { ShardID(UInt16($0)) }
        let of = Dictionary(grouping: certificates, by: \.leaf.request)
        var messages: [GatewayMessage] = []
        for request in requests {
            let certificates = of[request.digest] ?? []
            if request.request.rootCall != nil {
                messages += certificates.map { .evidence(shards, CallEvidence(root: request, certificates: [$0])) }
            } else {
                let votes = certificates.filter { $0.leaf.status(ofLeg: 0) == .votedYes }.sorted { $0.shard < $1.shard }
                messages += (certificates.map { [$0] } + (votes.count > 1 ? [votes] : [])).map {
                    .decides(
                        shards,
                        [
                            TransactionDecide(
                                principal: request.request.principal, number: request.request.number,
                                request: request.digest, certificates: $0)
                        ])
                }
            }
        }
        return messages
    }

    /// The signed requests themselves, once more.
    func submissions(_ manifest: Manifest) -> [GatewayMessage] {
        requests.map { .submit($0.request.participants(in: manifest.shardMap), $0) }
    }
}

/// Puts certificates together from what hosts attest.
private final class CertificateCollector: Sendable {
    private struct Known: Hashable {
        let shard: ShardID
        let leaf: Digest
    }
    private struct State {
        var requests: [SignedRequest] = []
        /// Places in `requests`.
        var places: [Digest: Int] = [:]
        /// By statement.
        var words: [Digest: [ReplicaSignature]] = [:]
        var known: Set<Known> = []
        var certificates: [Certificate] = []
    }

    private let manifest: Manifest
    private let state = Mutex(State())
    private let found: AsyncStream<Certificate>.Continuation

    init(_ manifest: Manifest, found: AsyncStream<Certificate>.Continuation) {
        (self.manifest, self.found) = (manifest, found)
    }

    var result: OldRequests { state.withLock { OldRequests(requests: $0.requests, certificates: $0.certificates) } }
    func request(_ digest: Digest) -> SignedRequest? {
        state.withLock { state in state.places[digest].map { state.requests[$0] } }
    }

    func want(_ request: SignedRequest) {
        state.withLock { state in
            state.places[request.digest] = state.requests.count
            state.requests.append(request)
        }
    }

    func hear(_ reply: HostReply) {
        guard case .attestation(let attestation) = reply, manifest.hasShard(attestation.statement.shard) else { return }
        let shard = attestation.statement.shard
        let needed = manifest.group(of: shard).weakQuorum
        let fresh: [Certificate] = state.withLock { state in
            let key = attestation.statement.digest
            var words = state.words[key] ?? []
            guard words.count < needed, !words.contains(where: { $0.replica == attestation.signature.replica }) else {
                return []
            }
            words.append(attestation.signature)
            state.words[key] = words
            guard words.count == needed else { return [] }
            words.sort { $0.replica < $1.replica }
            let tree = MerkleTree(leaves: attestation.leaves)
            var fresh: [Certificate] = []
            for (index, leaf) in attestation.leaves.enumerated() {
                guard state.places[leaf.request] != nil,
                    state.known.insert(Known(shard: shard, leaf: leaf.hash)).inserted
                else { continue }
                fresh.append(
                    Certificate(
                        statement: attestation.statement, leaf: leaf, path: tree.path(at: index), signatures: words))
            }
            state.certificates += fresh
            return fresh
        }
        for certificate in fresh { found.yield(certificate) }
    }
}

/// Has calls and transfers over several shards done, and listens to the hosts meanwhile as a gateway does.
struct OldRequestMaker: Sendable {
    let processes: ClusterProcesses
    let keys: AccountKeys
    /// Of the accounts' owners.
    let firstNumber: UInt64
    /// From the signature to the deadline: microseconds.
    static let lifetime: UInt64 = 5_000_000
    private static let workers = 16
    private static let patience = Duration.seconds(20)

    private var manifest: Manifest { processes.folder.manifest }

    /// - Parameter count: of each kind.
    func make(_ count: Int) async throws -> OldRequests {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (found, continuation) = AsyncStream.makeStream(of: Certificate.self)
        let collector = CertificateCollector(manifest, found: continuation)
        var hosts: [HostConnection] = []
        for host in manifest.hosts.indices {
            hosts.append(
                try await HostConnection.connect(
                    to: HostID(UInt16(host)), of: manifest, on: group, hear: { collector.hear($0) }))
        }
        guard let address = processes.gateways.first else { throw ToolError(.gatewaysLost, "no gateway runs") }
        let gateway = try await GatewayConnection.connect(address)
        let (relay, collect) = (hosts, requests(count))
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await Self.bringOn(found, of: collector, to: relay, manifest) }
            await withTaskGroup(of: Void.self) { workers in
                for worker in 0..<Self.workers {
                    workers.addTask {
                        for i in stride(from: worker, to: collect.count, by: Self.workers) {
                            // The lifetime begins when it is sent.
                            guard let request = collect[i]() else { continue }
                            collector.want(request)
                            await Self.submit(request, to: relay, through: gateway, manifest)
                        }
                    }
                }
            }
            // What follows the last receipts: that everybody is done.
            try? await Task.sleep(for: .seconds(1))
            continuation.finish()
        }
        await gateway.close()
        for host in hosts { await host.close() }
        try? await group.shutdownGracefully()
        return collector.result
    }

    /// Hosts tell those who have asked; a shard that is called is asked by bringing it the call.
    private static func bringOn(
        _ found: AsyncStream<Certificate>, of collector: CertificateCollector, to hosts: [HostConnection],
        _ manifest: Manifest
    ) async {
        let shards = manifest.shards.indices.map { ShardID(UInt16($0)) }
        for await certificate in found where !certificate.leaf.calls.issued.isEmpty {
            guard let root = collector.request(certificate.leaf.request) else { continue }
            let frames = HostFrames([.evidence(shards, CallEvidence(root: root, certificates: [certificate]))])
            for host in hosts { try? await host.post(frames) }
        }
    }

    private static func submit(
        _ request: SignedRequest, to hosts: [HostConnection], through gateway: GatewayConnection, _ manifest: Manifest
    ) async {
        let frames = HostFrames([.submit(request.request.participants(in: manifest.shardMap), request)])
        for host in hosts { try? await host.post(frames) }
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end, !Task.isCancelled {
            if case .receipt? = try? await gateway.submit(request, timeout: .seconds(5)) { return }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Calls and transfers in turn, each signed when it is its turn.
    private func requests(_ count: Int) -> [@Sendable () -> SignedRequest?] {
        let (manifest, keys) = (manifest, keys)
        // Callers that acknowledge, and callers that never do: an outcome is forgotten, or kept.
        let callers = Principals(
            AccountKeys(accounts: Self.workers, seed: ~0).signers, manifest, first: RequestNumber(1))
        let owners = Principals(keys.signers, manifest, first: RequestNumber(firstNumber))
        var byShard = [[Int]](repeating: [], count: manifest.shardCount)
        for (account, shard) in keys.shards(in: manifest.shardMap).enumerated() {
            byShard[Int(shard.number)].append(account)
        }
        let accounts = byShard.filter { !$0.isEmpty }
        return (0..<count).flatMap { i -> [@Sendable () -> SignedRequest?] in
            let call: @Sendable () -> SignedRequest? = {
                let steps = ["a", "b", "c"].map { ListOperation(key: "replay-\(i)-\($0)", value: UInt64(i)) }
                let invocation = Invocation(
                    target: .key(steps[0].key), procedure: ListTransaction.name, version: ListTransaction.version,
                    arguments: steps.encoded())
                let caller = i % Self.workers
                return callers.sign(caller, [.call(invocation)], acknowledges: caller % 2 == 1)
            }
            let transfer: @Sendable () -> SignedRequest? = {
                let (here, there) = (accounts[i % accounts.count], accounts[(i + 1) % accounts.count])
                let (from, to) = (here[i / accounts.count % here.count], there[i / accounts.count % there.count])
                guard from != to else { return nil }
                return owners.sign(
                    keys.owner(of: from),
                    [
                        .transfer(
                            Transfer(
                                from: keys.ids[from], to: keys.ids[to], asset: AccountKeys.asset, amount: Amount(1)))
                    ], acknowledges: false)
            }
            return [call, transfer]
        }
    }

    private final class Principals: Sendable {
        private let principals: Mutex<[Principal]>

        init(_ signers: [Ed25519Signer], _ manifest: Manifest, first: RequestNumber) {
            principals = Mutex(signers.map { Principal(signer: $0, manifest: manifest, first: first) })
        }

        /// - Parameter acknowledges: all that came before, as if its outcome were known.
        func sign(_ index: Int, _ operations: [Operation], acknowledges: Bool) -> SignedRequest? {
            principals.withLock { principals in
                let request = principals[index].sign(
                    operations, mode: .atomic, lifetimeMicroseconds: OldRequestMaker.lifetime)
                if acknowledges, let request { principals[index].window.close(request.request.number) }
                return request
            }
        }
    }
}
