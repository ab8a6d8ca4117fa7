import Randomness
import Glibc
import LMDBStore
import Messages
import Simulator
import Testing

/// A backend under test: a store, and the writer of the same state.
protocol Backend: Sendable {
    func run(_ body: (inout any KeyValueStore, any KeyValueWriter) throws -> Void) throws
}

struct MemoryBackend: Backend, CustomTestStringConvertible {
    var testDescription: String { "memory" }

    func run(_ body: (inout any KeyValueStore, any KeyValueWriter) throws -> Void) throws {
        let memory = MemoryStore()
        var store: any KeyValueStore = memory
        try body(&store, memory)
    }
}

struct LMDBBackend: Backend, CustomTestStringConvertible {
    var testDescription: String { "LMDB" }

    func run(_ body: (inout any KeyValueStore, any KeyValueWriter) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 64 << 20))
            var store: any KeyValueStore = try LMDBStore(environment)
            try body(&store, LMDBStoreWriter(environment))
        }
    }
}

/// - Parameter isDurable: false for thousands of commits whose syncs are not looked at: they are in memory, if there is
///   such a folder.
func withTemporaryFolder(isDurable: Bool = true, _ body: (String) throws -> Void) throws {
    let root = !isDurable && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(root)/quorate-store-XXXXXX".utf8CString)
    let parent = try #require(mkdtemp(&template).map { String(cString: $0) })
    let folder = parent + "/state"
    defer {
        removeFolder(folder)
        rmdir(parent)
    }
    try body(folder)
}

func removeFolder(_ folder: String) {
    for name in ["data.mdb", "lock.mdb", "opened"] { unlink(folder + "/" + name) }
    rmdir(folder)
}

extension KeyValueReader {
    func all(from lower: [UInt8] = [], to upper: [UInt8]? = nil) throws -> [KeyValueWrite] {
        var found: [KeyValueWrite] = []
        try forEach(from: lower, to: upper) { key, value in
            found.append(KeyValueWrite(key: key, value: value))
            return true
        }
        return found
    }
}

func write(_ key: [UInt8], _ value: [UInt8]?) -> KeyValueWrite { KeyValueWrite(key: key, value: value) }

/// What both backends promise.
@Suite struct KeyValueStoreTests {
    static let backends: [any Backend] = [MemoryBackend(), LMDBBackend()]

    @Test(arguments: backends) func anEmptyStoreHasNoEntriesAndNoMetadata(_ backend: any Backend) throws {
        try backend.run { (store, _) throws in
            #expect(try store.value(forKey: [1]) == nil)
            #expect(try store.metadata() == nil)
            #expect(try store.all().isEmpty)
        }
    }

