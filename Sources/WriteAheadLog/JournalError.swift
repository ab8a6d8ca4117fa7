/// What was asked of a journal's storage.
public enum JournalOperation: String, Sendable {
    case list, lock, createDirectory, syncDirectory, create, open, read, write, sync, remove, rename
}

/// Why a journal cannot be opened or written. Nothing here is ever retried: the host that gets one of these from a
/// write stops voting (R7), the host that gets `rot`, `missingSegment` or `missing` for a journal that it had counts
/// itself among the faulty until it is safe (R4).
public enum JournalError: Error, Equatable, Sendable {
    /// The operating system refused.
    case storage(JournalOperation, path: String, errno: Int32)
    /// There is no journal in this folder.
    case missing(path: String)
    /// A journal is to be created where there is something already.
    case notEmpty(path: String, found: String)
    /// Bytes that were durable are no longer what was written, at or after `offset` of the segment.
    case rot(segment: UInt64, offset: Int)
    /// A segment that held needed records is not there, or what it held at its end is not.
    case missingSegment(UInt64)
    /// The segment was written by a version of the program that this one does not know.
    case unknownVersion(segment: UInt64, version: UInt32)
    /// Nothing was written, and the journal goes on.
    case recordTooLarge(length: Int, limit: Int)
    /// `finishCompaction` without `beginCompaction`.
    case noCompaction
    /// An earlier operation failed; what is on the disk is unknown from there on, so nothing more is written.
    indirect case poisoned(by: JournalError)
}

extension JournalError: CustomStringConvertible {
    /// What was tried, on which file or segment, and what is wrong, in one line.
    public var description: String {
        switch self {
        case .storage(let operation, let path, let errno):
            "journal: \(operation.rawValue) of \(path) failed: \(SystemCalls.message(errno))"
        case .missing(let path): "journal: no journal in \(path)"
        case .notEmpty(let path, let found): "journal: refuses to create a journal in \(path), which holds \(found)"
        case .rot(let segment, let offset):
            "journal: segment \(segment) is damaged at byte \(offset): durable records are lost or altered"
        case .missingSegment(let segment): "journal: segment \(segment) is missing or incomplete"
        case .unknownVersion(let segment, let version): "journal: segment \(segment) has the unknown version \(version)"
        case .recordTooLarge(let length, let limit):
            "journal: a record of \(length) bytes exceeds the limit of \(limit)"
        case .noCompaction: "journal: no compaction was begun"
        case .poisoned(let cause): "journal: stopped by an earlier failure: \(cause)"
        }
    }
}
