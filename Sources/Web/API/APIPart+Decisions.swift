import Hummingbird
import HummingbirdCore
import Messages
import NIOCore
import StrictInput
import Synchronization

/// How many streams of decisions are open.
final class StreamPlaces: Sendable {
    private let used = Mutex(0)
    private let limit: Int

    init(_ limit: Int) { self.limit = limit }

    var areAllTaken: Bool { used.withLock { $0 >= limit } }

    /// - Returns: false if all are taken.
    func take() -> Bool {
        used.withLock { used in
            guard used < limit else { return false }
            used += 1
            return true
        }
    }

    func giveBack() { used.withLock { $0 -= 1 } }
}

extension APIPart {
    /// What a shard has executed after a batch, with certificates: a page of lines, or a stream of events.
    func decisions(_ request: HummingbirdCore.Request, _ query: APIQuery) async throws -> Response {
        guard let number = try query.number("shard", UInt16.self) else {
            throw Problem(.malformedParameter, "shard is missing: each shard has an order of its own")
        }
        let shard = ShardID(number)
        guard manifest.hasShard(shard) else {
            throw Problem(.malformedParameter, "there is no shard \(number); the last is \(manifest.shardCount - 1)")
        }
        var after = SequenceNumber(try query.number("from", UInt64.self) ?? 0)
        guard after.number < SequenceNumber.archivable else {
            throw Problem(.malformedParameter, "from is no batch: no shard comes so far")
        }
        guard let source = options.decisions else {
            throw Problem(.noDecisions, "this gateway was started without them")
        }
        guard MediaTypes.prefersEvents(request.headers[.accept]) else {
            return try await page(of: shard, after: after, source)
        }
        // Who comes back goes on where he was.
        if let name = HTTPFields.Element.Name("Last-Event-ID"), let id = request.headers[name],
            let cursor = ExportCursor(id), cursor.last.count == 1, cursor[shard].number > 0
        {
            after = cursor[shard]
        }
        if request.method == .head {
            return Response(status: .ok, headers: SafeHeaders.fields("text/event-stream"))
        }
        return try events(of: shard, after: after, source, for: request)
    }

    private func page(of shard: ShardID, after: SequenceNumber, _ source: any DecisionSource) async throws -> Response {
        let batches: [ExportedBatch]
        do {
            batches = try await source.batches(of: shard, after: after, history: nil, count: options.decisionsPerPage)
        } catch { throw Problem(.noDecisions, Printable.line("\(error)"), retryAfterMilliseconds: 1000) }
        var cursor = ExportCursor()
        cursor[shard] = after
        var lines = [ExportLines.begin(manifest, from: cursor)]
        for batch in batches {
            lines += try ExportLines.batch(batch)
            cursor[shard] = batch.batch.sequence
        }
        lines.append(ExportLines.end(cursor))
        let body = lines.joined(separator: "\n") + "\n"
        return Response(
            status: .ok, headers: SafeHeaders.fields("application/x-ndjson"),
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }

    /// Ends after a time, so that a client which does not read is not written to for ever; clients come back by
    /// themselves.
    private func events(
        of shard: ShardID, after: SequenceNumber, _ source: any DecisionSource, for request: HummingbirdCore.Request
    ) throws -> Response {
        guard !places.areAllTaken else {
            throw Problem(
                .busy, "\(options.maxStreams) streams of decisions are open", retryAfterMilliseconds: 5000)
        }
        let (options, places) = (options, places)
        var headers = SafeHeaders.fields("text/event-stream")
        headers[.connection] = "close"
        let body = ResponseBody { writer in
            // Taken by who writes: a body that nobody reads is never written.
            guard places.take() else { throw StreamGivenUp() }
            defer { places.giveBack() }
            let handed = HandedOver(writer)
            var isRead = false
            do {
                isRead = try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        group.addTask {
                            try await Self.write(shard, after: after, source, options, to: handed)
                            return true
                        }
                        group.addTask {
                            try await Task.sleep(for: options.streamTime + .seconds(30))
                            return false
                        }
                        defer { group.cancelAll() }
                        return try await group.next() ?? false
                    }
                }
            } catch {
                // The client is gone; there is nobody to tell.
            }
            // The end of a stream would wait for a client that does not read. An error closes the connection at once.
            guard isRead else { throw StreamGivenUp() }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    private static func write(
        _ shard: ShardID, after: SequenceNumber, _ source: any DecisionSource, _ options: APIOptions,
        to handed: HandedOver<any ResponseBodyWriter>
    ) async throws {
        var writer = handed.value
        var (after, history) = (after, Digest?.none)
        let end = ContinuousClock.now + options.streamTime
        try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
        var saidSomething = ContinuousClock.now
        while ContinuousClock.now < end {
            let batches: [ExportedBatch]
            do {
                batches = try await source.batches(
                    of: shard, after: after, history: history, count: options.decisionsPerPage)
            } catch {
                try await writer.write(
                    ByteBuffer(string: "event: problem\ndata: \(WebJSON.string(Printable.line("\(error)")).text)\n\n"))
                return
            }
            for batch in batches {
                var text = ""
                for line in try ExportLines.batch(batch) { text += "event: decision\ndata: \(line)\n\n" }
                // Only with all its lines a batch is had.
                text +=
                    "id: \(shard):\(batch.batch.sequence)\nevent: cursor\ndata: \"\(shard):\(batch.batch.sequence)\"\n\n"
                try await writer.write(ByteBuffer(string: text))
                (after, history) = (batch.batch.sequence, batch.batch.statement.history)
                saidSomething = .now
            }
            guard batches.isEmpty else { continue }
            if saidSomething.duration(to: .now) > .seconds(15) {
                try await writer.write(ByteBuffer(string: ": nothing new\n\n"))
                saidSomething = .now
            }
            try await Task.sleep(for: options.streamPause)
        }
    }
}
