import Histories
import Testing

/// How histories of a bank and of keys and values are written and read.
@Suite struct BankHistoryTests {
    private typealias Event = HistoryEvent<BankAction>
    private let transfer = Event(
        process: 3, kind: .ok, time: 17, value: .transfer(from: 0, to: 1, amount: 5, found: .init(from: 100, to: 95)))
    private let read = Event(process: 1, kind: .ok, time: 20, value: .read([95, 100]))

    @Test func jsonLines() {
        #expect(
            transfer.line()
                == #"{"process":3,"type":"ok","f":"transfer","time":17,"value":{"from":0,"to":1,"amount":5},"found":[100,95]}"#
        )
        #expect(read.line() == #"{"process":1,"type":"ok","f":"read","time":20,"value":{"0":95,"1":100}}"#)
        let begin = Event(process: 1, kind: .invoke, time: 18, value: .read(nil))
        #expect(begin.line() == #"{"process":1,"type":"invoke","f":"read","time":18,"value":null}"#)
    }

    /// The model bank of elle-cli reads it as Jepsen's histories, and passes over what was found.
    @Test func ednIsWhatElleCLIReads() {
        #expect(
            transfer.line(.edn)
                == "{:process 3, :type :ok, :f :transfer, :time 17, :value {:from 0, :to 1, :amount 5}, :found [100 95]}"
        )
        #expect(read.line(.edn) == "{:process 1, :type :ok, :f :read, :time 20, :value {0 95, 1 100}}")
        let begin = Event(
            process: 3, kind: .invoke, time: 9, value: .transfer(from: 0, to: 1, amount: 5, found: nil))
        #expect(
            begin.line(.edn)
                == "{:process 3, :type :invoke, :f :transfer, :time 9, :value {:from 0, :to 1, :amount 5}}")
    }

    @Test func whatIsWrittenIsReadBack() throws {
        for event in [transfer, read, Event(process: 0, kind: .info, time: 1, value: .read(nil))] {
            #expect(try Event(line: event.line()) == event)
        }
    }

    @Test(arguments: [
        #"{"process":1,"type":"ok","f":"txn","time":1,"value":[]}"#,
        #"{"process":1,"type":"ok","time":1,"value":null}"#,
        #"{"process":1,"type":"ok","f":"read","time":1,"value":{"0":1,"2":1}}"#,
        #"{"process":1,"type":"ok","f":"read","time":1,"value":{"0":-1}}"#,
        #"{"process":1,"type":"ok","f":"transfer","time":1,"value":{"from":0,"to":1}}"#,
        #"{"process":1,"type":"ok","f":"transfer","time":1,"value":{"from":0,"to":-1,"amount":1}}"#,
        #"{"process":1,"type":"ok","f":"transfer","time":1,"value":{"from":0,"to":1,"amount":1},"found":[1]}"#,
        #"{"process":-1,"type":"ok","f":"read","time":1,"value":null}"#,
    ])
    func aBadLineIsRefused(_ line: String) {
        #expect(throws: HistoryFormatError.self) { try Event(line: line) }
    }
}

@Suite struct KeyValueHistoryTests {
    private typealias Event = HistoryEvent<KeyValueAction>

    private func history(_ transactions: [(HistoryOutcome, ClosedRange<UInt64>, KeyValueAction)]) -> KeyValueHistory {
        var history = KeyValueHistory()
        for (i, (outcome, time, value)) in transactions.enumerated() {
            history.add(
                .init(
                    process: i, invokedAt: time.lowerBound, returnedAt: time.upperBound, outcome: outcome, value: value)
            )
        }
        return history
    }

