import Messages
import Testing

@Suite struct ManifestFingerprintTests {
    private static func key(_ byte: UInt8) -> PublicKey {
        PublicKey(FixedBytes32([UInt8](repeating: byte, count: 32)) ?? FixedBytes32())
    }

    private static let manifest = Manifest(
        cluster: ClusterID(FixedBytes32()), epoch: Epoch(1),
        hosts: (0..<4).map { .init(address: "10.0.0.\($0)", port: 7100, publicKey: key(UInt8($0))) },
        shards: [(0..<4).map { HostID(UInt16($0)) }], issuer: key(8))

    /// Which parts say that something is different.
    private func parts(after change: (inout Manifest) -> Void) -> [Manifest.Part] {
        var other = Self.manifest
        change(&other)
        return Manifest.Part.allCases.filter { other.fingerprint(of: $0) != Self.manifest.fingerprint(of: $0) }
    }

    @Test func eachPartHasItsOwn() {
        #expect(parts { _ in } == [])
        #expect(parts { $0.hosts[1].publicKey = Self.key(9) } == [.keys])
        #expect(parts { $0.hosts[1].address = "10.0.0.9" } == [.addresses])
        #expect(parts { $0.hosts[1].port = 7101 } == [.addresses])
        #expect(parts { $0.shards[0].swapAt(0, 1) } == [.shards])
        #expect(parts { $0.shards.append([]) } == [.shards])
        #expect(parts { $0.issuer = Self.key(9) } == [.issuer])
        #expect(parts { $0.compliance = Self.key(8) } == [.compliance])
        #expect(parts { $0.hosts.swapAt(0, 1) } == [.keys, .addresses])
    }

    @Test func anyNumberOfJSONHoldsIt() {
        let all = Manifest.Part.allCases.map { Self.manifest.fingerprint(of: $0) }
        #expect(all.allSatisfy { $0 < 1 << 48 && UInt64(Double($0)) == $0 })
        #expect(Set(all).count == all.count)
    }
}
