import Cores
import Messages

/// In a quarter of the runs, after rest: all deadlines pass, one more batch lets the shards forget what is over, and
/// then somebody without any key repeats the certificates of the whole run, and a faulty host asks about what they are
/// of. Nothing of it may cost a batch, and the answers are bounded (R12).
struct Epilogue {
    enum Stage: Equatable {
        case none
        /// Until everything's deadline is past.
        case waiting(until: UInt64)
        /// Something is ordered on every shard.
        case closing
        case replaying(until: UInt64)
    }

    static let session = SessionID(1 << 42)
    static let messagesPerHost = 400
    /// Until deadlines pass where a shard's time stands ahead of the clocks nothing happens, for as long; microseconds.
    static let longestStanding: UInt64 = 60_000_000
    private static let duration: UInt64 = 1_500_000_000

    var stage = Stage.none
    /// Answers to the repeated certificates, by host.
    var answers: [Int] = []

    static func exists(seed: UInt64) -> Bool { seed % 4 == 1 }
    static func end(after now: UInt64) -> UInt64 { now + duration }
}

extension Simulation {
    /// Called at rest. Whether the run is over.
    mutating func isEpilogueOver() throws -> Bool {
        switch epilogue.stage {
        case .none:
            let standing = standing
            guard Epilogue.exists(seed: options.seed), standing <= Epilogue.longestStanding else { return true }
            // Clocks are off by less than a second.
            epilogue.stage = .waiting(until: now + (ClientModel.lifetimeMicroseconds + standing) * 1000 + 1_000_000_000)
        case .waiting(let until):
            guard now >= until else { break }
            epilogue.stage = .closing
            clients.closeAll(manifest.shards.indices.map { ShardID(UInt16($0)) })
            rest.begin(again: now)
        case .closing:
            epilogue.stage = .replaying(until: Epilogue.end(after: now))
            epilogue.answers = Array(repeating: 0, count: hosts.count)
            rest.begin(again: now)
            try replay()
        case .replaying(let until):
            guard now >= until else { break }
            // What one session is answered in vain: its tokens and the shared ones, and those that came back meanwhile.
            let bound = options.host.vainBurst + 64 + Int(options.host.vainPerSecond) * 8 + 16
            for i in correctHosts where epilogue.answers[i] > bound {
                throw failure(
                    "host \(i) answered \(epilogue.answers[i]) of \(Epilogue.messagesPerHost) repeated certificates, \(bound) is the bound"
                )
            }
            return true
        }
        return false
    }

    /// While old certificates are repeated nothing may be ordered.
    func checkReplay(_ ready: HostReady, from i: Int) throws {
        guard case .replaying = epilogue.stage, !ready.records.isEmpty else { return }
        throw failure("host \(i) orders something although only old certificates are repeated")
    }

    mutating func countAnswers(_ ready: HostReady, from i: Int) {
        guard case .replaying = epilogue.stage else { return }
        epilogue.answers[i] += ready.toGateways.count { $0.to.contains(Epilogue.session) }
    }

    private mutating func replay() throws {
        let messages = byzantineGateway.repetitions(count: Epilogue.messagesPerHost)
        for to in correctHosts {
            for (k, message) in messages.enumerated() {
                events.insert(
                    .fromGateway(to: to, Box(message), session: Epilogue.session), at: now + UInt64(k + 1) * 2_000_000)
            }
        }
        // A faulty host pushes what is long over as if it had not finished it.
        guard let liar = byzantine.identities.first ?? damaged.first else { return }
        for (k, push) in byzantineGateway.questions(signer: StandInSigner(UInt64(liar)), host: HostID(UInt16(liar)))
            .enumerated()
        {
            for to in correctHosts where to != liar {
                let about = push.request.request
                for shard in manifest.shards.indices.map({ ShardID(UInt16($0)) })
                where shard != push.attested.statement.shard {
                    guard about.rootCall != nil || about.participants(in: manifest.shardMap).contains(shard) else {
                        continue
                    }
                    events.insert(
                        .deliver(to: to, from: HostID(UInt16(liar)), Parcel(.push(shard, push))),
                        at: now + UInt64(k + 1) * 3_000_000)
                }
            }
        }
    }
}

extension ByzantineGateway {
    /// Every certificate that it has, again and again, as evidence or decide, to all shards.
    func repetitions(count: Int) -> [GatewayMessage] {
        let shards = manifest.shards.indices.map { ShardID(UInt16($0)) }
        var messages: [GatewayMessage] = []
        for certificate in certificates {
            guard let request = requests.first(where: { $0.digest == certificate.leaf.request }) else { continue }
            if request.request.rootCall != nil {
                messages.append(.evidence(shards, CallEvidence(root: request, certificates: [certificate])))
            } else {
                messages.append(
                    .decide(
                        shards,
                        TransactionDecide(
                            principal: request.request.principal, number: request.request.number,
                            request: request.digest,
                            certificates: [certificate])))
            }
        }
        guard !messages.isEmpty else { return [] }
        return (0..<count).map { messages[$0 % messages.count] }
    }

    /// The same leaves, attested by a host of its own.
    func questions(signer: StandInSigner, host: HostID) -> [RecoveryPush] {
        certificates.compactMap { certificate in
            guard let request = requests.first(where: { $0.digest == certificate.leaf.request }),
                let replica = manifest.replica(of: certificate.shard, on: host)
            else { return nil }
            let signature = ReplicaSignature(
                replica: replica, signature: signer.sign(certificate.statement.signingBytes))
            let attested = AttestedLeaf(
                statement: certificate.statement, signature: signature, leaf: certificate.leaf, path: certificate.path)
            return RecoveryPush(request: request, attested: attested, asks: true)
        }
    }
}
