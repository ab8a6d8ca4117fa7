import ConnectionErrors
import Logging
import Messages
import NIOCore
import NIOPosix
import Randomness
import Transport

/// A connection to one host that is made again whenever it is lost, after a capped exponential backoff with jitter.
/// Lives on one event loop.
final class Link {
    let host: HostID
    private let address: HostAddress
    private let key: PublicKey
    private let tls: SessionTLS
    private let hello: Hello
    private let options: TransportOptions
    private let frameLimit: Int
    private let outboundLimit: Int
    private let loop: any EventLoop
    private let log: LimitedLog
    private let counters: RuntimeCounters

    var onUp: () -> Void = {}
    var onDown: () -> Void = {}
    /// False if a frame is no message.
    var onFrames: ([[UInt8]]) -> Bool = { _ in false }

    private var session: Session?
    private(set) var isUp = false
    private var upSince: UInt64 = 0
    private var attempt = 0
    private let backoff: Backoff
    private var random = SystemRandomNumberGenerator()
    private var isStopped = false
    private var retry: Scheduled<Void>?

    init(
        to host: HostID, at address: HostAddress, key: PublicKey, tls: SessionTLS, hello: Hello, frameLimit: Int,
        outboundLimit: Int, options: TransportOptions, loop: any EventLoop, counters: RuntimeCounters, log: LimitedLog
    ) {
        (self.host, self.address, self.key, self.tls, self.hello) = (host, address, key, tls, hello)
        (self.frameLimit, self.outboundLimit, self.options) = (frameLimit, outboundLimit, options)
        (self.loop, self.log, self.counters) = (loop, log, counters)
        let base = UInt64(max(1, options.backoffBase.nanoseconds))
        backoff = Backoff(base: base, cap: max(base, UInt64(max(0, options.backoffCap.nanoseconds))))
    }

    /// What is not taken is dropped and counted.
    func send(_ frame: EncodedFrame) {
        guard isUp, let session else { return counters.notConnected.increment() }
        if !session.send(frame) { counters.outboundFull.increment() }
    }
    func flush() { session?.flush() }

    func connect() {
        guard !isStopped else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(options.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.prepare(channel) }
            }
            .connect(host: address.address, port: address.port)
            .whenFailure { error in bound.value.lost(NetworkFailure.text(error)) }
    }

    private func prepare(_ channel: any Channel) throws {
        guard !isStopped else { throw Session.Ended.stopped }
        try Session.configure(channel, options)
        let session = Session(
            .connecting(hello), frameLimit: frameLimit, outboundLimit: outboundLimit, options: options,
            counters: counters)
        session.onOpen = { [unowned self] _ in opened() }
        session.onFrames = { [unowned self] _, frames in onFrames(frames) }
        session.onEnd = { [weak self] ended, why in
            guard let self, self.session === ended else { return }
            lost("\(why)")
        }
        self.session = session
        if let network = options.network {
            let line = DelayLine(network.link(to: .host(Int(host.number))))
            try channel.pipeline.syncOperations.addHandler(line)
        }
        try channel.pipeline.syncOperations.addHandlers(tls.clientHandler(expecting: key), session)
    }

    private func opened() {
        guard !isStopped else { return }
        isUp = true
        upSince = Clock.uptime()
        onUp()
    }

    private func lost(_ why: String) {
        session = nil
        guard !isStopped, retry == nil else { return }
        log.warning(
            "no session with host \(host) at \(address)", why, metadata: ["peer": .stringConvertible(host.number)])
        if isUp {
            isUp = false
            // A session that ends at once does not count as success: a peer that accepts and hangs up is not hammered.
            if Clock.uptime() - upSince > UInt64(options.backoffCap.nanoseconds) { attempt = 0 }
            onDown()
        }
        let delay = TimeAmount.nanoseconds(Int64(clamping: backoff.spacedDelay(attempt: attempt, using: &random)))
        attempt += 1
        let bound = NIOLoopBound(self, eventLoop: loop)
        retry = loop.scheduleTask(in: delay) {
            bound.value.retry = nil
            bound.value.connect()
        }
    }

    func stop() {
        isStopped = true
        isUp = false
        retry?.cancel()
        session?.end(.stopped)
        session = nil
    }
}
