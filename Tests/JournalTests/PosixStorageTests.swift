import Glibc
import Journal
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
                    let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
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
            #expect(throws: JournalError.storage(.open, path: folder + "/none", errno: ENOENT)) { try storage.sync("none") }
            let nowhere = PosixJournalStorage(directory: folder + "/a/b")
            #expect(throws: JournalError.storage(.createDirectory, path: folder + "/a/b", errno: ENOENT)) {
                try nowhere.create("x", size: 4096)
            }
        }
    }
}
