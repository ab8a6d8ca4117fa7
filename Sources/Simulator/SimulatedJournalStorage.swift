import Glibc
import WriteAheadLog

/// A disk that loses power. Deterministic: all chance comes from the generator that is passed in. For one thread.
///
/// The model: writes go to pages of 4,096 bytes in a cache. `sync` of a file makes its pages durable. At a power loss
/// each page that was not synced is, by itself, kept, dropped or torn between two sectors of 512 bytes; each creation,
/// renaming and removal since `syncDirectory` is kept or dropped; a file that was never synced may have no bytes at
/// all. A renamed file keeps its old bytes, valid records and all. A failed sync makes its pages look clean, as kernels
/// do.
public final class SimulatedJournalStorage: JournalStorage {
    private static let pageSize = 4096
    private static let sectorSize = 512

    private struct File {
        var size: Int
        /// What a reader of the cache sees; bytes past the end of the array and below `size` are zero.
        var cached: [UInt8] = []
        var durable: [UInt8] = []
        /// Pages that differ, possibly, and that the next sync writes.
        var dirty: [Int] = []
        var sizeIsDurable = false
    }

    private enum NameChange {
        case create(String, Int)
        case remove(String)
        case rename(String, String)
    }

    /// There is no folder: a word for error messages.
    public let path = "simulated"
    private var files: [Int: File] = [:]
    private var nextFile = 0
    private var cachedNames: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    private var pendingNames: [NameChange] = []

    /// The next `sync` fails, and what it should have made durable is lost although the cache shows it.
    public var failsNextSync = false
    /// The next `write` fails and changes nothing.
    public var failsNextWrite = false
    /// Nothing can be created.
    public var diskIsFull = false
    /// Completed syncs of files.
    public private(set) var syncCount = 0

    /// A new disk without files.
    public init() {}

    // MARK: - JournalStorage

    /// As the cache shows them, ascending; after a power loss some may be gone, and others back.
    public func names() -> [String] { cachedNames.keys.sorted() }

    /// Pages that no sync has covered as they were written, the others as the disk has them: after a failed sync that
    /// is what was there before.
    /// - Throws: `JournalError.storage` with ENOENT if there is no such file.
    public func read(_ name: String) throws(JournalError) -> [UInt8] {
        let id = try id(of: name, .read)
        return change(id) { file in
            // Clean pages come from the disk: see `JournalStorage.read`.
            var bytes = file.durable
            Self.pad(&bytes, to: file.cached.count)
            for page in file.dirty { Self.copy(page, from: file.cached, to: &bytes) }
            file.cached = bytes
            Self.pad(&bytes, to: file.size)
            return bytes
        }
    }

    /// As it was created, in bytes.
    /// - Throws: `JournalError.storage` with ENOENT if there is no such file.
    public func size(of name: String) throws(JournalError) -> Int {
        let id = try id(of: name, .read)
        return change(id) { $0.size }
    }

    /// The new file's bytes are zero. Neither it nor its name is durable yet.
    /// - Throws: `JournalError.storage` with ENOSPC while `diskIsFull`, with EEXIST for a name that is taken.
    public func create(_ name: String, size: Int) throws(JournalError) {
        guard !diskIsFull else { throw .storage(.create, path: name, errno: ENOSPC) }
        guard cachedNames[name] == nil else { throw .storage(.create, path: name, errno: EEXIST) }
        files[nextFile] = File(size: size)
        cachedNames[name] = nextFile
        pendingNames.append(.create(name, nextFile))
        nextFile += 1
    }

