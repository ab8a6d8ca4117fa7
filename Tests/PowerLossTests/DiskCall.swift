import Glibc
import PowerLossRecorder

/// One call that a recorded process made, or one mark of the test's own among them.
enum DiskCall {
    case open(descriptor: Int32, flags: Int32, path: String)
    case close(descriptor: Int32)
    case write(descriptor: Int32, offset: Int, data: ArraySlice<UInt8>, isSynced: Bool)
    case syncBegan(descriptor: Int32, number: UInt32)
    case syncEnded(number: UInt32)
    case truncate(descriptor: Int32, size: Int)
    case allocate(descriptor: Int32, size: Int)
    case rename(String, String)
    case remove(String)
    case makeFolder(String)
    case mark(ArraySlice<UInt8>)
}

enum Recorder {
    struct IsBusy: Error {}

    /// Records what this process does below `folder`, until `stop`.
    static func start(_ folder: String) throws { guard powerLossRecorderStart(folder) != 0 else { throw IsBusy() } }

    /// What was done, in order.
    static func stop() -> [DiskCall] {
        var count = 0
        let log = powerLossRecorderStop(&count)
        defer { free(log) }
        return parse(Array(UnsafeBufferPointer(start: log, count: count)))
    }

    static func mark(_ bytes: [UInt8]) { bytes.withUnsafeBytes { powerLossRecorderMark($0.baseAddress, $0.count) } }

    private static func parse(_ log: [UInt8]) -> [DiskCall] {
        var calls: [DiskCall] = []
        var at = 0
        func integer<T: FixedWidthInteger>(_: T.Type = T.self) -> T {
            defer { at += MemoryLayout<T>.size }
            return log.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
        }
        func data() -> ArraySlice<UInt8> {
            let count = Int(integer(UInt32.self))
            defer { at += count }
            return log[at..<at + count]
        }
        func path() -> String { String(decoding: data(), as: UTF8.self) }
        while at < log.count {
            switch integer(UInt8.self) {
            case 1: calls.append(.open(descriptor: integer(), flags: integer(), path: path()))
            case 2: calls.append(.close(descriptor: integer()))
            case 3:
                calls.append(
                    .write(
                        descriptor: integer(), offset: Int(integer(UInt64.self)), data: data(),
                        isSynced: integer(UInt8.self) != 0))
            case 4: calls.append(.syncBegan(descriptor: integer(), number: integer()))
            case 5:
                _ = integer(Int32.self)
                calls.append(.syncEnded(number: integer()))
            case 6: calls.append(.truncate(descriptor: integer(), size: Int(integer(UInt64.self))))
            case 7: calls.append(.allocate(descriptor: integer(), size: Int(integer(UInt64.self))))
            case 8: calls.append(.rename(path(), path()))
            case 9: calls.append(.remove(path()))
            case 10: calls.append(.makeFolder(path()))
            case 11: calls.append(.mark(data()))
            case let kind: preconditionFailure("the recorder wrote an entry of kind \(kind)")
            }
        }
        return calls
    }
}
