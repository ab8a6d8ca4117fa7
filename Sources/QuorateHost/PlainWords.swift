import ConnectionErrors
import Foundation

/// Errors of libraries in words for people, and in the exit code that they stand for. The one place for it: nothing of
/// a library's own description, which shows its insides, reaches a terminal.
enum PlainWords {
    static func failure(_ error: any Error) -> (reason: ExitReason, text: String) {
        switch error {
        case let error as CocoaError: file(error as NSError)
        case let error as POSIXError: (reason(error.code.rawValue), String(cString: strerror(error.code.rawValue)))
        case let error as EncodingError: (.failure, "a value cannot be written as JSON: \(context(error))")
        case let error as DecodingError: (.failure, "JSON cannot be read: \(context(error))")
        default: (.failure, NetworkFailure.text(error))
        }
    }

    /// `cannot write /x/y: No space left on device`
    private static func file(_ error: NSError) -> (ExitReason, String) {
        let isWrite = (512..<768).contains(error.code)
        let path = error.userInfo[NSFilePathErrorKey] as? String ?? (error.userInfo[NSURLErrorKey] as? URL)?.path
        var cause = error
        while let deeper = cause.userInfo[NSUnderlyingErrorKey] as? NSError { cause = deeper }
        let code = cause.domain == NSPOSIXErrorDomain ? Int32(clamping: cause.code) : posix(error.code)
        let why = code.map { String(cString: strerror($0)) } ?? "file error \(error.code)"
        return (reason(code), "cannot \(isWrite ? "write" : "read") \(path ?? "a file"): \(why)")
    }

    private static func posix(_ code: Int) -> Int32? {
        switch CocoaError.Code(rawValue: code) {
        case .fileNoSuchFile, .fileReadNoSuchFile: ENOENT
        case .fileReadNoPermission, .fileWriteNoPermission: EACCES
        case .fileWriteOutOfSpace: ENOSPC
        case .fileWriteVolumeReadOnly: EROFS
        case .fileWriteFileExists: EEXIST
        case .fileReadTooLarge: EFBIG
        case .fileReadInvalidFileName, .fileWriteInvalidFileName: EINVAL
        default: nil
        }
    }

    private static func reason(_ code: Int32?) -> ExitReason {
        switch code {
        case ENOSPC, EDQUOT, EROFS, EIO: .storage
        case EACCES, EPERM: .notPermitted
        default: .failure
        }
    }

    private static func context(_ error: EncodingError) -> String {
        guard case .invalidValue(_, let context) = error else { return "" }
        return context.debugDescription
    }

    private static func context(_ error: DecodingError) -> String {
        switch error {
        case .dataCorrupted(let context), .keyNotFound(_, let context), .typeMismatch(_, let context),
            .valueNotFound(_, let context):
            context.debugDescription
        @unknown default: ""
        }
    }
}
