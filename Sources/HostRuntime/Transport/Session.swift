import ConnectionErrors
import Glibc
import CoreMetrics
import Messages
import NIOCore
import NIOSSL
import NIOTLS
import Transport

/// One connection behind its TLS handler, on either side: greeting, then frames. Lives on its channel's loop.
final class Session: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    enum Side {
        /// Says hello and waits for the answer.
        case connecting(Hello)
        /// Waits for hello. The closure admits or refuses; it gives the frame limit from then on.
        case accepting(admit: (Session, Hello, PublicKey) -> Result<Int, HelloRefusal>)
    }

    enum Ended: Error, CustomStringConvertible {
        case closed
        case refused(String)
        case timeout
        case resumed
        case garbage(String)
        case failed(String)
        case stopped
        /// Another connection needed its place.
        case displaced
        case noRoom

        var description: String {
            switch self {
            case .closed: "the connection was closed"
            case .refused(let reason): "refused: \(reason)"
            case .timeout: "no greeting in time"
            case .resumed: "a resumed TLS session, which proves no key"
            case .garbage(let what): what
            case .failed(let error): error
            case .stopped: "stopped"
            case .displaced: "another connection needed its place"
            case .noRoom: "no room for an unfinished frame"
            }
        }

        /// Whether the other side is told that this is the end, which it has to answer.
        fileprivate var isSaid: Bool {
            switch self {
            case .closed, .refused, .failed, .stopped: true
            case .timeout, .resumed, .garbage, .displaced, .noRoom: false
            }
        }
    }

    private enum State { case greeting, open, ended }

    private let side: Side
    private let options: TransportOptions
    private var state = State.greeting
    private var parser = FrameParser(limit: Hello.maxFrame)
    private let outbound: OutboundFrames
    private var encoder = FrameEncoder()
    private var frames: [[UInt8]] = []
    private var timer: Scheduled<Void>?
    private(set) var channel: (any Channel)?
    private let door: Door?
    private let counters: RuntimeCounters?
    /// What unfinished frames take of a bound over many sessions; nil where the frame limit is all.
    var unfinished: ByteRoom.Part?

    /// The frame limit after the answer, on the connecting side.
    var frameLimit: Int
    /// The other side has proven that it has this key, and has said nothing yet. On the accepting side.
    var onProven: (Session, PublicKey) -> Void = { _, _ in }
    var onOpen: (Session) -> Void = { _ in }
    /// False if a frame is no message: the session then ends.
    var onFrames: (Session, [[UInt8]]) -> Bool = { _, _ in false }
    /// Once, whatever happened before.
    var onEnd: (Session, Ended) -> Void = { _, _ in }

    /// - Parameters:
    ///   - counters: nil where nobody reads what is counted.
    ///   - door: of the same channel.
    init(
        _ side: Side, frameLimit: Int, outboundLimit: Int, options: TransportOptions, counters: RuntimeCounters?,
        door: Door? = nil
    ) {
        (self.side, self.frameLimit, self.options, self.door) = (side, frameLimit, options, door)
        self.counters = counters
        outbound = OutboundFrames(limit: outboundLimit)
    }

    /// From now on what waits for the other side counts there too.
    func share(outbound room: ByteRoom) { outbound.part = ByteRoom.Part(of: room) }

    /// False if the frame was dropped. `flush` sends.
    func send(_ frame: EncodedFrame) -> Bool { state == .open && outbound.append(frame) }

    func flush() {
        guard let channel else { return }
        let sent = outbound.flush(to: channel)
        if sent > 0 { counters?.sentBytes.increment(by: sent) }
    }

    /// Reads nothing but what `readOnce` asks for: the other side's socket fills, and it has to wait.
    func restrain(bytes: Int) {
        guard state == .open, let options = channel?.syncOptions else { return }
        try? options.setOption(.autoRead, value: false)
        try? options.setOption(.maxMessagesPerRead, value: 1)
        try? options.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: bytes))
    }

    /// So many bytes at most as `restrain` said.
    func readOnce() { channel?.read() }

    func release() {
        guard state == .open, let options = channel?.syncOptions else { return }
        try? options.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
        try? options.setOption(.maxMessagesPerRead, value: 4)
        try? options.setOption(.autoRead, value: true)
    }

    /// What the system keeps for this side, unread, at most: what a session that was held up has ready when it is read
    /// again.
    func limitReceiveBuffer(_ bytes: Int) {
        try? channel?.syncOptions?.setOption(.socketOption(.so_rcvbuf), value: .init(bytes))
    }

    /// Ends the session.
    func end(_ why: Ended) {
        guard state != .ended else { return }
        state = .ended
        timer?.cancel()
        timer = nil
        if let door, !why.isSaid { door.shut() } else { channel?.close(promise: nil) }
        channel = nil
        // Until TLS has parted, nothing of a frame that will never be whole is kept.
        parser = FrameParser(limit: 0)
        unfinished?.giveBackAll()
        outbound.part?.giveBackAll()
        onEnd(self, why)
        (onProven, onOpen, onFrames, onEnd) = ({ _, _ in }, { _ in }, { _, _ in false }, { _, _ in })
    }

    func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: options.handshakeTimeout) { loopBound.value.end(.timeout) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deliver()
        end(.closed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // TLS says goodbye; who is killed does not.
        if case NIOSSLError.uncleanShutdown = error {
            return end(.failed("the other side went without a word: it was killed, or the network failed"))
        }
        end(.failed(NetworkFailure.text(error)))
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
    }

    func channelActive(context: ChannelHandlerContext) {
        // The TLS handler holds it back until the handshake is done and the other side's key was checked.
        if case .connecting(let hello) = side { write(hello) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent, state == .greeting, let key = provenKey(context) {
            onProven(self, key)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func write(_ greeting: some CanonicalEncodable) {
        _ = outbound.append(encoder.frame(greeting))
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .ended else { return }
        var bytes = unwrapInboundIn(data)
        counters?.receivedBytes.increment(by: bytes.readableBytes)
        do {
            while state != .ended, let frame = try parser.next(from: &bytes) {
                if state == .open { frames.append(frame) } else { greet(frame, context) }
            }
        } catch {
            deliver()
            return end(.garbage("\(error)"))
        }
        if unfinished?.set(parser.storage) == false {
            deliver()
            end(.noRoom)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliver()
        context.fireChannelReadComplete()
    }

    private func deliver() {
        guard !frames.isEmpty, state == .open else { return }
        let batch = frames
        frames.removeAll(keepingCapacity: true)
        if !onFrames(self, batch) { end(.garbage("a frame that is no message")) }
    }

    /// Nil if the session was resumed, which skips the verification callback.
    private func provenKey(_ context: ChannelHandlerContext) -> PublicKey? {
        guard let tls = try? context.pipeline.syncOperations.handler(type: NIOSSLHandler.self),
            let certificate = tls.peerValidatedCertificateChain?.first
        else { return nil }
        return SessionTLS.key(of: certificate)
    }

    private func greet(_ frame: [UInt8], _ context: ChannelHandlerContext) {
        // Application data arrives only after the handshake.
        guard let key = provenKey(context) else { return end(.resumed) }
        do {
            switch side {
            case .connecting:
                switch try HelloAnswer(decoding: frame) {
                case .accepted: open(limit: frameLimit)
                case .refused(let reason): end(.refused(reason))
                }
            case .accepting(let admit):
                let hello = try Hello(decoding: frame)
                switch admit(self, hello, key) {
                case .success(let limit):
                    write(HelloAnswer.accepted)
                    open(limit: limit)
                case .failure(let refusal):
                    write(HelloAnswer.refused(reason: refusal.description))
                    end(.refused(refusal.description))
                }
            }
        } catch {
            end(.garbage("a greeting that cannot be read (\(error))"))
        }
    }

    private func open(limit: Int) {
        state = .open
        parser.limit = limit
        timer?.cancel()
        timer = nil
        onOpen(self)
        flush()
    }

    /// What both sides set on their sockets.
    static func configure(_ channel: any Channel, _ options: TransportOptions) throws {
        guard let sync = channel.syncOptions else { return }
        try sync.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try sync.setOption(.socketOption(.so_keepalive), value: 1)
        // Linux's TCP_USER_TIMEOUT, which the library has no name for: also bounds keep-alive's patience.
        try sync.setOption(
            ChannelOptions.Types.SocketOption(level: Int(IPPROTO_TCP), name: 18),
            value: .init(options.silenceMilliseconds))
        try sync.setOption(.tcpOption(.init(rawValue: CInt(TCP_KEEPIDLE))), value: 5)
        try sync.setOption(.tcpOption(.init(rawValue: CInt(TCP_KEEPINTVL))), value: 2)
        try sync.setOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
    }
}
