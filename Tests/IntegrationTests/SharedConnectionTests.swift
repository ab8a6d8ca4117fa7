import Client
import FoundationEssentials
import Glibc
import HostRuntime
import Messages
import Synchronization
import Testing

/// All calls of a client share one connection to a gateway.
@Suite(.timeLimit(.minutes(1))) struct SharedConnectionTests {
    @Test func aCallThatIsCancelledOrTimesOutDoesNotEndTheOthers() async throws {
        let (client, gateway) = try Self.make { _ in nil }
        let account = AccountSpecification(owner: client.publicKey, asset: AssetID(1)).id
        let patient = Task { try await client.account(account) }
        await gateway.until { $0.questions.count == 1 }
        let cancelled = Task { try await client.account(account) }
        await gateway.until { $0.questions.count == 2 }
        cancelled.cancel()
        await #expect(throws: ConnectionError.closed) { try await cancelled.value }
        #expect(try await client.quorumRead(account, attempts: 1, timeout: .milliseconds(50)) == nil)
        #expect(gateway.state.opened == 1)
        // Whoever asks now has a new connection; the old one ends when nobody waits on it any more.
        let next = Task { try await client.account(account) }
        await gateway.until { $0.opened == 2 && $0.questions.count == 4 }
        #expect(gateway.state.ended == 0)
        gateway.answerAll { if case .account(let id, _) = $0 { .account(id: id, nil, agreeing: 4) } else { nil } }
        #expect(try await patient.value == nil)
        #expect(try await next.value == nil)
        await gateway.until { $0.ended == 1 }
        await client.close()
        await gateway.until { $0.ended == 2 }
    }

    @Test func aConnectionWithAGatewayThatSpeaksNonsenseIsClosed() async throws {
        let (client, gateway) = try Self.make { question in
            if case .account(let id, _) = question { .read(id: id, []) } else { nil }
        }
        let account = AccountSpecification(owner: client.publicKey, asset: AssetID(1)).id
        await #expect(throws: ConnectionError.self) { _ = try await client.account(account) }
        await gateway.until { $0.ended == 1 }
        await client.close()
    }

    /// Of a key in use no quorum says the same; and a shard is not asked by each request that is about to be signed.
    @Test func manyAskTogetherForAShardsTimeByAKeyThatNobodyUses() async throws {
        let (client, gateway) = try Self.make { _ in nil }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { _ = await client.clockReport() } }
        }
        let subjects = gateway.state.questions.map { question -> ReadSubject? in
            if case .read(_, let subject, _) = question { subject } else { nil }
        }
        #expect(subjects == [.principal(PublicKey(FixedBytes32()), at: ShardID(0))])
        await client.close()
    }

    private static func make(_ answer: @escaping FakeGateway.Answer) throws -> (QuorateClient, FakeGateway) {
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        let folder = try ClusterFolder.create(at: path, shards: 1, replicas: 4, basePort: 20000)
        let gateway = try FakeGateway(answer)
        let client = QuorateClient(
            signer: try folder.issuer(), manifest: folder.manifest,
            gateways: [GatewayAddress(host: "127.0.0.1", port: gateway.port)],
            firstNumber: RequestNumber(1))
        try FileManager.default.removeItem(atPath: path)
        return (client, gateway)
    }
}

/// Listens as a gateway does, and answers what it is told.
private final class FakeGateway: Sendable {
    typealias Answer = @Sendable (ClientMessage) -> GatewayReply?

    struct State: Sendable {
        var opened = 0
        var ended = 0
        var questions: [ClientMessage] = []
        fileprivate var unanswered: [(descriptor: Int32, ClientMessage)] = []
    }

    let port: Int
    private let listener: Int32
    private let shared = Mutex(State())
    private let answer: Answer

    var state: State { shared.withLock { $0 } }

    init(_ answer: @escaping Answer) throws {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (listener, length) = (listener, size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        try #require(isBound)
        port = Int(UInt16(bigEndian: address.sin_port))
        Self.thread { [weak self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0, let self else { return }
                shared.withLock { $0.opened += 1 }
                Self.thread { [weak self] in self?.serve(descriptor) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Awaits what it counts.
    func until(_ condition: (State) -> Bool) async {
        while !condition(state), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
    }

    func answerAll(_ answer: (ClientMessage) -> GatewayReply?) {
        let unanswered = shared.withLock { state in
            defer { state.unanswered = [] }
            return state.unanswered
        }
        for (descriptor, question) in unanswered {
            if let reply = answer(question) { Self.send(reply, to: descriptor) }
        }
    }

    private func serve(_ descriptor: Int32) {
        while let length = Self.read(4, from: descriptor), let frame = Self.read(Self.number(length), from: descriptor)
        {
            guard let question = try? ClientMessage(decoding: frame) else { break }
            let reply = answer(question)
            shared.withLock { state in
                state.questions.append(question)
                if reply == nil { state.unanswered.append((descriptor, question)) }
            }
            if let reply { Self.send(reply, to: descriptor) }
        }
        shared.withLock { $0.ended += 1 }
    }

    private static func number(_ bytes: [UInt8]) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }

    private static func send(_ reply: GatewayReply, to descriptor: Int32) {
        let bytes = reply.encoded()
        let frame = (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
        _ = frame.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Nil at the end.
    private static func read(_ count: Int, from descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, count, Int32(MSG_WAITALL)) }
        return got == count ? bytes : nil
    }

    private static func thread(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Body(run: body))
        pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
