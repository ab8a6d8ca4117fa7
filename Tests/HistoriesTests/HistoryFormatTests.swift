import Histories
import Synchronization
import Testing

@Suite struct HistoryFormatTests {
    private typealias Operation = ListHistory.Operation

    @Test func aLineIsWhatOtherCheckersRead() {
        let event = ListEvent(
            process: 3, kind: .ok, time: 17,
            value: [.append(key: "k", value: 1), .read(key: "k", [1]), .read(key: "l", [])])
        #expect(
            event.line()
                == #"{"process":3,"type":"ok","f":"txn","time":17,"value":[["append","k",1],["r","k",[1]],["r","l",[]]]}"#
        )
        let begin = ListEvent(process: 0, kind: .invoke, time: 9, value: [.read(key: "k", nil)])
        #expect(begin.line() == #"{"process":0,"type":"invoke","f":"txn","time":9,"value":[["r","k",null]]}"#)
    }

    /// The reader of Clojure, with which Elle reads histories, takes one map after the other.
    @Test func ednIsWhatElleReads() {
        let event = ListEvent(
            process: 3, kind: .ok, time: 17,
            value: [.append(key: "k", value: 1), .read(key: "a\"b", [1, 2]), .read(key: "l", [])])
        #expect(
            event.line(.edn)
                == #"{:process 3, :type :ok, :f :txn, :time 17, :value [[:append "k" 1] [:r "a\"b" [1 2]] [:r "l" []]]}"#
        )
        let begin = ListEvent(process: 0, kind: .invoke, time: 9, value: [.read(key: "k", nil)])
        #expect(begin.line(.edn) == #"{:process 0, :type :invoke, :f :txn, :time 9, :value [[:r "k" nil]]}"#)
        #expect(HistoryFormat(file: "out/history.edn") == .edn && HistoryFormat(file: "edn.jsonl") == .jsonLines)
    }

    @Test(arguments: ListEvent.Kind.allCases) func whatIsWrittenIsReadBack(_ kind: ListEvent.Kind) throws {
        let operations: [Operation] = [
            .append(key: "a \"quoted\" key", value: .max), .read(key: "back\\slash\nand\u{1}tab\t", [1, 2, .max]),
            .read(key: "ключ", nil),
            .read(key: "", []),
        ]
        let event = ListEvent(process: 12, kind: kind, time: .max, value: operations)
        #expect(!event.line().contains("\n"))
        #expect(try ListEvent(line: event.line()) == event)
    }

    @Test func keysOfOtherCheckersHistoriesAreIgnoredAndSpacesToo() throws {
        let read = try ListEvent(
            line:
                #" { "type": "fail", "error": ["x"], "value": [ ["append", "k", 4] ], "process": 1, "time": 5, "index": 0 } "#
        )
        #expect(read == ListEvent(process: 1, kind: .fail, time: 5, value: [.append(key: "k", value: 4)]))
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"process":1,"type":"maybe","time":1,"value":[]}"#,
        #"{"process":1,"type":"ok","time":-1,"value":[]}"#,
        #"{"process":1,"type":"ok","f":"cas","time":1,"value":[]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[["w","k",1]]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[["append","k"]]}"#,
        #"{"process":1,"type":"ok","type":"fail","time":1,"value":[]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[],"Value":[]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[["append","k",1.0]]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[]} {}"#,
        #"{"process":1,"type":"ok","time":1,"value":[["append","k",1,2]]}"#,
        #"{"process":1,"type":"ok","time":1,"value":[["r","k",[-1]]]}"#,
    ])
    func aBadLineIsRefusedWithItsNumber(_ line: String) {
        let error = #expect(throws: HistoryFormatError.self) { try ListEvent(line: line, number: 7) }
        #expect(error?.line == 7)
    }

    @Test func aHistoryIsPutTogetherFromItsLines() throws {
        let history = try ListHistory(
            lines: """
                {"process":0,"type":"invoke","time":1,"value":[["append","k",1]]}
                {"process":1,"type":"invoke","time":2,"value":[["r","k",null]]}
                {"process":1,"type":"ok","time":3,"value":[["r","k",[]]]}

                {"process":0,"type":"info","time":4,"value":[["append","k",1]]}
                {"process":2,"type":"invoke","time":5,"value":[["append","k",2]]}

                """)
        #expect(history.transactions.map(\.process) == [1, 0, 2])
        #expect(history.transactions.map(\.outcome) == [.ok, .unknown, .unknown])
        #expect(history.transactions.map(\.invokedAt) == [2, 1, 5])
        #expect(history.transactions[0].returnedAt == 3)
        #expect(history.transactions[0].operations == [.read(key: "k", [])])
    }

    @Test func endsAndBeginningsMustFit() {
        let begin = #"{"process":0,"type":"invoke","time":1,"value":[]}"#
        let end = #"{"process":0,"type":"ok","time":2,"value":[]}"#
        #expect(throws: HistoryFormatError.self) { try ListHistory(lines: end) }
        #expect(throws: HistoryFormatError.self) { try ListHistory(lines: "\(begin)\n\(begin)") }
        #expect(throws: HistoryFormatError.self) { try ListHistory(lines: "\(begin)\n\(end)\n\(end)") }
        #expect(throws: Never.self) { try ListHistory(lines: "\(begin)\n\(end)\n\(begin)\n\(end)") }
    }
}

