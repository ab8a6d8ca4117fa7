import CFaultMark
import Foundation
import Randomness
import LMDBStore
import Messages
import Simulator
import Testing

/// What LMDB must never see. A damage that slips through ends this program by a signal.
@Suite struct DamageTests {
    private static let options = LMDBOptions(mapSize: 64 << 20)
    /// As for a file that is too large to be read before it is opened.
    private static let large = LMDBOptions(mapSize: 64 << 20, checkedAtOpening: 0)
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["QUORATE_DAMAGE_SEED"].flatMap { UInt64($0) } ?? 1
    private static let count = environment["QUORATE_DAMAGES"].flatMap { Int($0) } ?? 400

    /// Whatever is written, in whatever order, is never taken for damage.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aWholeDatabaseIsFoundWhole(seed: UInt64) throws {
        try withTemporaryFolder(isDurable: false) { folder in
            var rng = SplitMix64(seed: seed)
            var expected: [[UInt8]: [UInt8]] = [:]
            for round in 0..<25 as Range<UInt8> {
                let options = rng.below(3) == 0 ? Self.options : Self.large
                let environment = try LMDBEnvironment(path: folder, options: options)
                let store = try LMDBStore(environment)
                #expect(try store.all() == Self.sorted(expected))
                for _ in 0..<1 + rng.below(4) {
                    let clears = rng.below(12) == 0
                    let writes = Self.writes(&rng, count: Int(rng.below(300)))
                    if clears { expected = [:] }
                    for write in writes { expected[write.key] = write.value }
                    try LMDBStoreWriter(environment).apply(writes, metadata: [round], seal: [round], clearing: clears)
                }
            }
        }
    }

    /// The same for who only looks: all of it can be read, or it is refused.
    @Test func aDamagedDatabaseThatIsOnlyReadIsRefusedOrHarmless() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            let whole = try Self.build(folder)
            var refused = 0
            for i in 0..<UInt64(Self.count) {
                var rng = SplitMix64(seed: Self.seed &* 1_000_003 &+ i)
                let (bytes, what) = FileDamage.damage(whole, using: &rng)
                try Data(bytes).write(to: URL(fileURLWithPath: folder + "/data.mdb"))
                do {
                    let environment = try LMDBEnvironment(reading: folder)
                    _ = try LMDBStore(environment).all()
                    _ = try environment.figures()
                } catch let error as LMDBError {
                    let isEmpty = error == .failed(operation: "opening", path: folder + "/data.mdb", code: ENOENT)
                    #expect(error.isDamage || isEmpty, "seed \(Self.seed), damage \(i): \(what): \(error)")
                    refused += 1
                }
                #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/data.mdb")) == Data(bytes))
            }
            #expect(refused > 0)
        }
    }

    /// It opens, and all of it can be read and written over; or it does not, and says that it is damaged.
    @Test func aDamagedDatabaseIsRefusedOrHarmless() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            let (file, note) = (folder + "/data.mdb", URL(fileURLWithPath: folder + "/note"))
            defer { unlink(note.path) }
            let whole = try Self.build(folder)
            var (refused, unchanged, changed) = (0, 0, 0)
            for i in 0..<UInt64(Self.count) {
                var rng = SplitMix64(seed: Self.seed &* 1_000_003 &+ i)
                let (bytes, what) = FileDamage.damage(whole, using: &rng)
                // For whoever looks for the reason of a crash: it leaves the folder.
                try Data("seed \(Self.seed), damage \(i): \(what)\n".utf8).write(to: note)
                try Data(bytes).write(to: URL(fileURLWithPath: file))
                do {
                    let environment = try LMDBEnvironment(path: folder, options: Self.options)
                    var store = try LMDBStore(environment)
                    let found = try store.all()
                    _ = try (store.metadata(), store.seal())
                    if found == Self.contents { unchanged += 1 } else { changed += 1 }
                    let writes = Self.writes(&rng, count: 300)
                    try LMDBStoreWriter(environment).apply(writes, metadata: [9], seal: [9], clearing: i % 2 == 0)
                    try store.refresh()
                    _ = try store.all()
                } catch let error as LMDBError {
                    #expect(error.isDamage, "damage \(i) of seed \(Self.seed), \(what): \(error)")
                    refused += 1
                }
            }
            // Bytes of values, and of pages that are free: the state's digest tells the first.
            #expect(
                refused > Self.count / 5 && unchanged > 0 && changed > 0,
                "\(refused) refused, \(unchanged) as before, \(changed) changed")
        }
    }

    /// What is not read before LMDB maps the file is read before anything is written to it, and found by the one or the
    /// other is what a check of the whole file finds.
    @Test func whatTheOpeningLeavesOutIsFoundBeforeAnythingIsWritten() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            let file = URL(fileURLWithPath: folder + "/data.mdb")
            let whole = try Self.build(folder)
            var (early, late, sound) = (0, 0, 0)
            for i in 0..<UInt64(Self.count) {
                var rng = SplitMix64(seed: Self.seed &* 1_000_003 &+ i)
                let (bytes, what) = FileDamage.damage(whole, using: &rng)
                let place: Comment = "damage \(i) of seed \(Self.seed), \(what)"
                try Data(bytes).write(to: file)
                var isSound = true
                do { _ = try LMDBEnvironment(path: folder, options: Self.options) } catch { isSound = false }
                try Data(bytes).write(to: file)
                var environment: LMDBEnvironment?
                do throws(LMDBError) { environment = try LMDBEnvironment(path: folder, options: Self.large) } catch {
                    #expect(error.isDamage && !isSound, place)
                    early += 1
                }
                guard let environment else { continue }
                let writer = LMDBStoreWriter(environment)
                do {
                    try writer.apply(
                        Self.writes(&rng, count: 300), metadata: [9], seal: [9], clearing: i % 2 == 0)
                    #expect(isSound, place)
                    _ = try LMDBStore(environment).all()
                    sound += 1
                } catch let error as LMDBError {
                    guard case .damaged = error else { throw error }
                    #expect(!isSound, place)
                    #expect(throws: error, place) { try writer.checkFile() }
                    #expect(throws: error, place) { try writer.stage([]) }
                    #expect(try Data(contentsOf: file) == Data(bytes), place)
                    late += 1
                }
            }
            #expect(
                early > Self.count / 20 && late > Self.count / 10 && sound > Self.count / 10,
                "\(early) before the file is mapped, \(late) before it is written to, \(sound) never")
        }
    }

    /// In processes of their own, which read all leaves before they are checked. What LMDB does not notice there, the
    /// check finds; what ends the process condemns the database.
    @Test(.timeLimit(.minutes(5))) func whoReadsADamagedLeafIsToldOrDiesOnce() async throws {
        let path = "/tmp/quorate-store-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try Data(try Self.build(path + "/state")).write(to: URL(fileURLWithPath: path + "/whole"))
        let count = Self.count / 2
        var (next, deaths) = (0, 0)
        while next < count {
            await #expect(processExitsWith: .failure, "damage \(next) of seed \(Self.seed) and what follows") {
                [path = path as String, next = next as Int, count = count as Int] in
                try DamageTests.readDamaged(path, next..<count)
                // What a signal ends is a failure too.
                exit(EXIT_FAILURE)
            }
            let note = try String(contentsOfFile: path + "/note", encoding: .utf8)
            guard let last = Int(note), last < count else { break }
            let mark = try String(contentsOfFile: path + "/state/opened", encoding: .utf8)
            #expect(mark == "died\n", "damage \(last) of seed \(Self.seed)")
            (next, deaths) = (last + 1, deaths + 1)
        }
        #expect(deaths > 0 && deaths < count / 4)
    }

    /// Notes which damage is at hand, and in the end how many there were.
    private static func readDamaged(_ path: String, _ damages: Range<Int>) throws {
        // The report of a crash takes half a minute.
        for number in [SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGBUS] { signal(number, SIG_DFL) }
        func note(_ number: Int) throws { try Data("\(number)".utf8).write(to: URL(fileURLWithPath: path + "/note")) }
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: path + "/whole")))
        for i in damages {
            try note(i)
            var rng = SplitMix64(seed: seed &* 1_000_003 &+ UInt64(i))
            let (bytes, what) = FileDamage.damage(whole, using: &rng)
            try Data(bytes).write(to: URL(fileURLWithPath: path + "/state/data.mdb"))
            try Data("open\n".utf8).write(to: URL(fileURLWithPath: path + "/state/opened"))
            do throws(LMDBError) {
                let environment = try LMDBEnvironment(path: path + "/state", options: large)
                var isRead = false
                do {
                    let store = try LMDBStore(environment)
                    _ = try (store.all(), store.metadata(), store.seal())
                    try store.forEachBorrowed(from: [], to: nil) { key, value in
                        key.allSatisfy { $0 <= .max } && value.allSatisfy { $0 <= .max }
                    }
                    for entry in contents { _ = try store.value(forKey: entry.key) }
                    isRead = true
                } catch {
                    #expect((error as? LMDBError)?.isDamage == true, "damage \(i) of seed \(seed), \(what): \(error)")
                }
                try LMDBStoreWriter(environment).checkFile()
                #expect(isRead, "damage \(i) of seed \(seed), \(what)")
            } catch { #expect(error.isDamage, "damage \(i) of seed \(seed), \(what): \(error)") }
        }
        try note(damages.upperBound)
    }

    @Test func ofALargeFileLittleIsReadBeforeItIsMapped() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            let options = LMDBOptions(mapSize: 256 << 20)
            let entries = (0..<120_000 as Range<UInt32>).map { (number: UInt32) -> KeyValueWrite in
                let key = [24, 16, 8, 0].map { (shift: UInt32) in UInt8(truncatingIfNeeded: number >> shift) }
                return KeyValueWrite(
                    key: key + [UInt8](repeating: 7, count: 28), value: [UInt8](repeating: 9, count: 100))
            }
            try LMDBStoreWriter(LMDBEnvironment(path: folder, options: options))
                .apply(entries, metadata: [1], seal: [1], clearing: false)
            let pages = try Data(contentsOf: URL(fileURLWithPath: folder + "/data.mdb")).count / 4096
            #expect(pages > 16 << 8)
            do {
                let environment = try LMDBEnvironment(path: folder, options: options)
                #expect(environment.pagesReadAtOpening > 10 && environment.pagesReadAtOpening < pages / 20)
                #expect(try LMDBStore(environment).all() == entries)
                try LMDBStoreWriter(environment).apply([], metadata: [2], seal: [2], clearing: false)
                #expect(try LMDBStore(environment).all() == entries)
            }
            let wholly = LMDBOptions(mapSize: 256 << 20, checkedAtOpening: .max)
            #expect(try LMDBEnvironment(path: folder, options: wholly).pagesReadAtOpening > pages * 9 / 10)
        }
    }

    /// A page that a file does not have is a wrong page. One that it has and that cannot be read is the storage's.
    @Test(arguments: [("short", 4, "died\n"), ("long", 4, "look\n"), ("short", 2, "open\n")])
    func aBusErrorIsMarkedBeyondTheFileAndWithinTheMap(file: String, pages: Int, expected: String) async throws {
        let path = "/tmp/quorate-store-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        for (name, length) in [("short", 4096), ("long", 4 * 4096)] {
            try Data(repeating: 0, count: length).write(to: URL(fileURLWithPath: path + "/" + name))
        }
        try Data("open\n".utf8).write(to: URL(fileURLWithPath: path + "/opened"))
        await #expect(processExitsWith: .signal(SIGBUS)) {
            [path = path as String, file = file as String, pages = pages as Int] in
            signal(SIGBUS, SIG_DFL)
            let short = open(path + "/short", O_RDONLY)
            let map = try #require(mmap(nil, 4 * 4096, PROT_READ, MAP_SHARED, short, 0))
            faultMarkInstall()
            faultMarkEnter(
                open(path + "/opened", O_RDWR), UInt(bitPattern: map), pages * 4096, open(path + "/" + file, O_RDONLY))
            exit(Int32(map.load(fromByteOffset: 2 * 4096, as: UInt8.self)))
        }
        #expect(try String(contentsOfFile: path + "/opened", encoding: .utf8) == expected)
    }

    @Test func afterAPageThatCouldNotBeReadAllAreReadOnce() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            _ = try Self.build(folder)
            let lazily = Self.large
            let few = try LMDBEnvironment(path: folder, options: lazily).pagesReadAtOpening
            let mark = URL(fileURLWithPath: folder + "/opened")
            // As the handler of a signal leaves it.
            try Data("look\n".utf8).write(to: mark)
            #expect(try LMDBEnvironment(path: folder, options: lazily).pagesReadAtOpening > few)
            #expect(try Data(contentsOf: mark) == Data("open\n".utf8))
            #expect(try LMDBEnvironment(path: folder, options: lazily).pagesReadAtOpening == few)
            // Until they were read, each opening tries.
            try Data("look\n".utf8).write(to: mark)
            let file = folder + "/data.mdb"
            let sound = try Data(contentsOf: URL(fileURLWithPath: file))
            try sound.prefix(sound.count / 2).write(to: URL(fileURLWithPath: file))
            for _ in 0..<2 {
                #expect(throws: LMDBError.self) { try LMDBEnvironment(path: folder, options: lazily) }
                #expect(try Data(contentsOf: mark) == Data("look\n".utf8))
            }
            try sound.write(to: URL(fileURLWithPath: file))
            _ = try LMDBEnvironment(path: folder, options: lazily)
            #expect(try Data(contentsOf: mark) == Data("open\n".utf8))
        }
    }

    @Test func aDatabaseInWhichAProcessDiedIsNotOpenedAgain() throws {
        try withTemporaryFolder { folder in
            _ = try Self.build(folder)
            let mark = URL(fileURLWithPath: folder + "/opened")
            #expect(try Data(contentsOf: mark) == Data("open\n".utf8))
            // As the handler of a signal leaves it.
            try Data("died\n".utf8).write(to: mark)
            #expect(throws: LMDBError.diedReading(path: folder)) {
                try LMDBEnvironment(path: folder, options: Self.options)
            }
            #expect(throws: LMDBError.diedReading(path: folder)) {
                try LMDBEnvironment(path: folder, options: Self.options)
            }
            // Any other word is none.
            try Data("dies".utf8).write(to: mark)
            _ = try LMDBEnvironment(path: folder, options: Self.options)
            #expect(try Data(contentsOf: mark) == Data("open\n".utf8))
        }
    }

    @Test func aMapThatIsHalfFullIsTwiceAsLargeAtTheNextOpening() throws {
        try withTemporaryFolder(isDurable: false) { folder in
            var (next, rounds): (UInt32, Int) = (0, 0)
            for _ in 0..<40 {
                let environment = try LMDBEnvironment(path: folder, options: LMDBOptions(mapSize: 1 << 20))
                rounds += 1
                do {
                    // Every key once, so that it grows without end.
                    while environment.usedBytes < 4 << 20 {
                        let writes: [KeyValueWrite] = (next..<next + 100).map { (number: UInt32) -> KeyValueWrite in
                            let key: [UInt8] = [24, 16, 8, 0].map { (shift: UInt32) in
                                UInt8(truncatingIfNeeded: number >> shift)
                            }
                            return KeyValueWrite(key: key, value: [UInt8](repeating: 7, count: 1000))
                        }
                        try LMDBStoreWriter(environment).apply(writes, metadata: [1], clearing: false)
                        next += 100
                    }
                    break
                } catch LMDBError.mapFull {}
            }
            #expect(rounds > 2 && rounds < 40)
        }
    }

    /// LMDB calls it EIO. In a process of its own, which alone is limited.
    @Test func aCommitForWhichThereIsNoRoomSaysSo() async throws {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            try withTemporaryFolder { folder in
                func limit(_ bytes: String) throws {
                    let process = Process()
                    process.executableURL = URL(fileURLWithPath: "/usr/bin/prlimit")
                    process.arguments = ["--pid", "\(getpid())", "--fsize=\(bytes):unlimited"]
                    try process.run()
                    process.waitUntilExit()
                }
                let large = (0..<250 as Range<UInt8>).map {
                    KeyValueWrite(key: [$0], value: [UInt8](repeating: $0, count: 1500))
                }
                do {
                    let writer = LMDBStoreWriter(try LMDBEnvironment(path: folder, options: DamageTests.options))
                    try writer.apply([KeyValueWrite(key: [1], value: [1])], metadata: [1], clearing: false)
                    // Within a page: what does not fit is cut short.
                    try limit("151000")
                    #expect(throws: LMDBError.failed(operation: "committing", path: folder, code: EFBIG)) {
                        try writer.apply(large, metadata: [2], clearing: false)
                    }
                    #expect(access(folder + "/room", F_OK) != 0)
                    try limit("unlimited")
                }
                let environment = try LMDBEnvironment(path: folder, options: DamageTests.options)
                #expect(try LMDBStore(environment).metadata() == [1])
                try LMDBStoreWriter(environment).apply(large, metadata: [2], clearing: true)
                #expect(try LMDBStore(environment).all() == large)
            }
        }
    }

    /// One page with another version has rotted; two are another LMDB's, whose upgrade must not condemn the states of
    /// all hosts.
    @Test func aDatabaseOfAnotherVersionIsRefusedAndNoDamage() throws {
        try withTemporaryFolder { folder in
            var bytes = try Self.build(folder)
            let file = folder + "/data.mdb"
            bytes[4096 + 20] = 2
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            let one = #expect(throws: LMDBError.self) { try LMDBEnvironment(path: folder, options: Self.options) }
            #expect(one?.isDamage == true)
            bytes[20] = 2
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            let both = #expect(throws: LMDBError.self) { try LMDBEnvironment(path: folder, options: Self.options) }
            #expect(both == .failed(operation: "opening", path: file, code: -30794) && both?.isDamage == false)
        }
    }

    /// Nothing is removed.
    @Test(arguments: [1, 5000, 8192]) func aDatabaseThatIsCutBeforeItsThirdPageIsDamaged(length: Int) throws {
        try withTemporaryFolder { folder in
            let bytes = try Self.build(folder)
            let file = URL(fileURLWithPath: folder + "/data.mdb")
            try Data(bytes.prefix(length)).write(to: file)
            let error = #expect(throws: LMDBError.self) { try LMDBEnvironment(path: folder, options: Self.options) }
            #expect(error?.isDamage == true)
            #expect(try Data(contentsOf: file).count == length)
        }
    }

    // MARK: Parts

    private static let contents: [KeyValueWrite] = {
        var rng = SplitMix64(seed: 7)
        var entries: [[UInt8]: [UInt8]] = [:]
        for _ in 0..<6 { for write in writes(&rng, count: 250) { entries[write.key] = write.value } }
        return sorted(entries)
    }()

    /// Some sixty pages: branches, leaves, long values, free pages.
    private static func build(_ folder: String) throws -> [UInt8] {
        var rng = SplitMix64(seed: 7)
        do {
            let environment = try LMDBEnvironment(path: folder, options: options)
            for round in 0..<6 as Range<UInt8> {
                try LMDBStoreWriter(environment).apply(
                    writes(&rng, count: 250), metadata: [round], seal: [round], clearing: false)
            }
            #expect(try LMDBStore(environment).all() == contents)
        }
        return Array(try Data(contentsOf: URL(fileURLWithPath: folder + "/data.mdb")))
    }

    private static func writes(_ rng: inout SplitMix64, count: Int) -> [KeyValueWrite] {
        (0..<count).map { _ in
            let number = rng.below(900)
            var key = [UInt8(number >> 8), UInt8(number & 255)]
            key += Array(repeating: UInt8(number & 15), count: number % 50 == 0 ? 400 : Int(number % 40))
            let length = rng.below(60) == 0 ? Int(rng.below(20_000)) : Int(rng.below(250))
            let value = rng.below(4) == 0 ? nil : [UInt8](repeating: UInt8(rng.below(256)), count: length)
            return KeyValueWrite(key: key, value: value)
        }
    }

    private static func sorted(_ entries: [[UInt8]: [UInt8]]) -> [KeyValueWrite] {
        entries.map { KeyValueWrite(key: $0.key, value: $0.value) }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}
