import Crypto
import Glibc
import LMDBStore
import Messages
import Randomness
import ShardState
import Simulator
import TestSamples
import TestSignatures
import WriteAheadLog

extension FuzzTarget {
    private static let map = ShardMap(shardCount: 3)

    // MARK: State

    /// The length of the key (1 byte), the key, the value.
    static let stateEntry = FuzzTarget(
        "state-entry", maxLength: 2048,
        seeds: {
            var samples = Samples(seed: 3)
            return (0..<3).flatMap { _ in
                var call = samples.request()
                call.operations = [.call(samples.invocation(), continues: nil)]
                return StateFormat.examples(
                    samples.signedRequest(), call: SignedRequest(call, signedBy: TestSigner(1)), in: map)
            }.map { [UInt8($0.key.count)] + $0.key + $0.value }
        },
        read: { bytes in
            guard let count = bytes.first.map({ Int($0) }), bytes.count > count else { return }
            let (key, value) = (Array(bytes[1..<1 + count]), Array(bytes[(1 + count)...]))
            _ = StateFormat.bucket(of: key, in: map)
            try require(try StateFormat.again(value, of: key) == value, "an entry is written as something else")
        })

    static let stateNode = FuzzTarget(
        "state-node", maxLength: 700, seeds: { [StateFormat.exampleNode()] },
        read: { bytes in
            let again = try StateFormat.nodeAgain(bytes, of: [1])
            try require(again.count <= bytes.count, "a node grows")
            do { _ = try StateFormat.nodeAgain(again, of: [1]) } catch {
                throw FuzzFinding("a node that was written is refused: \(error)")
            }
        })

    private static let stateFolder = ScratchFolder("state")

    /// A `SparseImage` of a database's file, which is opened to be read. Whatever it is, LMDB must not end the process.
    static let stateFile = FuzzTarget(
        "state-file", maxLength: 8192,
        seeds: {
            try [0, 3, 40].map { count in
                stateFolder.removeFiles()
                do {
                    var options = LMDBOptions(mapSize: 1 << 20)
                    options.maximumReaders = 4
                    let environment = try LMDBEnvironment(path: stateFolder.path, options: options)
                    let writer = LMDBStoreWriter(environment)
                    for round in 0..<2 as Range<UInt8> {
                        try writer.apply(
                            (0..<UInt8(count)).map { .init(key: [1, $0], value: [UInt8](repeating: $0, count: 20)) },
                            metadata: [round], seal: [round], clearing: false)
                    }
                }
                return SparseImage.encode(ScratchFolder.contents(of: stateFolder.path + "/data.mdb")) ?? []
            }
        },
        read: { bytes in
            try stateFolder.with(SparseImage.decode(bytes[...]), in: "data.mdb") { _ in
                let environment = try LMDBEnvironment(reading: stateFolder.path)
                let store = try LMDBStore(environment)
                _ = (try store.metadata(), try store.seal(), try environment.figures())
                var last: [UInt8]?
                try store.forEach(from: [], to: nil) { key, value in
                    if let last {
                        try require(last.lexicographicallyPrecedes(key), "keys are given out of their order")
                    }
                    last = key
                    _ = try? StateFormat.again(value, of: key)
                    return true
                }
            }
        })

    // MARK: Journal

    /// What a bit of the first byte asks for.
    private enum JournalFlag {
        /// Hashes and checks are made right, so that what they protect is reached.
        static let seals: UInt8 = 1
        /// Each segment follows the one before.
        static let links: UInt8 = 2
    }

    /// Flags (1 byte), then segments: number (1 byte, the highest ones count from the end of all numbers), length of the
    /// image (UInt16, little-endian), a `SparseImage`.
    static let journal = FuzzTarget(
        "journal", maxLength: 8192,
        seeds: {
            var seeds: [[UInt8]] = []
            for seed in 1...4 as ClosedRange<UInt64> {
                let image = try journalImage(seed: seed)
                for flags in 0..<4 as Range<UInt8> { seeds.append([flags] + image) }
            }
            return seeds
        },
        read: { bytes in
            guard let flags = bytes.first else { return }
            var segments = segments(bytes.dropFirst())
            if flags & JournalFlag.seals != 0 {
                JournalSeal.seal(&segments, links: flags & JournalFlag.links != 0)
            }
            func storage() -> MemoryFolder {
                MemoryFolder(
                    Dictionary(segments.map { (name(of: $0.number), $0.bytes) }, uniquingKeysWith: { a, _ in a }))
            }
            let inspected: JournalInspection
            do throws(JournalError) { inspected = try Journal.inspect(storage()) } catch {
                do throws(JournalError) { _ = try Journal.open(storage(), options: journalOptions) } catch let other {
                    try require(error == other, "inspect says \(error), open \(other)")
                    throw error
                }
                throw FuzzFinding("inspect refuses what open takes: \(error)")
            }
            let folder = storage()
            var (journal, records) = try Journal.open(folder, options: journalOptions)
            try require(inspected.records.map(\.payload) == records, "inspect and open read different records")
            do {
                try journal.append([1, 2, 3])
                try journal.sync()
            } catch { return }
            let again: [[UInt8]]
            do { again = try Journal.open(folder, options: journalOptions).records } catch {
                throw FuzzFinding("a journal that was opened and written to is refused: \(error)")
            }
            try require(again == records + [[1, 2, 3]], "a journal that was written to holds something else")
        })