    @Test(arguments: backends) func readsSeeTheLastRefreshAndSnapshotsNeverMove(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            try writer.apply([write([1], [10])], metadata: [1], clearing: false)
            #expect(try store.value(forKey: [1]) == nil)
            #expect(try store.metadata() == nil)
            try store.refresh()
            let snapshot = try store.snapshot()
            try writer.apply([write([1], [11]), write([2], [])], metadata: [], clearing: false)
            #expect(try store.value(forKey: [1]) == [10])
            try store.refresh()
            #expect(try store.value(forKey: [1]) == [11])
            #expect(try store.value(forKey: [2]) == [])
            #expect(try store.metadata() == [])
            try store.refresh()
            #expect(try snapshot.all() == [write([1], [10])])
            #expect(try snapshot.metadata() == [1])
        }
    }

    @Test(arguments: backends) func clearingRemovesEverythingFirst(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            try writer.apply([write([1], [1]), write([2], [2])], metadata: [1], clearing: false)
            try writer.apply([write([3], [3])], metadata: [2], clearing: true)
            try store.refresh()
            #expect(try store.all() == [write([3], [3])])
            #expect(try store.metadata() == [2])
        }
    }

    @Test(arguments: backends) func whatIsStagedIsSeenWhenItIsMovedAndThenInThePlaceOfWhatWasThere(
        _ backend: any Backend
    ) throws {
        try backend.run { (store, writer) throws in
            let (ones, fives) = (KeyRange(lower: [1], upper: [2]), KeyRange(lower: [5], upper: [6]))
            let before = [
                write([1, 1], [1]), write([1, 2], [1]), write([2], [1]), write([5, 1], [1]), write([6], [1]),
            ]
            try writer.apply(before, metadata: [1], seal: [1], clearing: false)
            try writer.stage([StagedPart(ranges: [ones], entries: [write([1, 0], [7]), write([1, 9], [7])])])
            try writer.stage([
                StagedPart(ranges: [ones], entries: [write([1, 2], [8]), write([1, 3], [8])]),
                StagedPart(ranges: [fives, KeyRange(lower: [8], upper: [9])], entries: [write([8, 1], [8])]),
                StagedPart(ranges: [KeyRange(lower: [9], upper: [10])], entries: [write([9], [8])]),
            ])
            try store.refresh()
            #expect(try store.all() == before)
            let moves = [fives, ones, KeyRange(lower: [8], upper: [9])]
            try writer.apply(
                [write([2], nil), write([8, 2], [3])], moving: moves, metadata: [2], seal: [2], clearing: false)
            #expect(try store.all() == before)
            try store.refresh()
            let after = [
                write([1, 2], [8]), write([1, 3], [8]), write([6], [1]), write([8, 1], [8]), write([8, 2], [3]),
            ]
            #expect(try store.all() == after)
            #expect(try store.metadata() == [2] && store.seal() == [2])
            // What was not moved is gone, so nothing comes in the place of this.
            let nine = KeyRange(lower: [9], upper: [10])
            try writer.apply([], moving: [nine, ones], metadata: [3], seal: nil, clearing: false)
            try store.refresh()
            #expect(try store.all() == Array(after.dropFirst(2)))
        }
    }

    @Test(arguments: backends) func whatCannotBeStagedChangesNothing(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            let all = KeyRange(lower: [0], upper: [255])
            try writer.stage([StagedPart(ranges: [all], entries: [write([1], [1])])])
            let long = [UInt8](repeating: 7, count: 512)
            #expect(throws: (any Error).self) {
                try writer.stage([
                    StagedPart(ranges: [all], entries: [write([2], [2])]),
                    StagedPart(ranges: [], entries: [write(long, [2])]),
                ])
            }
            try writer.apply([], moving: [all], metadata: [1], seal: nil, clearing: false)
            try store.refresh()
            #expect(try store.all() == [write([1], [1])])
        }
    }

    @Test func whatIsStagedDoesNotSurviveARestart() throws {
        let all = KeyRange(lower: [0], upper: [255])
        let memory = MemoryStore()
        try memory.stage([StagedPart(ranges: [all], entries: [write([1], [1])])])
        memory.reopen()
        try memory.apply([write([2], [2])], moving: [all], metadata: [], seal: nil, clearing: false)
        memory.refresh()
        #expect(try memory.all() == [write([2], [2])])
        try withTemporaryFolder { folder in
            for round in 1...3 as ClosedRange<UInt8> {
                let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 64 << 20))
                let writer = LMDBStoreWriter(environment)
                try writer.apply([write([2], [2])], moving: [all], metadata: [], seal: nil, clearing: false)
                let store = try LMDBStore(environment)
                #expect(try store.all() == [write([2], [2])], "round \(round)")
                let large = (0..<2000).map {
                    write([1, UInt8($0 / 256), UInt8($0 % 256)], [UInt8](repeating: 1, count: 500))
                }
                try writer.stage([StagedPart(ranges: [all], entries: large)])
            }
        }
    }

    @Test(arguments: backends) func theLastOfSeveralWritesToAKeyCounts(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            try writer.apply(
                [write([1], [1]), write([1], nil), write([2], nil), write([2], [2]), write([3], [1]), write([3], [3])],
                metadata: [], clearing: false)
            try store.refresh()
            #expect(try store.all() == [write([2], [2]), write([3], [3])])
        }
    }

    @Test(arguments: backends) func rangesAreHalfOpenAscendingAndStopWhenAsked(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            let keys: [[UInt8]] = [[0], [1], [1, 0], [1, 255], [2], [255], [255, 255]]
            try writer.apply(keys.reversed().map { write($0, $0) }, metadata: [], clearing: false)
            try store.refresh()
            #expect(try store.all().map(\.key) == keys)
            #expect(try store.all(from: [1], to: [2]).map(\.key) == [[1], [1, 0], [1, 255]])
            #expect(try store.all(from: [1, 1], to: [1, 1]).isEmpty)
            #expect(try store.all(from: [2, 0]).map(\.key) == [[255], [255, 255]])
            #expect(try store.all(from: [2], to: [1]).isEmpty)
            var seen = 0
            try store.forEach(from: [], to: nil) { _, _ in
                seen += 1
                return seen < 3
            }
            #expect(seen == 3)
        }
    }

    @Test(arguments: backends) func keysHaveOneToFiveHundredAndElevenBytes(_ backend: any Backend) throws {
        try backend.run { (store, writer) throws in
            let longest = [UInt8](repeating: 7, count: 511)
            try writer.apply([write(longest, [1])], metadata: [], clearing: false)
            for key in [[], longest + [0]] {
                #expect(throws: (any Error).self) {
                    try writer.apply([write([1], [1]), write(key, [1])], metadata: [9], clearing: true)
                }
                #expect(throws: (any Error).self) { try store.value(forKey: key) }
            }
            try store.refresh()
            #expect(try store.all() == [write(longest, [1])])
            #expect(try store.all(from: longest).count == 1)
            // A bound may be longer than a key can be.
            #expect(try store.all(from: longest + [0]).isEmpty)
        }
    }

    @Test(arguments: backends) func randomWritesMatchADictionary(_ backend: any Backend) throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            try backend.run { (store, writer) throws in
                var rng = SplitMix64(seed: seed)
                var model: [[UInt8]: [UInt8]] = [:]
                for _ in 0..<20 {
                    let clears = rng.chance(perMille: 30)
                    if clears { model.removeAll() }
                    let writes = (0..<rng.below(400)).map { _ in
                        let key =
                            [UInt8(rng.below(20)), UInt8(rng.below(256))] + [UInt8](repeating: 1, count: rng.below(3))
                        return write(
                            key, rng.chance(perMille: 350) ? nil : [UInt8](repeating: 5, count: rng.below(3000)))
                    }
                    for write in writes { model[write.key] = write.value }
                    try writer.apply(writes, metadata: [UInt8(seed)], clearing: clears)
                    try store.refresh()
                    let lower = [UInt8(rng.below(20))]
                    let expected = model.filter { !$0.key.lexicographicallyPrecedes(lower) }
                        .map { write($0.key, $0.value) }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
                    #expect(try store.all(from: lower) == expected, "seed \(seed)")
                    for write in writes.prefix(20) {
                        #expect(try store.value(forKey: write.key) == model[write.key], "seed \(seed)")
                    }
                }
            }
        }
    }
}
