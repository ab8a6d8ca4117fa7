import NIOCore
import Testing
import Transport

@Suite struct HandshakeRatesTests {
    private static let second: UInt64 = 1_000_000_000

    private func peer(_ address: String) throws -> PeerNetwork {
        PeerNetwork(try SocketAddress(ipAddress: address, port: 1))
    }

    @Test func anAddressHasABurstAndThenItsRate() throws {
        var rates = HandshakeRates(rate: 20)
        let peer = try peer("192.0.2.1")
        var now = 5 * Self.second
        var admitted = 0
        for _ in 0..<200 where rates.admit(peer, now: now) { admitted += 1 }
        #expect(admitted == 50)
        for _ in 0..<3 {
            now += Self.second
            admitted = 0
            for _ in 0..<200 where rates.admit(peer, now: now) { admitted += 1 }
            #expect(admitted == 20)
        }
        // After a pause there is a burst again, and no more.
        now += 100 * Self.second
        admitted = 0
        for _ in 0..<200 where rates.admit(peer, now: now) { admitted += 1 }
        #expect(admitted == 50)
    }

    @Test func oneAddressTakesNothingFromAnotherAndThisMachineIsNotBounded() throws {
        var rates = HandshakeRates(rate: 1)
        let (one, other, here) = (try peer("192.0.2.1"), try peer("192.0.2.2"), try peer("127.0.0.1"))
        for _ in 0..<100 { _ = rates.admit(one, now: Self.second) }
        let verdicts = (rates.admit(one, now: Self.second), rates.admit(other, now: Self.second))
        #expect(!verdicts.0 && verdicts.1)
        var local = 0
        for _ in 0..<1000 where rates.admit(here, now: Self.second) { local += 1 }
        #expect(local == 1000)
    }

    @Test func anIPv6NetworkIsOneAddress() throws {
        var rates = HandshakeRates(rate: 1)
        var admitted = 0
        for i in 1...100 where rates.admit(try peer("2001:db8::\(i)"), now: Self.second) { admitted += 1 }
        #expect(admitted == 3)
    }

    @Test func whatIsGivenBackDoesNotCount() throws {
        var rates = HandshakeRates(rate: 1)
        let host = try peer("192.0.2.1")
        var admitted = 0
        for _ in 0..<100 where rates.admit(host, now: Self.second) {
            admitted += 1
            rates.giveBack(host)
        }
        #expect(admitted == 100)
    }

    /// Somebody with many addresses shuts nobody out, and takes no more memory.
    @Test func whereTooManyAreKnownNewcomersAreLetThrough() throws {
        var rates = HandshakeRates(rate: 1, maxAddresses: 2)
        let all = try (1...3).map { try peer("192.0.2.\($0)") }
        for peer in all.prefix(2) { for _ in 0..<10 { _ = rates.admit(peer, now: Self.second) } }
        var admitted = 0
        for _ in 0..<10 where rates.admit(all[2], now: Self.second) { admitted += 1 }
        #expect(admitted == 10)
        // The others are as if they had never come: there is room for it.
        admitted = 0
        for _ in 0..<10 where rates.admit(all[2], now: 100 * Self.second) { admitted += 1 }
        #expect(admitted == 3)
    }
}
