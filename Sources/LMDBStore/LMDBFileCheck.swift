import CLMDB
import Glibc

/// Whether a data file that nobody writes to is one that LMDB can read and write.
///
/// LMDB maps the file and believes what it reads: a wrong offset, page number or length ends the process by SIGBUS,
/// SIGSEGV or an assertion, and pages that lead back to themselves keep it busy for ever. So everything that it
/// believes is checked with ordinary reads: both meta pages, and every page of every tree that the newer one leads to.
/// What an entry says is not checked here, but by the state's digest (`LMDBStoreWriter.apply`).
///
/// Nearly all of a large file are leaves that hold entries. What leads to them, and all else, is checked before LMDB
/// maps the file, and they are before anything is written to it. Until then one of them that is damaged may have LMDB
/// give what was never written or fault, but not go round in circles or change a page that is used elsewhere.
///
/// The format is that of LMDB 0.9 (`mdb.c`: `MDB_page`, `MDB_node`, `MDB_meta`, `MDB_db`) in the byte order of this
/// machine, and stricter than it: as a file is that only `LMDBEnvironment` has written.
struct LMDBFileCheck {
    /// What is wrong.
    struct Finding: Error {
        let page: UInt64
        let what: String
        /// It is no damage: what could not be done, and why.
        var refusal: (operation: String, code: Int32)?
    }

    static let header = 16
    private static let metaFlag: UInt16 = 8
    private static let noPage = UInt64.max
    private static let magic: UInt32 = 0xBEEF_C0DE
    /// LMDB's cursors go no deeper.
    private static let maximumDepth = 32
    static let databases = ["entries", "metadata", "staged"]
    /// Of a file that no opening has completed, of one that had no staging area, and of all others.
    private static let databaseCounts: [UInt64] = [0, 2, 3]

    private enum Order {
        case bytes
        /// Keys are numbers of eight bytes: the tree of free pages.
        case numbers
    }

    /// A tree's root as a meta page or an entry of the main tree has it: MDB_db, 48 bytes.
    private struct Tree {
        static let size = 48
        let pad: UInt32
        let flags, depth: UInt16
        let branches, leaves, overflows, entries, root: UInt64

        init(_ bytes: UnsafeRawBufferPointer) {
            (pad, flags, depth) = (bytes.number(0), bytes.number(4), bytes.number(6))
            (branches, leaves, overflows) = (bytes.number(8), bytes.number(16), bytes.number(24))
            (entries, root) = (bytes.number(32), bytes.number(40))
        }
    }

    private struct Meta {
        let free, main: Tree
        let lastPage, transaction: UInt64

        init(_ page: [UInt8], number: UInt64) throws(Finding) {
            let isMeta: Bool
            (isMeta, free, main, lastPage, transaction) = page.withUnsafeBytes { page in
                let isMeta =
                    page.number(0) as UInt64 == number && page.number(10) as UInt16 == LMDBFileCheck.metaFlag
                    && page.number(16) as UInt32 == LMDBFileCheck.magic && page.number(20) as UInt32 == 1
                return (
                    isMeta, Tree(page.part(40, Tree.size)), Tree(page.part(40 + Tree.size, Tree.size)),
                    page.number(136),
                    page.number(144)
                )
            }
            guard isMeta else { throw Finding(page: number, what: "no meta page of LMDB 0.9") }
            // The two take turns.
            guard transaction == 0 || transaction % 2 == number else {
                throw Finding(page: number, what: "transaction \(transaction)")
            }
        }
    }

    /// A walk over a tree: how it goes, and what it has met.
    private struct Walk {
        let order: Order
        /// Where leaves are, as the root says, if they are not read.
        let unreadDepth: Int?
        var branches: UInt64 = 0
        var leaves: UInt64 = 0
        var overflows: UInt64 = 0
        var entries: UInt64 = 0
        var depth = 0
        var last: [UInt8]?
    }

