import Randomness
import Messages
import ShardState
import Testing

private struct KeyChange: Hashable, CanonicalCodable {
    let key: String
    /// Nil removes the key.
    let value: UInt64?

    init(_ key: String, _ value: UInt64?) { (self.key, self.value) = (key, value) }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        key = try reader.value()
        value = try reader.bool() ? try reader.uint64() : nil
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(key)
        writer.put(value != nil)
        if let value { writer.put(value) }
    }
}

private struct ChangeKeys: Procedure {
    static let name = "change-keys"
    static let version: UInt16 = 1

    static func run(_ changes: [KeyChange], _ context: ProcedureContext) throws -> Bool {
        for change in changes {
            if let value = change.value {
                try context.set(change.key, to: value)
            } else {
                try context.remove(change.key)
            }
        }
        return true
    }
}

/// The tree that grows with the state (docs/decisions/0033).
@Suite struct StateTreeTests {
    private static func shard() throws -> (CallCluster, Person) {
        (try CallCluster(shards: 1) { $0.register(ChangeKeys.self) }, try Person(1))
    }

    /// Keys that belong together lie in one bucket: it is divided, and divided again, as it fills, and put together as
    /// it empties.
    @Test(arguments: 0..<20)
    func `however it grew and shrank, a state has the digest of its entries`(seed: Int) throws {
        var (cluster, alice) = try Self.shard()
        var untouched = cluster.base.shards[0]
        untouched.disk = TestDisk()
        try untouched.restart()
        if !seed.isMultiple(of: 3) {
            // Whatever is hashed when.
            cluster.base.shards[0].ahead.entriesPerBucket = 0
            cluster.base.shards[0].ahead.placedChanges = 1 + seed
            cluster.base.shards[0].ahead.changes = 2 + seed * 3
            cluster.base.shards[0].ahead.nodes = 1 + seed % 5
            try cluster.base.shards[0].restart()
        }
        var generator = SplitMix64(seed: UInt64(seed))
        var there: Set<Int> = []
        var number: UInt64 = 0
        for round in 0..<60 {
            let grows = round / 20 != 1
            let changes = (0..<16).map { _ -> KeyChange in
                let key = Int.random(in: 0..<600, using: &generator)
                let stays = Int.random(in: 0..<10, using: &generator) < (grows ? 9 : 1)
                if stays { there.insert(key) } else { there.remove(key) }
                return KeyChange("{one}\(key)", stays ? UInt64(round) : nil)
            }
            let root = cluster.call(alice, number, .key("{one}"), ChangeKeys.name, changes, acknowledging: number)
            number += 1
            let batch = Batch(time: start, items: [.request(root)])
            #expect(try cluster.base.shards[0].run(batch) == untouched.run(batch))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: try cluster.base.shards[0].flush()
            case 1:
                try cluster.base.shards[0].flush()
                try cluster.base.shards[0].restart()
                #expect(try !cluster.base.shards[0].executor.check(entries: .max))
            case 2, 3: _ = try cluster.base.shards[0].executor.checkpointDigest()
            default: break
            }
        }
        try cluster.base.checkInvariants()
        try untouched.executor.checkInvariants()
        #expect(try cluster.base.shards[0].executor.checkpointDigest() == untouched.executor.checkpointDigest())
        try cluster.base.shards[0].flush()
        let image = cluster.base.shards[0].disk.image
        let digests = try StateDigest.bucketDigests(of: image)
        for bucket in digests.indices {
            #expect(
                StateDigest.bucketDigest(try StateDigest.entries(ofBucket: bucket, in: image), of: bucket)
                    == digests[bucket])
        }
        // The bucket was divided, or this test shows nothing.
        #expect(there.count > 100 && image.keys.count { $0.first == 0x80 } > 4)
    }

    /// In a large state changes are hashed before the checkpoint, and the nodes above them later.
    @Test func `a state that hashes ahead has the digest of one that hashes after every batch`() throws {
        var (cluster, alice) = try Self.shard()
        var eager = cluster.base.shards[0]
        eager.disk = TestDisk()
        try eager.restart()
        let accounts = (0..<36_000).map { AccountSpecification(owner: alice.key, asset: gold, index: UInt64($0)) }
        var number: UInt64 = 0
        func run(_ operations: [Messages.Operation]) throws {
            let issuer = cluster.base.issuer
            let signed = cluster.base.request(issuer, number, acknowledging: number, mode: .independent, operations)
            number += 1
            let batch = Batch(time: start, items: [.request(signed)])
            #expect(try cluster.base.shards[0].run(batch) == eager.run(batch))
        }
        for first in stride(from: 0, to: accounts.count, by: 1000) {
            try run(accounts[first..<first + 1000].map { .open($0) })
        }
        var generator = SplitMix64(seed: 1)
        for round in 0..<20 {
            // Accounts that are opened now make parts be divided; some changes meet.
            let new = (0..<300).map {
                AccountSpecification(owner: alice.key, asset: silver, index: UInt64(round * 300 + $0))
            }
            try run(
                new.map { .open($0) }
                    + (0..<700).map { _ in
                        let account = accounts[Int.random(in: 0..<accounts.count, using: &generator)]
                        return .issue(to: account.id, asset: gold, amount: Amount(1))
                    })
            let digest = try eager.executor.checkpointDigest()
            if round % 7 == 6 { #expect(try cluster.base.shards[0].executor.checkpointDigest() == digest) }
            if round == 12 { try cluster.base.shards[0].flush() }
        }
        #expect(try cluster.base.shards[0].executor.checkpointDigest() == eager.executor.checkpointDigest())
        try cluster.base.checkInvariants()
    }

    /// The state, with many keys in one bucket, as it is on disk.
    private static func filled() throws -> TestShard {
        var (cluster, alice) = try shard()
        for number in 0..<UInt64(20) {
            let changes = (0..<16).map { KeyChange("{one}\(number)-\($0)", number) }
            _ = try cluster.base.shards[0].submit(
                cluster.call(alice, number, .key("{one}"), ChangeKeys.name, changes, acknowledging: number))
        }
        try cluster.base.shards[0].flush()
        return cluster.base.shards[0]
    }

    @Test func `whatever rots below the buckets' digests is found by reading it`() throws {
        let filled = try Self.filled()
        let sound = filled.disk.image
        for key in sound.keys where key.count > 8 || key.first == 0x80 && key[1] > 2 {
            var value = try #require(sound.value(forKey: key))
            value[value.count - 1] ^= 1
            var shard = filled
            shard.disk = TestDisk()
            let writes = sound.keys.map { KeyValueWrite(key: $0, value: $0 == key ? value : sound.value(forKey: $0)) }
            shard.disk.apply(writes, metadata: try #require(sound.metadata()), clearing: true)
            do {
                try shard.restart()
                try shard.executor.check(entries: .max)
                Issue.record("a damaged value under \(key) was not found")
            } catch is ShardStateError {}
        }
    }

    /// A liar adds an entry to those of a bucket, or says them in another order.
    @Test func `entries that are not exactly a bucket's are not taken for it`() throws {
        let image = try Self.filled().disk.image
        let digests = try StateDigest.bucketDigests(of: image)
        let all = try digests.indices.map { try StateDigest.entries(ofBucket: $0, in: image) }
        let largest = try #require(all.indices.max { all[$0].count < all[$1].count })
        let (right, digest) = (all[largest], digests[largest])
        #expect(right.count > 100 && StateDigest.bucketDigest(right, of: largest) == digest)
        let other = try #require(all.indices.first { $0 != largest && !all[$0].isEmpty })
        let strange = [
            right[right.count - 1], all[other][0], .init(key: [], value: []), .init(key: [0xff], value: [1]),
            .init(key: Array(right[0].key.prefix(4)), value: []),
        ]
        for entry in strange {
            for place in [0, 1, right.count / 2, right.count] {
                var wrong = right
                wrong.insert(entry, at: place)
                #expect(StateDigest.bucketDigest(wrong, of: largest) != digest)
            }
        }
        #expect(StateDigest.bucketDigest(right.reversed(), of: largest) != digest)
        #expect(StateDigest.bucketDigest(right, of: other) != digest)
    }

    /// A state that another replica sends replaces what has rotted here, entries, nodes and records in the indexes.
    @Test func `a fetched bucket heals whatever has rotted in it`() throws {
        let filled = try Self.filled()
        let sound = filled.disk.image
        let metadata = try #require(sound.metadata())
        let digests = try StateDigest.bucketDigests(of: sound)
        let buckets = try digests.indices.filter { digests[$0] != StateDigest.emptyBucketDigest }.map {
            (bucket: $0, entries: try StateDigest.entries(ofBucket: $0, in: sound))
        }
        let digest = try #require(StateDigest.checkpoint(metadata: metadata, bucketDigests: digests))
        for key in sound.keys
        where (key.first == 0x80 && key[1] > 2) || (key.first != 0x80 && Int(key[key.count - 1]) % 5 == 0) {
            var shard = filled
            shard.disk = TestDisk()
            shard.disk.apply(
                sound.keys.map { KeyValueWrite(key: $0, value: $0 == key ? [0xff, 1] : sound.value(forKey: $0)) },
                metadata: metadata,
                clearing: true)
            // What is to be pushed is read at the start.
            do { try shard.restart() } catch { continue }
            let sequence = shard.executor.lastExecuted
            try shard.finish(
                try shard.replacement(sequence: sequence, metadata: metadata, buckets: buckets, digest: digest))
            try shard.executor.checkInvariants()
            #expect(try shard.executor.checkpointDigest() == digest)
        }
    }

    @Test func `nodes that nobody wrote stop a start with an error`() throws {
        let filled = try Self.filled()
        let sound = filled.disk.image
        let node = try #require(sound.keys.first { $0.first == 0x80 && $0[1] == 2 })
        var large = try #require(sound.value(forKey: node))
        for i in 2..<10 { large[i] = 0xff }
        let strange: [KeyValueWrite] = [
            .init(key: [0x80, 2, 0x0f, 0xf1, 0, 0, 0, 0], value: sound.value(forKey: node)),
            .init(key: [0x80, 2, 0, 0, 0, 0, 0, 1], value: sound.value(forKey: node)),
            .init(key: [0x80, 2], value: [1]),
            .init(key: node, value: large), .init(key: [0x0f], value: [1]),
        ]
        for write in strange {
            var shard = filled
            shard.disk = TestDisk()
            let writes = sound.keys.filter { $0 != write.key }.map {
                KeyValueWrite(key: $0, value: sound.value(forKey: $0))
            }
            shard.disk.apply(writes + [write], metadata: try #require(sound.metadata()), clearing: true)
            #expect(throws: ShardStateError.self) {
                try shard.restart()
                _ = try shard.executor.check(entries: .max)
            }
        }
    }

    @Test func `a state is read a little at a time, and all of it once`() throws {
        var shard = try Self.filled()
        try shard.restart()
        var calls = 1
        while try shard.executor.check(entries: 100) { calls += 1 }
        #expect((2...5).contains(calls))
        #expect(try !shard.executor.check(entries: 1))
    }

    @Test func `a node that is missing stops the replica, and is not taken for an empty part`() throws {
        let sound = try Self.filled().disk.image
        let node = try #require(sound.keys.first { $0.first == 0x80 && $0[1] == 3 })
        var shard = try Self.filled()
        shard.disk.apply([KeyValueWrite(key: node, value: nil)], metadata: sound.metadata() ?? [], clearing: false)
        try shard.restart()
        var (cluster, alice) = try Self.shard()
        cluster.base.shards[0] = shard
        let root = cluster.call(
            alice, 20, .key("{one}"), ChangeKeys.name, [KeyChange("{one}new", 1)], acknowledging: 20)
        _ = try cluster.base.shards[0].submit(root)
        #expect(throws: ShardStateError.self) { try cluster.base.shards[0].executor.checkpointDigest() }
    }

    /// What lies where in the identifiers' order lies there in the buckets' order too, so that a part can go elsewhere
    /// as it is.
    @Test func `accounts lie in the order of the hash that chose their shard`() throws {
        let map = ShardMap(shardCount: 3)
        var generator = SplitMix64(seed: 1)
        var last: [ShardID: UInt64] = [:]
        let ids = (0..<3000).map { _ in AccountID(UInt128(generator.next()) << 64 | UInt128(generator.next())) }.sorted
        { $0.number < $1.number }
        for id in ids {
            let (shard, position) = (map.shard(of: id), map.position(of: id))
            #expect(position >= last[shard] ?? 0)
            last[shard] = position
        }
        #expect(last.count == 3 && last.values.allSatisfy { $0 > UInt64.max / 100 * 95 })
    }
}
