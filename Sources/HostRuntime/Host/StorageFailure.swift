import Glibc
import WriteAheadLog
import LMDBStore

/// Why a host cannot use its disk, or not any more, and what to do about it.
public struct StorageFailure: Error, Sendable, CustomStringConvertible {
    /// What failed, on which path, and advice where the system's code allows any.
    public let description: String
    /// There was no room: on the disk, in a quota, under a limit of the process, or in LMDB's map. What was not written
    /// was not promised either, so the host goes on from what is there when it starts with more room.
    public let isForRoom: Bool
    /// It was LMDB's map.
    let isFullMap: Bool
    /// It was the disk: how much room there is on it tells when to go on.
    let isFullDisk: Bool

    init(_ error: JournalError) {
        self.init(error.description, code: error.code, isFullMap: false, isOfSync: error.isOfSync)
    }
    init(_ error: LMDBError) {
        self.init(error.description, code: error.code, isFullMap: error.isFullMap, isOfSync: error.isOfSync)
    }
    init(_ failure: FileFailure) {
        let isTooLong = failure.operation == "read" && failure.code == EFBIG
        self.init(
            failure.description + (isTooLong ? ". It is damaged: restore it from a copy" : ""),
            code: isTooLong ? 0 : failure.code,
            isFullMap: false, isOfSync: failure.operation == "sync")
    }

    /// Nil if the disk has nothing to do with the error.
    static func of(_ error: any Error) -> StorageFailure? {
        switch error {
        case let error as StorageFailure: error
        case let error as JournalError: StorageFailure(error)
        case let error as LMDBError: StorageFailure(error)
        case let error as FileFailure: StorageFailure(error)
        case ClusterFolderError.file(let failure): StorageFailure(failure)
        default: nil
        }
    }

    /// - Parameter isOfSync: what was written before may be lost: that is for an operator to look into (R7).
    private init(_ what: String, code: Int32, isFullMap: Bool, isOfSync: Bool = false) {
        self.isFullMap = isFullMap
        isForRoom = isFullMap || !isOfSync && [ENOSPC, EDQUOT, EFBIG].contains(code)
        isFullDisk = !isFullMap && code == ENOSPC
        description = what + Self.advice(code)
    }

    /// Begins with a full stop; empty if there is nothing to say.
    static func advice(_ code: Int32) -> String {
        switch code {
        case ENOSPC: ". The disk is full: make room on it. Nothing is lost"
        case EDQUOT: ". A quota is used up: raise it, or make room. Nothing is lost"
        case EFBIG: ". A limit for the size of files is reached (ulimit -f): raise it. Nothing is lost"
        case EROFS:
            ". The file system is read-only: make it writable; if it became so by itself, the disk has failed (see dmesg)"
        case EIO:
            ". The disk cannot be read or written (see dmesg): copy the cluster's folder to a sound one. If a journal cannot be copied whole, "
                + "remove hosts/N/journal from the copy: the host then takes no part until it can have forgotten nothing"
        case EACCES, EPERM:
            ". Run the host as the user to whom the folder belongs, or give it to the user who runs the host"
        case EMFILE, ENFILE: ". Too many files are open: raise the limit (ulimit -n)"
        default: ""
        }
    }

    /// Bytes that files of this host may still take; nil if the system does not say.
    static func room(in folder: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        let (bytes, isTooLarge) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return isTooLarge ? .max : bytes
    }
}

extension JournalError {
    /// The system's, 0 if it is not the system that refused.
    fileprivate var code: Int32 {
        switch self {
        case .storage(_, _, let errno): errno
        case .poisoned(let cause): cause.code
        case .missing, .notEmpty, .rot, .missingSegment, .unknownVersion, .recordTooLarge, .noCompaction: 0
        }
    }

    fileprivate var isOfSync: Bool {
        switch self {
        case .storage(let operation, _, _): operation == .sync || operation == .syncDirectory
        case .poisoned(let cause): cause.isOfSync
        case .missing, .notEmpty, .rot, .missingSegment, .unknownVersion, .recordTooLarge, .noCompaction: false
        }
    }
}

extension LMDBError {
    /// The system's, or one of LMDB's own, which are negative.
    fileprivate var code: Int32 {
        switch self {
        case .failed(_, _, let code), .syncFailed(_, _, let code): code
        case .poisoned(let cause): cause.code
        case .damaged, .diedReading, .alreadyOpen, .mapFull, .keyLength: 0
        }
    }

    fileprivate var isFullMap: Bool {
        switch self {
        case .mapFull: true
        case .poisoned(let cause): cause.isFullMap
        case .damaged, .diedReading, .failed, .syncFailed, .alreadyOpen, .keyLength: false
        }
    }
}