    @Test func jsonLines() throws {
        let event = Event(process: 3, kind: .ok, time: 17, value: .append(key: "k", value: "x"))
        #expect(event.line() == #"{"process":3,"type":"ok","f":"append","time":17,"key":"k","value":"x"}"#)
        let get = Event(process: 3, kind: .invoke, time: 17, value: .get(key: "k", nil))
        #expect(get.line() == #"{"process":3,"type":"invoke","f":"get","time":17,"key":"k","value":null}"#)
        for event in [event, get] { #expect(try Event(line: event.line()) == event) }
        #expect(throws: HistoryFormatError.self) {
            try Event(line: #"{"process":3,"type":"ok","f":"put","time":17,"key":"k","value":null}"#)
        }
        #expect(throws: HistoryFormatError.self) {
            try Event(line: #"{"process":3,"type":"ok","f":"cas","time":17,"key":"k","value":"x"}"#)
        }
    }

    /// Its reader matches whole lines, knows neither failures nor unknown ends, and takes what has no end to have
    /// happened at last, with an empty answer.
    @Test func ednIsWhatPorcupineReads() {
        let made = history([
            (.ok, 1...4, .put(key: "k", value: "x")), (.ok, 2...3, .get(key: "k", "")),
            (.failed, 5...6, .put(key: "k", value: "no")), (.unknown, 7...8, .append(key: "k", value: "y")),
            (.unknown, 9...10, .get(key: "k", nil)), (.ok, 11...12, .get(key: "k", "xy")),
        ])
        #expect(
            KeyValueAction.linesAtEnd(of: made, in: .edn) == """
                {:process 0, :type :invoke, :f :put, :key "k", :value "x"}
                {:process 1, :type :invoke, :f :get, :key "k", :value nil}
                {:process 1, :type :ok, :f :get, :key "k", :value ""}
                {:process 0, :type :ok, :f :put, :key "k", :value "x"}
                {:process 3, :type :invoke, :f :append, :key "k", :value "y"}
                {:process 5, :type :invoke, :f :get, :key "k", :value nil}
                {:process 5, :type :ok, :f :get, :key "k", :value "xy"}

                """)
        #expect(KeyValueAction.linesAtEnd(of: made, in: .jsonLines) == nil)
    }

    private func holds(_ transactions: [(HistoryOutcome, ClosedRange<UInt64>, KeyValueAction)]) -> Bool {
        (try? KeyValueChecker().check(history(transactions))) != nil
    }

    @Test func whatIsUnderWayMayBeSeenOrNot() {
        let put: (HistoryOutcome, ClosedRange<UInt64>, KeyValueAction) = (.ok, 0...9, .put(key: "k", value: "x"))
        #expect(holds([put, (.ok, 1...2, .get(key: "k", "")), (.ok, 3...4, .get(key: "k", "x"))]))
        #expect(!holds([put, (.ok, 1...2, .get(key: "k", "x")), (.ok, 3...4, .get(key: "k", ""))]))
        #expect(!holds([put, (.ok, 10...11, .get(key: "k", ""))]))
        #expect(holds([put, (.ok, 10...11, .get(key: "other", ""))]))
    }

