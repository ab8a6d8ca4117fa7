import CZlib
import StrictInput

#if canImport(Glibc)
import Glibc
#endif

/// The bytes of a file, plain or gzip (several members are fine). What is read to its end is whole: every member has
/// its checksum and its length, and nothing follows the last one. zlib's own reader takes what follows a member and is
/// no member for nothing, and so loses all the rows after a damaged header.
struct TraceBytes: ~Copyable {
    private let path: String
    private let descriptor: Int32
    /// What was read of the file and is not used yet.
    private var input = [UInt8](repeating: 0, count: 128 * 1024)
    private var position = 0
    private var filled = 0
    /// Bytes of the file before `position`.
    private var used: Int { taken - (filled - position) }
    private var taken = 0
    private var atEnd = false
    private var inflater: Inflater?

    init(path: String) throws(TraceProblem) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw TraceProblem(file: path, message: "cannot be opened for reading: \(String(cString: strerror(errno)))")
        }
        // A pipe gives what it has.
        while filled < ForeignFormat.headLength, !atEnd { try take() }
        let head = Array(input[..<min(filled, ForeignFormat.headLength)])
        if head.starts(with: [0x1f, 0x8b]) {
            inflater = try Inflater(path)
        } else {
            try Self.refuseForeign(head, path)
        }
    }

    deinit { close(descriptor) }

    static func refuseForeign(_ head: [UInt8], _ path: String, inside: Bool = false) throws(TraceProblem) {
        guard let foreign = ForeignFormat.recognise(head) else { return }
        let (what, wanted) =
            inside ? ("the gzip file holds", "CSV in UTF-8") : ("this is", "CSV in UTF-8, plain or gzip")
        throw TraceProblem(file: path, message: "\(what) \(foreign.name), expected \(wanted): \(foreign.advice)")
    }

    var isCompressed: Bool { inflater != nil }

    /// - Returns: how many bytes were put at `start` and after it; 0 at the end.
    mutating func read(into buffer: inout [UInt8], from start: Int) throws(TraceProblem) -> Int {
        guard let inflater else {
            if position == filled { try take() }
            let count = min(filled - position, buffer.count - start)
            buffer.replaceSubrange(start..<start + count, with: input[position..<position + count])
            position += count
            return count
        }
        while true {
            if position == filled { try take() }
            if !inflater.isInMember {
                if position == filled { return 0 }
                // The two bytes may be in two pieces of a pipe.
                while filled - position < 2, !atEnd { try take() }
                guard input[position..<filled].starts(with: [0x1f, 0x8b]) else {
                    let found = Printable.quoted(input[position..<min(filled, position + 16)], limit: 16)
                    throw TraceProblem(
                        file: path,
                        message: """
                            after gzip member \(inflater.members), at byte \(used + 1), expected another member or the end of the file, \
                            got \(found): the file is damaged, or something was appended to it
                            """)
                }
                inflater.begin()
            }
            let step = inflater.step(input[position..<filled], into: &buffer, from: start)
            position += step.used
            if let damage = step.damage {
                let member = inflater.members + 1
                throw TraceProblem(
                    file: path,
                    message: "gzip member \(member) is damaged, at about byte \(used + 1) of the file: \(damage)")
            }
            if step.made > 0 { return step.made }
            if inflater.isInMember, position == filled, atEnd {
                let member = inflater.members + 1
                throw TraceProblem(
                    file: path, message: "the gzip data ends too early, in member \(member): the file is truncated")
            }
        }
    }

    /// Adds to the input, of which the used part goes.
    private mutating func take() throws(TraceProblem) {
        guard !atEnd else { return }
        if position > 0 {
            input.replaceSubrange(..<position, with: [])
            input.append(contentsOf: repeatElement(0, count: position))
            (position, filled) = (0, filled - position)
        }
        let start = filled
        while true {
            #if canImport(Glibc)
            let count = input.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start)
            }
            #endif
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw TraceProblem(file: path, message: "cannot be read: \(String(cString: strerror(errno)))")
            }
            (filled, taken, atEnd) = (filled + count, taken + count, count == 0)
            return
        }
    }
}

/// zlib's inflate, one gzip member after the other. A class: zlib keeps the address of its stream.
private final class Inflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private(set) var isInMember = false
    /// That were whole.
    private(set) var members = 0

    init(_ path: String) throws(TraceProblem) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, and 16 for gzip and nothing else.
        guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw TraceProblem(file: path, message: "zlib cannot be used")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func begin() {
        inflateReset(stream)
        isInMember = true
    }

    func step(_ input: ArraySlice<UInt8>, into buffer: inout [UInt8], from start: Int) -> (
        used: Int, made: Int, damage: String?
    ) {
        let space = buffer.count - start
        var input = input
        let code = input.withUnsafeMutableBytes { input in
            buffer.withUnsafeMutableBytes { output in
                stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.baseAddress.map { ($0 + start).assumingMemoryBound(to: UInt8.self) }
                stream.pointee.avail_out = UInt32(space)
                return inflate(stream, Z_NO_FLUSH)
            }
        }
        let (used, made) = (input.count - Int(stream.pointee.avail_in), space - Int(stream.pointee.avail_out))
        switch code {
        case Z_STREAM_END:
            isInMember = false
            members += 1
            return (used, made, nil)
        // Z_BUF_ERROR: it needs more input.
        case Z_OK, Z_BUF_ERROR: return (used, made, nil)
        case Z_NEED_DICT: return (used, made, "it needs a dictionary")
        default: return (used, made, stream.pointee.msg.map { String(cString: $0) } ?? "zlib error \(code)")
        }
    }
}
