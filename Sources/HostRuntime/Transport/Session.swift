import Glibc
import Messages
import NIOCore
import NIOSSL

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

        var description: String {
            switch self {
            case .closed: "the connection was closed"
            case .refused(let reason): "refused: \(reason)"
            case .timeout: "no greeting in time"
            case .resumed: "a resumed TLS session, which proves no key"
            case .garbage(let what): what
            case .failed(let error): error
            case .stopped: "stopped"
            }
        }
    }

    private enum State { case greeting, open, ended }

    private let side: Side
    private let options: TransportOptions
    private var state = State.greeting
    private var parser = FrameParser(limit: Hello.maxFrame)
    private var outbound: OutboundFrames
    private var frames: [[UInt8]] = []
    private var timer: Scheduled<Void>?
    private(set) var channel: (any Channel)?

    /// The frame limit after the answer, on the connecting side.
    var frameLimit: Int
    var onOpen: (Session) -> Void = { _ in }
    /// False if a frame is no message: the session then ends.
    var onFrames: (Session, [[UInt8]]) -> Bool = { _, _ in false }
    /// Once, whatever happened before.
    var onEnd: (Session, Ended) -> Void = { _, _ in }

    init(_ side: Side, frameLimit: Int, outboundLimit: Int, options: TransportOptions) {
        (self.side, self.frameLimit, self.options) = (side, frameLimit, options)
        outbound = OutboundFrames(limit: outboundLimit)
    }

    /// False if the frame was dropped. `flush` sends.
    func send(_ frame: [UInt8]) -> Bool { state == .open && outbound.append(frame) }

    func flush() {
        if let channel, let bytes = outbound.take(for: channel) { channel.writeAndFlush(bytes, promise: nil) }
    }

    /// Ends the session.
    func end(_ why: Ended) {
        guard state != .ended else { return }
        state = .ended
        timer?.cancel()
        timer = nil
        channel?.close(promise: nil)
        channel = nil
        onEnd(self, why)
        (onOpen, onFrames, onEnd) = ({ _ in }, { _, _ in false }, { _, _ in })
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

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.failed("\(error)")) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
    }

    func channelActive(context: ChannelHandlerContext) {
        // The TLS handler holds it back until the handshake is done and the other side's key was checked.
        if case .connecting(let hello) = side { write(hello.encoded()) }
        context.fireChannelActive()
    }

    private func write(_ frame: [UInt8]) {
        _ = outbound.append(frame)
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .ended else { return }
        var bytes = unwrapInboundIn(data)
        parser.append(&bytes)
        do {
            while state != .ended, let frame = try parser.next() {
                if state == .open { frames.append(frame) } else { greet(frame, context) }
            }
        } catch {
            deliver()
            end(.garbage("\(error)"))
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

    private func greet(_ frame: [UInt8], _ context: ChannelHandlerContext) {
        // Application data arrives only after the handshake. A resumed session has skipped the verification callback.
        guard let tls = try? context.pipeline.syncOperations.handler(type: NIOSSLHandler.self),
            let certificate = tls.peerValidatedCertificateChain?.first, let key = SessionTLS.key(of: certificate)
        else { return end(.resumed) }
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
                    write(HelloAnswer.accepted.encoded())
                    open(limit: limit)
                case .failure(let refusal):
                    write(HelloAnswer.refused(reason: refusal.description).encoded())
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
        try sync.setOption(ChannelOptions.Types.SocketOption(level: Int(IPPROTO_TCP), name: 18), value: .init(options.silenceMilliseconds))
        try sync.setOption(.tcpOption(.init(rawValue: CInt(TCP_KEEPIDLE))), value: 5)
        try sync.setOption(.tcpOption(.init(rawValue: CInt(TCP_KEEPINTVL))), value: 2)
        try sync.setOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
    }
}