    /// What is read of a file.
    private enum Scope {
        case everything
        /// All but the leaves of `entries` and of what is staged, and the values that have pages of their own there.
        case shape
    }

    /// What was found before LMDB maps a file.
    struct Opening {
        /// Nothing is left for `everything`. If something is, the databases are there and nothing is staged, so that
        /// they can be opened without a write.
        let isWhole: Bool
        let pagesRead: Int
    }

    private let descriptor: Int32
    private let scope: Scope
    private let length: Int
    private let pageSize: Int
    private let lastPage: UInt64
    /// A bit a page: part of a tree, or free.
    private var met: [UInt64]

    /// Something is staged, which the opening is to remove.
    private var hasStaged = false
    private var pagesRead = 0

    /// What must be known before LMDB maps the file.
    /// - Parameters:
    ///   - mapSize: no page may lie beyond it.
    ///   - limit: everything is read of a file that is no longer than this, or that the opening would write to.
    /// - Throws: `.damaged`, also for pages that cannot be read; `.failed` when the system refuses. A file that is not
    ///   there, or empty, is sound.
    static func beforeMapping(_ path: String, mapSize: Int, wholeUpTo limit: Int) throws(LMDBError) -> Opening {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return Opening(isWhole: true, pagesRead: 0) }
            throw .failed(operation: "opening", path: path, code: errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .failed(operation: "stat", path: path, code: errno) }
        guard status.st_size > 0 else { return Opening(isWhole: true, pagesRead: 0) }
        if Int(status.st_size) > limit {
            // What lies between the pages that are wanted is not read ahead.
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
            let shape = try run(descriptor, path, mapSize: mapSize, .shape, takesEIOForDamage: true)
            if shape.isComplete { return Opening(isWhole: false, pagesRead: shape.pagesRead) }
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_NORMAL)
        }
        let check = try run(descriptor, path, mapSize: mapSize, .everything, takesEIOForDamage: true)
        return Opening(isWhole: true, pagesRead: check.pagesRead)
    }

    /// - Parameters:
    ///   - descriptor: of the file, which LMDB may have mapped if it has not written to it.
    ///   - path: of the file, for the error.
    ///   - mapSize: no page may lie beyond it.
    /// - Throws: `.damaged`; `.failed` when the system refuses, with EIO for pages that cannot be read.
    static func everything(_ descriptor: Int32, _ path: String, mapSize: Int) throws(LMDBError) {
        _ = try run(descriptor, path, mapSize: mapSize, .everything, takesEIOForDamage: false)
    }

    private static func run(
        _ descriptor: Int32, _ path: String, mapSize: Int, _ scope: Scope, takesEIOForDamage: Bool
    ) throws(LMDBError) -> LMDBFileCheck {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .failed(operation: "stat", path: path, code: errno) }
        do throws(Finding) {
            var check = try LMDBFileCheck(descriptor, length: Int(status.st_size), mapSize: mapSize, scope)
            try check.run()
            return check
        } catch {
            if let (operation, code) = error.refusal, code != EIO || !takesEIOForDamage {
                throw .failed(operation: operation, path: path, code: code)
            }
            throw .damaged(path: path, page: error.page, what: error.what)
        }
    }

    private let meta: Meta

    private init(_ descriptor: Int32, length: Int, mapSize: Int, _ scope: Scope) throws(Finding) {
        (self.descriptor, self.length, self.scope) = (descriptor, length, scope)
        // The page size is that of the machine that made the file. Every page size holds a meta page's first 152 bytes.
        let first = try Self.read(descriptor, at: 0, count: 512, page: 0)
        let size: UInt32 = first.withUnsafeBytes { $0.number(40) }
        try Self.checkVersion(descriptor, first)
        guard (512...65_536).contains(size), size.nonzeroBitCount == 1 else {
            throw Finding(page: 0, what: "a page size of \(size)")
        }
        pageSize = Int(size)
        var metas: [Meta] = []
        for number in 0..<2 {
            let page = try Self.read(descriptor, at: number * pageSize, count: pageSize, page: UInt64(number))
            metas.append(try Meta(page, number: UInt64(number)))
        }
        guard metas[0].free.pad == size, metas[1].free.pad == size else {
            throw Finding(page: 1, what: "two page sizes")
        }
        // LMDB takes the newer one. The other is what a torn commit would leave, and is only ever written over.
        let newer = metas[0].transaction < metas[1].transaction ? 1 : 0
        meta = metas[newer]
        guard
            meta.transaction > 1
                ? metas[1 - newer].transaction == meta.transaction - 1 : metas[1 - newer].transaction <= 1
        else {
            throw Finding(
                page: UInt64(newer),
                what: "transactions \(metas[0].transaction) and \(metas[1].transaction) do not follow each other")
        }
        lastPage = meta.lastPage
        guard lastPage >= 1, lastPage < UInt64(mapSize / pageSize) else {
            throw Finding(page: UInt64(newer), what: "a last page \(lastPage)")
        }
        met = [UInt64](repeating: 0, count: Int(lastPage / 64) + 1)
        met[0] = 3
    }

    /// One page that has another version has rotted. Two that have the same are another LMDB's.
    private static func checkVersion(_ descriptor: Int32, _ first: [UInt8]) throws(Finding) {
        func version(_ page: [UInt8]) -> UInt32? {
            page.withUnsafeBytes { $0.number(16) as UInt32 == magic ? $0.number(20) : nil }
        }
        guard let found = version(first), found != 1 else { return }
        let size: UInt32 = first.withUnsafeBytes { $0.number(40) }
        let isSize = (512...65_536).contains(size) && size.nonzeroBitCount == 1
        let second = try read(descriptor, at: isSize ? Int(size) : sysconf(Int32(_SC_PAGESIZE)), count: 512, page: 1)
        guard version(second) == found else { return }
        throw Finding(page: 0, what: "version \(found)", refusal: ("opening", MDB_VERSION_MISMATCH))
    }

    private mutating func run() throws(Finding) {
        if scope == .everything {
            _ = posix_fadvise(descriptor, 0, off_t(lastPage + 1) * off_t(pageSize), POSIX_FADV_WILLNEED)
        }
        guard meta.free.flags == 8, meta.main.flags == 0, meta.main.pad == 0 else {
            throw Finding(page: 0, what: "flags of a database")
        }
        try walk(meta.main, .bytes) { (check, key, value, flags, page) throws(Finding) in
            guard flags == 2, value.count == Tree.size, Self.databases.contains(where: { $0.utf8.elementsEqual(key) })
            else {
                throw Finding(page: page, what: "no database of a state")
            }
            let tree = value.withUnsafeBytes { Tree($0) }
            guard tree.flags == 0, tree.pad == 0 else { throw Finding(page: page, what: "flags of a database") }
            let isStaged = key.elementsEqual("staged".utf8)
            if isStaged, tree.root != Self.noPage || tree.entries > 0 { check.hasStaged = true }
            let readsLeaves = check.scope == .everything || key.elementsEqual("metadata".utf8)
            try check.walk(tree, .bytes, readsLeaves: readsLeaves) { (_, _, _, flags, page) throws(Finding) in
                guard flags == 0 else { throw Finding(page: page, what: "flags of an entry") }
            }
        }
        guard Self.databaseCounts.contains(meta.main.entries) else {
            throw Finding(page: meta.main.root, what: "\(meta.main.entries) databases")
        }
        try walk(meta.free, .numbers) { (check, _, value, flags, page) throws(Finding) in
            guard flags == 0 else { throw Finding(page: page, what: "flags of a list of free pages") }
            try check.noteFree(value, on: page)
        }
    }

    /// An opening has nothing to write.
    private var isComplete: Bool { meta.main.entries == UInt64(Self.databases.count) && !hasStaged }

    /// A list of page numbers, descending, after how many they are. What follows them was room in reserve.
    private mutating func noteFree(_ list: [UInt8], on page: UInt64) throws(Finding) {
        let numbers: [UInt64] = list.withUnsafeBytes { bytes in (0..<bytes.count / 8).map { bytes.number($0 * 8) } }
        guard list.count.isMultiple(of: 8), let count = numbers.first, count < UInt64(numbers.count) else {
            throw Finding(page: page, what: "a list of free pages that is cut off")
        }
        var before = UInt64.max
        for number in numbers.dropFirst().prefix(Int(count)) {
            guard number < before else { throw Finding(page: page, what: "a list of free pages out of order") }
            before = number
            try note(number, from: page)
        }
    }

    /// Every page has one use.
    private mutating func note(_ page: UInt64, from: UInt64) throws(Finding) {
        guard page >= 2, page <= lastPage else {
            throw Finding(page: from, what: "it leads to page \(page) of \(lastPage)")
        }
        let (word, bit) = (Int(page / 64), UInt64(1) << (page % 64))
        guard met[word] & bit == 0 else {
            throw Finding(page: from, what: "it leads to page \(page), which has another use")
        }
        met[word] |= bit
    }

    // MARK: Trees

    private typealias Visit = (inout LMDBFileCheck, _ key: [UInt8], _ value: [UInt8], _ flags: UInt16, _ page: UInt64)
        throws(Finding) -> Void

    private mutating func walk(
        _ tree: Tree, _ order: Order, readsLeaves: Bool = true, _ visit: Visit
    ) throws(Finding) {
        var walk = Walk(order: order, unreadDepth: readsLeaves ? nil : Int(tree.depth))
        if tree.root != Self.noPage {
            try self.walk(page: tree.root, from: 0, depth: 1, lower: nil, &walk, visit)
        }
        guard walk.branches == tree.branches, walk.leaves == tree.leaves, walk.depth == Int(tree.depth),
            !readsLeaves || walk.overflows == tree.overflows && walk.entries == tree.entries
        else {
            throw Finding(page: tree.root == Self.noPage ? 0 : tree.root, what: "a tree that is not what its root says")
        }
    }

    /// - Parameters:
    ///   - from: the page that led here.
    ///   - lower: no key of this page is below it.
    private mutating func walk(
        page number: UInt64, from: UInt64, depth: Int, lower: [UInt8]?, _ walk: inout Walk, _ visit: Visit
    ) throws(Finding) {
        guard depth <= Self.maximumDepth else { throw Finding(page: from, what: "a tree that is too deep") }
        try note(number, from: from)
        if let unreadDepth = walk.unreadDepth, depth >= unreadDepth { return try pass(leaf: number, at: depth, &walk) }
        let page = Page(try read(page: number), number: number)
        let isLeaf = try page.isLeaf()
        let nodes = try page.nodes(isLeaf: isLeaf)
        // All leaves are at the same depth.
        guard !isLeaf || walk.unreadDepth == nil && (walk.depth == 0 || walk.depth == depth) else {
            throw Finding(page: number, what: "leaves at two depths")
        }
        if isLeaf {
            walk.depth = depth
            walk.leaves += 1
            for (i, node) in nodes.enumerated() {
                try check(key: node.key, walk, lower: i == 0 ? lower : nil, on: number)
                walk.last = node.key
                walk.entries += 1
                try visit(&self, node.key, try value(of: node, on: number, &walk), node.flags & ~1, number)
            }
        } else {
            walk.branches += 1
            // The tree of free pages may have a branch with one child.
            guard nodes.count > 1 || walk.order == .numbers else {
                throw Finding(page: number, what: "a branch with one child")
            }
            for (i, node) in nodes.enumerated() {
                // The first key of a branch is not used.
                if i > 0 {
                    try check(key: node.key, walk, lower: nil, on: number)
                    // Otherwise the keys of leaves are what the next one has to follow.
                    if walk.unreadDepth != nil { walk.last = node.key }
                }
                try self.walk(
                    page: node.child, from: number, depth: depth + 1, lower: i == 0 ? lower : node.key, &walk, visit)
            }
        }
    }

    /// A leaf that is not read must be there: what is read beyond a file's end is a SIGBUS.
    private func pass(leaf number: UInt64, at depth: Int, _ walk: inout Walk) throws(Finding) {
        guard (Int(number) + 1) * pageSize <= length else {
            throw Finding(page: number, what: "the file ends before it does")
        }
        walk.depth = depth
        walk.leaves += 1
    }

    private func check(key: [UInt8], _ walk: Walk, lower: [UInt8]?, on page: UInt64) throws(Finding) {
        let order = walk.order
        guard (1...LMDBKey.maximum).contains(key.count), order == .bytes || key.count == 8 else {
            throw Finding(page: page, what: "a key of \(key.count) bytes")
        }
        func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
            switch order {
            case .bytes: a.lexicographicallyPrecedes(b)
            case .numbers: a.withUnsafeBytes { $0.number(0) as UInt64 } < b.withUnsafeBytes { $0.number(0) as UInt64 }
            }
        }
        if let last = walk.last, !precedes(last, key) { throw Finding(page: page, what: "keys out of order") }
        if let lower, precedes(key, lower) { throw Finding(page: page, what: "keys out of order") }
    }

    private mutating func value(of node: Page.Node, on page: UInt64, _ walk: inout Walk) throws(Finding) -> [UInt8] {
        guard node.flags & 1 != 0 else { return node.value }
        let first = node.value.withUnsafeBytes { $0.number(0) as UInt64 }
        try note(first, from: page)
        let start = try Self.read(descriptor, at: Int(first) * pageSize, count: Self.header, page: first)
        let (own, flags, pages): (UInt64, UInt16, UInt32) = start.withUnsafeBytes {
            ($0.number(0), $0.number(10), $0.number(12))
        }
        // A value that was replaced by a shorter one in the same transaction keeps its pages.
        guard own == first, flags == 4, Int(pages) > (Self.header - 1 + node.length) / pageSize,
            UInt64(pages) <= lastPage
        else {
            throw Finding(page: first, what: "no page of a value of \(node.length) bytes")
        }
        for next in 1..<UInt64(max(1, pages)) { try note(first + next, from: page) }
        walk.overflows += UInt64(pages)
        pagesRead += (Self.header + node.length - 1) / pageSize + 1
        return try Self.read(descriptor, at: Int(first) * pageSize + Self.header, count: node.length, page: first)
    }

    // MARK: Pages

    private mutating func read(page: UInt64) throws(Finding) -> [UInt8] {
        pagesRead += 1
        return try Self.read(descriptor, at: Int(page) * pageSize, count: pageSize, page: page)
    }

    private static func read(_ descriptor: Int32, at offset: Int, count: Int, page: UInt64) throws(Finding) -> [UInt8] {
        var failed: Int32 = 0
        // What a bad sector says can be said once by a cable.
        var isSecond = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            done = 0
            while done < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, count - done, off_t(offset + done))
                if got < 0 && errno == EINTR { continue }
                if got < 0 && errno == EIO && !isSecond {
                    isSecond = true
                    continue
                }
                if got < 0 { failed = errno }
                if got <= 0 { return }
                done += got
            }
        }
        guard failed == 0 else {
            throw Finding(
                page: page, what: "it cannot be read: \(String(cString: strerror(failed)))",
                refusal: (operation: "reading", code: failed))
        }
        guard bytes.count == count else { throw Finding(page: page, what: "the file ends before it does") }
        return bytes
    }
}
