import Randomness
import Cores
import Messages

/// A client that tells different hosts different things under one request number, without a gateway. It owns accounts
/// of its own, so that whatever it achieves stays among them.
struct ByzantineClient {
    static let session = SessionID(1 << 40)
    static let accountCount = 4
    let signer = StandInSigner(777_777)
    let accounts: [AccountSpecification]
    var number = RequestNumber(1)
    var nextAt: UInt64 = 1_000_000_000
    /// Repeated now and then to other hosts than before.
    var sent: [SignedRequest] = []
    private(set) var submissions = 0

    init() {
        accounts = (0..<Self.accountCount).map { [signer] in
            AccountSpecification(owner: signer.publicKey, asset: AssetID(1), index: UInt64($0))
        }
    }

    mutating func next(manifest: Manifest, now: Instant, using rng: inout SplitMix64) -> [(host: Int, GatewayMessage)] {
        guard now.uptime >= nextAt else { return [] }
        nextAt = now.uptime + rng.below(UInt64(2_000_000_000))
        var requests: [SignedRequest] = []
        for _ in 0..<2 + rng.below(2) {
            let from = rng.below(accounts.count)
            let to = (from + 1 + rng.below(accounts.count - 1)) % accounts.count
            let transfer = Transfer(
                from: accounts[from].id, to: accounts[to].id, asset: AssetID(1),
                amount: Amount(UInt128(1 + rng.below(400))))
            let back = Transfer(from: accounts[to].id, to: accounts[from].id, asset: AssetID(1), amount: Amount(1))
            // A short life for some, so that deadlines pass in the middle.
            let life: UInt64 = rng.chance(perMille: 500) ? 2_000_000 : 20_000_000
            let request = Request(
                cluster: manifest.cluster, epoch: manifest.epoch, principal: signer.publicKey, number: number,
                acknowledgedBelow: RequestNumber(
                    number.number > 3 && rng.chance(perMille: 200) ? number.number - 2 : 1),
                follows: order(manifest, now: now, using: &rng), issuedAt: now.wall,
                deadline: now.wall.adding(microseconds: life),
                mode: rng.chance(perMille: 700) ? .atomic : .independent,
                operations: rng.chance(perMille: 500) ? [.transfer(transfer)] : [.transfer(transfer), .transfer(back)])
            requests.append(SignedRequest(request, signedBy: signer))
        }
        if !rng.chance(perMille: 200) { number = number.next }
        if let old = sent.randomElement(using: &rng) { requests.append(old) }
        sent.append(contentsOf: requests)
        if sent.count > 32 { sent.removeFirst(sent.count - 32) }
        var messages: [(Int, GatewayMessage)] = []
        for host in manifest.hosts.indices {
            let request = requests[rng.below(requests.count)]
            // Often only to some of the participants, which leaves the others to be asked by the hosts.
            let shards = request.request.participants(in: manifest.shardMap).filter { _ in rng.chance(perMille: 700) }
            if !shards.isEmpty { messages.append((host, .submit(shards, request))) }
        }
        submissions += messages.count
        return messages
    }

    /// Now and then it follows what is there, what never was, itself, or what comes after it; ascending or not.
    private func order(_ manifest: Manifest, now: Instant, using rng: inout SplitMix64) -> [Predecessor] {
        guard rng.chance(perMille: 250) else { return [] }
        return (0..<1 + rng.below(2)).map { _ in
            Predecessor(
                shard: ShardID(UInt16(rng.below(manifest.shards.count))),
                number: RequestNumber(number.number + 1 - min(number.number, UInt64(rng.below(4)))),
                deadline: now.wall.adding(microseconds: rng.below(UInt64(4_000_000))))
        }
    }
}
