import Foundation
import HostRuntime
import Logging
import Testing

/// Lines of a log: what is in them, which are left out, and how the level changes.
@Suite struct LogFormatTests {
    /// Lines that were written by `body` to a pipe's end.
    private func lines(
        level: Logger.Level = .info, format: LogFormat = .json, _ body: (LogOutput) throws -> Void
    ) throws -> [String] {
        var ends: [Int32] = [0, 0]
        try #require(Foundation.pipe(&ends) == 0)
        defer { close(ends[0]) }
        do {
            defer { close(ends[1]) }
            try body(LogOutput(level: level, format: format, descriptor: ends[1]))
        }
        let text = String(decoding: FileHandle(fileDescriptor: ends[0]).readDataToEndOfFile(), as: UTF8.self)
        return text.split(separator: "\n").map(String.init)
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
    }

    @Test func aJSONLineHasItsFields() throws {
        let lines = try lines { output in
            var logger = LineLogHandler.logger("host-2", to: output)
            logger[metadataKey: "cluster"] = "abc"
            logger[metadataKey: "host"] = .stringConvertible(2)
            logger.warning(
                "odd", metadata: ["shard": .stringConvertible(UInt16(1)), "time": "mine", "ids": .array(["a", "b"])])
        }
        let record = try object(try #require(lines.first))
        #expect(lines.count == 1)
        #expect(record["level"] as? String == "warning" && record["label"] as? String == "host-2")
        #expect(record["message"] as? String == "odd" && record["cluster"] as? String == "abc")
        #expect(record["host"] as? Int == 2 && record["shard"] as? Int == 1)
        // A key that the line has of its own does not hide it.
        #expect(record["metadata_time"] as? String == "mine" && (record["time"] as? String)?.hasSuffix("Z") == true)
    }

    /// Every byte, alone and in a text, in the message, a key and a value.
    @Test func anyBytesMakeOneLineThatParsesAndSaysTheSame() throws {
        var texts = (0...255).map {
            String(decoding: [UInt8(ascii: "a"), UInt8($0), UInt8(ascii: "z")], as: UTF8.self)
        }
        texts += ["\"\\\"", "\u{2028}\u{202e}\u{feff}", "\u{1F600}", "\r\n{\"level\":\"critical\"}", "\u{1b}[2J"]
        for text in texts {
            let line = LogRecord(level: .info, label: text, message: text, metadata: [text: "\(text)"]).line(.json)
            #expect(line.filter { $0.isNewline }.count == 1 && line.hasSuffix("\n"))
            #expect(!line.unicodeScalars.dropLast().contains { $0.value < 32 || $0 == "\u{202e}" || $0 == "\u{2028}" })
            let record = try object(line)
            #expect(record["message"] as? String == text && record["label"] as? String == text)
            #expect(record[text] as? String == text)
        }
    }

    @Test func textLeavesOutWhatTheLabelSays() {
        let record = LogRecord(
            level: .info, label: "host-2", message: "a\nb",
            metadata: ["cluster": "abc", "host": .stringConvertible(2), "shard": .stringConvertible(1), "why": "x y"])
        #expect(record.line(.text, at: "T") == "T info host-2 a\\u{a}b shard=1 why=\"x y\"\n")
    }

    /// Of either kind: C0 and C1, and what turns the direction of a text.
    @Test func textHasNothingThatATerminalObeys() {
        let text = "\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\r\n"
        let line = LogRecord(level: .info, label: "a", message: text, metadata: [text: "\(text)"]).line(.text, at: "T")
        let expected: Set<Unicode.GeneralCategory> = [.control, .format]
        #expect(
            !line.unicodeScalars.dropLast().contains { expected.contains($0.properties.generalCategory) }, "\(line)")
    }

    // MARK: What is left out

    private let second: UInt64 = 1_000_000_000

    @Test func aLineThatIsRepeatedIsCountedAndTheCountIsSaid() throws {
        let lines = try lines { output in
            for _ in 0..<1000 { output.write(LogRecord(level: .warning, label: "a", message: "again"), now: second) }
            output.write(LogRecord(level: .warning, label: "a", message: "again"), now: 20 * second)
        }
        try #require(lines.count == RepeatLimit.burst + 1)
        let last = try object(lines[RepeatLimit.burst])
        #expect(last["left_out"] as? Int == 1000 - RepeatLimit.burst)
        #expect((last["message"] as? String)?.hasPrefix("again (and ") == true)
    }

    @Test func whatIsOfAnotherTransactionIsNoRepetition() throws {
        let lines = try lines { output in
            for i in 0..<50 {
                let metadata: Logger.Metadata = ["txid": "\(i)", "host": .stringConvertible(2)]
                output.write(
                    LogRecord(level: .info, label: "a", message: "answered", metadata: metadata), now: second)
            }
        }
        #expect(try Set(lines.map { try object($0)["txid"] as? String }).count == 50)
    }

