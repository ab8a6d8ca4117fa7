import Glibc
import Messages
import WriteAheadLog

/// Reads batches of an archive whose files are in a folder. Not for two threads at once, but beside whoever writes.
public final class ArchiveReader {
    private let path: String
    /// Where the records of segments begin, of the few that were read last.
    private var offsets: [String: [Int]] = [:]
    private var recent: [String] = []
    private static let keptSegments = 4

    /// - Parameter path: the folder.
    public init(_ path: String) { self.path = path }

    /// Consecutive batches, and the first number that is there.
    ///
    /// What is damaged, or was removed meanwhile, counts as not there: whoever asks has other hosts to ask.
    /// - Parameters:
    ///   - from: the first that is wanted; later ones come where it is not there.
    ///   - count: how many at most.
    ///   - bytes: it ends before the batch that would exceed so many; a first one that is larger comes alone.
    ///   - isOwn: whether a batch may be given out; one that may not counts as damaged.
    /// - Returns: nil where nothing is there from `from` on.
    public func read(
        _ contents: ArchiveContents, from: SequenceNumber, count: Int, bytes: Int,
        where isOwn: (ArchivedBatch) -> Bool = { _ in true }
    ) -> (next: SequenceNumber, batches: [ArchivedBatch])? {
        var wanted = from.number
        var batches: [ArchivedBatch] = []
        var size = 0
        for segment in contents.segments where segment.count > 0 {
            let end = segment.first.number + segment.count
            if end <= wanted { continue }
            if !batches.isEmpty, segment.first.number != wanted { break }
            wanted = max(wanted, segment.first.number)
            guard let file = ArchiveFile(path + "/" + segment.name) else { continue }
            while wanted < end {
                if !batches.isEmpty, batches.count >= count { break }
                guard
                    let record = record(of: file, segment, sequence: SequenceNumber(wanted)),
                    let batch = try? ArchivedBatch(decoding: Array(record.dropFirst(ArchiveRecord.headerSize))),
                    batch.sequence.number == wanted, isOwn(batch)
                else { break }
                if !batches.isEmpty, size + record.count > bytes { break }
                // None is wanted: it only tells which is the next.
                if count == 0 { return (SequenceNumber(wanted), []) }
                batches.append(batch)
                size += record.count
                wanted += 1
            }
            if wanted < end {
                if !batches.isEmpty { break }
                // The rest of this segment cannot be read.
                wanted = end
            }
        }
        guard let first = batches.first else { return nil }
        return (first.sequence, batches)
    }

    private func record(of file: ArchiveFile, _ segment: ArchiveContents.Segment, sequence: SequenceNumber)
        -> ArraySlice<UInt8>?
    {
        let index = Int(sequence.number - segment.first.number)
        var known = offsets[segment.name] ?? [0]
        while known.count <= index {
            let (at, number) = (known[known.count - 1], segment.first.number + UInt64(known.count - 1))
            guard let header = file.read(ArchiveRecord.headerSize, at: at),
                let (length, found) = ArchiveRecord.header(header[...], room: file.size - at), found.number == number
            else {
                remember(known, of: segment.name)
                return nil
            }
            known.append(at + length)
        }
        remember(known, of: segment.name)
        let at = known[index]
        guard let header = file.read(ArchiveRecord.headerSize, at: at),
            let (length, found) = ArchiveRecord.header(header[...], room: file.size - at), found == sequence,
            let record = file.read(length, at: at),
            ArchiveRecord.check(record[...]).elementsEqual(record[16..<32])
        else { return nil }
        return record[...]
    }

    private func remember(_ known: [Int], of name: String) {
        offsets[name] = known
        recent.removeAll { $0 == name }
        recent.append(name)
        if recent.count > Self.keptSegments { offsets[recent.removeFirst()] = nil }
    }
}

/// A file that is open while this lives.
private final class ArchiveFile {
    private let descriptor: Int32
    let size: Int

    init?(_ path: String) {
        let descriptor = SystemCalls.uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            close(descriptor)
            return nil
        }
        (self.descriptor, size) = (descriptor, Int(status.st_size))
    }

    deinit { _ = Glibc.close(descriptor) }

    func read(_ count: Int, at offset: Int) -> [UInt8]? {
        guard offset + count <= size else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        let isWhole = bytes.withUnsafeMutableBytes { buffer in
            var done = 0
            while done < buffer.count {
                let got = pread(
                    descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
                if got < 0 && errno == EINTR { continue }
                if got <= 0 { return false }
                done += got
            }
            return true
        }
        return isWhole ? bytes : nil
    }
}
