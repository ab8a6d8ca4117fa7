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

    /// While old certificates are repeated nothing may be ordered; answers to them are counted.
    /// - Returns: what is wrong.
    mutating func watch(_ ready: HostReady, from i: Int) -> String? {
        guard case .replaying = stage else { return nil }
        guard ready.records.isEmpty else {
            return "host \(i) orders something although only old certificates are repeated"
        }
        answers[i] += ready.toGateways.count { $0.to.contains(Self.session) }
        return nil
    }
}

extension Simulation {
    /// Called at rest. Whether the run is over.
    mutating func isEpilogueOver() throws -> Bool {
        let now = world.now
        switch world.epilogue.stage {
        case .none:
            let standing = hosts.standing(world.instant.wall)
            guard Epilogue.exists(seed: world.options.seed), standing <= Epilogue.longestStanding else { return true }
            // Clocks are off by less than a second.
            world.epilogue.stage = .waiting(
                until: now + (ClientModel.lifetimeMicroseconds + standing) * 1000 + 1_000_000_000)
        case .waiting(let until):
            guard now >= until else { break }
            world.epilogue.stage = .closing
            gateway.clients.closeAll(world.manifest.shards.indices.map { ShardID(UInt16($0)) })
            world.rest.begin(again: now)
        case .closing:
            world.epilogue.stage = .replaying(until: Epilogue.end(after: now))
            world.epilogue.answers = Array(repeating: 0, count: hosts.all.count)
            world.rest.begin(again: now)
            replay()
        case .replaying(let until):
            guard now >= until else { break }
            let options = world.options.host
            // What one session is answered in vain: its tokens and the shared ones, and those that came back meanwhile.
            let bound = options.vainBurst + 64 + Int(options.vainPerSecond) * 8 + 16
            for i in hosts.correct where world.epilogue.answers[i] > bound {
                throw world.failure(
                    "host \(i) answered \(world.epilogue.answers[i]) of \(Epilogue.messagesPerHost) repeated certificates, \(bound) is the bound"
                )
            }
            return true
        }
        return false
    }

    private mutating func replay() {
        let liars = gateway.liars.coordinator
        let messages = liars.repetitions(count: Epilogue.messagesPerHost)
        for to in hosts.correct {
            for (k, message) in messages.enumerated() {
                world.events.insert(
                    .fromGateway(to: to, Box(message), session: Epilogue.session),
                    at: world.now + UInt64(k + 1) * 2_000_000)
            }
        }
        // A faulty host pushes what is long over as if it had not finished it.
        guard let liar = hosts.byzantine.identities.first ?? hosts.damaged.first else { return }
        let host = HostID(UInt16(liar))
        for (k, push) in liars.questions(signer: StandInSigner(UInt64(liar)), host: host).enumerated() {
            for to in hosts.correct where to != liar {
                let about = push.request.request
                for shard in world.manifest.shards.indices.map({ ShardID(UInt16($0)) })
                where shard != push.attested.statement.shard {
                    guard about.rootCall != nil || about.participants(in: world.manifest.shardMap).contains(shard)
                    else { continue }
                    world.events.insert(
                        .deliver(to: to, from: host, Parcel(.push(shard, push))),
                        at: world.now + UInt64(k + 1) * 3_000_000)
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
                    .decides(
                        shards,
                        [
                            TransactionDecide(
                                principal: request.request.principal, number: request.request.number,
                                request: request.digest,
                                certificates: [certificate])
                        ]))
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
