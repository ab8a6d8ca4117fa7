import Messages

/// One stretch of a request's time in one process.
public struct TraceSpan: Sendable, Equatable {
    /// In which process.
    public let source: RequestTrace.Source
    /// On or for which shard; nil where that does not matter.
    public let shard: ShardID?
    /// In a word or two.
    public let name: String
    /// Nanoseconds, as the stamps have them.
    public let start: UInt64
    /// Not before `start`.
    public let end: UInt64
    /// The batch that it is about, 0 before it has one; nil where there are no batches.
    public let batch: UInt64?
    /// What goes on side by side in one process, for one shard, has different ones.
    public let track: Int
}

extension RequestTrace {
    /// What a process does from one moment to another. On a host what it does itself and what it waits for go side by
    /// side: PREPAREs of a quorum may be there before its own record is durable.
    private struct Step {
        let name: String
        /// The latest of these that is not after the end.
        let from: [StampKind]
        let to: StampKind
        /// Steps of one track never overlap.
        var track = 0

        init(_ name: String, _ from: StampKind..., to: StampKind, track: Int = 0) {
            (self.name, self.from, self.to, self.track) = (name, from, to, track)
        }
    }

    private static let client = [
        Step("sign", .issued, to: .signed), Step("wait for the answer", .signed, to: .answered),
        Step("verify", .answered, to: .receiptVerified),
    ]
    private static let gateway = [
        Step("from the client", .issued, to: .gatewayReceived), Step("verify", .gatewayReceived, to: .gatewayVerified),
        Step("queue", .gatewayVerified, to: .forwarded), Step("wait for certificates", .forwarded, to: .certified),
    ]
    private static let host = [
        Step("verify", .received, to: .verified), Step("queue", .verified, .received, to: .admitted),
        Step("pool", .admitted, to: .prePrepared),
        Step("journal PRE-PREPARE", .prePrepared, to: .prePrepareDurable, track: 1),
        Step("prepare", .prePrepareDurable, .prePrepared, to: .prepared, track: 2),
        Step("journal P", .prepared, to: .preparedDurable, track: 3),
        Step("commit", .preparedDurable, .prepared, to: .committed, track: 2),
        Step("execute", .committed, to: .executed, track: 2),
        Step("decide", .decidePrePrepared, to: .decided, track: 2),
    ]

    /// What the tracks of a shard are called.
    static let tracks = ["arrival", "PRE-PREPARE to disk", "order", "P to disk"]

    /// Clients, gateways, hosts; on a host shard by shard.
    public var spans: [TraceSpan] {
        var spans: [TraceSpan] = []
        for source in sources {
            switch source {
            case .client: spans += Self.client.compactMap { span($0, at: source, nil) }
            case .gateway: spans += Self.gateway.compactMap { span($0, at: source, nil) }
            case .host:
                for shard in shards { spans += Self.host.compactMap { span($0, at: source, shard) } }
            }
        }
        return spans
    }

    /// Nil where an end is missing, or the beginning comes after it.
    private func span(_ step: Step, at source: Source, _ shard: ShardID?) -> TraceSpan? {
        let batch = shard.flatMap { self.batch(of: $0) }
        func moment(_ kind: StampKind) -> UInt64? {
            let isOrdered = kind.rawValue >= StampKind.prePrepared.rawValue
            let isDecide = kind.rawValue >= StampKind.decidePrePrepared.rawValue
            return first(kind, shard: shard, at: source, number: isOrdered && !isDecide ? batch : nil)
        }
        guard let end = moment(step.to), let start = step.from.compactMap(moment).filter({ $0 <= end }).max() else {
            return nil
        }
        let stamped = entries.first {
            $0.source == source && $0.stamp.shard == shard && $0.stamp.kind == step.to && $0.stamp.at == end
        }
        return TraceSpan(
            source: source, shard: shard, name: step.name, start: start, end: end,
            batch: shard == nil ? nil : stamped?.stamp.number, track: step.track)
    }
}

/// A trace as a terminal shows it: who did what, when it began, how long it took.
public struct Waterfall: Sendable {
    private let trace: RequestTrace
    private static let width = 48

    /// - Parameter trace: of any number of stamps.
    public init(_ trace: RequestTrace) { self.trace = trace }

