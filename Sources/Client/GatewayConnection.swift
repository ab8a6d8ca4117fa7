import ConnectionErrors
import Messages
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization
import Transport

/// Where a gateway listens.
public struct GatewayAddress: Hashable, Sendable, CustomStringConvertible {
    /// An IP address, or a name that this machine resolves.
    public let host: String
    /// A TCP port, 1 to 65,535.
    public let port: Int
    /// By what the gateway is known in TLS; nil for plain TCP.
    public let trust: GatewayTrust?
    /// What an emulated network adds to a connection; nil for the network that there is.
    package var delay: DelayedLink?
    /// Checks nothing: whether anybody listens there shows when it is connected to.
    public init(host: String, port: Int, trust: GatewayTrust? = nil) {
        (self.host, self.port, self.trust) = (host, port, trust)
    }
    /// `host:port`, as errors name it, and `[host]:port` of an IPv6 address.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What became of one connection, or of one request on it. None of them says anything about the request's outcome.
public enum ConnectionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Refused, unreachable or not answered within the timeout; with the cause in words.
    case cannotConnect(GatewayAddress, String)
    /// Whoever listens there has not proven, in TLS, that it is a gateway of the cluster. Nothing was sent.
    case notTrusted(GatewayAddress, String)
    /// One side speaks TLS, and the other does not. Nothing was understood.
    case tlsMismatch(GatewayAddress, String)
    /// The gateway or the network ended it. Whatever waited on it may have been sent.
    case lost(String)
    /// Ended here: by `close`, or because the waiting task was cancelled.
    case closed
    /// The timeout of this one request. The connection goes on.
    case timeout
    /// The gateway sent something that is no reply, or a reply of the wrong kind.
    case garbage(String)
    /// This request was not sent.
    case tooManyOutstanding(limit: Int)

    /// In words, with the gateway's address where it is known.
    public var description: String {
        switch self {
        case .cannotConnect(let address, let why): "cannot connect to the gateway at \(address): \(why)"
        case .notTrusted(let address, let why): "the gateway at \(address) is not to be trusted: \(why)"
        case .tlsMismatch(let address, let why): "the gateway at \(address) cannot be spoken to: \(why)"
        case .lost(let why): "the connection to the gateway was lost: \(why)"
        case .closed: "the connection to the gateway was closed"
        case .timeout: "the gateway did not answer in time"
        case .garbage(let what): "the gateway does not speak the protocol: \(what)"
        case .tooManyOutstanding(let limit): "\(limit) requests wait on this connection, which is its limit"
        }
    }
}

/// A gateway's answer to a request. A receipt is worth nothing before it is verified.
public enum SubmitResult: Hashable, Sendable {
    /// - retries: how often the gateway sent the request again, and after how many conflicts.
    case receipt(Receipt, retries: UInt32, conflicts: UInt32)
    /// The gateway gives up. The request may take effect all the same, or may have.
    case rejected(GatewayRejection, retryAfterMicroseconds: UInt64)
}

// Untyped throws: see `QuorateClient`.
/// One connection to a gateway, in TLS 1.3 where its address says by what it is known, with any number of requests on their way. Does not reconnect.
///
/// The functions with a completion are for load generators: thousands of principals share a few connections, with no
/// task a request. Completions run on the connection's event loop, must not block, and are called exactly once.
public final class GatewayConnection: Sendable {
    package typealias Completion = @Sendable (Result<GatewayReply, ConnectionError>) -> Void

    fileprivate struct Call: Sendable {
        let message: @Sendable (UInt64) -> ClientMessage
        let timeout: Duration?
        let completion: Completion
    }

    /// To whom it was made.
    public let address: GatewayAddress
    private let loop: any EventLoop
    private let handler: NIOLoopBound<ConnectionHandler>
    private let calls: Mailbox<Call>

