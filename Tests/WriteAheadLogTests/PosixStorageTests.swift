import Glibc
import WriteAheadLog
import Simulator
import Testing

/// The same journal on a real folder.
@Suite struct PosixStorageTests {
    private let options = JournalOptions(segmentSize: 64 << 10)

    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/quorate-journal-XXXXXX".utf8CString)
        let parent = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            let folder = parent + "/journal"
            if let stream = opendir(folder) {
                while let entry = readdir(stream) {
                    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                    }
                    unlink(folder + "/" + name)
                }
                closedir(stream)
            }
            rmdir(folder)
            rmdir(parent)
        }
        try body(parent + "/journal")
    }

    @Test func recordsCompactionsAndReopeningWorkOnAFolder() throws {
        try withFolder { folder in
            #expect(throws: JournalError.missing(path: folder)) {
                try Journal.open(PosixJournalStorage(directory: folder), options: options)
            }
            var rng = SystemRandomNumberGenerator()
            var expected: [[UInt8]] = []
            do {
                var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
                for i in 0..<1_000 { try journal.append([UInt8](repeating: UInt8(i % 251), count: i)) }
                try journal.sync()
                try journal.beginCompaction()
                for i in 0..<500 {
                    expected.append([UInt8](repeating: UInt8(i % 251), count: 2 * i))
                    try journal.append(expected[i])
                }
                try journal.finishCompaction()
            }
            for i in 0..<3 {
                var opened = try Journal.open(PosixJournalStorage(directory: folder), options: options)
                #expect(opened.records == expected)
                expected.append([UInt8(i)])
                try opened.journal.append([UInt8(i)])
                try opened.journal.syncAndMark()
            }
        }
    }

    @Test func whatASignalInterruptsIsTriedAgain() {
        var answers: [Int32] = [-1, -1, 7, 8]
        errno = EINTR
        #expect(SystemCalls.uninterrupted { answers.removeFirst() } == 7)
        errno = EIO
        answers = [-1, 8]
        #expect(SystemCalls.uninterrupted { answers.removeFirst() } == -1)
        answers = [EINTR, EINTR, ENOSPC, 0]
        #expect(SystemCalls.uninterruptedCode { answers.removeFirst() } == ENOSPC)
    }

    /// Of each file of a folder.
    private func contents(of folder: String) throws -> [String: [UInt8]] {
        let storage = PosixJournalStorage(reading: folder)
        var contents: [String: [UInt8]] = [:]
        for name in try storage.names() { contents[name] = try storage.read(name) }
        return contents
    }

    private func writeTwenty(_ folder: String) throws {
        var rng = SystemRandomNumberGenerator()
        var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
        for i in 0..<20 as Range<UInt8> {
            try journal.append([UInt8](repeating: i, count: 300))
            try journal.sync()
        }
    }

    private func write(_ byte: UInt8, at offset: Int, of file: String) {
        let descriptor = open(file, O_WRONLY)
        #expect(pwrite(descriptor, [byte], 1, off_t(offset)) == 1)
        close(descriptor)
    }

    @Test func whatIsInspectedIsWhatIsOpenedAndStaysAsItIs() throws {
        try withFolder { folder in
            try writeTwoSegments(folder)
            let before = try contents(of: folder)
            let inspection = try Journal.inspect(PosixJournalStorage(reading: folder))
            #expect(try contents(of: folder) == before)
            #expect(inspection.segments.map(\.number) == [1, 2] && !inspection.hasTornTail)
            #expect(inspection.segments.map(\.kind) == [.genesis, .continuation])
            #expect(inspection.segments.reduce(0) { $0 + $1.records } == inspection.records.count)
            #expect(inspection.records.first?.offset == 8192)
            let opened = try Journal.open(PosixJournalStorage(directory: folder), options: options)
            #expect(inspection.records.map(\.payload) == opened.records)
        }
    }

    /// The next start writes over it; until then it stays.
    @Test func aTornTailIsSaidWithItsPlaceAndLeftThere() throws {
        try withFolder { folder in
            try writeTwenty(folder)
            let last = 8192 + 19 * 368
            write(0xff, at: last + 64, of: folder + "/journal-0000000000000001")
            let before = try contents(of: folder)
            let inspection = try Journal.inspect(PosixJournalStorage(reading: folder))
            #expect(inspection.hasTornTail && inspection.end == (1, last) && inspection.records.count == 19)
            #expect(try contents(of: folder) == before)
        }
    }

    @Test func rotIsNamedWithItsPlaceByWhoOnlyLooks() throws {
        try withFolder { folder in
            try writeTwenty(folder)
            write(0xff, at: 8192 + 5 * 368 + 64, of: folder + "/journal-0000000000000001")
            #expect(throws: JournalError.rot(segment: 1, offset: 8192 + 5 * 368)) {
                try Journal.inspect(PosixJournalStorage(reading: folder))
            }
        }
    }

    @Test func nothingIsWrittenThroughWhatOnlyReads() throws {
        try withFolder { folder in
            try writeTwenty(folder)
            let storage = PosixJournalStorage(reading: folder)
            let before = try contents(of: folder)
            let name = try #require(before.keys.min())
            let path = "\(folder)/\(name)"
            #expect(throws: JournalError.storage(.write, path: path, errno: EROFS)) {
                try storage.write([1], to: name, at: 0)
            }
            #expect(throws: JournalError.storage(.sync, path: path, errno: EROFS)) { try storage.sync(name) }
            #expect(throws: JournalError.storage(.remove, path: path, errno: EROFS)) { try storage.remove(name) }
            #expect(throws: JournalError.storage(.rename, path: path, errno: EROFS)) {
                try storage.rename(name, to: "other")
            }
            #expect(throws: JournalError.storage(.create, path: "\(folder)/new", errno: EROFS)) {
                try storage.create("new", size: 1)
            }
            #expect(throws: JournalError.storage(.syncDirectory, path: folder, errno: EROFS)) {
                try storage.syncDirectory()
            }
            #expect(try contents(of: folder) == before)
        }
    }

    @Test func aJournalThatIsOpenIsNotInspected() throws {
        try withFolder { folder in
            var rng = SystemRandomNumberGenerator()
            let journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
            #expect(throws: JournalError.storage(.lock, path: folder, errno: EWOULDBLOCK)) {
                try Journal.inspect(PosixJournalStorage(reading: folder))
            }
            withExtendedLifetime(journal) {}
        }
    }

    /// A cut takes with it what would contradict it: the last records would seem never to have been written (R4).
    @Test(arguments: [0, 100, 8191, 8192, 8192 + 368, 8192 + 5 * 368 + 7, 32 << 10, (64 << 10) - 1])
    func aSegmentThatWasCutOffHasLostRecords(length: Int) throws {
        try withFolder { folder in
            var rng = SystemRandomNumberGenerator()
            do {
                var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
                for i in 0..<20 as Range<UInt8> {
                    try journal.append([UInt8](repeating: i, count: 300))
                    try journal.sync()
                }
            }
            #expect(truncate(folder + "/journal-0000000000000001", off_t(length)) == 0)
            let expected = JournalError.rot(segment: 1, offset: length < 8192 ? 0 : length)
            #expect(throws: expected) { try Journal.open(PosixJournalStorage(directory: folder), options: options) }
        }
    }

    /// The newest segment is not taken for one that was being created: its votes would be forgotten, and the file
    /// removed.
    @Test(arguments: [0, 100, 4096, 5000, 8191, 8192, 16 << 10])
    func aNewestSegmentThatWasCutOffHasLostRecords(length: Int) throws {
        try withFolder { folder in
            let newest = folder + "/journal-0000000000000002"
            try writeTwoSegments(folder)
            #expect(truncate(newest, off_t(length)) == 0)
            for _ in 0..<2 {
                let expected = JournalError.rot(segment: 2, offset: length < 8192 ? 0 : length)
                #expect(throws: expected) { try Journal.open(PosixJournalStorage(directory: folder), options: options) }
            }
            #expect(access(newest, F_OK) == 0)
        }
    }

    /// Zeros over the header, and over the first record, or all up to the last one.
    @Test(arguments: [8192, 8192 + 64, 8192 + 368, 8192 + 5 * 368 + 32, 16 << 10])
    func aNewestSegmentWhoseBeginningIsZeroHasLostRecords(length: Int) throws {
        try withFolder { folder in
            let newest = folder + "/journal-0000000000000002"
            try writeTwoSegments(folder)
            let descriptor = open(newest, O_WRONLY)
            #expect(pwrite(descriptor, [UInt8](repeating: 0, count: length), length, 0) == length)
            close(descriptor)
            #expect(throws: JournalError.rot(segment: 2, offset: 0)) {
                try Journal.open(PosixJournalStorage(directory: folder), options: options)
            }
            #expect(access(newest, F_OK) == 0)
        }
    }

    private func writeTwoSegments(_ folder: String) throws {
        var rng = SystemRandomNumberGenerator()
        var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
        for i in 0..<300 {
            try journal.append([UInt8](repeating: UInt8(truncatingIfNeeded: i), count: 300))
            try journal.sync()
        }
    }

    @Test func whatStandsBehindASegmentsEndIsNotReadHoweverLongItIs() throws {
        try withFolder { folder in
            var rng = SystemRandomNumberGenerator()
            do {
                var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
                try journal.append([1])
                try journal.sync()
            }
            #expect(truncate(folder + "/journal-0000000000000001", off_t(1) << 40) == 0)
            do {
                var opened = try Journal.open(PosixJournalStorage(directory: folder), options: options)
                #expect(opened.records == [[1]])
                // Into the next segment.
                for _ in 0..<300 {
                    try opened.journal.append([UInt8](repeating: 2, count: 300))
                    try opened.journal.sync()
                }
            }
            #expect(try Journal.open(PosixJournalStorage(directory: folder), options: options).records.count == 301)
        }
    }

    @Test func aSpareOfAnotherLengthIsNotUsed() throws {
        try withFolder { folder in
            var rng = SystemRandomNumberGenerator()
            do {
                var journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
                try journal.append([1])
                try journal.beginCompaction()
                try journal.append([2])
                try journal.finishCompaction()
            }
            let spare = folder + "/recycle-0000000000010000-0000000000000001"
            #expect(truncate(spare, 40_000) == 0)
            do {
                var opened = try Journal.open(PosixJournalStorage(directory: folder), options: options)
                #expect(opened.records == [[2]] && access(spare, F_OK) != 0)
                for _ in 0..<400 { try opened.journal.append([UInt8](repeating: 3, count: 300)) }
                try opened.journal.sync()
            }
            #expect(try Journal.open(PosixJournalStorage(directory: folder), options: options).records.count == 401)
        }
    }

    @Test func aFolderHasOneUserAtATime() throws {
        try withFolder { folder in
            var rng = SystemRandomNumberGenerator()
            let journal = try Journal.create(PosixJournalStorage(directory: folder), options: options, using: &rng)
            #expect(throws: JournalError.storage(.lock, path: folder, errno: EWOULDBLOCK)) {
                try Journal.open(PosixJournalStorage(directory: folder), options: options)
            }
            _ = journal
        }
    }

    @Test func aWriteThatTheSystemRefusesIsReportedWithItsPath() throws {
        try withFolder { folder in
            let storage = PosixJournalStorage(directory: folder)
            #expect(throws: JournalError.storage(.open, path: folder + "/none", errno: ENOENT)) {
                try storage.sync("none")
            }
            let nowhere = PosixJournalStorage(directory: folder + "/a/b")
            #expect(throws: JournalError.storage(.createDirectory, path: folder + "/a/b", errno: ENOENT)) {
                try nowhere.create("x", size: 4096)
            }
        }
    }

    private func failure(_ body: () throws -> Void) -> JournalError? {
        do { try body() } catch { return error as? JournalError }
        return nil
    }

    /// A pipe in the folder takes the place of a disk that refuses: it has no place to write to and nothing to sync.
    @Test func everyFailureNamesItsOperationItsFileAndItsReason() throws {
        try withFolder { folder in
            let storage = PosixJournalStorage(directory: folder)
            try storage.create("a", size: 4096)
            try #require(mkfifo(folder + "/pipe", 0o600) == 0)
            #expect(
                failure { try storage.write([1], to: "pipe", at: 0) }
                    == .storage(.write, path: folder + "/pipe", errno: ESPIPE))
            #expect(failure { try storage.sync("pipe") } == .storage(.sync, path: folder + "/pipe", errno: EINVAL))
            #expect(
                failure { try storage.create("a", size: 4096) } == .storage(.create, path: folder + "/a", errno: EEXIST)
            )
            #expect(failure { try storage.remove("none") } == .storage(.remove, path: folder + "/none", errno: ENOENT))
            #expect(
                failure { try storage.rename("none", to: "b") }
                    == .storage(.rename, path: folder + "/none", errno: ENOENT))
            #expect(failure { _ = try storage.read("none") } == .storage(.open, path: folder + "/none", errno: ENOENT))
            #expect(failure { try storage.create("vast", size: .max) } != nil)
            // Nothing of it harms what is there.
            try storage.write([1, 2, 3], to: "a", at: 5)
            try storage.rename("a", to: "b")
            #expect(Array(try storage.read("b").prefix(9)) == [0, 0, 0, 0, 0, 1, 2, 3, 0])
            #expect(try storage.names().sorted() == ["b", "pipe", "vast"])
        }
    }

    @Test func aFileInTheFoldersPlaceIsNoFolder() throws {
        try withFolder { folder in
            let descriptor = open(folder, O_CREAT | O_WRONLY, 0o600)
            defer {
                close(descriptor)
                unlink(folder)
            }
            #expect(throws: JournalError.storage(.open, path: folder, errno: ENOTDIR)) {
                try PosixJournalStorage(directory: folder).names()
            }
        }
    }
}
