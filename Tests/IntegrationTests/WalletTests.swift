import Client
import HostRuntime
import Messages
import Testing

/// A wallet with many payments under way, over real sockets.
@Suite(.timeLimit(.minutes(2)), .serialized) struct WalletTests {
    /// Of 200 payments the account can make 100. That these are the first 100 shows that all were voted on in order,
    /// through the death of the primary.
    @Test func twoHundredPaymentsUnderWayAreMadeInOrderThroughAPrimarysKill() async throws {
        let cluster = try await RuntimeCluster(shards: 2)
        let map = cluster.folder.manifest.shardMap
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 31, count: 32)))
        let (from, far) = try await cluster.open(1000, for: owner)
        let wallet = cluster.client(owner)
        let near = try #require(
            (16..<64 as Range<UInt64>).map {
                AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: $0)
            }
            .first { map.shard(of: $0.id) == map.shard(of: from) })
        _ = try await wallet.openAccount(near)
        var payments: [OrderedRequest] = []
        for i in 0..<200 {
            // On one shard, and now and then on two.
            let to = i % 8 == 0 ? far : near.id
            payments.append(
                try await wallet.submitInOrder([
                    .transfer(Transfer(from: from, to: to, asset: AssetID(1), amount: Amount(10)))
                ]))
            if i == 80 {
                // Each shard's first primary is the host with its number.
                let primary = Int(map.shard(of: from).number)
                await cluster.hosts[primary]?.stop()
                cluster.hosts[primary] = nil
            }
        }
        let numbers = payments.map(\.request.request.number)
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0.next == $1 })
        // Those that were sent while the shard had no primary follow each other.
        let followers = payments[100..<200].count { $0.request.request.predecessor(on: map.shard(of: from)) != nil }
        #expect(followers > 50, "\(followers)")
        var committed: [Bool] = []
        for payment in payments { committed.append(try await payment.outcome.isCommitted) }
        #expect(committed == (0..<200).map { $0 < 100 })
        #expect(try await wallet.read(from)?.posted == .zero)
        await wallet.close()
        await cluster.stop()
    }

    /// R11: beyond 1,024 numbers the wallet waits, and all have outcomes.
    @Test func aWalletMaySubmitMoreThanItsWindow() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 32, count: 32)))
        let accounts = (0..<2).map { AccountSpecification(owner: owner.publicKey, asset: AssetID(1), index: $0) }
        let bank = cluster.client(try cluster.folder.issuer())
        _ = try await bank.submit(accounts.map { .open($0) }, mode: .independent)
        _ = try await bank.submit(
            [.issue(to: accounts[0].id, asset: AssetID(1), amount: Amount(1500))], mode: .independent)
        let wallet = cluster.client(owner)
        var payments: [OrderedRequest] = []
        for _ in 0..<1500 {
            payments.append(
                try await wallet.submitInOrder([
                    .transfer(
                        Transfer(from: accounts[0].id, to: accounts[1].id, asset: AssetID(1), amount: Amount(1)))
                ]))
        }
        for payment in payments { #expect(try await payment.outcome.isCommitted) }
        #expect(try await wallet.read(accounts[1].id)?.posted == Amount(1500))
        await bank.close()
        await wallet.close()
        await cluster.stop()
    }

    /// Nobody is left to wait for: the oldest outcome is unknown, and stays so.
    @Test func aWalletWhoseNumbersAreUsedUpByUnknownOutcomesSaysSo() async throws {
        let cluster = try await RuntimeCluster(shards: 1)
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 33, count: 32)))
        var options = ClientOptions()
        (options.lifetime, options.grace) = (.milliseconds(1), .zero)
        let manifest = cluster.folder.manifest
        await cluster.stop()
        let wallet = QuorateClient(
            signer: owner, manifest: manifest, gateways: [GatewayAddress(host: "127.0.0.1", port: 1)], options: options,
            firstNumber: RequestNumber(1))
        let payment = Messages.Operation.transfer(
            Transfer(from: AccountID(1), to: AccountID(2), asset: AssetID(1), amount: Amount(1)))
        var payments: [OrderedRequest] = []
        for _ in 0..<RequestWindow.width { payments.append(try await wallet.submitInOrder([payment])) }
        for payment in payments { await #expect(throws: ClientError.self) { try await payment.outcome } }
        do {
            _ = try await wallet.submitInOrder([payment])
            Issue.record("there was room")
        } catch ClientError.windowFull(let oldest) {
            #expect(oldest == RequestNumber(1))
        }
        await wallet.abandon(RequestNumber(1))
        _ = try await wallet.submitInOrder([payment])
        await wallet.close()
    }
}
