import Cores
import Messages
import Simulator
import Testing

/// Which shards' times a shard follows (R2).
@Suite struct KinTests {
    private func families(_ shards: [[UInt16]]) -> [Int] {
        let manifest = Manifest(
            cluster: ClusterID(StandInSigner(1).publicKey.value), epoch: Epoch(1),
            hosts: (0..<5).map { .init(address: "nowhere", port: $0, publicKey: StandInSigner(UInt64($0)).publicKey) },
            shards: shards.map { $0.map { HostID($0) } }, issuer: StandInSigner(999).publicKey)
        return HostCore.families(of: shards.indices.map { ShardID(UInt16($0)) }, in: manifest)
    }

    @Test func shardsOfTheSameHostsFollowEachOther() {
        #expect(families([[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3]]) == [0, 0, 0])
    }

    /// Hosts 2 and 3 are faulty: more than f of the second shard, which can be made to believe anything, and one of the
    /// first.
    @Test func aShardWithOneHostMoreOrOtherIsNotFollowed() {
        #expect(families([[0, 1, 2, 4], [0, 1, 2, 3], [1, 2, 0, 4]]) == [0, 1, 0])
    }
}