    /// As when lines come all the time.
    @Test func whatASecondHadNoRoomForIsSaidInTheNext() throws {
        let lines = try lines { output in
            for i in 0..<900 {
                let now = second + UInt64(i) * second / 300
                output.write(LogRecord(level: .info, label: "a", message: "line \(i)"), now: now)
            }
        }
        let counts = try lines.compactMap { try object($0)["left_out"] as? Int }
        #expect(counts == [300 - RepeatLimit.perSecond, 300 - RepeatLimit.perSecond])
    }

    @Test func theCountIsSaidAlsoIfTheLineDoesNotComeAgain() throws {
        let lines = try lines { output in
            for _ in 0..<10 { output.write(LogRecord(level: .info, label: "a", message: "again"), now: second) }
            output.write(LogRecord(level: .info, label: "a", message: "another"), now: 20 * second)
            output.write(LogRecord(level: .info, label: "a", message: "and another"), now: 21 * second)
        }
        let counts = try lines.compactMap { try object($0)["left_out"] as? Int }
        #expect(counts == [10 - RepeatLimit.burst])
    }

    @Test func linesOfAnyKindAreBoundedButCriticalOnesAreNot() throws {
        let lines = try lines { output in
            for i in 0..<500 { output.write(LogRecord(level: .info, label: "a", message: "line \(i)"), now: second) }
            for _ in 0..<20 { output.write(LogRecord(level: .critical, label: "a", message: "bad"), now: second) }
            output.write(LogRecord(level: .info, label: "a", message: "later"), now: 3 * second)
        }
        let records = try lines.map(object)
        #expect(
            records.filter { ($0["message"] as? String)?.hasPrefix("line ") == true }.count == RepeatLimit.perSecond)
        #expect(records.filter { $0["level"] as? String == "critical" }.count == 20)
        #expect(records.compactMap { $0["left_out"] as? Int } == [500 - RepeatLimit.perSecond])
    }

    /// However many different lines come, memory is bounded and nothing goes uncounted.
    @Test func everyLineIsWrittenOrCounted() throws {
        var limit = RepeatLimit()
        var (written, left) = (0, 0)
        let count = 50_000
        for i in 0..<count {
            let record = LogRecord(level: .info, label: "a", message: "\(i % 3000)")
            let now = UInt64(i) * 1_000_000
            if let before = limit.admit(record, now: now) {
                written += 1
                left += before
            }
            left += limit.overdue(now).reduce(0) { $0 + $1.count }
        }
        left += limit.overdue(10_000 * second).reduce(0) { $0 + $1.count }
        #expect(written + left == count, "\(written) written, \(left) counted")
    }

    // MARK: The level

    @Test func theLevelOfARunningLoggerChanges() throws {
        let lines = try lines { output in
            let logger = LineLogHandler.logger("a", to: output)
            var loud = logger
            loud.logLevel = .error
            logger.debug("one")
            #expect(output.step(true) == .debug)
            logger.debug("two")
            // Who has a level of its own keeps it.
            loud.warning("three")
            #expect(output.step(false) == .info)
            logger.debug("four")
        }
        #expect(try lines.map { try object($0)["message"] as? String } == ["two"])
        let output = LogOutput(level: .critical)
        #expect(output.step(false) == .critical)
        for _ in 0..<20 { output.step(true) }
        #expect(output.level == .trace)
    }

    @Test func aSignalChangesTheLevelOfAProcess() throws {
        let cluster = try TestedCluster(isUp: false)
        // Without its hosts it runs all the same.
        let gateway = try RunningTool(["gateway", "run", cluster.path, "--log-format", "json", "--log-level", "error"])
        defer { gateway.signal(SIGKILL) }
        // At level error nothing is said at a start; the signals are awaited from its beginning on.
        #expect(gateway.waits { FileManager.default.fileExists(atPath: "/proc/\(gateway.process.processIdentifier)") })
        #expect(
            gateway.waits {
                // Once too early would end it.
                let status = try? String(
                    contentsOfFile: "/proc/\(gateway.process.processIdentifier)/status", encoding: .utf8)
                let masks = status?.split(separator: "\n").filter {
                    $0.hasPrefix("SigIgn:") || $0.hasPrefix("SigCgt:")
                }.compactMap { UInt64($0.dropFirst(7).trimmingPrefix(while: \.isWhitespace), radix: 16) }
                return (masks ?? []).contains { $0 & (1 << UInt64(SIGUSR1 - 1)) != 0 }
            })
        let said = gateway.waits {
            gateway.signal(SIGUSR1)
            return gateway.errors.contains("logs from level debug on now")
        }
        #expect(said, "\(gateway.errors)")
        for line in gateway.errors.split(separator: "\n") { _ = try object(String(line)) }
        gateway.signal(SIGTERM)
        #expect(gateway.end().status == 0)
    }
}
