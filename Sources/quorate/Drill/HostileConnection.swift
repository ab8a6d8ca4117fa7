import Crypto
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import SwiftASN1
import Synchronization
import X509

/// A port of a cluster as somebody sees it who means no good.
enum HostilePort: String, Codable, Sendable {
    /// The binary protocol of clients.
    case gateway
    /// HTTP of a gateway.
    case http
    /// Mutual TLS of a host.
    case host
}

/// One connection of somebody who means no good: bytes go out as they are, and what comes is counted.
final class HostileConnection: Sendable {
    struct Seen: Sendable {
        var received = 0
        /// What came first.
        var head: [UInt8] = []
        /// When the other side ended it: monotonic nanoseconds.
        var endedAt: UInt64?
        fileprivate var isOurs = false
    }

    /// Bytes as they leave, below TLS.
    final class Recorder: ChannelOutboundHandler, Sendable {
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let all = Mutex<[UInt8]>([])
        var bytes: [UInt8] { all.withLock { $0 } }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            let buffer = unwrapOutboundIn(data)
            all.withLock { $0 += buffer.readableBytesView }
            context.write(data, promise: promise)
        }
    }

    fileprivate final class Box: Sendable {
        let seen = Mutex(Seen())
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let box: Box
        /// Bytes of what comes first that are kept.
        private let kept: Int

        init(_ box: Box, _ kept: Int) { (self.box, self.kept) = (box, kept) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            box.seen.withLock { seen in
                seen.received += bytes.readableBytes
                if seen.head.count < kept {
                    seen.head += bytes.readableBytesView.prefix(kept - seen.head.count)
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            box.seen.withLock { if !$0.isOurs { $0.endedAt = $0.endedAt ?? DrillScene.now } }
        }

        /// An alert of the other side's TLS, or a reset.
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    let openedAt: UInt64
    private let channel: any Channel
    private let box: Box

    private init(_ channel: any Channel, _ box: Box) {
        (self.channel, self.box) = (channel, box)
        openedAt = DrillScene.now
    }

    /// The one place where connections are made.
    /// - Parameters:
    ///   - tls: with which it pretends to be somebody; nil for bytes as they are.
    ///   - reads: false for one that never takes what it asked for.
    ///   - keeps: bytes of what comes first that `seen` has.
    static func open(
        _ address: (host: String, port: Int), tls: NIOSSLContext? = nil, recorder: Recorder? = nil, reads: Bool = true,
        keeps: Int = 64, on group: MultiThreadedEventLoopGroup
    ) async throws -> HostileConnection {
        let box = Box()
        var bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.seconds(5))
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let recorder { try channel.pipeline.syncOperations.addHandler(recorder) }
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: nil))
                    }
                    try channel.pipeline.syncOperations.addHandler(Handler(box, keeps))
                }
            }
        // What the system takes for one that does not read is to be full soon.
        if !reads { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: 8192) }
        let channel = try await bootstrap.connect(host: address.host, port: address.port).get()
        return HostileConnection(channel, box)
    }

    var seen: Seen { box.seen.withLock { $0 } }
    var isOpen: Bool { channel.isActive && seen.endedAt == nil }

    /// Unless what was sent before has not left yet.
    func send(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, channel.isActive, channel.isWritable else { return }
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    /// From now on what comes is taken.
    func readAtLast() { channel.setOption(.autoRead, value: true).whenFailure { _ in } }

    /// - Returns: false if the other side has not ended it until then: monotonic nanoseconds.
    func waitForEnd(until moment: UInt64) async -> Bool {
        while isOpen, DrillScene.now < moment, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(10)) }
        return !isOpen
    }

    func close() {
        box.seen.withLock { $0.isOurs = true }
        channel.close(promise: nil)
    }
}

/// Whom somebody pretends to be at a host's port, with certificates that are made now.
enum HostileIdentity: String, CaseIterable, Codable, Sendable {
    /// No certificate at all.
    case none = "no certificate"
    /// Self-signed, of a kind of key that no host has.
    case otherKind = "P-256 certificate"
    case expired = "expired certificate"
    case early = "certificate not valid yet"
    /// As any tool has: a fresh key, self-signed.
    case stranger = "unknown key"

    private static let day = 86_400.0

    /// TLS 1.3, that believes whatever the other side shows.
    func context() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.maximumTLSVersion = .tlsv13
        configuration.certificateVerification = .none
        configuration.verifySignatureAlgorithms = [.ed25519]
        let now = Date()
        switch self {
        case .none: break
        case .otherKind:
            let key = P256.Signing.PrivateKey()
            configuration.certificateChain = [
                .certificate(
                    try Self.certificate(
                        Certificate.PrivateKey(key), .ecdsaWithSHA256, now - Self.day, now + 365 * Self.day))
            ]
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der))
        case .expired: try sign(&configuration, from: now - 30 * Self.day, until: now - Self.day)
        case .early: try sign(&configuration, from: now + Self.day, until: now + 30 * Self.day)
        case .stranger: try sign(&configuration, from: now - Self.day, until: now + 365 * Self.day)
        }
        return try NIOSSLContext(configuration: configuration)
    }

    private func sign(_ configuration: inout TLSConfiguration, from start: Date, until end: Date) throws {
        let key = Curve25519.Signing.PrivateKey()
        // PKCS #8 (RFC 8410 §7): a fixed prefix, then the seed.
        let prefix: [UInt8] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ]
        configuration.certificateChain = [
            .certificate(try Self.certificate(Certificate.PrivateKey(key), .ed25519, start, end))
        ]
        configuration.privateKey = .privateKey(
            try NIOSSLPrivateKey(bytes: prefix + Array(key.rawRepresentation), format: .der))
        configuration.signingSignatureAlgorithms = [.ed25519]
    }

    private static func certificate(
        _ key: Certificate.PrivateKey, _ algorithm: Certificate.SignatureAlgorithm, _ start: Date, _ end: Date
    ) throws -> NIOSSLCertificate {
        let name = try DistinguishedName { CommonName("quorate") }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: start, notValidAfter: end,
            issuer: name, subject: name, signatureAlgorithm: algorithm, extensions: Certificate.Extensions(),
            issuerPrivateKey: key)
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
    }
}
