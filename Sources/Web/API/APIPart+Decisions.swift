import Hummingbird
import HummingbirdCore
import Messages
import NIOCore
import StrictInput
import Transport
import Synchronization

/// How many answers with decisions are under way, in all and to one address. Programs on this machine may have all.
package final class StreamPlaces: Sendable {
    /// Given back when it is released, at the latest when nobody has it any more.
    package final class Place: Sendable {
        private let places: StreamPlaces
        private let peer: PeerNetwork
        private let isHeld = Mutex(true)

        fileprivate init(_ places: StreamPlaces, _ peer: PeerNetwork) { (self.places, self.peer) = (places, peer) }

        deinit { release() }

        package func release() {
            let wasHeld = isHeld.withLock { isHeld in
                defer { isHeld = false }
                return isHeld
            }
            if wasHeld { places.leave(peer) }
        }
    }

    private let limit: Int
    /// By address, as other streams are: `ConnectionCounts`.
    private let counts: ConnectionCounts
    private let used = Mutex(0)

    package init(_ limit: Int, each: Int) {
        (self.limit, counts) = (limit, ConnectionCounts(maxEach: each, maxRemote: limit))
    }

    /// - Returns: nil if all are taken, or the address has its share.
    package func take(for peer: PeerNetwork) -> Place? {
        let isFree = used.withLock { used in
            guard used < limit else { return false }
            used += 1
            return true
        }
        guard isFree else { return nil }
        guard counts.admit(peer) else {
            used.withLock { $0 -= 1 }
            return nil
        }
        return Place(self, peer)
    }

    private func leave(_ peer: PeerNetwork) {
        counts.leave(peer)
        used.withLock { $0 -= 1 }
    }
}

extension APIPart {
    /// What a shard has executed after a batch, with certificates: a page of lines, or a stream of events.
    func decisions(_ request: HummingbirdCore.Request, _ query: APIQuery, for peer: PeerNetwork) async throws
        -> Response
    {
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
            return try await page(of: shard, after: after, source, for: request, peer)
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
        return try events(of: shard, after: after, source, for: request, peer)
    }

    private func page(
        of shard: ShardID, after: SequenceNumber, _ source: any DecisionSource, for request: HummingbirdCore.Request,
        _ peer: PeerNetwork
    ) async throws -> Response {
        guard let place = pages.take(for: peer) else {
            throw Problem(
                .busy, "as many answers with decisions are being written as may be at once, in all or to one address",
                retryAfterMilliseconds: 1000)
        }
        let batches: [ExportedBatch]
        do {
            batches = try await source.batches(of: shard, after: after, history: nil, count: options.decisionsPerPage)
        } catch { throw Problem(.noDecisions, Printable.line("\(error)"), retryAfterMilliseconds: 1000) }
        var cursor = ExportCursor()
        cursor[shard] = after
        let manifest = manifest
        let body = body(for: request, within: options.streamTime, place) { [cursor] writer in
            var cursor = cursor
            var writer = writer.value
            try await writer.write(ByteBuffer(string: ExportLines.begin(manifest, from: cursor) + "\n"))
            for batch in batches {
                for line in try ExportLines.batch(batch) { try await writer.write(ByteBuffer(string: line + "\n")) }
                cursor[shard] = batch.batch.sequence
            }
            try await writer.write(ByteBuffer(string: ExportLines.end(cursor) + "\n"))
        }
        return Response(status: .ok, headers: SafeHeaders.fields("application/x-ndjson"), body: body)
    }

    /// Ends after a time, so that a client which does not read is not written to for ever; clients come back by
    /// themselves.
    private func events(
        of shard: ShardID, after: SequenceNumber, _ source: any DecisionSource, for request: HummingbirdCore.Request,
        _ peer: PeerNetwork
    ) throws -> Response {
        guard let place = streams.take(for: peer) else {
            throw Problem(
                .busy, "as many streams of decisions are open as may be, in all or to one address",
                retryAfterMilliseconds: 5000)
        }
        var headers = SafeHeaders.fields("text/event-stream")
        headers[.connection] = "close"
        let options = options
        let body = body(for: request, within: options.streamTime + .seconds(30), place) { writer in
            try await Self.write(shard, after: after, source, options, to: writer)
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    /// Ends with the connection, and with the time.
    /// - Parameter place: is held until it is written, or dropped unwritten.
    private func body(
        for request: HummingbirdCore.Request, within time: Duration, _ place: StreamPlaces.Place,
        _ write: @escaping @Sendable (HandedOver<any ResponseBodyWriter>) async throws -> Void
    ) -> ResponseBody {
        ResponseBody { writer in
            defer { place.release() }
            let handed = HandedOver(writer)
            var isRead = false
            do {
                isRead = try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        group.addTask {
                            try await write(handed)
                            return true
                        }
                        group.addTask {
                            try await Task.sleep(for: time)
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
