import Messages
import Meter
import NIOCore
import NIOPosix
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
/// connections' event loop): no hop between answer and next request. An open loop begins its requests there too, each
/// when it is due: the loop's timer is exact to some tens of microseconds, which a task's sleep is not.
public final class LoadGenerator<Source: WorkSource>: Sendable {
    private let engine: Mutex<RequestEngine<Source>>
    private let channels: [any RequestChannel]
    /// Nil unless requests are traced.
    private let ring: StampRing?
    private let isOpen: Bool
    private let isOver = Atomic(false)

    /// How often it is looked for what is to be sent again. New requests begin with answers, or when they are due.
    private static var tick: Duration { .milliseconds(10) }
    /// An open loop is looked at no more often, nanoseconds: at high rates some requests begin together.
    private static var shortestWait: UInt64 { 200_000 }
    /// And no less often, so that it ends soon when it is told to.
    private static var longestWait: UInt64 { 10_000_000 }
    /// While it is not known when the next request may begin: an answer shows, or this.
    private static var blindWait: UInt64 { 1_000_000 }

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
        (self.channels, self.ring, isOpen) = (channels, ring, configuration.shape != .closed)
    }

    /// What is left when the load has ended.
    public struct Result: Sendable {
        /// With its measurements.
        public let source: Source
        /// What was sent again, and why.
        public let counters: RequestEngine<Source>.Counters
        /// Works in flight on average, from the first to the end.
        public let meanInFlight: Double
        /// How well an open loop kept to its moments; nil of a closed one.
        public let open: OpenFigures?
    }

    /// Returns when the source is exhausted and every request has its outcome.
    /// - Parameter progress: called now and then, some five times a second.
    /// - Throws: `CancellationError`.
    public func run(progress: @Sendable (WorkProgress) -> Void = { _ in }) async throws -> Result {
        var ticks = 0
        defer { isOver.store(true, ordering: .relaxed) }
        if isOpen {
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            loop.execute { self.pace(on: loop) }
        }
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
            try await Task.sleep(for: Self.tick)
        }
        return engine.withLock { engine in
            Result(
                source: engine.source, counters: engine.counters,
                meanInFlight: engine.meanInFlight(now: Instant.current().uptime), open: engine.openFigures)
        }
    }

    /// Begins what is due, and comes again when the next one is.
    private func pace(on loop: any EventLoop) {
        guard !isOver.load(ordering: .relaxed) else { return }
        let now = Instant.current()
        let due = drive(at: now) { engine in
            engine.pump(now: now)
            return engine.nextDue
        }
        let wait = due.map { min(max($0 - min($0, now.uptime), Self.shortestWait), Self.longestWait) }
        loop.scheduleTask(in: .nanoseconds(Int64(wait ?? Self.blindWait))) { self.pace(on: loop) }
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

extension LoadGenerator where Source: ForeseenSource {
    /// Encodes and signs requests before the load begins, which then has only to send them. Each takes some 1 kB until
    /// it has its outcome.
    /// - Parameters:
    ///   - count: at most; less if the source does not foresee so many.
    ///   - lifetime: from the signing of each to its deadline, microseconds.
    /// - Returns: what it took; `signed_late` is not known yet.
    /// - Throws: `CancellationError`.
    public func presign(
        _ count: Int, lifetime: UInt64, progress: @Sendable (WorkProgress) -> Void = { _ in }
    ) async throws -> RunResult.Load.Presigned {
        let (begin, cpu) = (Instant.current(), Self.processorMicroseconds)
        var signed = 0
        while signed < count {
            try Task.checkCancellation()
            let now = Instant.current()
            let end = min(count, signed + Self.presignedAtOnce)
            let made = engine.withLock { engine in
                for place in signed..<end {
                    guard let work = engine.source.foreseen(place) else { return place - signed }
                    engine.presign(work, now: now, lifetime: lifetime)
                }
                return end - signed
            }
            signed += made
            progress(WorkProgress(done: signed, total: count))
            guard made == Self.presignedAtOnce else { break }
        }
        return RunResult.Load.Presigned(
            requests: signed, seconds: Double(Instant.current().uptime - begin.uptime) / 1e9,
            cpuMicroseconds: Double(Self.processorMicroseconds - cpu) / Double(max(1, signed)), signedLate: 0)
    }

    private static var presignedAtOnce: Int { 1000 }

    /// Of this process.
    private static var processorMicroseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }
}
