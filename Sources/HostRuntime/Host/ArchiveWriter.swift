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
    private let counters: HostCounters
    private let log: LimitedLog

    /// What archives leave free on their disk: journal and states go before them.
    static let reserve: UInt64 = 512 << 20

    /// Opens what is there. An archive that cannot be read is put aside, and a new one begun: others have what is in it.
    /// - Parameter bytes: of all together; nil for no limit.
    /// - Throws: `JournalError`.
    init(_ folder: HostFolder, bytes: Int?, counters: HostCounters, logger: Logger) throws {
        (self.counters, log) = (counters, LimitedLog(logger))
        let shards = folder.manifest.shards(of: folder.host)
        var options = ArchiveOptions()
        options.limit = bytes.map { $0 / max(1, shards.count) }
        let path = folder.path
        options.hasRoom = { bytes in
            StorageFailure.room(in: path).map { $0 >= Self.reserve + UInt64(bytes) } ?? true
        }
        var archives: [ShardID: BatchArchive<PosixJournalStorage>] = [:]
        for shard in shards {
            archives[shard] = try Self.open(folder.archivePath(of: shard), of: shard, folder, options, logger)
        }
        self.archives = archives
        for (shard, archive) in archives { note(archive, of: shard) }
    }

    /// - Returns: nil if a new one cannot be made either: the host goes without.
    private static func open(
        _ path: String, of shard: ShardID, _ folder: HostFolder, _ options: ArchiveOptions, _ logger: Logger
    ) throws -> BatchArchive<PosixJournalStorage>? {
        do throws(JournalError) {
            return try BatchArchive(PosixJournalStorage(directory: path), options: options)
        } catch {
            guard error.isOfTheFiles else { throw error }
            let metadata: Logger.Metadata = ["shard": .stringConvertible(shard.number)]
            do {
                let aside = try folder.setAside(path)
                logger.error(
                    "\(error): the archive of shard \(shard) is put aside as \(aside), and a new one begun",
                    metadata: metadata)
                return try BatchArchive(PosixJournalStorage(directory: path), options: options)
            } catch let second {
                logger.error(
                    "\(error): the archive of shard \(shard) cannot be put aside (\(second)); the host goes on without it",
                    metadata: metadata)
                return nil
            }
        }
    }

    /// - Parameter batches: of any shards of the host; those of each ascending.
    package func append(_ batches: [ArchivedBatch]) throws {
        var start = 0
        while start < batches.count {
            let shard = batches[start].shard
            let end = batches[start...].firstIndex { $0.shard != shard } ?? batches.count
            if let archive = archives[shard] {
                // What was dropped is not to be asked for, also if what follows fails.
                defer { note(archive, of: shard) }
                note(try archive.append(Array(batches[start..<end])), of: shard)
            }
            start = end
        }
    }

    private func note(_ archive: BatchArchive<PosixJournalStorage>, of shard: ShardID) {
        let contents = archive.contents
        index[shard] = contents
        counters.noteArchive(of: shard, bytes: archive.bytes, first: contents.first, last: contents.last)
    }

    private func note(_ losses: ArchiveLosses, of shard: ShardID) {
        guard !losses.isEmpty else { return }
        let metadata: Logger.Metadata = ["shard": .stringConvertible(shard.number)]
        if let first = losses.tooLarge.first {
            counters.noteUnarchived(.tooLarge, losses.tooLarge.count)
            log.warning(
                "the archive has a gap", "batch \(first) of shard \(shard) is larger than any record may be",
                metadata: metadata)
        }
        let why = losses.refusal.map { "\($0)" } ?? "less than \(Self.reserve >> 20) MiB would be free"
        if let first = losses.withoutRoom.first, let last = losses.withoutRoom.last {
            counters.noteUnarchived(.noRoom, losses.withoutRoom.count)
            log.warning(
                "the archive has a gap",
                "batches \(first) to \(last) of shard \(shard) are not archived, as there is no room: \(why)",
                metadata: metadata)
        }
        if losses.droppedBytes > 0 {
            log.warning(
                "old parts of an archive are dropped, as there is no room",
                "\(losses.droppedBytes) bytes of shard \(shard): \(why)", metadata: metadata)
        }
    }

    /// Returns when everything of the shard is durable.
    package func sync(_ shard: ShardID) throws { try archives[shard]?.sync() }
}

extension JournalError {
    /// Other files would help: it is neither the process that may not, nor the disk that cannot. A file that cannot be
    /// read says nothing of the others.
    fileprivate var isOfTheFiles: Bool {
        guard case .storage(let operation, _, let code) = self, operation != .lock else { return false }
        if operation == .read, code == EIO { return true }
        return ![EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EIO, EROFS, ENOSPC, EDQUOT].contains(code)
    }
}