    private static let journalOptions = JournalOptions(segmentSize: 16 << 10, spareSegments: 0)

    private static func name(of number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return "journal-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func segments(_ bytes: ArraySlice<UInt8>) -> [(number: UInt64, bytes: [UInt8])] {
        var segments: [(number: UInt64, bytes: [UInt8])] = []
        var rest = bytes
        while rest.count >= 3, segments.count < 4 {
            let head = Array(rest.prefix(3))
            let number = head[0] < 240 ? UInt64(head[0]) : UInt64.max - UInt64(255 - head[0])
            let length = Int(head[1]) | Int(head[2]) << 8
            rest = rest.dropFirst(3)
            segments.append((number, SparseImage.decode(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return segments
    }

    /// Of a journal that was written to, without the flags.
    private static func journalImage(seed: UInt64) throws -> [UInt8] {
        var rng = SplitMix64(seed: seed)
        let folder = MemoryFolder([:])
        var journal = try Journal.create(folder, options: journalOptions, using: &rng)
        for round in 0..<5 + 3 * seed {
            try journal.append([UInt8](repeating: UInt8(round + 1), count: Int(round) * 11 % 64))
            if round.isMultiple(of: 3) { try journal.sync() }
            if round == 4, seed >= 2 { try journal.beginCompaction() }
            if round == 7, seed >= 3 { try journal.finishCompaction() }
        }
        try seed == 4 ? journal.sync() : journal.syncAndMark()
        var bytes: [UInt8] = []
        for (name, contents) in folder.files.sorted(by: { $0.key < $1.key }) {
            guard let number = UInt64(name.dropFirst("journal-".count), radix: 16),
                let image = SparseImage.encode(contents), image.count <= Int(UInt16.max)
            else { continue }
            bytes += [UInt8(truncatingIfNeeded: number), UInt8(image.count & 0xff), UInt8(image.count >> 8)] + image
        }
        return bytes
    }
}

/// Makes the checks in a journal's segments right, whatever they protect. By the format in
/// `Sources/WriteAheadLog/JournalFormat.swift`, and not by its code.
private enum JournalSeal {
    static func seal(_ segments: inout [(number: UInt64, bytes: [UInt8])], links: Bool) {
        segments.sort { $0.number < $1.number }
        /// Of the segment before: the hash of its last record, and the sequence after it.
        var before: (hash: [UInt8], sequence: UInt64)?
        for i in segments.indices where segments[i].bytes.count > 8192 {
            before = seal(&segments[i].bytes, after: links ? before : nil)
        }
    }

    private static func hash(_ parts: ArraySlice<UInt8>...) -> [UInt8] {
        var hash = SHA256()
        for part in parts { hash.update(data: part) }
        return Array(hash.finalize().prefix(16))
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func seal(
        _ bytes: inout [UInt8], after before: (hash: [UInt8], sequence: UInt64)?
    ) -> (hash: [UInt8], sequence: UInt64) {
        for copy in [0, 4096] {
            if let before {
                for i in 0..<8 { bytes[copy + 24 + i] = UInt8(truncatingIfNeeded: before.sequence >> UInt64(8 * i)) }
                bytes.replaceSubrange(copy + 32..<copy + 48, with: before.hash)
            }
            bytes.replaceSubrange(copy + 48..<copy + 64, with: hash(bytes[copy..<copy + 48]))
        }
        let key = Array(bytes[32..<48])
        var (last, sequence) = (hash(bytes[0..<64]), number(bytes, 24, 8))
        var offset = 8192
        while offset + 64 <= bytes.count, number(bytes, offset, 4) == 0x3143_5251 {
            let length = Int(number(bytes, offset + 4, 4))
            guard length <= bytes.count - offset - 64 else { break }
            last = hash(last[...], bytes[offset..<offset + 40], bytes[offset + 64..<offset + 64 + length])
            bytes.replaceSubrange(offset + 40..<offset + 56, with: last)
            bytes.replaceSubrange(offset + 56..<offset + 64, with: hash(key[...], bytes[offset..<offset + 56])[..<8])
            sequence &+= 1
            offset += 64 + (length + 7) & ~7
        }
        return (last, sequence)
    }
}

/// Files in memory that lose nothing. For one thread.
private final class MemoryFolder: JournalStorage {
    private(set) var files: [String: [UInt8]]
    let path = "memory"

    init(_ files: [String: [UInt8]]) { self.files = files }

    private func missing(_ operation: JournalOperation) -> JournalError {
        .storage(operation, path: path, errno: ENOENT)
    }

    func names() -> [String] { Array(files.keys) }
    func read(_ name: String) throws(JournalError) -> [UInt8] {
        guard let bytes = files[name] else { throw missing(.read) }
        return bytes
    }
    func size(of name: String) throws(JournalError) -> Int { try read(name).count }
    func create(_ name: String, size: Int) { files[name] = [UInt8](repeating: 0, count: size) }
    func write(_ bytes: [UInt8], to name: String, at offset: Int) throws(JournalError) {
        guard let size = files[name]?.count, offset >= 0, offset + bytes.count <= size else { throw missing(.write) }
        files[name]?.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    func sync(_ name: String) {}
    func remove(_ name: String) { files[name] = nil }
    func rename(_ old: String, to new: String) throws(JournalError) {
        guard let bytes = files.removeValue(forKey: old) else { throw missing(.rename) }
        files[new] = bytes
    }
    func syncDirectory() {}
}
