import Randomness
import Glibc
import Simulator

/// What becomes of everything that was not synced when the power goes.
enum Fate: CaseIterable {
    case lost
    case kept
    /// Only what was written last made it.
    case onlyTheLast
    case allButTheLast
    /// Each page, size and name by itself.
    case mixed
    /// ... and few of them.
    case mostlyLost
    case mostlyKept
    /// ... and pages that are made of old and new sectors.
    case torn

    fileprivate var keptPerMille: Int {
        switch self {
        case .lost, .onlyTheLast: 0
        case .kept, .allButTheLast: 1000
        case .mixed, .torn: 500
        case .mostlyLost: 100
        case .mostlyKept: 900
        }
    }
}

/// Writes one folder of a model as a power loss may leave it.
struct DiskImage {
    static let sectorSize = 512
    private let model: DiskModel
    private let fate: Fate
    private var rng: SplitMix64
    /// Of the last change of anything in the folder.
    private var last = 0

    /// - Parameter path: below the model's root, "" for all of it.
    static func write(
        _ model: DiskModel, folder path: String, to target: String, fate: Fate, using rng: inout SplitMix64
    ) throws {
        var image = DiskImage(model: model, fate: fate, rng: SplitMix64(seed: rng.next()))
        guard let index = image.durableNode(path) else {
            throw DiskModel.Inconsistency(description: "\(path) is not durable")
        }
        image.findLast(index)
        try image.write(index, to: target)
    }

    private init(model: DiskModel, fate: Fate, rng: SplitMix64) {
        (self.model, self.fate, self.rng) = (model, fate, rng)
    }

    private func durableNode(_ path: String) -> Int? {
        var index = 0
        for name in path.split(separator: "/") {
            guard case .folder(let folder) = model.nodes[index], let next = folder.durable[String(name)] else {
                return nil
            }
            index = next
        }
        return index
    }

    private mutating func findLast(_ index: Int) {
        switch model.nodes[index] {
        case .file(let file):
            for fragments in file.pages.values { last = max(last, fragments.last?.stamp ?? 0) }
            last = max(last, file.sizes.last?.stamp ?? 0)
        case .folder(let folder):
            last = max(last, folder.changes.last?.stamp ?? 0)
            for node in Set(folder.durable.values).union(folder.names.values) { findLast(node) }
        }
    }

    /// Of changes that build on each other, how many are there.
    private mutating func kept(_ stamps: [Int]) -> Int {
        guard !stamps.isEmpty else { return 0 }
        return switch fate {
        case .lost: 0
        case .kept: stamps.count
        case .onlyTheLast: stamps.last == last ? stamps.count : 0
        case .allButTheLast: stamps.count { $0 != last }
        case .mixed, .mostlyLost, .mostlyKept, .torn:
            // The last of them is likelier than one between.
            if !rng.chance(perMille: fate.keptPerMille) {
                0
            } else {
                rng.chance(perMille: 700) ? stamps.count : 1 + rng.below(stamps.count)
            }
        }
    }

    private mutating func write(_ index: Int, to path: String) throws {
        switch model.nodes[index] {
        case .file(let file): try write(contents(of: file), to: path)
        case .folder(let folder):
            guard mkdir(path, 0o700) == 0 else {
                throw DiskModel.Inconsistency(description: "cannot make \(path): \(errno)")
            }
            var names = folder.durable
            for (stamp, change) in folder.changes where kept([stamp]) == 1 { change.apply(to: &names) }
            for name in names.keys.sorted() {
                // LMDB's lock file is shared memory and holds nothing that lasts.
                if let node = names[name], name != "lock.mdb" { try write(node, to: path + "/" + name) }
            }
        }
    }

    private mutating func contents(of file: DiskModel.File) -> [UInt8] {
        let sizes = kept(file.sizes.map(\.stamp))
        let size = sizes == 0 ? file.durableSize : file.sizes[sizes - 1].size
        var bytes = Array(file.durable.prefix(size))
        bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
        for page in file.pages.keys.sorted() {
            guard let fragments = file.pages[page] else { continue }
            let count = kept(fragments.map(\.stamp))
            if fate == .torn {
                // Each sector is of one of two versions.
                let other = rng.below(fragments.count + 1)
                let sectors = (0..<DiskModel.pageSize / Self.sectorSize).map { _ in
                    rng.chance(perMille: 500) ? count : other
                }
                put(fragments, page, into: &bytes) { fragment, offset in fragment < sectors[offset / Self.sectorSize] }
            } else {
                put(fragments, page, into: &bytes) { fragment, _ in fragment < count }
            }
        }
        return bytes
    }

    /// Sector by sector, those that `isKept`.
    private func put(
        _ fragments: [DiskModel.Fragment], _ page: Int, into bytes: inout [UInt8], _ isKept: (Int, Int) -> Bool
    ) {
        for (i, fragment) in fragments.enumerated() {
            var offset = fragment.offset
            let end = fragment.offset + fragment.data.count
            while offset < end {
                let next = min(end, (offset / Self.sectorSize + 1) * Self.sectorSize)
                let start = page * DiskModel.pageSize + offset
                let count = min(next - offset, bytes.count - start)
                if count > 0, isKept(i, offset) {
                    let from = fragment.data.startIndex + (offset - fragment.offset)
                    bytes.replaceSubrange(start..<start + count, with: fragment.data[from..<from + count])
                }
                offset = next
            }
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "w") else {
            throw DiskModel.Inconsistency(description: "cannot make \(path): \(errno)")
        }
        defer { fclose(file) }
        // Modes are not recorded; keys must be the owner's alone.
        guard fchmod(fileno(file), 0o600) == 0, fwrite(bytes, 1, bytes.count, file) == bytes.count else {
            throw DiskModel.Inconsistency(description: "cannot write \(path): \(errno)")
        }
    }
}
