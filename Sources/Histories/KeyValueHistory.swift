import StrictInput

// In EDN as the tests of Porcupine read it, where the order of the lines is their time; JSON lines have times too:
// {:process 0, :type :ok, :f :append, :key "k", :value "x"}
// {"process":0,"type":"ok","f":"append","time":17,"key":"k","value":"x"}

/// What is done with the text under a key, or learnt of it.
public enum KeyValueAction: Hashable, Sendable {
    /// What is under the key, "" if nothing is. Nil: not known what was read.
    case get(key: String, String?)
    /// In the place of what was there.
    case put(key: String, value: String)
    /// Behind what was there.
    case append(key: String, value: String)
}

/// What clients asked for and saw of texts under keys, one key at a time.
public typealias KeyValueHistory = History<KeyValueAction>

extension KeyValueAction: HistoryValue {
    var key: String {
        switch self {
        case .get(let key, _), .put(let key, _), .append(let key, _): key
        }
    }

    private var text: String? {
        switch self {
        case .get(_, let text): text
        case .put(_, let text), .append(_, let text): text
        }
    }

    /// The key, and what was read or written.
    public var words: String { "\(function) \(key): \(text.map { "\"\($0)\"" } ?? "?")" }

    /// As Porcupine has it.
    public var function: String {
        switch self {
        case .get: "get"
        case .put: "put"
        case .append: "append"
        }
    }

    /// The key, and what was read or written.
    public var fields: [(name: String, value: HistoryText)] {
        [("key", .string(key)), ("value", text.map { .string($0) } ?? .null)]
    }

    /// Porcupine's lines have none.
    public static func hasTimes(in format: HistoryFormat) -> Bool { format != .edn }

    /// Porcupine's reader knows only what was asked and what succeeded: so what certainly failed is left out, and so
    /// are reads without an answer. What else has no answer has only its beginning, and may take effect at any time
    /// after it.
    public static func linesAtEnd(of history: KeyValueHistory, in format: HistoryFormat) -> String? {
        guard format == .edn else { return nil }
        var events: [(time: UInt64, isEnd: Bool, line: String)] = []
        for transaction in history.transactions {
            let asked: KeyValueAction
            if case .get(let key, _) = transaction.value {
                asked = .get(key: key, nil)
            } else {
                asked = transaction.value
            }
            let process = transaction.process
            switch (transaction.outcome, transaction.value) {
            case (.failed, _), (.unknown, .get): continue
            case (.ok, _), (.unknown, _):
                let begin = HistoryEvent(process: process, kind: .invoke, time: transaction.invokedAt, value: asked)
                events.append((begin.time, false, begin.line(format)))
            }
            if transaction.outcome == .ok {
                let end = HistoryEvent(
                    process: process, kind: .ok, time: transaction.returnedAt, value: transaction.value)
                events.append((end.time, true, end.line(format)))
            }
        }
        // At one moment, what begins comes first: nothing then says that the other had returned.
        events.sort { ($0.time, $0.isEnd ? 1 : 0) < ($1.time, $1.isEnd ? 1 : 0) }
        return events.map { $0.line + "\n" }.joined()
    }

    /// Nothing but the key and the text.
    public static var keys: (required: [String], optional: [String]) { (["key", "value"], []) }

    /// Only a get may have no text.
    public init(function: String?, in line: HistoryFields) throws {
        let key = try line.json["key"].string()
        let value = line.json["value"]
        switch function {
        case "get": self = .get(key: key, value.isNull ? nil : try value.string())
        case "put": self = .put(key: key, value: try value.string())
        case "append": self = .append(key: key, value: try value.string())
        default: throw HistoryFormatError(line: 1, what: "f: another operation; expected get, put or append")
        }
    }
}

/// Whether each key behaves as if its operations were done one after the other, each at some moment between its
/// beginning and its end. That each does says that all together do (Herlihy and Wing 1990, locality).
public struct KeyValueChecker: SequentialModel {
    /// Keys begin without a text.
    public init() {}
    /// Under each key.
    public var initial: String { "" }
    /// Keys know nothing of each other.
    public func object(of value: KeyValueAction) -> String { value.key }

    /// The text afterwards.
    public func step(_ text: String, _ value: KeyValueAction) -> String? {
        switch value {
        case .get(_, let seen): seen == nil || seen == text ? text : nil
        case .put(_, let new): new
        case .append(_, let more): text + more
        }
    }

    /// - Throws: the first answer that no order explains.
    public func check(_ history: KeyValueHistory) throws(HistoryViolation) {
        try LinearizabilityChecker.check(history, self)
    }
}
