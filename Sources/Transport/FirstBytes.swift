import NIOCore

/// What a connection begins with, as far as its first bytes say.
package enum FirstBytes: Hashable, Sendable {
    /// A TLS handshake (RFC 8446 §5.1).
    case tls
    /// The name of an HTTP method.
    case http
    case other

    package init(_ bytes: some Sequence<UInt8>) {
        let start = Array(bytes.prefix(9))
        if Self.isHello(start) {
            self = .tls
        } else if Self.methods.contains(where: { start.starts(with: $0) }) {
            self = .http
        } else {
            self = .other
        }
    }

    /// A record of a handshake that holds a ClientHello and nothing else. A frame of ours could begin with its first
    /// five bytes; with both lengths it does not.
    private static func isHello(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == 9, bytes[0] == 22, bytes[1] == 3, bytes[2] <= 4, bytes[5] == 1 else { return false }
        let record = Int(bytes[3]) << 8 | Int(bytes[4])
        let hello = Int(bytes[6]) << 16 | Int(bytes[7]) << 8 | Int(bytes[8])
        // A large one may go on in the next record.
        return hello + 4 >= record && record >= 42
    }

    private static let methods = [
        "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "PATCH ", "CONNECT ", "PRI * ",
    ]
    .map { Array($0.utf8) }

    /// The alert by which a TLS client learns that no TLS is spoken here, and a client without TLS that it is:
    /// fatal, `protocol_version`.
    package static let alert: [UInt8] = [21, 3, 3, 0, 2, 2, 70]

    /// Whether a server has answered with a TLS alert.
    package static func isAlert(_ bytes: some Sequence<UInt8>) -> Bool {
        let start = Array(bytes.prefix(5))
        return start.count == 5 && start[0] == 21 && start[1] == 3 && start[3...] == [0, 2]
    }
}

/// The first of a connection's handlers, between its socket and its TLS, if it has one: looks at the first bytes, tells
/// who speaks something else than this port what he has done, and ends a connection without a word where that is asked:
/// a parting that the other side has to answer keeps the descriptor, and who holds hundreds of them does not answer.
package final class PortDoor: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// What a port speaks.
    package enum Speech: Hashable, Sendable {
        case binary
        case binaryInTLS
        case http
        case https
    }

    private enum State { case new, open, closing }

    private let speech: Speech
    private let patience: TimeAmount
    private var state = State.new
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    /// Told once of bytes that are not for this port, in words.
    package var onMistake: (String) -> Void = { _ in }
    /// The handshake did not end in time; the connection has been closed.
    package var onTimeout: () -> Void = {}

    /// - Parameter patience: for the handshake, where there is one; `isThrough` ends the wait.
    package init(_ speech: Speech, patience: TimeAmount = .seconds(10)) {
        (self.speech, self.patience) = (speech, patience)
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard speech == .binaryInTLS || speech == .https else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: patience) { bound.value.timeOut() }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
    }

    /// The handshake is over.
    package func isThrough() {
        timer?.cancel()
        timer = nil
    }

    /// Ends the connection at once.
    package func shut() { context?.close(promise: nil) }

    private func timeOut() {
        shut()
        onTimeout()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .open: context.fireChannelRead(data)
        case .closing: return
        case .new:
            let bytes = unwrapInboundIn(data).readableBytesView
            guard let mistake = mistake(FirstBytes(bytes), maybeTLS: bytes.first == 22) else {
                state = .open
                return context.fireChannelRead(data)
            }
            state = .closing
            timer?.cancel()
            context.writeAndFlush(
                wrapOutboundOut(context.channel.allocator.buffer(bytes: mistake.answer)), promise: nil)
            onMistake(mistake.words)
            // Closing at once, with bytes unread, would take the answer away.
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            timer = context.eventLoop.scheduleTask(in: .seconds(1)) { bound.value.shut() }
        }
    }

    /// - Parameter maybeTLS: the rest of a handshake's first bytes may be on its way; the library judges it then.
    private func mistake(_ first: FirstBytes, maybeTLS: Bool) -> (answer: [UInt8], words: String)? {
        switch (speech, first) {
        case (.binaryInTLS, .other) where maybeTLS, (.https, .other) where maybeTLS: nil
        case (.binary, .other), (.binaryInTLS, .tls), (.https, .tls), (.http, .http), (.http, .other): nil
        case (.binary, .tls): (FirstBytes.alert, "it speaks TLS, and this port does not")
        case (.http, .tls): (FirstBytes.alert, "it speaks TLS, and this port has plain HTTP: use http://")
        case (.binary, .http), (.binaryInTLS, .http):
            (
                Self.page("This is a gateway's port for its binary protocol. HTTP has another port (--http)."),
                "it speaks HTTP, and this port is for the binary protocol"
            )
        case (.https, .http):
            (
                Self.page("This port speaks HTTPS: use https:// in the address."),
                "it speaks plain HTTP, and this port HTTPS"
            )
        case (.binaryInTLS, .other), (.https, .other): (FirstBytes.alert, "it does not speak TLS, and this port does")
        }
    }

    private static func page(_ text: String) -> [UInt8] {
        Array(
            """
            HTTP/1.1 400 Bad Request\r
            Content-Type: text/plain; charset=utf-8\r
            Content-Length: \(text.utf8.count + 1)\r
            Connection: close\r
            \r
            \(text)

            """.utf8)
    }
}