    /// - Parameter maxOutstanding: more requests than that at once fail with `tooManyOutstanding`.
    /// - Throws: `ConnectionError`, as all functions here.
    public static func connect(
        _ address: GatewayAddress, maxOutstanding: Int = 65536, timeout: Duration = .seconds(3),
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws -> GatewayConnection {
        let loop = group.next()
        let objection = GatewayTrust.Objection()
        let opened = loop.makePromise(of: Void.self)
        do {
            let handler = try await ClientBootstrap(group: loop)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .connectTimeout(TimeAmount(timeout))
                .connect(host: address.host, port: address.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let delay = address.delay {
                            try channel.pipeline.syncOperations.addHandler(DelayLine(delay))
                        }
                        let handler = ConnectionHandler(channel, address: address, maxOutstanding: maxOutstanding)
                        if let trust = address.trust {
                            handler.awaitHandshake(opened, TimeAmount(timeout))
                            try channel.pipeline.syncOperations.addHandler(
                                trust.handler(host: address.host, objection: objection))
                        } else {
                            opened.succeed(())
                        }
                        try channel.pipeline.syncOperations.addHandler(handler)
                        return NIOLoopBound(handler, eventLoop: channel.eventLoop)
                    }
                }
            // A gateway that stands still takes connections and says nothing.
            try await withTaskCancellationHandler {
                try await opened.futureResult.get()
            } onCancel: {
                loop.execute { handler.value.end(.closed) }
            }
            return GatewayConnection(address: address, loop: loop, handler: handler)
        } catch {
            opened.fail(error)
            if let why = objection.words { throw ConnectionError.notTrusted(address, why) }
            if let error = error as? ConnectionError { throw error }
            throw ConnectionError.cannotConnect(address, NetworkFailure.text(error))
        }
    }

    private init(address: GatewayAddress, loop: any EventLoop, handler: NIOLoopBound<ConnectionHandler>) {
        (self.address, self.loop, self.handler) = (address, loop, handler)
        calls = Mailbox(on: loop) { handler.value.send($0) }
    }

    /// Submits a request.
    /// - Parameter timeout: nil to wait until the connection ends.
    public func submit(
        _ request: SignedRequest, timeout: Duration? = nil,
        completion: @escaping @Sendable (Result<SubmitResult, ConnectionError>) -> Void
    ) {
        call({ .submit(id: $0, request) }, timeout) { result in
            switch result {
            case .success(.receipt(_, let receipt, let retries, let conflicts)):
                completion(.success(.receipt(receipt, retries: retries, conflicts: conflicts)))
            case .success(.rejected(_, let reason, let retryAfter)):
                completion(.success(.rejected(reason, retryAfterMicroseconds: retryAfter)))
            case .success(.account), .success(.status), .success(.read), .success(.stamps):
                completion(.failure(.garbage("a reply of another kind")))
            case .failure(let error): completion(.failure(error))
            }
        }
    }

    /// Submits a request and waits for the gateway's answer. Cancelling ends the wait and not the request.
    /// - Parameter timeout: nil to wait until the connection ends.
    /// - Throws: `ConnectionError`; then nothing is known of the request's outcome.
    public func submit(_ request: SignedRequest, timeout: Duration? = nil) async throws -> SubmitResult {
        try await untilCancelled { submit(request, timeout: timeout, completion: $0) }
    }

    /// Sends a request now, behind all that was sent before from the same thread or actor. Its answer is for who waits
    /// for it later, or for nobody.
    func send(_ request: SignedRequest, timeout: Duration?) -> SentRequest {
        let answer = FirstResult<SubmitResult>()
        submit(request, timeout: timeout) { answer.finish($0) }
        return SentRequest(connection: self, result: answer)
    }

    /// A weak read: not certified.
    /// - Returns: the account, nil if it does not exist, and how many replicas said the same.
    public func account(
        _ account: AccountID, timeout: Duration? = .seconds(10)
    ) async throws -> (view: AccountView?, agreeing: Int) {
        guard case .account(_, let view, let agreeing) = try await call({ .account(id: $0, account) }, timeout) else {
            throw ConnectionError.garbage("a reply of another kind")
        }
        return (view, Int(agreeing))
    }

    /// The answers to a quorum read, unchecked: the gateway is trusted with nothing. None if it is overloaded.
    public func read(_ subject: ReadSubject, nonce: Digest, timeout: Duration? = .seconds(10)) async throws
        -> [ReadAnswer]
    {
        switch try await call({ .read(id: $0, subject, nonce: nonce) }, timeout) {
        case .read(_, let answers): return answers
        case .rejected: return []
        case .receipt, .account, .status, .stamps: throw ConnectionError.garbage("a reply of another kind")
        }
    }

    /// The gateway's counters since it started.
    /// - Throws: `ConnectionError`.
    public func status(timeout: Duration? = .seconds(10)) async throws -> GatewayStatus {
        guard case .status(_, let status) = try await call({ .status(id: $0) }, timeout) else {
            throw ConnectionError.garbage("a reply of another kind")
        }
        return status
    }

