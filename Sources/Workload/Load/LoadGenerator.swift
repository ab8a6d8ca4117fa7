import Messages
import Meter
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

extension Instant {
    /// The clocks of this process.
    public static func current() -> Instant {
        var monotonic = timespec()
        clock_gettime(CLOCK_MONOTONIC, &monotonic)
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        return Instant(
            uptime: UInt64(monotonic.tv_sec) * 1_000_000_000 + UInt64(monotonic.tv_nsec),
            wall: Timestamp(UInt64(wall.tv_sec) * 1_000_000 + UInt64(wall.tv_nsec) / 1000))
    }
}

/// Runs a `RequestEngine` over real channels. All work happens on the thread on which an answer arrives (the
/// connections' event loop): no hop between answer and next request.
public final class LoadGenerator<Source: WorkSource>: Sendable {
    private let engine: Mutex<RequestEngine<Source>>
    private let channels: [any RequestChannel]
    /// Nil unless requests are traced.
    private let ring: StampRing?

    /// - Parameters:
    ///   - signers: by principal, as the source numbers them.
    ///   - channels: as many as the configuration says; requests go over them in turn.
    ///   - firstNumber: the first request number of every principal; above those that earlier loads used.
    ///   - ring: where stamps of requests that are traced go.
    public init(
        source: Source, signers: [Ed25519Signer], manifest: Manifest, channels: [any RequestChannel],
        configuration: RequestEngine<Source>.Configuration, firstNumber: UInt64 = 1, ring: StampRing? = nil
    ) {
        precondition(configuration.channels == channels.count)
        engine = Mutex(
            RequestEngine(
                source: source, signers: signers, manifest: manifest, configuration: configuration,
                firstNumber: firstNumber))
        (self.channels, self.ring) = (channels, ring)
    }

    /// What is left when the load has ended.
    public struct Result: Sendable {
        /// With its measurements.
        public let source: Source
        /// What was sent again, and why.
        public let counters: RequestEngine<Source>.Counters
        /// Works in flight on average, from the first to the end.
        public let meanInFlight: Double
    }

    /// Returns when the source is exhausted and every request has its outcome.
    /// - Parameters:
    ///   - tick: how often work that has become due by itself is looked for. Closed loops begin theirs with answers.
    ///   - progress: called now and then, some five times a second with the usual tick.
    /// - Throws: `CancellationError`.
    public func run(
        tick: Duration = .milliseconds(10), progress: @Sendable (WorkProgress) -> Void = { _ in }
    ) async throws -> Result {
        var ticks = 0
        while true {
            try Task.checkCancellation()
            let now = Instant.current()
            let done = drive(at: now) { engine in
                engine.tick(now: now)
                return engine.isDone(now: now)
            }
            if ticks % 20 == 0 || done { progress(engine.withLock { $0.source.progress }) }
            if done { break }
            ticks += 1
            try await Task.sleep(for: tick)
        }
        return engine.withLock { engine in
            Result(
                source: engine.source, counters: engine.counters,
                meanInFlight: engine.meanInFlight(now: Instant.current().uptime))
        }
    }

    /// Reads of the source while the load runs. `body` must be quick: the load waits for it.
    public func look<T: Sendable>(_ body: (Source) -> T) -> T { engine.withLock { body($0.source) } }

    /// - Parameter moment: nil for now.
    private func stamp(_ kind: StampKind, _ item: RequestEngine<Source>.Outgoing, at moment: Instant? = nil) {
        guard let ring, ring.sampling.takes(item.request.digest) else { return }
        ring.add(Stamp(request: item.request.digest, kind: kind, at: (moment ?? .current()).uptime))
    }

    /// Steps the engine, then sends what it asks for with the lock released: a channel may call back at once.
    private func drive<T: Sendable>(at now: Instant, _ step: (inout RequestEngine<Source>) -> T) -> T {
        let (result, outgoing) = engine.withLock { engine in
            let result = step(&engine)
            return (result, engine.takeOutbox())
        }
        for item in outgoing {
            stamp(.issued, item, at: now)
            stamp(.signed, item)
            channels[item.channel].submit(item.request) { [self] answer in
                let (now, reply) = (Instant.current(), try? answer.get())
                drive(at: now) { $0.receive(id: item.id, reply, now: now) }
                guard ring != nil, case .receipt = reply else { return }
                stamp(.answered, item, at: now)
                stamp(.receiptVerified, item)
            }
        }
        return result
    }
}
