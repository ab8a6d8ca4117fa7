import Randomness
import WriteAheadLog
import Messages
import Simulator
import Testing

@Suite struct JournalTests {
    private let options = JournalOptions(segmentSize: 64 << 10)

    private func create(_ disk: SimulatedJournalStorage) throws -> Journal<SimulatedJournalStorage> {
        var rng = SplitMix64(seed: 1)
        return try Journal.create(disk, options: options, using: &rng)
    }

    private func record(_ number: Int, size: Int = 300) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size)
    }

    @Test func anEmptyFolderHoldsNoJournal() {
        #expect(throws: JournalError.missing(path: "simulated")) { try Journal.open(SimulatedJournalStorage()) }
    }

    @Test func createRefusesAFolderThatHoldsAJournalOrAnythingElse() throws {
        let disk = SimulatedJournalStorage()
        _ = try create(disk)
        #expect(throws: JournalError.notEmpty(path: "simulated", found: "journal-0000000000000001")) {
            try create(disk)
        }
        let other = SimulatedJournalStorage()
        try other.create("notes", size: 1)
        #expect(throws: JournalError.notEmpty(path: "simulated", found: "notes")) { try create(other) }
    }

    @Test func oneSyncCoversEverythingThatWasAppended() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        let before = disk.syncCount
        for i in 0..<50 { try journal.append(record(i)) }
        #expect(journal.hasUnsyncedRecords)
        try journal.sync()
        try journal.sync()
        #expect(!journal.hasUnsyncedRecords)
        #expect(disk.syncCount == before + 1)
    }

    @Test func recordsOfEightMebibytesAreKept() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        let records = [record(1), record(2, size: 8 << 20), record(3), record(4, size: 8 << 20), []]
        for record in records { try journal.append(record) }
        try journal.sync()
        var rng = SplitMix64(seed: 3)
        #expect(try Journal.open(disk.powerLoss(using: &rng), options: options).records == records)
        #expect(throws: JournalError.recordTooLarge(length: 16 << 20 + 1, limit: 16 << 20)) {
            try journal.append([UInt8](repeating: 0, count: 16 << 20 + 1))
        }
        // The journal is none the worse.
        try journal.append(record(5))
        try journal.sync()
    }

    @Test func aFailedSyncPoisonsTheJournalAndWhatItLostIsNotReplayed() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        try journal.sync()
        try journal.append(record(2))
        disk.failsNextSync = true
        let failure = JournalError.storage(.sync, path: "journal-0000000000000001", errno: 5)
        #expect(throws: failure) { try journal.sync() }
        #expect(throws: JournalError.poisoned(by: failure)) { try journal.append(record(3)) }
        #expect(throws: JournalError.poisoned(by: failure)) { try journal.sync() }
        // The process starts again; the kernel still shows the second record, the disk never had it.
        #expect(try Journal.open(disk, options: options).records == [record(1)])
    }

    @Test func aFullDiskStopsTheJournalAndLosesNothing() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        disk.diskIsFull = true
        var kept: [[UInt8]] = []
        let failure = #expect(throws: JournalError.self) {
            while true {
                try journal.append(record(kept.count))
                kept.append(record(kept.count))
                try journal.sync()
            }
        }
        #expect(failure == .storage(.create, path: "recycle-0000000000010000-0000000000000002", errno: 28))
        #expect(try Journal.open(disk, options: options).records == kept)
    }

    @Test func aHoleThatALaterRecordSaysWasDurableIsRot() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 1...3 {
            try journal.append(record(i))
            try journal.sync()
        }
        // The second record's payload: the third was written when the second was durable.
        disk.corrupt("journal-0000000000000001", at: 8192 + 368 + 100)
        #expect(throws: JournalError.rot(segment: 1, offset: 8192 + 368)) { try Journal.open(disk, options: options) }
    }

    @Test func aHoleInTheBatchThatWasBeingWrittenIsATornTail() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        try journal.sync()
        for i in 2...4 { try journal.append(record(i)) }
        try journal.sync()
        // As if this page of the last batch had not reached the disk: good records follow, and none says it was
        // durable.
        disk.corrupt("journal-0000000000000001", at: 8192 + 368 + 100)
        var opened = try Journal.open(disk, options: options)
        #expect(opened.records == [record(1)])
        // The good records behind the hole never come back, even when the same bytes are appended again.
        try opened.journal.append(record(2))
        try opened.journal.sync()
        #expect(try Journal.open(disk, options: options).records == [record(1), record(2)])
    }

    @Test func damageToTheLastBatchIsSeenAfterAMark() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        try journal.syncAndMark()
        disk.corrupt("journal-0000000000000001", at: 8192 + 100)
        #expect(throws: JournalError.rot(segment: 1, offset: 8192)) { try Journal.open(disk, options: options) }
    }

    @Test func aMissingMiddleSegmentIsAnError() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 0..<600 { try journal.append(record(i)) }
        try journal.sync()
        try disk.remove("journal-0000000000000002")
        #expect(throws: JournalError.missingSegment(2)) { try Journal.open(disk, options: options) }
    }

    @Test func oneDamagedHeaderIsRepairedAndTwoAreRot() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        try journal.sync()
        disk.corrupt("journal-0000000000000001", at: 20)
        #expect(try Journal.open(disk, options: options).records == [record(1)])
        disk.corrupt("journal-0000000000000001", at: 4096 + 20)
        #expect(try Journal.open(disk, options: options).records == [record(1)])
        disk.corrupt("journal-0000000000000001", at: 20)
        disk.corrupt("journal-0000000000000001", at: 4096 + 20)
        #expect(throws: JournalError.rot(segment: 1, offset: 0)) { try Journal.open(disk, options: options) }
    }

    @Test func aFinishedCompactionGivesUpOlderSegmentsAndUsesTheirFilesAgain() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for round in 0..<5 {
            for i in 0..<400 { try journal.append(record(i)) }
            try journal.sync()
            try journal.beginCompaction()
            try journal.append(record(round))
            try journal.finishCompaction()
        }
        #expect(try Journal.open(disk, options: options).records == [record(4)])
        // One segment, two spares.
        #expect(disk.names().count == 3)
    }

    @Test func anUnfinishedCompactionKeepsTheOldRecordsAndWhatWasSyncedSince() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        try journal.beginCompaction()
        try journal.append(record(2))
        try journal.sync()
        for seed in 0..<100 {
            var rng = SplitMix64(seed: UInt64(seed))
            #expect(try Journal.open(disk.powerLoss(using: &rng), options: options).records == [record(1), record(2)])
        }
        var fresh = try create(SimulatedJournalStorage())
        #expect(throws: JournalError.noCompaction) { try fresh.finishCompaction() }
    }

    @Test func aCreationThatWasCutShortCanBeRepeated() throws {
        for seed in 0..<200 {
            var rng = SplitMix64(seed: UInt64(seed))
            let storage = FailingStorage(SimulatedJournalStorage())
            storage.operationsLeft = rng.below(6)
            #expect(throws: JournalError.self) { try Journal.create(storage, options: options, using: &rng) }
            let disk = storage.disk.powerLoss(using: &rng)
            do throws(JournalError) {
                _ = try Journal.open(disk, options: options)
            } catch {
                #expect(error == .missing(path: "simulated"), "seed \(seed)")
                _ = try Journal.create(disk, options: options, using: &rng)
            }
            #expect(try Journal.open(disk, options: options).records.isEmpty, "seed \(seed)")
        }
    }

    /// A client chooses payload bytes. A copy of a record of this very journal inside a payload must not count as one.
    @Test func aRecordInsideAPayloadIsNoEvidenceOfRot() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 1...2 {
            try journal.append(record(i))
            try journal.sync()
        }
        // A guess at the next record, claiming everything durable, from all that is not secret.
        var forged = Array(try disk.read("journal-0000000000000001")[8192 + 368..<8192 + 736])
        forged[24] = 200
        try journal.append(forged)
        try journal.sync()
        disk.corrupt("journal-0000000000000001", at: 8192 + 736 + 50)
        #expect(try Journal.open(disk, options: options).records == [record(1), record(2)])
    }

    @Test func aFailedWritePoisonsTheJournal() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        try journal.append(record(1))
        disk.failsNextWrite = true
        let failure = JournalError.storage(.write, path: "journal-0000000000000001", errno: 5)
        #expect(throws: failure) { try journal.sync() }
        #expect(throws: JournalError.poisoned(by: failure)) { try journal.syncAndMark() }
        #expect(try Journal.open(disk, options: options).records.isEmpty)
    }

    /// A later program's segment is not taken for a damaged one: damage would have the host forget its votes.
    @Test func aSegmentOfALaterVersionIsRefusedByItsNumber() throws {
        let disk = SimulatedJournalStorage()
        let name = "journal-0000000000000001"
        _ = try create(disk)
        var header = Array(try disk.read(name).prefix(48))
        header[8] = 3
        var check = Hasher256()
        check.update(header)
        let bytes = header + check.finish().bytes.prefix(16)
        for copy in [0, 4096] { try disk.write(bytes, to: name, at: copy) }
        #expect(throws: JournalError.unknownVersion(segment: 1, version: 3)) {
            try Journal.open(disk, options: options)
        }
    }

    @Test func aJournalOfWhichOnlyAContinuationIsLeftIsIncomplete() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 0..<300 { try journal.append(record(i)) }
        try journal.sync()
        try disk.remove("journal-0000000000000001")
        #expect(throws: JournalError.missingSegment(1)) { try Journal.open(disk, options: options) }
    }

    @Test func aDamagedEndOfAnOlderSegmentIsRot() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 0..<300 { try journal.append(record(i)) }
        try journal.sync()
        disk.corrupt("journal-0000000000000001", at: 8192 + 100)
        #expect(throws: JournalError.rot(segment: 1, offset: 8192)) { try Journal.open(disk, options: options) }
    }

    @Test func sparesBeyondTheirNumberOrOfAnotherSizeAreRemoved() throws {
        let disk = SimulatedJournalStorage()
        var journal = try create(disk)
        for i in 0..<600 { try journal.append(record(i)) }
        try journal.beginCompaction()
        try journal.finishCompaction()
        try disk.create("recycle-0000000000004000-0000000000000009", size: 16 << 10)
        try disk.create("notes", size: 1)
        #expect(disk.names().count { $0.hasPrefix("recycle-") } == 3)
        _ = try Journal.open(disk, options: JournalOptions(segmentSize: 64 << 10, spareSegments: 1))
        // What is not the journal's stays.
        #expect(disk.names().contains("notes"))
        let spares = disk.names().filter { $0.hasPrefix("recycle-") }
        #expect(spares.count == 1 && spares[0].hasPrefix("recycle-0000000000010000-"), "\(spares)")
    }

    @Test func errorsSayWhatFailedAndWhere() {
        let errors: [(JournalError, String)] = [
            (.storage(.sync, path: "/j/a", errno: 5), "journal: sync of /j/a failed: Input/output error (5)"),
            (.missing(path: "/j"), "journal: no journal in /j"),
            (.notEmpty(path: "/j", found: "notes"), "journal: refuses to create a journal in /j, which holds notes"),
            (
                .rot(segment: 3, offset: 8192),
                "journal: segment 3 is damaged at byte 8192: durable records are lost or altered"
            ),
            (.missingSegment(3), "journal: segment 3 is missing or incomplete"),
            (.unknownVersion(segment: 3, version: 2), "journal: segment 3 has the unknown version 2"),
            (.recordTooLarge(length: 9, limit: 8), "journal: a record of 9 bytes exceeds the limit of 8"),
            (.noCompaction, "journal: no compaction was begun"),
            (.poisoned(by: .noCompaction), "journal: stopped by an earlier failure: journal: no compaction was begun"),
        ]
        for (error, words) in errors { #expect(error.description == words) }
    }

    // MARK: The simulated disk is as strict as a real one

    @Test func theSimulatedDiskRefusesWhatARealOneWould() throws {
        let disk = SimulatedJournalStorage()
        try disk.create("a", size: 4096)
        try disk.create("vast", size: 8192)
        #expect(throws: JournalError.storage(.create, path: "a", errno: 17)) { try disk.create("a", size: 4096) }
        #expect(throws: JournalError.storage(.read, path: "b", errno: 2)) { try disk.read("b") }
        #expect(throws: JournalError.storage(.write, path: "b", errno: 2)) { try disk.write([1], to: "b", at: 0) }
        #expect(throws: JournalError.storage(.sync, path: "b", errno: 2)) { try disk.sync("b") }
        #expect(throws: JournalError.storage(.remove, path: "b", errno: 2)) { try disk.remove("b") }
        #expect(throws: JournalError.storage(.rename, path: "b", errno: 2)) { try disk.rename("b", to: "c") }
        try disk.write([], to: "a", at: 0)
        // Pages in any order.
        for (page, byte) in [(1, 7), (0, 8), (1, 9)] as [(Int, UInt8)] {
            try disk.write([byte], to: "vast", at: page * 4096)
        }
        try disk.sync("vast")
        disk.syncDirectory()
        var rng = SplitMix64(seed: 1)
        let survivor = try disk.powerLoss(using: &rng).read("vast")
        #expect(survivor[0] == 8 && survivor[4096] == 9)
        disk.corrupt("b", at: 0)
        disk.corrupt("a", at: 4096)
        #expect(try disk.read("a") == [UInt8](repeating: 0, count: 4096))
    }

    @Test func namesThatWereNotSyncedMayGoEitherWay() throws {
        let disk = SimulatedJournalStorage()
        for name in ["removed", "renamed"] { try disk.create(name, size: 4096) }
        disk.syncDirectory()
        try disk.remove("removed")
        try disk.rename("renamed", to: "new")
        try disk.create("created", size: 4096)
        var seen: Set<[String]> = []
        for seed in 0..<200 {
            var rng = SplitMix64(seed: UInt64(seed))
            seen.insert(disk.powerLoss(using: &rng).names())
        }
        // Each of the three by itself.
        #expect(seen.count == 8)
    }
}
