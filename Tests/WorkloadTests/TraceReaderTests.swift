import Foundation
import Testing
import Workload

/// A file that goes with the value.
final class TemporaryFile {
    let path: String
    init(_ bytes: some Sequence<UInt8>, suffix: String = ".csv") throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-trace-\(UUID().uuidString)\(suffix)").path
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    convenience init(_ text: String) throws { try self.init(Array(text.utf8)) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// `timestamp,from,to,amount\n1,a,b,5\n2,b,c,7\n` and `3,c,a,9\n` as two gzip members.
private let twoMembers: [UInt8] = {
    func member(_ text: String) -> [UInt8] {
        // A stored (uncompressed) deflate block, so that the test needs no compressor.
        let data = Array(text.utf8)
        let (length, inverse) = (UInt16(data.count), ~UInt16(data.count))
        var crc: UInt32 = 0xffff_ffff
        for byte in data {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
        }
        crc = ~crc
        func littleEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, UInt8(length & 255), UInt8(length >> 8), UInt8(inverse & 255), UInt8(inverse >> 8)]
            + data + littleEndian(crc) + littleEndian(UInt32(data.count))
    }
    return member("timestamp,from,to,amount\n1,a,b,5\n2,b,c,7\n") + member("3,c,a,9\n")
}()

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
        let file = try TemporaryFile("timestamp,from,to,amount\n1,alice,\"bob, jr\",5\r\n2,\"bob, jr\",alice,9223372036854775807\n")
        let trace = try TraceReader.read(file.path)
        #expect(trace.accounts == ["alice", "bob, jr"])
        #expect(trace.rows == [Trace.Row(from: 0, to: 1, amount: 5), Trace.Row(from: 1, to: 0, amount: 9_223_372_036_854_775_807)])
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
        ("timestamp,from\n", 1, 15, "expected column \"to\", but the header ends here; it must start with timestamp,from,to,amount"),
        ("timestamp,from,to,amount\n1,a,b,5\n2,a,b,1.5\n", 3, 7, "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"1.5\""),
        ("timestamp,from,to,amount\n1,a,b,-5\n", 2, 7, "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"-5\""),
        ("timestamp,from,to,amount\n1,a,b,9223372036854775808\n", 2, 7, "amount: expected a whole number of minor units from 0 to 2^63 - 1, got \"9223372036854775808\""),
        ("timestamp,from,to,amount\n1,,b,5\n", 2, 3, "from: expected an account, got \"\""),
        ("timestamp,from,to,amount\n,a,b,5\n", 2, 1, "timestamp: expected a time, got \"\""),
        ("timestamp,from,to,amount\n1,a,b\n", 2, 6, "expected 4 fields as in the header, got 3"),
        ("timestamp,from,to,amount\n1,a,b,5,6\n", 2, 9, "expected 4 fields as in the header, got 5"),
        ("timestamp,from,to,amount\n1,\"a,b,5\n", 2, 3, "expected a closing quote before the end of the line"),
        ("timestamp,from,to,amount\n1,\"a\"x,b,5\n", 2, 6, "expected a comma after the closing quote"),
    ])
    func `a malformed row is named with line, column and what was expected`(_ text: String, _ line: Int, _ column: Int, _ message: String) throws {
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
        // Cut inside the second member, of which at least the header is there.
        for kept in (twoMembers.count - 28)..<twoMembers.count {
            let file = try TemporaryFile(twoMembers[..<kept], suffix: ".csv.gz")
            #expect(throws: TraceProblem.self, "cut after \(kept) of \(twoMembers.count) bytes") { try TraceReader.read(file.path) }
        }
    }
}