@Suite struct HistoryRecorderTests {
    private final class Lines: Sendable {
        private let state = Mutex("")
        func add(_ line: String) { state.withLock { $0 += line } }
        var text: String { state.withLock { $0 } }
    }

    private final class Clock: Sendable {
        private let state = Mutex<UInt64>(0)
        func tick() -> UInt64 {
            state.withLock { now in
                now += 1
                return now
            }
        }
    }

    @Test func theLinesAreTheHistory() throws {
        let (lines, clock) = (Lines(), Clock())
        let recorder = HistoryRecorder<[ListAction]>(clock: { clock.tick() }, sink: { lines.add($0) })
        #expect(recorder.invoke(0, [.append(key: "k", value: 1)]) == 1)
        #expect(recorder.invoke(1, [.read(key: "k", nil)]) == 2)
        #expect(recorder.end(1, .ok, [.read(key: "k", [])]) == 3)
        recorder.end(0, .failed, [.append(key: "k", value: 1)])
        #expect(recorder.invoke(2, [.append(key: "k", value: 2)]) == 5)
        #expect(recorder.invoke(3, [.append(key: "k", value: 3)]) == 6)
        recorder.end(3, .unknown, [.append(key: "k", value: 3)])
        let (kept, written) = (recorder.history, try ListHistory(lines: lines.text))
        #expect(kept.transactions.map(\.process) == [1, 0, 3, 2])
        #expect(kept.transactions.map(\.outcome) == [.ok, .failed, .unknown, .unknown])
        #expect(written.transactions.map(\.process) == kept.transactions.map(\.process))
        #expect(written.transactions.map(\.outcome) == kept.transactions.map(\.outcome))
        #expect(written.transactions.map(\.invokedAt) == kept.transactions.map(\.invokedAt))
        #expect(written.transactions.map(\.operations) == kept.transactions.map(\.operations))
    }

    @Test func aFullHistoryTakesNothingButWhatIsExtra() {
        let recorder = HistoryRecorder<[ListAction]>(limit: 1, clock: { 1 })
        #expect(recorder.invoke(0, []) != nil)
        recorder.end(0, .ok, [])
        #expect(!recorder.isFull)
        #expect(recorder.invoke(0, []) == nil)
        #expect(recorder.isFull)
        #expect(recorder.invoke(0, [], isExtra: true) != nil)
    }
}

@Suite struct ListTrafficTests {
    @Test func valuesAreUniqueAndListsStayShort() {
        var numbers = Numbers()
        var traffic = ListTraffic(.init(lists: 5, hotLists: 1, hotPercent: 50, appendsPerList: 10)) { "\($0)/\($1)" }
        var appended: [String: Int] = [:]
        var values = Set<UInt64>()
        var hot = 0
        var count = 0
        for _ in 0..<1000 {
            let steps = traffic.next(using: &numbers)
            #expect((1...4).contains(steps.count))
            for step in steps {
                count += 1
                if step.key.hasPrefix("0/") { hot += 1 }
                guard let value = step.value else { continue }
                #expect(values.insert(value).inserted)
                appended[step.key, default: 0] += 1
            }
        }
        #expect(appended.values.allSatisfy { $0 <= 10 })
        #expect(Set(traffic.keys).count == traffic.keys.count)
        #expect(Set(appended.keys).isSubset(of: traffic.keys))
        #expect(hot > count / 2 && hot < count)
    }

    @Test func aSecondAttemptHasValuesOfItsOwn() throws {
        var traffic = ListTraffic(.init(lists: 1)) { "\($0)/\($1)" }
        let first = traffic.again([.init(key: "a", value: 1), .init(key: "b", value: nil)])
        let second = traffic.again(first)
        #expect(second.map(\.key) == ["a", "b"])
        #expect(second[0].value != nil && second[0].value != first[0].value)
        #expect(second[1].value == nil)
    }

    @Test func anAppendTellsWhatItFound() {
        let steps = [ListTraffic.Step(key: "a", value: 3), ListTraffic.Step(key: "b", value: nil)]
        #expect(
            ListTraffic.operations(steps) == [.read(key: "a", nil), .append(key: "a", value: 3), .read(key: "b", nil)])
        #expect(
            ListTraffic.operations(steps, read: [[1, 2], []])
                == [.read(key: "a", [1, 2]), .append(key: "a", value: 3), .read(key: "b", [])])
    }
}