    /// Moments of traced requests, as the gateway saw them.
    /// - Throws: `ConnectionError`.
    public func stamps(_ query: StampQuery, timeout: Duration? = .seconds(10)) async throws -> StampAnswer {
        guard case .stamps(_, let answer) = try await call({ .stamps(id: $0, query) }, timeout) else {
            throw ConnectionError.garbage("a reply of another kind")
        }
        return answer
    }

    private func call(
        _ message: @escaping @Sendable (UInt64) -> ClientMessage, _ timeout: Duration?
    ) async throws -> GatewayReply {
        try await untilCancelled { call(message, timeout, $0) }
    }

    /// What `start` completes with; `closed` as soon as the task is cancelled: whoever interrupts a wait does not wait
    /// for its end.
    private func untilCancelled<Value: Sendable>(
        _ start: (@escaping @Sendable (Result<Value, ConnectionError>) -> Void) -> Void
    ) async throws -> Value {
        let first = FirstResult<Value>()
        let finish: @Sendable (Result<Value, ConnectionError>) -> Void = { first.finish($0) }
        return try await withTaskCancellationHandler {
            try await withCheckedContinuation { continuation in
                if first.wait(continuation) { start(finish) }
            }.get()
        } onCancel: {
            finish(.failure(.closed))
        }
    }

    /// Hands the call to the loop; a burst wakes it once and leaves in one write.
    private func call(
        _ message: @escaping @Sendable (UInt64) -> ClientMessage, _ timeout: Duration?,
        _ completion: @escaping Completion
    ) {
        calls.post(Call(message: message, timeout: timeout, completion: completion))
    }

    /// Ends the connection when nothing waits for an answer on it any more.
    package func closeWhenIdle() {
        let handler = handler
        loop.execute { handler.value.endWhenIdle() }
    }

    /// Ends the connection; whatever waits fails with `closed`.
    public func close() async {
        let handler = handler
        try? await loop.submit { handler.value.end(.closed) }.get()
    }
}

/// Of an answer and a cancellation the one that comes first counts.
private final class FirstResult<Value: Sendable>: Sendable {
    private typealias Outcome = Result<Value, ConnectionError>

    private enum State {
        case new
        case waiting(CheckedContinuation<Outcome, Never>)
        case finished(Outcome)
    }

    private let state = Mutex(State.new)

    func finish(_ result: Result<Value, ConnectionError>) {
        let waiting: CheckedContinuation<Outcome, Never>? = state.withLock { state in
            switch state {
            case .new: state = .finished(result)
            case .finished: break
            case .waiting(let continuation):
                state = .finished(result)
                return continuation
            }
            return nil
        }
        waiting?.resume(returning: result)
    }

    /// - Returns: false if it had been finished before anybody waited: the continuation has been resumed.
    func wait(_ continuation: CheckedContinuation<Result<Value, ConnectionError>, Never>) -> Bool {
        let early: Outcome? = state.withLock { state in
            if case .finished(let result) = state { return result }
            state = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
        return early == nil
    }
}

/// A request that is on its way over a connection.
struct SentRequest: Sendable {
    /// Over which it went.
    let connection: GatewayConnection
    fileprivate let result: FirstResult<SubmitResult>

    /// The gateway's answer, to be waited for once. Cancelling ends the wait and not the request.
    /// - Throws: `ConnectionError`.
    func answer() async throws -> SubmitResult {
        try await withTaskCancellationHandler {
            try await withCheckedContinuation { _ = result.wait($0) }.get()
        } onCancel: {
            result.finish(.failure(.closed))
        }
    }
}

/// The connection's part that lives on its loop: which call has which id.
private final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private struct Waiting {
        let completion: GatewayConnection.Completion
        let timer: Scheduled<Void>?
    }

    /// Bytes; a receipt of the largest bundle is far below it.
    private static let maxFrame = 16 << 20

    private let channel: any Channel
    private let address: GatewayAddress
    private let maxOutstanding: Int
    private var parser = FrameParser(limit: ConnectionHandler.maxFrame)
    private var encoder = FrameEncoder()
    private var waiting: [UInt64: Waiting] = [:]
    private var lastID: UInt64 = 0
    private var ended: ConnectionError?
    private var endsWhenIdle = false
    private var hasRead = false
    /// Who waits for the handshake.
    private var opening: EventLoopPromise<Void>?
    private var handshakeTimer: Scheduled<Void>?

