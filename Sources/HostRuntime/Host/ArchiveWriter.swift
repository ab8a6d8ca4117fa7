import Archive
import Glibc
import Logging
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

    /// Opens what is there. An archive that cannot be read is put aside, and a new one begun: others have what is in it.
    /// - Parameter bytes: of all together; nil for no limit.
    /// - Throws: `JournalError`, or `ClusterFolderError`.
    init(_ folder: HostFolder, bytes: Int?, logger: Logger) throws {
        let shards = folder.manifest.shards(of: folder.host)
        var options = ArchiveOptions()
        options.limit = bytes.map { $0 / max(1, shards.count) }
        var archives: [ShardID: BatchArchive<PosixJournalStorage>] = [:]
        for shard in shards {
            let path = folder.archivePath(of: shard)
            do throws(JournalError) {
                archives[shard] = try BatchArchive(PosixJournalStorage(directory: path), options: options)
            } catch {
                guard error.isOfTheFiles else { throw error }
                let aside = try folder.setAside(path)
                logger.error(
                    "\(error): the archive of shard \(shard) is put aside as \(aside), and a new one begun",
                    metadata: ["shard": .stringConvertible(shard.number)])
                archives[shard] = try BatchArchive(PosixJournalStorage(directory: path), options: options)
            }
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

extension JournalError {
    /// Other files would help: it is neither the process that may not, nor the disk that cannot.
    fileprivate var isOfTheFiles: Bool {
        guard case .storage(let operation, _, let code) = self, operation != .lock else { return false }
        return ![EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EIO, EROFS, ENOSPC, EDQUOT].contains(code)
    }
}
