import NIOCore

/// Gives one picture a second to all who look, and makes none while nobody does.
package actor PictureFeed {
    /// One who looks at events.
    package struct Subscription: Sendable {
        package let number: UInt64
        /// The newest event that was not taken yet: who reads slowly misses some.
        package let events: AsyncStream<ByteBuffer>
        /// Ends when this one is told nothing any more.
        package let dropped: AsyncStream<Void>
    }

    private struct Subscriber {
        let events: AsyncStream<ByteBuffer>.Continuation
        let dropped: AsyncStream<Void>.Continuation
        /// Events in a row that took the place of one that was not taken.
        var missed = 0
    }

    private let source: any DashboardSource
    private let limits: DashboardLimits
    private var subscribers: [UInt64: Subscriber] = [:]
    private var lastNumber: UInt64 = 0
    private var lastEvent: UInt64 = 0
    private var lastAsked = ContinuousClock.now
    private var latest: (bytes: [UInt8], at: ContinuousClock.Instant)?
    private var making: Task<[UInt8]?, Never>?
    private var ticker: Task<Void, Never>?
    private var isStopped = false

    package init(_ source: any DashboardSource, limits: DashboardLimits) {
        (self.source, self.limits) = (source, limits)
    }

    /// For who asks once: not older than the period, or made now.
    package func picture() async -> [UInt8]? {
        guard !isStopped else { return nil }
        lastAsked = .now
        startTicking()
        if let latest, latest.at.duration(to: .now) < limits.period * 2 { return latest.bytes }
        return await make()
    }

    /// Nil if there are too many, or it is stopped.
    package func subscribe() -> Subscription? {
        guard !isStopped, subscribers.count < limits.maxSubscribers else { return nil }
        lastNumber += 1
        let (events, continuation) = AsyncStream.makeStream(of: ByteBuffer.self, bufferingPolicy: .bufferingNewest(1))
        let (dropped, end) = AsyncStream.makeStream(of: Void.self)
        subscribers[lastNumber] = Subscriber(events: continuation, dropped: end)
        if let latest { continuation.yield(event(latest.bytes)) }
        startTicking()
        return Subscription(number: lastNumber, events: events, dropped: dropped)
    }

    package func unsubscribe(_ number: UInt64) {
        guard let subscriber = subscribers.removeValue(forKey: number) else { return }
        subscriber.events.finish()
        subscriber.dropped.finish()
    }

    /// Tells nobody anything any more.
    package func stop() async {
        isStopped = true
        for number in Array(subscribers.keys) { unsubscribe(number) }
        ticker?.cancel()
        await ticker?.value
    }

    private var isWatched: Bool {
        !isStopped && (!subscribers.isEmpty || lastAsked.duration(to: .now) < limits.interest)
    }

    private func startTicking() {
        guard ticker == nil, !isStopped else { return }
        ticker = Task { await tick() }
    }

    private func tick() async {
        while isWatched, !Task.isCancelled {
            let start = ContinuousClock.now
            if let bytes = await make() {
                publish(event(bytes))
            } else {
                publish(ByteBuffer(string: ": no picture\n\n"))
            }
            try? await Task.sleep(until: start + limits.period)
        }
        latest = nil
        await source.rest()
        ticker = nil
        // Somebody may have come meanwhile.
        if isWatched { startTicking() }
    }

    /// One at a time, for all who want it.
    private func make() async -> [UInt8]? {
        if let making { return await making.value }
        let task = Task { [source] in await source.picture() }
        making = task
        let bytes = await task.value
        making = nil
        if let bytes { latest = (bytes, .now) }
        return bytes
    }

    private func event(_ picture: [UInt8]) -> ByteBuffer {
        lastEvent += 1
        var buffer = ByteBuffer(string: "id: \(lastEvent)\nevent: picture\ndata: ")
        buffer.writeBytes(picture)
        buffer.writeString("\n\n")
        return buffer
    }

    private func publish(_ event: ByteBuffer) {
        for number in Array(subscribers.keys) {
            guard var subscriber = subscribers[number] else { continue }
            if case .dropped = subscriber.events.yield(event) { subscriber.missed += 1 } else { subscriber.missed = 0 }
            subscribers[number] = subscriber
            if subscriber.missed >= limits.maxMissed { unsubscribe(number) }
        }
    }
}

/// What a dashboard costs at most.
public struct DashboardLimits: Sendable {
    /// From one picture to the next.
    public var period = Duration.seconds(1)
    /// Pictures are made for so long after somebody asked for one.
    public var interest = Duration.seconds(10)
    /// Who look at events.
    public var maxSubscribers = 32
    /// Who did not take so many events in a row is looking no more.
    public var maxMissed = 15

    /// A picture a second, for 32.
    public init() {}
}
