import Archive
import Glibc
import Messages
import Randomness
import Simulator
import Testing
import WriteAheadLog

/// What hosts have executed, in files.
@Suite struct BatchArchiveTests {
    /// Batches that follow each other.
    private static func batches(_ range: ClosedRange<UInt64>, size: Int = 300) -> [ArchivedBatch] {
        var history = Digest.null
        var batches: [ArchivedBatch] = []
        for number in 1...range.upperBound {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size)
            let statement = AttestationStatement(
                cluster: ClusterID(Hasher256().finish().value), epoch: Epoch(0), shard: ShardID(3),
                sequence: SequenceNumber(number), previousHistory: history, batch: Hasher256.hash(.batch, bytes),
                leavesRoot: MerkleTree(leaves: []).root)
            history = statement.history
            batches.append(ArchivedBatch(statement: statement, batch: bytes[...], leaves: [], requests: []))
        }
        return Array(batches[(Int(range.lowerBound) - 1)...])
    }

    private static func options(_ segment: Int = 8192, limit: Int? = nil) -> ArchiveOptions {
        var options = ArchiveOptions()
        (options.segmentBytes, options.limit) = (segment, limit)
        return options
    }

    /// A folder of its own, which goes with the test.
    private final class Folder {
        let path: String
        var archive: String { path + "/shard" }

        init() throws {
            var template = Array("/tmp/quorate-archive-XXXXXX".utf8CString)
            path = try #require(mkdtemp(&template).map { String(cString: $0) })
        }

        var names: [String] {
            guard let stream = opendir(archive) else { return [] }
            defer { closedir(stream) }
            var names: [String] = []
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasSuffix(".batches") { names.append(name) }
            }
            return names.sorted()
        }

        /// Changes one byte of a file.
        func damage(_ name: String, at offset: Int) throws {
            let descriptor = Glibc.open(archive + "/" + name, O_RDWR)
            try #require(descriptor >= 0)
            defer { close(descriptor) }
            var byte: UInt8 = 0
            #expect(pread(descriptor, &byte, 1, off_t(offset)) == 1)
            byte ^= 0x40
            #expect(pwrite(descriptor, &byte, 1, off_t(offset)) == 1)
        }

        deinit {
            for name in names { unlink(archive + "/" + name) }
            rmdir(archive)
            rmdir(path)
        }
    }

    private func read(
        _ folder: Folder, _ contents: ArchiveContents, from: UInt64, count: Int = 512, bytes: Int = 1 << 20
    ) -> (next: UInt64, numbers: [UInt64])? {
        ArchiveReader(folder.archive).read(contents, from: SequenceNumber(from), count: count, bytes: bytes).map {
            ($0.next.number, $0.batches.map(\.sequence.number))
        }
    }

    @Test func whatIsAppendedIsReadAcrossSegmentsAndAfterOpeningAgain() throws {
        let folder = try Folder()
        let batches = Self.batches(1...100)
        do {
            let archive = try BatchArchive(
                PosixJournalStorage(directory: folder.archive), options: Self.options())
            for batch in batches[..<60] { try archive.append([batch]) }
            try archive.append(Array(batches[60...]))
            try archive.sync()
            #expect(archive.contents.last == SequenceNumber(100))
        }
        #expect(folder.names.count > 3)
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        let reader = ArchiveReader(folder.archive)
        let found = try #require(
            reader.read(archive.contents, from: SequenceNumber(1), count: 512, bytes: 1 << 20))
        #expect(found.batches == batches)
        #expect(read(folder, archive.contents, from: 98)?.numbers == [98, 99, 100])
        #expect(read(folder, archive.contents, from: 20, count: 3)?.numbers == [20, 21, 22])
        #expect(read(folder, archive.contents, from: 5, bytes: 1)?.numbers == [5])
        #expect(read(folder, archive.contents, from: 101) == nil)
        #expect(read(folder, archive.contents, from: 7, count: 0)?.next == 7)
    }

    /// A start executes again what the journal has above the state on disk.
    @Test func whatIsThereIsNotWrittenTwice() throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        try archive.append(Self.batches(1...30))
        try archive.append(Self.batches(10...40))
        try archive.append(Self.batches(40...40))
        #expect(read(folder, archive.contents, from: 1)?.numbers == Array(1...40))
    }

    /// The host has fetched a state in place of executing.
    @Test func aGapIsSaidAndWhatFollowsIsThere() throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        try archive.append(Self.batches(1...10))
        try archive.append(Self.batches(50...55))
        #expect(read(folder, archive.contents, from: 8)?.numbers == [8, 9, 10])
        let behind = read(folder, archive.contents, from: 11)
        #expect(behind?.next == 50 && behind?.numbers == Array(50...55))
    }

    @Test func aDamagedRecordTakesTheRestOfItsSegmentAndNoMore() throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        try archive.append(Self.batches(1...60))
        let second = try #require(folder.names.dropFirst().first)
        let first = try #require(UInt64(second.prefix(20)))
        // In the second record's payload.
        try folder.damage(second, at: 900)
        #expect(read(folder, archive.contents, from: first)?.numbers == [first])
        let behind = try #require(read(folder, archive.contents, from: first + 1))
        #expect(behind.next == UInt64(try #require(folder.names.dropFirst(2).first).prefix(20)))
        #expect(behind.numbers.last == 60)
    }

    /// What is damaged in the last segment is not there any more, and nothing is written behind it.
    @Test func aDamagedEndIsWrittenAgainInAnotherSegment() throws {
        let folder = try Folder()
        do {
            let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
            try archive.append(Self.batches(1...10))
        }
        let name = try #require(folder.names.first)
        try folder.damage(name, at: 2000)
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        #expect(archive.contents.last.number < 10)
        try archive.append(Self.batches(1...12))
        #expect(folder.names.count == 2)
        #expect(read(folder, archive.contents, from: 1)?.numbers == Array(1...12))
    }

    @Test func theOldestGoWhereThereIsALimit() throws {
        let folder = try Folder()
        let archive = try BatchArchive(
            PosixJournalStorage(directory: folder.archive), options: Self.options(limit: 3 * 8192))
        try archive.append(Self.batches(1...200))
        #expect(folder.names.count == 3)
        let found = try #require(read(folder, archive.contents, from: 1))
        #expect(found.next > 1 && found.numbers == Array(found.next...200))
        // What metrics say of it.
        #expect(archive.contents.first == SequenceNumber(found.next) && archive.contents.last == SequenceNumber(200))
        #expect(archive.bytes == 3 * 8192)
    }

    @Test func anEmptyArchiveKeepsNothingAndTakesNothing() throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        #expect(archive.contents.first == SequenceNumber(0) && archive.contents.last == SequenceNumber(0))
        #expect(archive.bytes == 0)
        try archive.append(Self.batches(7...9))
        #expect(archive.contents.first == SequenceNumber(7) && archive.contents.last == SequenceNumber(9))
        #expect(archive.bytes == 8192)
    }

    /// Also when the limit was lowered.
    @Test func aStartDropsWhatIsOverTheLimit() throws {
        let folder = try Folder()
        do {
            let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
            try archive.append(Self.batches(1...200))
        }
        #expect(folder.names.count > 3)
        let archive = try BatchArchive(
            PosixJournalStorage(directory: folder.archive), options: Self.options(limit: 3 * 8192))
        #expect(folder.names.count == 3 && archive.contents.last == SequenceNumber(200))
    }

    /// An answer has to fit into a frame; one batch always comes.
    @Test(arguments: [1, 600, 1500, 4000]) func noAnswerIsLongerThanWasAskedFor(bytes: Int) throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        try archive.append(Self.batches(1...40))
        let found = try #require(
            ArchiveReader(folder.archive).read(
                archive.contents, from: SequenceNumber(3), count: 512, bytes: bytes))
        let size = found.batches.reduce(0) { $0 + $1.encoded().count }
        #expect(found.batches.count == 1 || size <= bytes)
        #expect(bytes < 4000 || found.batches.count > 1)
    }

    @Test func whatMayNotBeGivenOutCountsAsDamaged() throws {
        let folder = try Folder()
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
        try archive.append(Self.batches(1...60))
        let name = try #require(folder.names.dropFirst().first)
        let second = try #require(UInt64(name.prefix(20)))
        let reader = ArchiveReader(folder.archive)
        func numbers(from: UInt64) -> [UInt64]? {
            reader.read(archive.contents, from: SequenceNumber(from), count: 512, bytes: 1 << 20) {
                $0.sequence != SequenceNumber(5)
            }?.batches.map(\.sequence.number)
        }
        #expect(numbers(from: 1) == [1, 2, 3, 4])
        #expect(numbers(from: 5) == Array(second...60))
    }

    @Test func aFullDiskMakesAGapAndNoFailure() throws {
        let disk = SimulatedJournalStorage()
        let archive = try BatchArchive(disk, options: Self.options())
        disk.diskIsFull = true
        let losses = try archive.append(Self.batches(1...3))
        #expect(losses.withoutRoom.map(\.number) == [1, 2, 3] && losses.refusal != nil)
        #expect(archive.contents.last == SequenceNumber(0))
        try archive.sync()
        disk.diskIsFull = false
        #expect(try archive.append(Self.batches(4...40)).isEmpty)
        disk.diskIsFull = true
        let more = try archive.append(Self.batches(41...200))
        // What was dropped for it did not help here.
        #expect(!more.withoutRoom.isEmpty && more.droppedBytes > 0)
        disk.diskIsFull = false
        try archive.append(Self.batches(201...210))
        try archive.sync()
        let again = try BatchArchive(disk, options: Self.options())
        #expect(again.contents.last == SequenceNumber(210))
        #expect(archive.contents.numbers.suffix(10) == Array(201...210) && !archive.contents.numbers.contains(200))
    }

    /// Journal and states go before it.
    @Test func theOldestGiveWayWhereOthersNeedTheDisk() throws {
        let folder = try Folder()
        do {
            let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: Self.options())
            try archive.append(Self.batches(1...100))
        }
        var options = Self.options()
        options.hasRoom = { _ in false }
        let archive = try BatchArchive(PosixJournalStorage(directory: folder.archive), options: options)
        let losses = try archive.append(Self.batches(101...200))
        #expect(losses.withoutRoom.isEmpty && losses.droppedBytes > 0)
        #expect(archive.contents.last == SequenceNumber(200) && folder.names.count == 2)
    }

    @Test func aBatchThatNoFrameCouldCarryIsSaid() throws {
        let archive = try BatchArchive(SimulatedJournalStorage(), options: Self.options())
        let large = Self.batches(1...1, size: 16 << 20)
        #expect(try archive.append(large).tooLarge == [SequenceNumber(1)])
        #expect(try archive.append(Self.batches(2...2)).isEmpty)
        #expect(archive.contents.numbers == [2])
    }

    /// At every place: what was synced is there, what follows is a beginning of the rest, and after all is appended
    /// again nothing is missing or twice.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func aPowerLossTearsOnlyWhatWasNotSynced(seed: UInt64) throws {
        var rng = SplitMix64(seed: seed)
        let storage = SimulatedJournalStorage()
        let options = Self.options(4096 * (1 + rng.below(3)))
        let all = Self.batches(1...60, size: 100 + rng.below(900))
        var synced = UInt64(0)
        do {
            let archive = try BatchArchive(storage, options: options)
            var next = 0
            let last = rng.below(all.count)
            while next < last {
                let count = min(1 + rng.below(6), last - next)
                try archive.append(Array(all[next..<next + count]))
                next += count
                if rng.chance(perMille: 300) {
                    try archive.sync()
                    synced = UInt64(next)
                }
            }
        }
        let disk = storage.powerLoss(using: &rng)
        let archive = try BatchArchive(disk, options: options)
        let last = archive.contents.last.number
        #expect(last >= synced)
        try archive.append(all)
        try archive.sync()
        let again = try BatchArchive(disk, options: options)
        #expect(again.contents.last == SequenceNumber(60))
        // Every segment begins where the one before ends.
        #expect(again.contents.numbers == Array(1...60))
    }
}
