import Messages
import PBFT

/// The four replicas of a group in one thread: no network, no disk, nothing executed. What is left is what the protocol
/// itself costs.
struct BenchmarkedGroup {
    private struct Packet {
        let from, to: Int
        let message: Verified<PBFTMessage>
    }

    private static let shard = ShardID(0)
    private var replicas: [Replica]
    private var verifier: Verifier<NoSignatures>
    private var network: [Packet] = []
    private var executed = [0, 0, 0, 0]
    private var uptime: UInt64 = 1

    init() {
        let keys = (0..<4).map { PartsSamples.signer(100 + $0) }
        let manifest = Manifest(
            cluster: PartsSamples.cluster, epoch: Epoch(1),
            hosts: keys.map { .init(address: "127.0.0.1", port: 1, publicKey: $0.publicKey) },
            shards: [(0..<4).map { HostID($0) }], issuer: PartsSamples.signer(99).publicKey)
        verifier = Verifier(manifest: manifest, scheme: NoSignatures())
        let now = Instant(uptime: 1, wall: PartsSamples.wall)
        replicas = (0..<4).map { i in
            Replica(
                configuration: ReplicaConfiguration(
                    cluster: PartsSamples.cluster, epoch: Epoch(1), shard: Self.shard, group: ReplicaGroup(n: 4),
                    me: ReplicaIndex(UInt8(i)), signer: keys[i], limits: .init()),
                base: Checkpoint(sequence: .zero, digest: .null), now: now)
        }
        for i in 0..<4 { step(i, .started) }
        drain()
    }

    private var now: Instant {
        Instant(uptime: uptime, wall: PartsSamples.wall.adding(microseconds: uptime / 1000))
    }

    /// From its proposal until all four have it to execute.
    mutating func order(_ batch: Batch) throws {
        let before = executed
        guard let primary = replicas.firstIndex(where: \.canPropose) else { throw PartFailed("the group's primary") }
        step(primary, .propose(batch))
        drain()
        guard zip(executed, before).allSatisfy({ $0 == $1 + 1 }) else { throw PartFailed("an order") }
    }

    private mutating func drain() {
        var next = 0
        while next < network.count {
            let packet = network[next]
            next += 1
            step(packet.to, .message(from: ReplicaIndex(UInt8(packet.from)), packet.message))
        }
        network.removeAll(keepingCapacity: true)
    }

    private mutating func step(_ i: Int, _ input: ReplicaInput) {
        var ready = ReplicaReady()
        uptime += 1000
        replicas[i].step(input, now: now, into: &ready)
        for outgoing in ready.sends {
            switch outgoing.to {
            case .others: send(outgoing.message, from: i)
            case .one(let to): send(outgoing.message, from: i, to: to.index)
            }
        }
        for message in ready.held {
            send(message, from: i)
            step(i, .durable(message))
        }
        for batch in ready.executes {
            executed[i] += 1
            if batch.sequence.number.isMultiple(of: 128) {
                let checkpoint = Checkpoint(sequence: batch.sequence, digest: .null)
                step(i, .checkpointTaken(checkpoint))
                step(i, .flushed(batch.sequence))
            }
        }
    }

    private mutating func send(_ message: PBFTMessage, from: Int) {
        guard let verified = try? verifier.verify(message, shard: Self.shard) else { return }
        for to in 0..<4 where to != from { network.append(Packet(from: from, to: to, message: verified)) }
    }

    private mutating func send(_ message: PBFTMessage, from: Int, to: Int) {
        guard let verified = try? verifier.verify(message, shard: Self.shard) else { return }
        network.append(Packet(from: from, to: to, message: verified))
    }
}

/// Signatures are measured by themselves.
private struct NoSignatures: SignatureScheme {
    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool { true }
}
