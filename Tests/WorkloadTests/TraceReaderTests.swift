import Randomness
import Foundation
import Testing
import Workload

/// A file that goes with the value.
final class TemporaryFile {
    let path: String
    init(_ bytes: some Sequence<UInt8>, suffix: String = ".csv") throws {
        path =
            FileManager.default.temporaryDirectory.appendingPathComponent("quorate-trace-\(UUID().uuidString)\(suffix)")
            .path
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    convenience init(_ text: String) throws { try self.init(Array(text.utf8)) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A gzip member.
private func member(_ data: [UInt8]) -> [UInt8] {
    // A stored (uncompressed) deflate block, so that the test needs no compressor.
    let (length, inverse) = (UInt16(data.count), ~UInt16(data.count))
    var crc: UInt32 = 0xffff_ffff
    for byte in data {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    crc = ~crc
    func littleEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    return [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, UInt8(length & 255), UInt8(length >> 8), UInt8(inverse & 255),
        UInt8(inverse >> 8),
    ]
        + data + littleEndian(crc) + littleEndian(UInt32(data.count))
}

private let first = member(Array("timestamp,from,to,amount\n1,a,b,5\n2,b,c,7\n".utf8))
private let twoMembers = first + member(Array("3,c,a,9\n".utf8))

/// The file stays until it is read.
private func read(_ bytes: [UInt8]) throws(TraceProblem) -> Trace {
    guard let file = try? TemporaryFile(bytes) else { throw TraceProblem(file: "", message: "no temporary file") }
    defer { withExtendedLifetime(file) {} }
    return try TraceReader.read(file.path)
}

struct TraceReaderTests {
    private func problem(_ text: String) throws -> TraceProblem? {
        let file = try TemporaryFile(text)
        do {
            _ = try TraceReader.read(file.path)
            return nil
        } catch {
            return TraceProblem(file: "f", line: error.line, column: error.column, message: error.message)
        }
    }

    @Test func `accounts are numbered by first appearance and rows keep their order`() throws {
        let file = try TemporaryFile(
            "timestamp,from,to,amount\n1,alice,\"bob, jr\",5\r\n2,\"bob, jr\",alice,9223372036854775807\n")
        let trace = try TraceReader.read(file.path)
        #expect(trace.accounts == ["alice", "bob, jr"])
        #expect(
            trace.rows == [
                Trace.Row(from: 0, to: 1, amount: 5), Trace.Row(from: 1, to: 0, amount: 9_223_372_036_854_775_807),
            ])
    }

    @Test func `columns that the header names after the four are ignored`() throws {
        let file = try TemporaryFile("timestamp,from,to,amount,asset\n1,a,b,5,7")
        #expect(try TraceReader.read(file.path).rows.count == 1)
    }

    @Test func `transfers to oneself and of zero are counted and left out`() throws {
        let file = try TemporaryFile("timestamp,from,to,amount\n1,a,a,5\n2,a,b,0\n3,a,b,1\n")
        let trace = try TraceReader.read(file.path)
        #expect(trace.skippedSelfTransfers == 1)
        #expect(trace.skippedZeroAmounts == 1)
        #expect(trace.rows.count == 1)
    }

    @Test(arguments: [
        ("timestamp,from,amount,to\n", 1, 16, "header: expected column \"to\", got \"amount\""),
        (
            "timestamp,from\n", 1, 15,
            "expected column \"to\", but the header ends here; it must start with timestamp,from,to,amount"
        ),
        (
            "timestamp,from,to,amount\n1,a,b,5\n2,a,b,1.5\n", 3, 7,
            "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"1.5\""
        ),
        (
            "timestamp,from,to,amount\n1,a,b,-5\n", 2, 7,
            "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"-5\""
        ),
        (
            "timestamp,from,to,amount\n1,a,b,9223372036854775808\n", 2, 7,
            "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"9223372036854775808\""
        ),
        ("timestamp,from,to,amount\n1,,b,5\n", 2, 3, "from: expected an account, got \"\""),
        ("timestamp,from,to,amount\n,a,b,5\n", 2, 1, "timestamp: expected a time, got \"\""),
        ("timestamp,from,to,amount\n1,a,b\n", 2, 6, "expected 4 fields as in the header, got 3"),
        ("timestamp,from,to,amount\n1,a,b,5,6\n", 2, 9, "expected 4 fields as in the header, got 5"),
        ("timestamp,from,to,amount\n1,\"a,b,5\n", 2, 3, "expected a closing quote before the end of the line"),
        ("timestamp,from,to,amount\n1,\"a\"x,b,5\n", 2, 6, "expected a comma after the closing quote"),
    ])
    func `a malformed row is named with line, column and what was expected`(
        _ text: String, _ line: Int, _ column: Int, _ message: String
    ) throws {
        #expect(try problem(text) == TraceProblem(file: "f", line: line, column: column, message: message))
    }

    @Test func `empty files, files without rows and missing files are refused`() throws {
        #expect(try problem("")?.message.contains("empty") == true)
        #expect(try problem("timestamp,from,to,amount\n")?.message == "the file has no transfers")
        #expect(throws: TraceProblem.self) { try TraceReader.read("/nonexistent/trace.csv") }
    }

    @Test func `several gzip members are one file`() throws {
        let file = try TemporaryFile(twoMembers, suffix: ".csv.gz")
        #expect(try TraceReader.read(file.path).rows.map(\.amount) == [5, 7, 9])
    }

    @Test func `a truncated gzip file is refused wherever it is cut`() throws {
        // Where the second member begins there is nothing to see of it.
        for kept in 1..<twoMembers.count where kept != first.count {
            let file = try TemporaryFile(twoMembers[..<kept], suffix: ".csv.gz")
            #expect(throws: TraceProblem.self, "cut after \(kept) of \(twoMembers.count) bytes") {
                try TraceReader.read(file.path)
            }
        }
    }

    @Test func `damage in any bit of any gzip member is an error, or changes nothing`() throws {
        let whole = try read(twoMembers)
        var harmless = 0
        for bit in 0..<twoMembers.count * 8 {
            var damaged = twoMembers
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            do throws(TraceProblem) {
                #expect(try read(damaged) == whole, "bit \(bit)")
                harmless += 1
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
        // Time, hints, the system, the flag for text and what fills up the byte of the block's kind, twice; and no
        // more.
        #expect(harmless == 2 * (6 * 8 + 1 + 5))
    }

    @Test(
        arguments: [[0], [0, 0, 0, 0], [0x1f], [0x1f, 0x8b], [0x20], Array("3,c,a,9\n".utf8), [0xe0, 0x8b, 8, 0]]
            as [[UInt8]])
    func `what follows the last gzip member is an error`(_ rubbish: [UInt8]) throws {
        let error = #expect(throws: TraceProblem.self) { try read(twoMembers + rubbish) }
        let place =
            rubbish.starts(with: [0x1f, 0x8b]) ? "member 3" : "after gzip member 2, at byte \(twoMembers.count + 1)"
        #expect(error?.message.contains(place) == true, "\(error?.message ?? "")")
    }

    @Test func `gzip members end anywhere, and long files are read whole`() throws {
        var (bytes, amounts): ([UInt8], [UInt64]) = (
            member(Array("timestamp,from,to,am".utf8)) + member([]) + member(Array("ount\n".utf8)), []
        )
        for block in 0..<40 {
            var text = ""
            for row in 0..<1000 {
                text += "1,alice,bob,\(block * 1000 + row + 1)\n"
                amounts.append(UInt64(block * 1000 + row + 1))
            }
            let cut = text.utf8.count * block / 40
            bytes += member(Array(text.utf8.prefix(cut))) + member(Array(text.utf8.dropFirst(cut)))
        }
        #expect(try read(bytes).rows.map(\.amount) == amounts)
    }

    @Test(arguments: ["", "gz"])
    func `a byte order mark is accepted`(_ packed: String) throws {
        let text = Array("\u{feff}timestamp,from,to,amount\n1,a,b,5\n2,b,c,6\n".utf8)
        let trace = try read(packed.isEmpty ? text : member(text))
        #expect(trace.rows.map(\.amount) == [5, 6])
        #expect(trace.accounts == ["a", "b", "c"])
        #expect(
            try problem("\u{feff}\u{feff}timestamp,from,to,amount\n")?.message
                == "header: expected column \"timestamp\", got \"\\u{feff}timestamp\"")
        #expect(try problem("\u{feff}")?.message.contains("empty") == true)
    }

    @Test func `what an error quotes is printable`() throws {
        #expect(
            try problem("\u{1b}]0;pwned\u{7}\u{1b}[31mtimestamp,from,to,amount\n")?.message
                == "header: expected column \"timestamp\", got \"\\u{1b}]0;pwned\\u{7}\\u{1b}[31mtimestamp\"")
        let hidden = try problem("timestamp,from,to,amount\n1,a,b,5\u{202e}\u{9b}\u{7f}\r1\n")
        #expect(hidden?.message.hasSuffix("got \"5\\u{202e}\\u{9b}\\u{7f}\\u{d}1\"") == true)
        let named = TraceProblem(file: "a\n\u{1b}[2Jb.csv", line: 1, message: "m")
        #expect(named.description == "a\\u{a}\\u{1b}[2Jb.csv:1: m")
        let latin = Array("timestamp,from,to,amount\n1,".utf8) + [0xe9, 0x1b] + Array(",b,5\n".utf8)
        let error = #expect(throws: TraceProblem.self) { try read(latin) }
        #expect(error?.message == "from: expected UTF-8 text, got \"\\xe9\\u{1b}\"")
        #expect(try problem("timestamp,from,to,amount\n1,a,b,5\n\u{0}\u{0}\u{0}")?.message.contains("NUL") == true)
    }

    @Test func `files of other kinds are named, plain and inside gzip`() throws {
        let header = "timestamp,from,to,amount\n1,a,b,5\n"
        let kinds: [([UInt8], String)] = [
            ([0xff, 0xfe] + header.utf16.flatMap { [UInt8($0), 0] }, "UTF-16LE"),
            ([0xfe, 0xff] + header.utf16.flatMap { [0, UInt8($0)] }, "UTF-16BE"),
            (header.utf16.flatMap { [UInt8($0), 0] }, "UTF-16LE"),
            (header.utf16.flatMap { [0, UInt8($0)] }, "UTF-16BE"),
            ([0xff, 0xfe, 0, 0] + header.utf8.flatMap { [$0, 0, 0, 0] }, "UTF-32LE"),
            (header.utf8.flatMap { [0, 0, 0, $0] }, "UTF-32BE"),
            (Array("PK\u{3}\u{4}".utf8) + [20, 0], "a zip archive"), ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0], "xz data"),
            ([0x28, 0xb5, 0x2f, 0xfd, 0], "zstd data"), (Array("BZh91AY".utf8), "bzip2 data"),
            ([0x04, 0x22, 0x4d, 0x18, 0], "lz4 data"),
            (Array("%PDF-1.7\n".utf8), "a PDF"), (Array("PAR1".utf8), "a Parquet file"),
            (Array("\n<!DOCTYPE html>".utf8), "HTML or XML"),
            (Array("[{\"from\": 1}]".utf8), "JSON"),
            ([UInt8](repeating: 0x61, count: 257) + Array("ustar\u{0}00".utf8), "a tar archive"),
        ]
        for (bytes, name) in kinds {
            for (bytes, start) in [(bytes, "this is"), (member(bytes), "the gzip file holds")] {
                let error = #expect(throws: TraceProblem.self) { try read(bytes) }
                #expect(
                    error?.message.hasPrefix(start) == true && error?.message.contains(name) == true,
                    "\(error?.message ?? name)")
            }
        }
        let twice = #expect(throws: TraceProblem.self) { try read(member(first)) }
        #expect(twice?.message.contains("gzip data inside gzip data") == true)
        let folder = #expect(throws: TraceProblem.self) { try TraceReader.read("/tmp") }
        #expect(folder?.message.contains("directory") == true)
    }

    /// Whatever is in a file: an answer, and none that a terminal obeys.
    @Test(arguments: 1...300 as ClosedRange<UInt64>)
    func `random damage to a trace is an error that can be shown, or a trace`(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var bytes =
            seed.isMultiple(of: 2)
            ? twoMembers : Array("timestamp,from,to,amount\n1,alice,\"b\"\"ob\",5\r\n2,é,alice,9\n".utf8)
        for _ in 0...random.below(4) {
            let at = random.below(bytes.count + 1)
            switch random.below(4) {
            case 0: bytes = Array(bytes[..<at])
            case 1: bytes.insert(UInt8(random.below(256)), at: at)
            case 2: bytes.insert(contentsOf: bytes[random.below(bytes.count + 1)...], at: at)
            default: if at < bytes.count { bytes[at] = UInt8(random.below(256)) }
            }
        }
        do throws(TraceProblem) { _ = try read(bytes) } catch {
            let isShown = error.description.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value)
            }
            #expect(isShown, "seed \(seed): \(error.description.debugDescription)")
        }
    }
}
