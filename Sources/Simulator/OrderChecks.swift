import Messages

/// What a principal's requests that follow each other may not do (`Request.follows`): be recorded on a shard before
/// what they follow there is, or is acknowledged, or can never be any more. Held against what was ordered and what was
/// attested, and not against what replicas keep, which may be what is broken.
///
/// What nobody attested to the gateway is known by what was ordered alone; of that all is taken to be recorded, so that
/// nothing is reported that did not happen.
struct OrderChecks {
    private struct Name: Hashable {
        let principal: PublicKey
        let number: UInt64
    }
    private struct Contents {
        let time: Timestamp
        let requests: [SignedRequest]
    }
    /// What is known of one shard up to some batch.
    private struct Progress {
        var time = Timestamp.zero
        /// Legs that got a word, by request.
        var words: [Digest: Set<UInt16>] = [:]
        var recorded: Set<Digest> = []
        /// Every leg of one attempt got one.
        var whole: Set<Name> = []
        /// Deadlines of attempts of which something is recorded.
        var deadlines: [Name: Timestamp] = [:]
        var acknowledgedBelow: [PublicKey: UInt64] = [:]
        var freezes = FreezeChecks()
    }

    private let map: ShardMap?
    private var batches: [Digest: Contents] = [:]
    private var attested: [RuleChecks.Place: (batch: Digest, leaves: [Leaf])] = [:]
    /// What correct hosts said COMMIT for.
    private var committed: [RuleChecks.Place: Set<Digest>] = [:]
    private var last: [ShardID: SequenceNumber] = [:]
    /// Freezes that took effect, over all shards.
    private(set) var freezes = 0
    /// Requests that were recorded and follow another one, once a shard.
    private(set) var followers = 0
    /// Of correct hosts.
    private(set) var refusals = 0

    init(map: ShardMap?) { self.map = map }

    // MARK: What hosts do

    mutating func hear(_ batch: Batch) {
        guard !batch.isNull, batches[batch.digest] == nil else { return }
        let requests = batch.items.compactMap { if case .request(let request) = $0 { request } else { nil } }
        batches[batch.digest] = Contents(time: batch.time, requests: requests)
    }

    mutating func commit(_ shard: ShardID, _ vote: Vote) {
        committed[RuleChecks.Place(shard: shard, sequence: vote.sequence), default: []].insert(vote.digest)
        last[shard] = max(last[shard] ?? .zero, vote.sequence)
    }

    mutating func attest(_ attestation: BatchAttestation) {
        let statement = attestation.statement
        let place = RuleChecks.Place(shard: statement.shard, sequence: statement.sequence)
        if attested[place] == nil { attested[place] = (statement.batch, attestation.leaves) }
    }

    mutating func refuse(_ refusal: Refusal) { if refusal.reason == .outOfOrder { refusals += 1 } }

    // MARK: At the end

    /// Goes through the batches of every shard in their order.
    mutating func check() throws {
        for shard in last.keys.sorted() { try check(shard) }
    }

    private mutating func check(_ shard: ShardID) throws {
        var progress = Progress()
        defer { freezes += progress.freezes.freezes }
        var sequence = SequenceNumber(1)
        while sequence <= last[shard] ?? .zero {
            let place = RuleChecks.Place(shard: shard, sequence: sequence)
            if let (digest, leaves) = attested[place], let contents = batches[digest] {
                try follow(contents, leaves, at: place, &progress)
            } else {
                let choices = committed[place] ?? []
                for digest in choices where !digest.isNull {
                    guard let contents = batches[digest] else { return }
                    assume(contents, &progress)
                }
                // Executed by hosts that said nothing of it: what was in it is not known.
                if choices.isEmpty { return }
            }
            sequence = sequence.next
        }
    }

    private func assume(_ contents: Contents, _ progress: inout Progress) {
        progress.time = max(progress.time, contents.time)
        for signed in contents.requests {
            let request = signed.request
            progress.freezes.assume(signed)
            progress.recorded.insert(signed.digest)
            progress.whole.insert(Name(principal: request.principal, number: request.number.number))
            acknowledge(request, &progress)
        }
    }

    private func acknowledge(_ request: Request, _ progress: inout Progress) {
        progress.acknowledgedBelow[request.principal] = max(
            progress.acknowledgedBelow[request.principal] ?? 0, request.acknowledgedBelow.number)
    }

    private mutating func follow(
        _ contents: Contents, _ leaves: [Leaf], at place: RuleChecks.Place, _ progress: inout Progress
    ) throws {
        progress.time = max(progress.time, contents.time)
        progress.freezes.begin()
        for signed in contents.requests {
            let request = signed.request
            let name = Name(principal: request.principal, number: request.number.number)
            guard let leaf = leaves.first(where: { $0.request == signed.digest }) else {
                progress.freezes.assume(signed)
                continue
            }
            if let map { try progress.freezes.follow(signed, leaf, at: place, map) }
            let isNew =
                leaf.entries.contains { Self.isRecorded($0.status) } && !progress.recorded.contains(signed.digest)
            if isNew {
                progress.recorded.insert(signed.digest)
                progress.deadlines[name] = min(progress.deadlines[name] ?? request.deadline, request.deadline)
                if let predecessor = request.predecessor(on: place.shard) {
                    followers += 1
                    guard isBehind(predecessor, of: request, progress) else {
                        throw Checks.Violation(
                            description:
                                "shard \(place.shard) records request \(request.number) of \(request.principal.short) in batch \(place.sequence), before \(predecessor.number), which it follows"
                        )
                    }
                }
            }
            progress.words[signed.digest, default: []].formUnion(leaf.entries.map(\.leg))
            if let map, progress.words[signed.digest]?.count ?? 0 >= Self.ownLegs(of: request, on: place.shard, map) {
                progress.whole.insert(name)
            }
            acknowledge(request, &progress)
        }
    }

    private func isBehind(_ predecessor: Predecessor, of request: Request, _ progress: Progress) -> Bool {
        let name = Name(principal: request.principal, number: predecessor.number.number)
        let acknowledgedBelow = max(
            progress.acknowledgedBelow[request.principal] ?? 0, request.acknowledgedBelow.number)
        return progress.whole.contains(name) || name.number < acknowledgedBelow || progress.time > predecessor.deadline
            || progress.deadlines[name].map { progress.time > $0 } ?? false
    }

    private static func ownLegs(of request: Request, on shard: ShardID, _ map: ShardMap) -> Int {
        (0..<request.legCount).count { request.participants(ofLeg: $0, in: map).contains(shard) }
    }

    /// Whether the shard has to have a record before it says so.
    private static func isRecorded(_ status: LegStatus) -> Bool {
        switch status {
        case .votedYes, .committed, .read, .running, .returned, .failed: true
        case .votedNo(let reason), .aborted(let reason): reason != .malformed
        case .noRecordAbort, .acknowledged, .closed: false
        }
    }
}