    init(_ channel: any Channel, address: GatewayAddress, maxOutstanding: Int) {
        (self.channel, self.address, self.maxOutstanding) = (channel, address, maxOutstanding)
    }

    /// - Parameter opened: completed when TLS is up, or is not to be had.
    func awaitHandshake(_ opened: EventLoopPromise<Void>, _ timeout: TimeAmount) {
        opening = opened
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        handshakeTimer = channel.eventLoop.scheduleTask(in: timeout) {
            let handler = bound.value
            handler.end(.cannotConnect(handler.address, "no answer to the TLS handshake in time"))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { open(.success(())) }
        context.fireUserInboundEventTriggered(event)
    }

    private func open(_ result: Result<Void, any Error>) {
        handshakeTimer?.cancel()
        (opening, handshakeTimer) = (
            {
                $0?.completeWith(result); return nil
            }(opening), nil
        )
    }

    func send(_ calls: [GatewayConnection.Call]) {
        var bytes = channel.allocator.buffer(capacity: 512 * calls.count)
        for call in calls {
            if let ended {
                call.completion(.failure(ended))
                continue
            }
            guard waiting.count < maxOutstanding else {
                call.completion(.failure(.tooManyOutstanding(limit: maxOutstanding)))
                continue
            }
            lastID += 1
            let id = lastID
            var timer: Scheduled<Void>?
            if let timeout = call.timeout {
                let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
                timer = channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                    bound.value.waiting.removeValue(forKey: id)?.completion(.failure(.timeout))
                    bound.value.endIfIdle()
                }
            }
            waiting[id] = Waiting(completion: call.completion, timer: timer)
            bytes.write(encoder.frame(call.message(id)))
        }
        // The number outstanding bounds what the channel may hold, as long as no call times out: who sets a timeout
        // leaves the connection after one, as `QuorateClient` does.
        if bytes.readableBytes > 0 { channel.writeAndFlush(bytes, promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard ended == nil else { return }
        var bytes = unwrapInboundIn(data)
        if !hasRead, address.trust == nil, FirstBytes.isAlert(bytes.readableBytesView) {
            return end(
                .tlsMismatch(address, "it speaks TLS, and this client was not told by what to know it (authority.crt)"))
        }
        hasRead = true
        do {
            while let frame = try parser.next(from: &bytes) {
                let reply = try GatewayReply(decoding: frame)
                // An id that nobody waits for has timed out here.
                guard let call = waiting.removeValue(forKey: reply.id) else { continue }
                call.timer?.cancel()
                call.completion(.success(reply))
            }
            endIfIdle()
        } catch {
            end(.garbage("\(error)"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard opening != nil else { return end(.lost("closed by the gateway")) }
        end(.cannotConnect(address, "it closed the connection during the TLS handshake; perhaps it speaks no TLS"))
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard opening != nil else { return end(.lost(NetworkFailure.text(error))) }
        end(handshakeFailure(error))
    }

    /// What its end before TLS was up says of who listens there.
    private func handshakeFailure(_ error: any Error) -> ConnectionError {
        guard let error = error as? NIOSSLError, case .handshakeFailed(let cause) = error else {
            return .cannotConnect(address, NetworkFailure.text(error))
        }
        switch NetworkFailure.reason(cause) {
        case "WRONG_VERSION_NUMBER", "TLSV1_ALERT_PROTOCOL_VERSION", "HTTP_REQUEST", "UNEXPECTED_MESSAGE":
            return .tlsMismatch(
                address,
                "this client expects TLS 1.3, and it does not speak it. Start the gateway with its certificate, or leave authority.crt out if plain TCP is meant"
            )
        default: return .cannotConnect(address, NetworkFailure.text(error))
        }
    }

    func endWhenIdle() {
        endsWhenIdle = true
        endIfIdle()
    }

    private func endIfIdle() { if endsWhenIdle, waiting.isEmpty { end(.closed) } }

    func end(_ why: ConnectionError) {
        guard ended == nil else { return }
        ended = why
        open(.failure(why))
        channel.close(promise: nil)
        let calls = waiting
        waiting = [:]
        for call in calls.values {
            call.timer?.cancel()
            call.completion(.failure(why))
        }
    }
}

extension GatewayReply {
    fileprivate var id: UInt64 {
        switch self {
        case .receipt(let id, _, _, _), .rejected(let id, _, _), .account(let id, _, _), .status(let id, _),
            .read(let id, _), .stamps(let id, _):
            id
        }
    }
}