    /// A line a span, beneath each other as they followed; milliseconds count from the first stamp.
    public var text: String {
        let spans = trace.spans
        guard let zero = trace.entries.first?.stamp.at, let last = spans.map(\.end).max() else { return "" }
        let whole = max(1, last - min(last, zero))
        let names = spans.map(lane)
        let widths = (names.map(\.count).max() ?? 0, spans.map(\.name.count).max() ?? 0)
        var lines = [
            "\("".padding(to: widths.0))  \("".padding(to: widths.1))  from ms  takes ms  0 ms\(String(repeating: " ", count: Self.width - 12))\(decimal(Double(whole) / 1e6, 1)) ms"
        ]
        var shown = ""
        for (span, name) in zip(spans, names) {
            let lane = name == shown ? "" : name
            shown = name
            let (from, takes) = (span.start - min(span.start, zero), span.end - span.start)
            lines.append(
                "\(lane.padding(to: widths.0))  \(span.name.padding(to: widths.1))  \(Self.milliseconds(from, 7))  \(Self.milliseconds(takes, 8))  \(bar(from, takes, of: whole))"
            )
        }
        return lines.joined(separator: "\n")
    }

    private func lane(_ span: TraceSpan) -> String {
        guard let shard = span.shard else { return "\(span.source)" }
        var words = "\(span.source), shard \(shard)"
        if trace.primary(of: shard) == span.source { words += " (primary)" }
        return words
    }

    private static func milliseconds(_ nanoseconds: UInt64, _ width: Int) -> String {
        let text = decimal(Double(nanoseconds) / 1e6, 3)
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// At least one mark, at its place.
    private func bar(_ from: UInt64, _ takes: UInt64, of whole: UInt64) -> String {
        func place(_ time: UInt64) -> Int { Int(Double(time) / Double(whole) * Double(Self.width)) }
        let start = min(place(from), Self.width - 1)
        let length = max(1, min(place(from + takes), Self.width) - start)
        return String(repeating: " ", count: start) + String(repeating: "█", count: length)
    }
}

/// A trace in the trace-event format, which ui.perfetto.dev and chrome://tracing open: a process is a process, and what
/// goes on side by side in it, for a shard, are its threads.
public struct PerfettoTrace: Encodable, Sendable {
    struct Event: Encodable, Sendable {
        struct Arguments: Encodable, Sendable {
            var name: String?
            var sort_index: Int?
            var batch: UInt64?
            var shard: Int?
        }
        var ph: String
        var name: String
        var cat: String?
        /// Microseconds, as `dur`.
        var ts: Double?
        var dur: Double?
        var pid: Int
        var tid: Int
        var args: Arguments
    }

    let displayTimeUnit = "ms"
    let traceEvents: [Event]

    /// Times count from the first stamp.
    public init(_ trace: RequestTrace) {
        let zero = trace.entries.first?.stamp.at ?? 0
        var events: [Event] = []
        for (i, source) in trace.sources.enumerated() {
            let pid = Self.process(source)
            events.append(
                Event(ph: "M", name: "process_name", pid: pid, tid: 0, args: .init(name: "\(source)")))
            events.append(Event(ph: "M", name: "process_sort_index", pid: pid, tid: 0, args: .init(sort_index: i)))
            let own = trace.spans.filter { $0.source == source }
            let lanes = Dictionary(own.map { (Self.thread($0), $0) }) { first, _ in first }
            for (thread, span) in lanes.sorted(by: { $0.key < $1.key }) {
                let name = span.shard.map { "shard \($0): \(RequestTrace.tracks[span.track])" } ?? "requests"
                events.append(
                    Event(ph: "M", name: "thread_name", pid: pid, tid: thread, args: .init(name: name)))
            }
        }
        for span in trace.spans {
            events.append(
                Event(
                    ph: "X", name: span.name, cat: "quorate", ts: Double(span.start - min(span.start, zero)) / 1000,
                    dur: Double(span.end - span.start) / 1000, pid: Self.process(span.source),
                    tid: Self.thread(span),
                    args: .init(batch: span.batch == 0 ? nil : span.batch, shard: span.shard.map { Int($0.number) })))
        }
        traceEvents = events
    }

    private static func process(_ source: RequestTrace.Source) -> Int {
        switch source {
        case .client: 1
        case .gateway(let number): 100 + number
        case .host(let number): 1000 + number
        }
    }

    private static func thread(_ span: TraceSpan) -> Int {
        span.shard.map { Int($0.number) * RequestTrace.tracks.count + span.track + 1 } ?? 0
    }
}
