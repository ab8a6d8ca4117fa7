import HostCore
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
                owner: h.principal.publicKey, asset: AssetID(1), posted: Amount(posted), pendingDebits: .zero, pendingCredits: .zero))
        let replica = h.manifest.replica(of: shard, on: HostID(UInt16(host))) ?? ReplicaIndex(0)
        return ReadAnswer(
            statement: statement, signature: ReplicaSignature(replica: replica, signature: h.hosts[host].sign(statement.signingBytes)))
    }

    private func read(_ h: inout Harness, _ account: AccountID, id: UInt64) throws -> UInt64 {
        h.step(.client(SessionID(1), try h.verifier.verify(ClientMessage.read(id: id, account, nonce: nonce))))
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
        #expect(try h.verifier.verify(given, of: account, nonce: nonce).value.view?.posted == Amount(9))
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

    @Test func readsAreBounded() throws {
        var options = GatewayOptions()
        options.maxQueries = 1
        var h = try Harness(options: options)
        _ = try read(&h, h.account(on: 0), id: 1)
        h.step(.client(SessionID(1), try h.verifier.verify(ClientMessage.read(id: 2, h.account(on: 0), nonce: nonce))))
        #expect(h.answers().map(\.reply.rejection) == [.queueFull])
    }
}
