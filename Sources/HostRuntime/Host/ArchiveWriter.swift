import Archive
import Messages
import Synchronization
import WriteAheadLog

/// The archives of a host as the thread that writes them has them. Lives on that thread; what is in them may be looked
/// at from any.
package final class ArchiveWriter {
    /// What is in the archives, for who reads them.
    package final class Index: Sendable {
        private let contents = Mutex<[ShardID: ArchiveContents]>([:])

        package subscript(shard: ShardID) -> ArchiveContents? {
            get { contents.withLock { $0[shard] } }
            set { contents.withLock { $0[shard] = newValue } }
        }
    }

    private let archives: [ShardID: BatchArchive<PosixJournalStorage>]
    /// Kept as it is written.
    package let index = Index()

    /// Opens what is there.
    /// - Parameter bytes: of all together; nil for no limit.
    /// - Throws: `JournalError`.
    init(_ folder: HostFolder, bytes: Int?) throws {
        let shards = folder.manifest.shards(of: folder.host)
        var options = ArchiveOptions()
        options.limit = bytes.map { $0 / max(1, shards.count) }
        var archives: [ShardID: BatchArchive<PosixJournalStorage>] = [:]
        for shard in shards {
            let storage = PosixJournalStorage(directory: folder.archivePath(of: shard))
            archives[shard] = try BatchArchive(storage, options: options)
        }
        self.archives = archives
        for (shard, archive) in archives { index[shard] = archive.contents }
    }

    /// - Parameter batches: of any shards of the host; those of each ascending.
    package func append(_ batches: [ArchivedBatch]) throws {
        var start = 0
        while start < batches.count {
            let shard = batches[start].shard
            let end = batches[start...].firstIndex { $0.shard != shard } ?? batches.count
            if let archive = archives[shard] {
                try archive.append(Array(batches[start..<end]))
                index[shard] = archive.contents
            }
            start = end
        }
    }

    /// Returns when everything of the shard is durable.
    package func sync(_ shard: ShardID) throws { try archives[shard]?.sync() }
}
