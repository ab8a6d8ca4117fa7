import Messages

/// What the shards know that a client needs before it signs: which of its numbers they have seen, and what time it is
/// for them. Quorum reads (R6), so that neither a gateway nor f replicas of a shard can make it up.
extension QuorateClient {
    /// What the shards have recorded of a key's request numbers: the greatest of every shard's. A number from
    /// `nextNumber` on has not been ordered anywhere when this is asked; requests that are still on their way are not
    /// known to anybody.
    /// - Parameters:
    ///   - key: nil for this client's own.
    ///   - shards: nil for all.
    ///   - attempts: how often a shard is asked.
    ///   - timeout: for the answer to one attempt.
    /// - Throws: `ClientError.noGateways`, `ClientError.noQuorum` with the shard of which no 2f + 1 replicas agree just
    ///   now.
    public func standing(
        of key: PublicKey? = nil, on shards: [ShardID]? = nil, attempts: Int = 3, timeout: Duration = .seconds(10)
    ) async throws -> PrincipalStanding {
        let key = key ?? publicKey
        var joined = PrincipalStanding(acknowledgedBelow: RequestNumber(0), nextNumber: RequestNumber(0))
        for proof in try await proofs(of: key, on: shards, attempts: attempts, timeout: timeout) {
            if let standing = proof.statement.standing { joined = joined.joined(with: standing) }
        }
        return joined
    }

    /// What the replicas of each shard say of the shard's time and of their hosts' clocks.
    /// - Parameter shards: nil for all.
    /// - Throws: as `standing`.
    public func times(of shards: [ShardID]? = nil) async throws -> [ShardTimes] {
        try await proofs(of: publicKey, on: shards).map(\.times)
    }

    private func proofs(
        of key: PublicKey, on shards: [ShardID]?, attempts: Int = 3, timeout: Duration = .seconds(10)
    ) async throws -> [ReadProof] {
        try await Self.each(shards ?? (0..<manifest.shardCount).map { ShardID(UInt16($0)) }) { shard in
            guard let proof = try await self.proof(of: .principal(key, at: shard), attempts: attempts, timeout: timeout)
            else {
                throw ClientError.noQuorum(shard)
            }
            // Whoever signs next need not ask for it once more.
            await self.noteTimes(proof.times)
            return proof
        }
    }

    /// How many shards are asked at once.
    private static let questionsAtOnce = 32

    /// Asks each of the shards.
    /// - Returns: the answers, in the shards' order.
    static func each<Answer: Sendable>(
        _ shards: [ShardID], _ ask: @escaping @Sendable (ShardID) async throws -> Answer
    ) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            var answers: [(Int, Answer)] = []
            for (i, shard) in shards.enumerated() {
                if i >= questionsAtOnce, let answer = try await group.next() { answers.append(answer) }
                group.addTask { (i, try await ask(shard)) }
            }
            while let answer = try await group.next() { answers.append(answer) }
            return answers.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}
