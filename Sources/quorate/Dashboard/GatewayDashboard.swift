import Foundation
import HostRuntime
import Messages
import Web
import Workload

/// What a gateway's dashboard shows, as JSON.
struct GatewayDashboard: DashboardSource {
    private let watch: ClusterWatch

    init(_ watch: ClusterWatch) { self.watch = watch }

    func picture() async -> [UInt8]? { Self.json(await watch.look()) }

    func rest() async { await watch.rest() }

    func trace(_ transaction: String) async -> TraceAnswer {
        guard let request = Digest(hex: transaction.lowercased()) else {
            return .problem(
                WebProblem(
                    status: 400, title: "no transaction", detail: "A transaction has 64 hexadecimal digits."))
        }
        let here = Instant.current()
        let answers = await watch.stamps(of: request)
        let entries = answers.flatMap { source, answer in
            let clock = ClockOffset(of: answer.now, from: here)
            return answer.stamps.map { RequestTrace.Entry(source.map { .host($0) } ?? .gateway(0), clock.aligned($0)) }
        }
        guard !entries.isEmpty else {
            return .problem(Self.missing(request, answers.map(\.answer.sampling)))
        }
        let document = WaterfallDocument(RequestTrace(of: request, entries))
        guard let json = Self.json(document) else {
            return .problem(WebProblem(status: 500, title: "no trace", detail: "The trace cannot be written as JSON."))
        }
        return .found(json)
    }

    private static func missing(_ request: Digest, _ samplings: [TraceSampling]) -> WebProblem {
        let again =
            "Start the cluster with: quorate cluster up FOLDER --trace-rate 1, and look at the next transaction."
        guard samplings.contains(where: \.isOn) else {
            return WebProblem(status: 404, title: "tracing is off", detail: "The cluster traces nothing. \(again)")
        }
        guard samplings.contains(where: { $0.takes(request) }) else {
            return WebProblem(
                status: 404, title: "not traced",
                detail: "This transaction is not among the share that is traced. For all of them: \(again)")
        }
        return WebProblem(
            status: 404, title: "no stamps",
            detail:
                "Nobody has any stamps of this transaction: it is none of this cluster, it was before the processes "
                + "were started, or newer stamps have taken their places. A leg of an independent request is found under "
                + "the request's digest.")
    }

    /// On one line, in the same order each time.
    private static func json(_ value: some Encodable) -> [UInt8]? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).map(Array.init)
    }
}

/// One request's waterfall as the page draws it.
struct WaterfallDocument: Encodable, Sendable {
    struct Span: Encodable, Sendable {
        /// `host 2`.
        var process: String
        var shard: Int?
        /// Whether the process proposed the batch on that shard.
        var primary: Bool
        var name: String
        var batch: UInt64?
        /// From the first moment.
        var from_us: UInt64
        var takes_us: UInt64
    }

    var schema = 1
    var request: String
    var shards: [Int]
    var total_us: UInt64
    /// Clients, gateways, hosts; on a host shard by shard.
    var spans: [Span]

    init(_ trace: RequestTrace) {
        request = trace.request.hex
        shards = trace.shards.map { Int($0.number) }
        let zero = trace.entries.first?.stamp.at ?? 0
        func microseconds(_ at: UInt64) -> UInt64 { (at - min(at, zero)) / 1000 }
        spans = trace.spans.map { span in
            Span(
                process: "\(span.source)", shard: span.shard.map { Int($0.number) },
                primary: span.shard.map { trace.primary(of: $0) == span.source } ?? false, name: span.name,
                batch: span.batch == 0 ? nil : span.batch, from_us: microseconds(span.start),
                takes_us: (span.end - span.start) / 1000)
        }
        total_us = spans.map { $0.from_us + $0.takes_us }.max() ?? 0
    }
}