    /// The first order that comes to mind, by their ends, explains the second read and not the first.
    @Test func allOrdersOfWhatIsUnderWayAreTried() {
        let puts: [(HistoryOutcome, ClosedRange<UInt64>, KeyValueAction)] = [
            (.ok, 0...5, .put(key: "k", value: "a")), (.ok, 0...6, .put(key: "k", value: "b")),
            (.ok, 0...7, .append(key: "k", value: "c")),
        ]
        for read in ["a", "b", "ac", "bc"] { #expect(holds(puts + [(.ok, 8...9, .get(key: "k", read))]), "\(read)") }
        for read in ["", "c", "ab", "ca", "abc"] {
            #expect(!holds(puts + [(.ok, 8...9, .get(key: "k", read))]), "\(read)")
        }
    }

    @Test func whatNobodyKnowsMayHappenLateOrNever() {
        let asked: (HistoryOutcome, ClosedRange<UInt64>, KeyValueAction) = (.unknown, 5...5, .put(key: "k", value: "x"))
        let none: (HistoryOutcome, ClosedRange<UInt64>, KeyValueAction) = (.ok, 10...11, .get(key: "k", ""))
        let seen: (HistoryOutcome, ClosedRange<UInt64>, KeyValueAction) = (.ok, 20...21, .get(key: "k", "x"))
        #expect(holds([asked, none, seen]))
        #expect(holds([asked, none]))
        #expect(!holds([asked, seen, (.ok, 30...31, .get(key: "k", ""))]))
        #expect(!holds([(.unknown, 50...50, .put(key: "k", value: "x")), seen]))
    }

    @Test func aFailedWriteMustNotBeSeen() {
        #expect(!holds([(.failed, 0...1, .put(key: "k", value: "x")), (.ok, 2...3, .get(key: "k", "x"))]))
    }

    /// Twelve writes at once, and a read of what none of them wrote, or one did.
    private func busy(_ seen: String, _ more: [(HistoryOutcome, ClosedRange<UInt64>, KeyValueAction)] = [])
        -> HistoryViolation?
    {
        let writes = (0..<12).map { number -> (HistoryOutcome, ClosedRange<UInt64>, KeyValueAction) in
            (.ok, 0...100, .append(key: "k", value: "\(number),"))
        }
        do {
            try LinearizabilityChecker.check(
                history(writes + [(.ok, 1...50, .get(key: "k", seen))] + more), KeyValueChecker(), limit: 500)
            return nil
        } catch { return error }
    }

    @Test func whatCannotBeToldIsNoViolation() {
        #expect(busy("3,") == nil)
        #expect(busy("none")?.isUndecided == true)
        // But a violation at another key is one, whichever is looked at first.
        let wrong = busy("none", [(.ok, 0...1, .put(key: "l", value: "x")), (.ok, 2...3, .get(key: "l", ""))])
        #expect(wrong?.isUndecided == false)
    }

    @Test func theViolationSaysWhatWasThere() {
        let error = #expect(throws: HistoryViolation.self) {
            try KeyValueChecker().check(
                history([(.ok, 0...1, .put(key: "k", value: "x")), (.ok, 2...3, .get(key: "k", "z"))]))
        }
        #expect(
            error?.description == """
                no order explains:
                  #1 of process 1, 2…3 ns: get k: "z"
                  before it, this may have been there: x
                """)
    }
}

@Suite struct TrafficTests {
    @Test func transfersHaveTwoAccountsAndAnAmount() {
        var numbers = Numbers()
        let traffic = BankTraffic(.init(accounts: 3, balance: 7, readPercent: 20, mostMoved: 4))
        #expect(traffic.initial == [7, 7, 7])
        var (reads, payers) = (0, Set<Int>())
        for _ in 0..<1000 {
            switch traffic.next(using: &numbers) {
            case .read(let balances):
                #expect(balances == nil)
                reads += 1
            case .transfer(let from, let to, let amount, let found):
                #expect((0..<3).contains(from) && (0..<3).contains(to) && from != to)
                #expect((1...4).contains(amount) && found == nil)
                payers.insert(from)
            }
        }
        #expect((150...250).contains(reads) && payers == [0, 1, 2])
    }

    @Test func textsAreWrittenOnce() {
        var numbers = Numbers()
        var traffic = KeyValueTraffic(.init(keys: 5, hotKeys: 1, hotPercent: 50)) { "k\($0)" }
        var texts = Set<String>()
        var hot = 0
        for _ in 0..<1000 {
            let action = traffic.next(using: &numbers)
            for action in [action, traffic.again(action)] {
                switch action {
                case .get(let key, let text):
                    #expect(text == nil)
                    hot += key == "k0" ? 1 : 0
                case .put(let key, let text), .append(let key, let text):
                    #expect(texts.insert(text).inserted)
                    hot += key == "k0" ? 1 : 0
                }
            }
        }
        #expect((1050...1350).contains(hot))
    }
}
