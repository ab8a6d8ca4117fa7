import Glibc

/// What a disk holds for sure, and what it may hold besides, at one moment of a recording: the reading of POSIX that
/// the journal and LMDB are built on.
///
/// - A file's pages and size are durable after an fsync or fdatasync that began later than they were written. Until
///   then each page is on the disk as it was after any of its writes, and the size as it was after any change.
/// - Names are durable after an fsync of their folder. Until then each change is there or not, by itself.
/// - A write through a descriptor with O_DSYNC makes the pages that it touches durable, and the size.
struct DiskModel {
    static let pageSize = 4096

    /// Part of one page, written.
    struct Fragment {
        let stamp: Int
        let offset: Int
        let data: ArraySlice<UInt8>
    }

    struct File {
        /// At most `durableSize` bytes; the rest is zeros.
        var durable: [UInt8] = []
        var durableSize = 0
        var size = 0
        var pages: [Int: [Fragment]] = [:]
        var sizes: [(stamp: Int, size: Int)] = []
    }

    enum NameChange {
        case add(String, node: Int)
        case remove(String)
        case rename(String, String)
    }

    struct Folder {
        var durable: [String: Int] = [:]
        var names: [String: Int] = [:]
        var changes: [(stamp: Int, change: NameChange)] = []
    }

    enum Node {
        case file(File)
        case folder(Folder)
    }

    struct Inconsistency: Error, CustomStringConvertible {
        let description: String
    }

    /// The disk says "synced" of the files and folders that `lies` names, and they are not: shows that the test would
    /// notice.
    var isLying = false
    private let lies: (String) -> Bool
    let root: String
    private(set) var nodes: [Node] = [.folder(Folder())]
    private var descriptors: [Int32: Int] = [:]
    private var lying: Set<Int> = []
    /// Node and stamp of each sync that has begun.
    private var syncs: [UInt32: (node: Int, stamp: Int)] = [:]
    private var stamp = 0

    init(root: String, lies: @escaping (String) -> Bool = { _ in false }) { (self.root, self.lies) = (root, lies) }

    // MARK: - What the process does

    mutating func apply(_ call: DiskCall) throws {
        switch call {
        case .open(let descriptor, let flags, let path): try open(descriptor, flags, path)
        case .close(let descriptor): descriptors[descriptor] = nil
        case .write(let descriptor, let offset, let data, _): write(try node(of: descriptor), offset, data)
        case .syncBegan(let descriptor, let number): syncs[number] = (try node(of: descriptor), stamp)
        case .syncEnded(let number):
            guard let sync = syncs.removeValue(forKey: number) else {
                throw Inconsistency(description: "sync \(number) never began")
            }
            if !isLying || !lying.contains(sync.node) { harden(sync.node, upTo: sync.stamp) }
        case .truncate(let descriptor, let size): resize(try node(of: descriptor), to: size)
        case .allocate(let descriptor, let size): resize(try node(of: descriptor), toAtLeast: size)
        case .rename(let old, let new): try rename(old, new)
        case .remove(let path):
            try change(path) { folder, name in
                guard folder.names.removeValue(forKey: name) != nil else {
                    throw Inconsistency(description: "\(path) was never made")
                }
                return .remove(name)
            }
        case .makeFolder(let path): try add(.folder(Folder()), path)
        case .mark: break
        }
    }

    /// The second half of a write through an O_DSYNC descriptor; a power loss may come between the two.
    mutating func finishSynced(_ call: DiskCall) throws {
        guard case .write(let descriptor, let offset, let data, true) = call, !data.isEmpty else { return }
        let index = try node(of: descriptor)
        guard !isLying || !lying.contains(index), case .file(var file) = nodes[index] else { return }
        for page in offset / Self.pageSize...(offset + data.count - 1) / Self.pageSize { file.harden(page, upTo: .max) }
        file.hardenSize(upTo: .max)
        nodes[index] = .file(file)
    }

    private mutating func open(_ descriptor: Int32, _ flags: Int32, _ path: String) throws {
        if try find(path) == nil {
            guard flags & O_CREAT != 0 else { throw Inconsistency(description: "\(path) was opened and never made") }
            try add(.file(File()), path)
        }
        guard let index = try find(path) else { return }
        descriptors[descriptor] = index
        if flags & O_TRUNC != 0 { resize(index, to: 0) }
    }

    private func node(of descriptor: Int32) throws -> Int {
        guard let node = descriptors[descriptor] else {
            throw Inconsistency(description: "descriptor \(descriptor) was never opened")
        }
        return node
    }

