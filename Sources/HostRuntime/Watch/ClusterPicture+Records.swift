import Messages

extension ClusterPicture {
    /// A request that shards have recorded and that is not decided there, whichever gateway brought it.
    package struct Record: Encodable, Sendable, Equatable {
        package var request: String
        /// For how long replicas have seen it so.
        package var age_ms: UInt64
        /// That have recorded it, and so have voted.
        package var shards: [Int]
        /// That others wait for, and that have not recorded it, as far as is seen. Empty: all have voted, or nobody has
        /// looked yet.
        package var waits_for: [Int]
    }

    /// Records that are named.
    package static let maxRecords = 20

    /// The oldest undecided records, by the word of f + 1 replicas of a shard each, or of all that answer if these are
    /// fewer.
    static func records(_ manifest: Manifest, _ sightings: [HostSighting]) -> [Record] {
        var found: [Digest: OpenRequest] = [:]
        var answering: [ShardID: Int] = [:]
        for (number, sighting) in sightings.enumerated() {
            guard let seen = sighting.answer?.observed else { continue }
            let host = HostID(UInt16(number))
            let own = Set(manifest.shards(of: host))
            for shard in own { answering[shard, default: 0] += 1 }
            for record in seen.observation.undecided where own.contains(record.shard) {
                found[record.request, default: OpenRequest()].note(record, of: host)
            }
        }
        func needed(_ shard: ShardID) -> Int {
            max(1, min(manifest.group(of: shard).weakQuorum, answering[shard] ?? 0))
        }
        let records = found.compactMap { $1.record($0, of: manifest, needed: needed) }
        return Array(records.sorted { ($1.age_ms, $0.request) < ($0.age_ms, $1.request) }.prefix(maxRecords))
    }
}

/// What replicas say of one request.
private struct OpenRequest {
    /// By shard and host: what a host says twice counts once.
    private var said: [ShardID: [HostID: UndecidedRecord]] = [:]

    mutating func note(_ record: UndecidedRecord, of host: HostID) { said[record.shard, default: [:]][host] = record }

    func record(
        _ request: Digest, of manifest: Manifest, needed: (ShardID) -> Int
    ) -> ClusterPicture.Record? {
        let recorded = said.filter { shard, records in records.count >= needed(shard) }
        // So many have seen it for so long.
        let ages = recorded.map { shard, records in records.values.map(\.age).sorted(by: >)[needed(shard) - 1] }
        guard let age = ages.max() else { return nil }
        var waits: Set<ShardID> = []
        for (shard, records) in recorded {
            let named = records.values.flatMap { Set($0.waitsFor) }
            for other in Set(named) where named.count(where: { $0 == other }) >= needed(shard) {
                if recorded[other] == nil, manifest.hasShard(other) { waits.insert(other) }
            }
        }
        return ClusterPicture.Record(
            request: request.hex, age_ms: age / 1000, shards: recorded.keys.sorted().map { Int($0.number) },
            waits_for: waits.sorted().map { Int($0.number) })
    }
}
