import Foundation
import LMDBStore
import Messages
import Simulator
import Testing

@Suite struct LMDBTests {
    @Test func signalsThatAreNoFaultsAreHeldAndComeBack() {
        func isHeld(_ number: Int32) -> Bool {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            return sigismember(&mask, number) == 1
        }
        let was = isHeld(SIGTERM)
        let before = HeldSignals.hold()
        #expect(isHeld(SIGTERM) && isHeld(SIGHUP) && !isHeld(SIGBUS) && !isHeld(SIGSEGV))
        HeldSignals.release(before)
        #expect(isHeld(SIGTERM) == was)
    }

    @Test func whatWasAppliedIsThereAfterClosingAndOpening() throws {
        try withTemporaryFolder { folder in
            for round in 0..<3 as Range<UInt8> {
                let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 16 << 20))
                let store = try LMDBStore(environment)
                #expect(try store.metadata() == (round == 0 ? nil : [round - 1]))
                #expect(try store.all().count == Int(round))
                try LMDBStoreWriter(environment).apply([write([round], [round])], metadata: [round], clearing: false)
            }
        }
    }

    /// Whoever looks at a stopped host's files leaves them as they are.
    @Test func whatIsOnlyReadIsTheSameAndNoByteOfTheFolderChanges() throws {
        try withTemporaryFolder { folder in
            #expect(throws: LMDBError.failed(operation: "stat", path: folder + "/data.mdb", code: 2)) {
                try LMDBEnvironment(reading: folder)
            }
            var writes = (0..<300).map {
                write([1, UInt8($0 / 256), UInt8($0 % 256)], [UInt8](repeating: 1, count: 500))
            }
            do {
                let writer = LMDBStoreWriter(try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 16 << 20)))
                try writer.apply(writes, metadata: [1], seal: [2], clearing: false)
                try writer.apply([write([2], [2])], metadata: [3], seal: [4], clearing: false)
                writes.append(write([2], [2]))
            }
            let before = try contents(of: folder)
            #expect(before.keys.sorted() == ["data.mdb", "lock.mdb", "opened"])
            do {
                let environment = try LMDBEnvironment(reading: folder)
                #expect(throws: LMDBError.alreadyOpen(path: folder)) { try LMDBEnvironment(reading: folder) }
                let store = try LMDBStore(environment)
                #expect(try store.all() == writes)
                #expect(try store.metadata() == [3] && store.seal() == [4])
                let figures = try environment.figures()
                #expect(figures.entries == 301 && figures.fileBytes == before["data.mdb"]?.count)
                // What the first commit had, the second did not write over.
                #expect(figures.freePages > 0 && figures.freePages < figures.pages)
                #expect(throws: (any Error).self) {
                    try LMDBStoreWriter(environment).apply([write([3], [3])], metadata: [5], clearing: false)
                }
            }
            #expect(try contents(of: folder) == before)
            #expect(!LMDBEnvironment.isCondemned(folder))
            try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 16 << 20)).condemn()
            #expect(LMDBEnvironment.isCondemned(folder))
        }
    }

    private func contents(of folder: String) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return try Dictionary(
            uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0))) })
    }

    /// LMDB itself would not notice, and closing one of the two would drop the other's locks.
    @Test func aSecondOpenInTheSameProcessIsRefused() throws {
        try withTemporaryFolder { folder in
            do {
                let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 16 << 20))
                #expect(throws: LMDBError.alreadyOpen(path: folder)) { try LMDBEnvironment(path: folder) }
                #expect(throws: LMDBError.alreadyOpen(path: folder + "/.")) { try LMDBEnvironment(path: folder + "/.") }
                _ = try LMDBStore(environment)
            }
            _ = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 16 << 20))
        }
    }

    /// R7: a typed error, never a transaction's result. The next start may reserve more.
    @Test func aFullMapAppliesNothingAndALargerMapTakesTheSameWrites() throws {
        try withTemporaryFolder { folder in
            let large = (0..<100).map { write([UInt8($0)], [UInt8](repeating: 1, count: 20_000)) }
            do {
                let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 1 << 20))
                let writer = LMDBStoreWriter(environment)
                try writer.apply([write([1], [1])], metadata: [1], clearing: false)
                #expect(throws: LMDBError.mapFull(path: folder, limit: 1 << 20)) {
                    try writer.apply(large, metadata: [2], clearing: true)
                }
                let store = try LMDBStore(environment)
                #expect(try store.all() == [write([1], [1])])
                #expect(try store.metadata() == [1])
            }
            let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 8 << 20))
            try LMDBStoreWriter(environment).apply(large, metadata: [2], clearing: true)
            #expect(try LMDBStore(environment).all() == large)
            #expect(environment.usedBytes > 2_000_000)
        }
    }

    /// A reader that stays where it is keeps every page that staging frees, and a fetch may take hours.
    @Test func whatIsStagedAgainAndAgainUsesItsPagesAgain() throws {
        try withTemporaryFolder { path in
            let environment = try LMDBEnvironment(path: path)
            let writer = LMDBStoreWriter(environment)
            var store = try LMDBStore(environment)
            let range = KeyRange(lower: [1], upper: [2])
            let staged = (0..<10).map { write([1, UInt8($0)], [UInt8](repeating: 2, count: 10_000)) }
            for _ in 0..<200 {
                try writer.stage([StagedPart(ranges: [range], entries: staged)])
                try store.refresh()
            }
            #expect(environment.usedBytes < 10 * 10 * 12_288)
            #expect(try store.all().isEmpty)
        }
    }

    /// What was staged is there still, so the same move can be made with less beside it, or after a start with more room.
    @Test func aFullMapMovesNothing() throws {
        try withTemporaryFolder { folder in
            let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 1 << 20))
            let writer = LMDBStoreWriter(environment)
            let range = KeyRange(lower: [1], upper: [2])
            let staged = (0..<10).map { write([1, UInt8($0)], [UInt8](repeating: 2, count: 10_000)) }
            let large = (0..<100).map { write([2, UInt8($0)], [UInt8](repeating: 1, count: 20_000)) }
            try writer.apply([write([1], [1])], metadata: [1], clearing: false)
            try writer.stage([StagedPart(ranges: [range], entries: staged)])
            #expect(throws: LMDBError.mapFull(path: folder, limit: 1 << 20)) {
                try writer.apply(large, moving: [range], metadata: [2], seal: nil, clearing: false)
            }
            #expect(try LMDBStore(environment).all() == [write([1], [1])])
            #expect(throws: LMDBError.mapFull(path: folder, limit: 1 << 20)) {
                try writer.stage([StagedPart(ranges: [range], entries: large)])
            }
            try writer.apply([], moving: [range], metadata: [2], seal: nil, clearing: false)
            #expect(try LMDBStore(environment).all() == staged)
        }
    }

    @Test func theDefaultReservationOfAddressSpaceTakesNoDisk() throws {
        try withTemporaryFolder { folder in
            let environment = try LMDBEnvironment(path: folder)
            #expect(environment.usedBytes < 1 << 20)
        }
    }

    @Test func aFolderThatCannotBeMadeIsATypedErrorWithItsPath() {
        #expect(throws: LMDBError.failed(operation: "creation", path: "/nonexistent/state", code: 2)) {
            try LMDBEnvironment(path: "/nonexistent/state")
        }
    }

    @Test func snapshotsAreReadWhileAnotherThreadWrites() async throws {
        try await withEnvironment { environment in
            let writer = LMDBStoreWriter(environment)
            try writer.apply(
                (0..<1000).map { write([UInt8($0 >> 8), UInt8($0 & 255)], [0]) }, metadata: [0], clearing: false)
            let snapshot = try LMDBStore(environment).snapshot()
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask {
                    for round in 1...20 as ClosedRange<UInt8> {
                        try writer.apply(
                            (0..<1000).map { write([UInt8($0 >> 8), UInt8($0 & 255)], [round]) }, metadata: [round],
                            clearing: false)
                    }
                    return 0
                }
                for _ in 0..<4 {
                    group.addTask {
                        try (0..<20).reduce(0) { sum, _ in
                            try snapshot.all().reduce(sum) { $0 + Int($1.value?[0] ?? 1) }
                        }
                    }
                }
                for try await changes in group { #expect(changes == 0) }
            }
            #expect(try LMDBStore(environment).metadata() == [20])
        }
    }

    private func withEnvironment(_ body: (LMDBEnvironment) async throws -> Void) async throws {
        let folder = "/tmp/quorate-store-\(UInt64.random(in: 0 ... .max))"
        try await body(try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 64 << 20)))
        removeFolder(folder)
    }
}
