import Cores
import Messages
import Testing

/// Quorum reads at the gateway (R6).
@Suite struct GatewayReadTests {
    private let nonce = Hasher256.hash(.request, [1])

    private func answer(_ h: Harness, _ account: AccountID, _ posted: UInt128, host: Int) -> ReadAnswer {
        let shard = h.manifest.shardMap.shard(of: account)
        let statement = ReadStatement(
            cluster: h.manifest.cluster, epoch: h.manifest.epoch, shard: shard, nonce: nonce, account: account,
            view: AccountView(
                owner: h.principal.publicKey, asset: AssetID(1), posted: Amount(posted), pendingDebits: .zero,
                pendingCredits: .zero))
        let replica = h.manifest.replica(of: shard, on: HostID(UInt16(host))) ?? ReplicaIndex(0)
        // Each by its own clock.
        let clock = Timestamp(UInt64(host))
        let bytes = ReadAnswer.signingBytes(statement, time: clock, clock: clock)
        return ReadAnswer(
            statement: statement, time: clock, clock: clock,
            signature: ReplicaSignature(replica: replica, signature: h.hosts[host].sign(bytes)))
    }

    private func read(_ h: inout Harness, _ account: AccountID, id: UInt64) throws -> UInt64 {
        h.step(
            .client(SessionID(1), try h.verifier.verify(ClientMessage.read(id: id, .account(account), nonce: nonce))))
        let asked = h.ready.toHosts.compactMap { if case .read(let id, _, _) = $0.message { id } else { nil } }
        #expect(h.sent() == ["read to [0, 1, 2, 3]"])
        return try #require(asked.last)
    }

    private func answers(_ h: inout Harness) -> [[ReadAnswer]] {
        h.answers().compactMap { if case .read(_, let answers) = $0.reply { answers } else { nil } }
    }

    @Test func theClientGetsTwoFPlusOneEqualAnswersAsSoonAsTheyAreThere() throws {
        var h = try Harness()
        let account = h.account(on: 1)
        let id = try read(&h, account, id: 5)
        try h.reply(.read(id: id, answer(h, account, 9, host: 0)), from: 0)
        try h.reply(.read(id: id, answer(h, account, 8, host: 1)), from: 1)
        // Nobody answers twice, or for another.
        try h.reply(.read(id: id, answer(h, account, 9, host: 0)), from: 0)
        #expect(answers(&h).isEmpty)
        try h.reply(.read(id: id, answer(h, account, 9, host: 2)), from: 2)
        try h.reply(.read(id: id, answer(h, account, 9, host: 3)), from: 3)
        let given = try #require(answers(&h).first)
        #expect(
            try h.verifier.verify(given, of: .account(account), nonce: nonce).value.statement.view?.posted == Amount(9))
        try h.reply(.read(id: id, answer(h, account, 9, host: 1)), from: 1)
        #expect(h.answers().isEmpty)
    }

    @Test func aReadThatCanNoLongerBeProvenEndsAtOnceAndOneWithoutAnswersInTime() throws {
        var h = try Harness()
        let account = h.account(on: 0)
        var id = try read(&h, account, id: 1)
        try h.reply(.read(id: id, nil), from: 0)
        #expect(h.ready.toClients.isEmpty)
        try h.reply(.read(id: id, nil), from: 1)
        #expect(answers(&h) == [[]])

        id = try read(&h, account, id: 2)
        try h.reply(.read(id: id, answer(h, account, 9, host: 0)), from: 0)
        // Signed for another replica.
        try h.reply(.read(id: id, answer(h, account, 9, host: 0)), from: 1)
        h.advance(by: 305)
        #expect(answers(&h).map(\.count) == [1])
    }

    @Test func aPrincipalIsAskedAboutOnTheShardThatTheClientNames() throws {
        var h = try Harness()
        let key = h.principal.publicKey
        h.step(
            .client(
                SessionID(1),
                try h.verifier.verify(ClientMessage.read(id: 1, .principal(key, at: ShardID(1)), nonce: nonce))))
        let id = try #require(
            h.ready.toHosts.compactMap { if case .read(let id, _, _) = $0.message { id } else { nil } }.last)
        let standing = PrincipalStanding(acknowledgedBelow: RequestNumber(3), nextNumber: RequestNumber(9))
        let statement = ReadStatement(
            cluster: h.manifest.cluster, epoch: h.manifest.epoch, shard: ShardID(1), nonce: nonce, principal: key,
            standing: standing)
        for host in 0..<3 {
            let replica = h.manifest.replica(of: ShardID(1), on: HostID(UInt16(host))) ?? ReplicaIndex(0)
            let (time, clock) = (Timestamp(UInt64(10 * host)), Timestamp(UInt64(100 - host)))
            let bytes = ReadAnswer.signingBytes(statement, time: time, clock: clock)
            let signature = ReplicaSignature(replica: replica, signature: h.hosts[host].sign(bytes))
            try h.reply(
                .read(id: id, ReadAnswer(statement: statement, time: time, clock: clock, signature: signature)),
                from: host)
        }
        let given = try #require(answers(&h).first)
        let proof = try h.verifier.verify(given, of: .principal(key, at: ShardID(1)), nonce: nonce).value
        #expect(proof.statement.standing == standing)
        #expect(proof.times.time == Timestamp(10) && proof.times.clock == Timestamp(99))
        #expect(throws: Refused.unknownShard) {
            try h.verifier.verify(ClientMessage.read(id: 2, .principal(key, at: ShardID(9)), nonce: nonce))
        }
    }

    @Test func readsAreBounded() throws {
        var options = GatewayOptions()
        options.maxQueries = 1
        var h = try Harness(options: options)
        _ = try read(&h, h.account(on: 0), id: 1)
        h.step(
            .client(
                SessionID(1), try h.verifier.verify(ClientMessage.read(id: 2, .account(h.account(on: 0)), nonce: nonce))
            ))
        #expect(h.answers().map(\.reply.rejection) == [.queueFull])
    }
}