    /// Into the cache: durable only after `sync`.
    /// - Throws: `JournalError.storage` with ENOENT if there is no such file, with EIO if `failsNextWrite`.
    /// - Precondition: the bytes lie within the file's size.
    public func write(_ bytes: [UInt8], to name: String, at offset: Int) throws(JournalError) {
        let id = try id(of: name, .write)
        if failsNextWrite {
            failsNextWrite = false
            throw .storage(.write, path: name, errno: EIO)
        }
        guard !bytes.isEmpty else { return }
        change(id) { file in
            precondition(offset >= 0 && offset + bytes.count <= file.size, "a write outside the preallocated file")
            Self.pad(&file.cached, to: offset + bytes.count)
            file.cached.withUnsafeMutableBytes { target in
                bytes.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + bytes.count]).copyMemory(from: $0)
                }
            }
            for page in offset / Self.pageSize...(offset + bytes.count - 1) / Self.pageSize {
                if let last = file.dirty.last, last >= page {
                    if !file.dirty.contains(page) { file.dirty.append(page) }
                } else {
                    file.dirty.append(page)
                }
            }
        }
    }

    /// Makes the file's pages and size durable; not its name.
    /// - Throws: `JournalError.storage` with ENOENT if there is no such file, with EIO if `failsNextSync`.
    public func sync(_ name: String) throws(JournalError) {
        let id = try id(of: name, .sync)
        let fails = failsNextSync
        failsNextSync = false
        change(id) { file in
            if !fails {
                Self.pad(&file.durable, to: file.cached.count)
                for page in file.dirty { Self.copy(page, from: file.cached, to: &file.durable) }
                file.sizeIsDurable = true
            }
            file.dirty.removeAll(keepingCapacity: true)
        }
        guard !fails else { throw .storage(.sync, path: name, errno: EIO) }
        syncCount += 1
    }

    /// Durable only after `syncDirectory`.
    /// - Throws: `JournalError.storage` with ENOENT if there is no such file.
    public func remove(_ name: String) throws(JournalError) {
        _ = try id(of: name, .remove)
        cachedNames[name] = nil
        pendingNames.append(.remove(name))
    }

    /// A file that has the new name is replaced. Durable only after `syncDirectory`.
    /// - Throws: `JournalError.storage` with ENOENT if there is no file with the old name.
    public func rename(_ old: String, to new: String) throws(JournalError) {
        let id = try id(of: old, .rename)
        cachedNames[old] = nil
        cachedNames[new] = id
        pendingNames.append(.rename(old, new))
    }

    /// Makes all creations, renamings and removals durable; never fails.
    public func syncDirectory() {
        durableNames = cachedNames
        pendingNames.removeAll()
        forgetUnnamedFiles()
    }

    // MARK: - Damage

    /// A disk as a power loss may leave this one. This one is not changed: one moment can be lost in many ways.
    public func powerLoss(using rng: inout some RandomNumberGenerator) -> SimulatedJournalStorage {
        let image = SimulatedJournalStorage()
        image.nextFile = nextFile
        var names = durableNames
        for change in pendingNames where rng.next() & 1 == 0 {
            switch change {
            case .create(let name, let id): names[name] = id
            case .remove(let name): names[name] = nil
            case .rename(let old, let new):
                if let id = names.removeValue(forKey: old) { names[new] = id }
            }
        }
        for name in names.keys.sorted() {
            guard let id = names[name], let file = files[id] else { continue }
            image.files[id] = Self.survivor(of: file, using: &rng)
        }
        image.cachedNames = names
        image.durableNames = names
        return image
    }

    /// Flips every bit of one byte, on the disk and in the cache: rot.
    public func corrupt(_ name: String, at offset: Int) {
        guard let id = cachedNames[name] else { return }
        change(id) { file in
            guard offset < file.size else { return }
            Self.pad(&file.durable, to: offset + 1)
            Self.pad(&file.cached, to: offset + 1)
            file.durable[offset] ^= 0xff
            file.cached[offset] ^= 0xff
        }
    }

    private static func survivor(of file: File, using rng: inout some RandomNumberGenerator) -> File {
        var bytes = file.durable
        pad(&bytes, to: file.cached.count)
        for page in file.dirty.sorted() {
            switch rng.next() % 4 {
            case 0: break
            case 1: copy(page, from: file.cached, to: &bytes)
            case 2: copySectors(of: page, before: true, sector: Int(rng.next() % 8), from: file.cached, to: &bytes)
            default: copySectors(of: page, before: false, sector: Int(rng.next() % 8), from: file.cached, to: &bytes)
            }
        }
        var survivor = File(size: file.size, sizeIsDurable: true)
        if !file.sizeIsDurable && rng.next() % 4 == 0 {
            survivor.size = 0
            bytes = []
        }
        survivor.cached = bytes
        survivor.durable = bytes
        return survivor
    }

    // MARK: - Parts

    private func id(of name: String, _ operation: JournalOperation) throws(JournalError) -> Int {
        guard let id = cachedNames[name] else { throw .storage(operation, path: name, errno: ENOENT) }
        return id
    }

    /// In place: taking the file out of the dictionary keeps its arrays uniquely referenced.
    private func change<R>(_ id: Int, _ body: (inout File) -> R) -> R {
        body(&files[id, default: File(size: 0)])
    }

    private func forgetUnnamedFiles() {
        let named = Set(durableNames.values)
        files = files.filter { named.contains($0.key) }
    }

    private static func pad(_ bytes: inout [UInt8], to count: Int) {
        if bytes.count < count { bytes.append(contentsOf: repeatElement(0, count: count - bytes.count)) }
    }

    private static func copy(_ page: Int, from source: [UInt8], to target: inout [UInt8]) {
        copy(page * pageSize..<min((page + 1) * pageSize, source.count), from: source, to: &target)
    }

    private static func copySectors(
        of page: Int, before: Bool, sector: Int, from source: [UInt8], to target: inout [UInt8]
    ) {
        let start = page * pageSize
        let cut = min(start + sector * sectorSize, source.count)
        let end = min(start + pageSize, source.count)
        copy(before ? start..<cut : cut..<end, from: source, to: &target)
    }

    private static func copy(_ range: Range<Int>, from source: [UInt8], to target: inout [UInt8]) {
        guard !range.isEmpty else { return }
        target.withUnsafeMutableBytes { target in
            source.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: target[range]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[range]))
            }
        }
    }
}