    private mutating func write(_ index: Int, _ offset: Int, _ data: ArraySlice<UInt8>) {
        guard case .file(var file) = nodes[index] else { return }
        // Else the array would be copied.
        nodes[index] = .folder(Folder())
        var at = data.startIndex
        while at < data.endIndex {
            let position = offset + (at - data.startIndex)
            let (page, inPage) = (position / Self.pageSize, position % Self.pageSize)
            let count = min(Self.pageSize - inPage, data.endIndex - at)
            stamp += 1
            file.pages[page, default: []].append(Fragment(stamp: stamp, offset: inPage, data: data[at..<at + count]))
            at += count
        }
        nodes[index] = .file(file)
        resize(index, toAtLeast: offset + data.count)
    }

    private mutating func resize(_ index: Int, toAtLeast size: Int) {
        guard case .file(let file) = nodes[index], file.size < size else { return }
        resize(index, to: size)
    }

    private mutating func resize(_ index: Int, to size: Int) {
        guard case .file(var file) = nodes[index], file.size != size else { return }
        stamp += 1
        file.size = size
        file.sizes.append((stamp, size))
        nodes[index] = .file(file)
    }

    private mutating func harden(_ index: Int, upTo limit: Int) {
        switch nodes[index] {
        case .file(var file):
            nodes[index] = .folder(Folder())
            for page in file.pages.keys.sorted() { file.harden(page, upTo: limit) }
            file.hardenSize(upTo: limit)
            nodes[index] = .file(file)
        case .folder(var folder):
            for (stamp, change) in folder.changes where stamp <= limit { change.apply(to: &folder.durable) }
            folder.changes.removeAll { $0.stamp <= limit }
            nodes[index] = .folder(folder)
        }
    }

    // MARK: - Names

    private func components(_ path: String) -> [Substring] {
        var components: [Substring] = []
        for component in path.dropFirst(root.count).split(separator: "/") {
            if component == ".." { _ = components.popLast() } else if component != "." { components.append(component) }
        }
        return components
    }

    private func find(_ path: String) throws -> Int? { find(components(path)) }

    private func find(_ components: some Sequence<Substring>) -> Int? {
        var index = 0
        for component in components {
            guard case .folder(let folder) = nodes[index], let next = folder.names[String(component)] else {
                return nil
            }
            index = next
        }
        return index
    }

    private mutating func change(_ path: String, _ body: (inout Folder, String) throws -> NameChange) throws {
        let components = components(path)
        guard let name = components.last, let parent = find(components.dropLast()),
            case .folder(var folder) = nodes[parent]
        else {
            throw Inconsistency(description: "the folder of \(path) was never made")
        }
        let change = try body(&folder, String(name))
        stamp += 1
        folder.changes.append((stamp, change))
        nodes[parent] = .folder(folder)
    }

    private mutating func add(_ node: Node, _ path: String) throws {
        let index = nodes.count
        nodes.append(node)
        if lies(path) { lying.insert(index) }
        try change(path) { folder, name in
            folder.names[name] = index
            return .add(name, node: index)
        }
    }

    private mutating func rename(_ old: String, _ new: String) throws {
        let target = components(new)
        guard components(old).dropLast() == target.dropLast(), let newName = target.last else {
            throw Inconsistency(description: "\(old) was renamed into another folder")
        }
        try change(old) { folder, name in
            guard let node = folder.names.removeValue(forKey: name) else {
                throw Inconsistency(description: "\(old) was never made")
            }
            folder.names[String(newName)] = node
            return .rename(name, String(newName))
        }
    }
}

extension DiskModel.NameChange {
    /// What is not there, because an earlier change was lost, cannot be renamed.
    func apply(to names: inout [String: Int]) {
        switch self {
        case .add(let name, let node): names[name] = node
        case .remove(let name): names[name] = nil
        case .rename(let old, let new): if let node = names.removeValue(forKey: old) { names[new] = node }
        }
    }
}

extension DiskModel.File {
    fileprivate mutating func harden(_ page: Int, upTo limit: Int) {
        guard let fragments = pages[page] else { return }
        for fragment in fragments where fragment.stamp <= limit {
            let start = page * DiskModel.pageSize
            if durable.count < start + DiskModel.pageSize {
                durable.append(contentsOf: repeatElement(0, count: start + DiskModel.pageSize - durable.count))
            }
            durable.replaceSubrange(
                start + fragment.offset..<start + fragment.offset + fragment.data.count, with: fragment.data)
        }
        let left = fragments.filter { $0.stamp > limit }
        pages[page] = left.isEmpty ? nil : left
    }

    fileprivate mutating func hardenSize(upTo limit: Int) {
        guard let last = sizes.last(where: { $0.stamp <= limit }) else { return }
        durableSize = last.size
        if durable.count > durableSize { durable.removeLast(durable.count - durableSize) }
        sizes.removeAll { $0.stamp <= limit }
    }
}
