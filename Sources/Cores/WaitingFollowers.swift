import Messages

/// A gateway's requests that a shard would not look at before what they follow (`Request.follows`), from then until it
/// has a word on them: in which order they stand behind each other. A chain of them is sent again together when what
/// its first one waits for is there. One by one, each after a pause of its own, they would arrive in any order again,
/// and be refused again.
struct WaitingFollowers: Sendable {
    /// A request of a principal, on one shard.
    private struct Place: Hashable, Sendable {
        let principal: PublicKey
        let shard: ShardID
        let number: RequestNumber
    }

    /// By request: what it waits for, and where it is waited for itself.
    private var waiting: [Digest: (awaited: Place, own: Place)] = [:]
    private var own: [Place: Digest] = [:]
    /// By what it waits for. Of two that wait for the same, the one before has only its timer.
    private var next: [Place: Digest] = [:]

    var isEmpty: Bool { waiting.isEmpty }

    /// It is refused on this shard. Nothing happens if it follows nothing there: then the refusal is a lie.
    mutating func add(_ signed: SignedRequest, on shard: ShardID) {
        let request = signed.request
        guard let predecessor = request.predecessor(on: shard) else { return }
        remove(signed.digest)
        let awaited = Place(principal: request.principal, shard: shard, number: predecessor.number)
        let mine = Place(principal: request.principal, shard: shard, number: request.number)
        waiting[signed.digest] = (awaited, mine)
        (next[awaited], own[mine]) = (signed.digest, signed.digest)
    }

    mutating func remove(_ request: Digest) {
        guard !waiting.isEmpty, let (awaited, mine) = waiting.removeValue(forKey: request) else { return }
        if next[awaited] == request { next[awaited] = nil }
        if own[mine] == request { own[mine] = nil }
    }

    /// This shard has a word on it.
    mutating func remove(_ request: Digest, on shard: ShardID) {
        if !waiting.isEmpty, waiting[request]?.own.shard == shard { remove(request) }
    }

    /// Whether what it waits for waits here too: then it is sent again with that, and not before.
    func isBehindAnother(_ request: Digest) -> Bool { waiting[request].map { own[$0.awaited] != nil } ?? false }

    /// The request that waits for this one on a shard, the one that waits for that, and so on, up to the first that is
    /// under way.
    func chain(behind request: Request, on shard: ShardID, while isHeldBack: (Digest) -> Bool) -> [Digest] {
        var chain: [Digest] = []
        var place = Place(principal: request.principal, shard: shard, number: request.number)
        // Liars may have refused a circle, which is not followed round.
        while chain.count < waiting.count, let digest = next[place], isHeldBack(digest), let mine = waiting[digest]?.own
        {
            chain.append(digest)
            place = mine
        }
        return chain
    }
}
