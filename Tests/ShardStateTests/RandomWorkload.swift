import Randomness
import Messages
import ShardState

/// Requests of a few people that transfer between all accounts, with retries, replays, acknowledgements, bundles and
/// mistakes; and what an untrusted coordinator makes of them.
struct RandomWorkload {
    var random: SplitMix64
    let cluster: TestCluster
    let people: [Person]
    let accounts: [AccountSpecification]
    var requests: [SignedRequest] = []
    /// Everything certified so far, by request.
    var certificates: [Digest: [Certificate]] = [:]
    private var nextNumber: [UInt64]

    init(seed: UInt64, _ cluster: TestCluster, people: [Person], accounts: [AccountSpecification]) {
        (random, self.cluster) = (SplitMix64(seed: seed), cluster)
        (self.people, self.accounts) = (people, accounts)
        nextNumber = people.map { _ in 0 }
    }

    mutating func int(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func chance(_ percent: Int) -> Bool { int(0..<100) < percent }

    mutating func operation(by person: Person) -> Messages.Operation {
        let owned = accounts.filter { $0.owner == person.key }
        let from = chance(97) ? owned[int(0..<owned.count)] : accounts[int(0..<accounts.count)]
        let to = accounts[int(0..<accounts.count)]
        let amount = chance(80) ? int(1..<40) : int(0..<400)
        return .transfer(
            Transfer(from: from.id, to: to.id, asset: chance(97) ? from.asset : silver, amount: Amount(UInt128(amount)))
        )
    }

    /// A new request, or a new attempt at an old number.
    mutating func newRequest(at time: Timestamp) -> SignedRequest {
        let who = int(0..<people.count)
        var number = nextNumber[who]
        if number > 0, chance(15) { number -= UInt64(int(0..<Int(min(number, 4)))) } else { nextNumber[who] += 1 }
        let below = chance(30) ? number - UInt64(int(0..<Int(min(number, 6) + 1))) : 0
        let count = chance(70) ? 1 : int(1..<5)
        let operations = (0..<count).map { _ in operation(by: people[who]) }
        let request = cluster.request(
            people[who], number, acknowledging: below, mode: chance(50) ? .atomic : .independent, issuedAt: time,
            deadline: time.adding(microseconds: UInt64(int(1..<20)) * 500_000), operations)
        requests.append(request)
        return request
    }

    mutating func oldRequest() -> SignedRequest? {
        guard !requests.isEmpty else { return nil }
        return chance(70)
            ? requests[int(max(0, requests.count - 10)..<requests.count)] : requests[int(0..<requests.count)]
    }

    /// A random part of what is certified, in any order.
    mutating func decide(_ request: SignedRequest) -> TransactionDecide {
        let all = (certificates[request.digest] ?? []).shuffled(using: &random)
        return .of(request, Array(all.prefix(chance(50) ? TransactionDecide.maxCertificates : int(0..<4))))
    }

    mutating func batch(at time: Timestamp) -> Batch {
        if chance(3) { return .null }
        var items: [BatchItem] = []
        for _ in 0..<int(0..<7) {
            switch int(0..<10) {
            case 0..<3: items.append(.request(newRequest(at: time)))
            case 3..<6: if let old = oldRequest() { items.append(.request(old)) }
            default: if let old = oldRequest() { items.append(.decide(decide(old))) }
            }
        }
        return Batch(time: time, items: items)
    }

    mutating func collect(_ executed: ExecutedBatch) {
        for certificate in executed.certificates {
            var known = certificates[certificate.leaf.request] ?? []
            if !known.contains(where: { $0.shard == certificate.shard && $0.leaf == certificate.leaf }) {
                known.append(certificate)
            }
            certificates[certificate.leaf.request] = known
        }
    }
}
