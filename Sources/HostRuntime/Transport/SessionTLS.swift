import Crypto
import FoundationEssentials
import Messages
import NIOCore
import NIOSSL
import SwiftASN1
import X509

/// One process's end of mutual TLS 1.3: an Ed25519 key in a self-signed certificate that is made at start. Nobody
/// checks the certificate's signature or names; the other side pins the key.
struct SessionTLS: Sendable {
    let publicKey: Messages.PublicKey
    let client: NIOSSLContext
    let server: NIOSSLContext

    /// - Parameter seed: of the host's key; a fresh one for gateways and tools.
    init(seed: [UInt8]) throws {
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        guard let publicKey = Messages.PublicKey(bytes: key.publicKey.rawRepresentation) else {
            preconditionFailure("an Ed25519 public key has 32 bytes")
        }
        self.publicKey = publicKey
        let certificate = try NIOSSLCertificate(bytes: Self.certificate(for: key), format: .der)
        // PKCS #8 (RFC 8410 §7): a fixed prefix, then the seed.
        let prefix: [UInt8] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ]
        let privateKey = try NIOSSLPrivateKey(bytes: prefix + seed, format: .der)

        func pin(_ configuration: inout TLSConfiguration) {
            configuration.minimumTLSVersion = .tlsv13
            configuration.maximumTLSVersion = .tlsv13
            // On both sides: with `.none` a server skips the callback and lets anyone in.
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            configuration.verifySignatureAlgorithms = [.ed25519]
            configuration.signingSignatureAlgorithms = [.ed25519]
            configuration.shutdownTimeout = .seconds(1)
        }
        var clientConfiguration = TLSConfiguration.makeClientConfiguration()
        clientConfiguration.certificateChain = [.certificate(certificate)]
        clientConfiguration.privateKey = .privateKey(privateKey)
        pin(&clientConfiguration)
        var serverConfiguration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: .privateKey(privateKey))
        pin(&serverConfiguration)
        client = try NIOSSLContext(configuration: clientConfiguration)
        server = try NIOSSLContext(configuration: serverConfiguration)
    }

    /// With a key of its own that nobody knows: for gateways and tools.
    static func ephemeral() throws -> SessionTLS {
        try SessionTLS(seed: Array(Curve25519.Signing.PrivateKey().rawRepresentation))
    }

    private static func certificate(for key: Curve25519.Signing.PrivateKey) throws -> [UInt8] {
        let name = try DistinguishedName { CommonName("quorate") }
        let now = Date()
        // A week back, so that a host whose clock is somewhat behind accepts it.
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - 7 * 86400,
            notValidAfter: now + 10 * 365 * 86400, issuer: name, subject: name, signatureAlgorithm: .ed25519,
            extensions: Certificate.Extensions(), issuerPrivateKey: .init(key))
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return serializer.serializedBytes
    }

    /// The Ed25519 key of a certificate; nil for any other kind of key.
    static func key(of certificate: NIOSSLCertificate) -> Messages.PublicKey? {
        guard let information = try? certificate.extractPublicKey().toSPKIBytes() else { return nil }
        // SubjectPublicKeyInfo (RFC 8410 §4): a fixed prefix, then the key.
        let prefix: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
        guard information.count == 44, information.starts(with: prefix) else { return nil }
        return Messages.PublicKey(bytes: information[12...])
    }

    /// The verification callback: it replaces all checks of the library, so it looks at the validity too.
    /// - Parameter expected: the only key that is let in; nil for any.
    private static func verification(_ expected: Messages.PublicKey?) -> NIOSSLCustomVerificationCallbackWithMetadata {
        { certificates, promise in
            let now = Int(Clock.now().wall.number / 1_000_000)
            guard let leaf = certificates.first, let key = key(of: leaf), expected == nil || key == expected,
                leaf.notValidBefore <= now, now < leaf.notValidAfter
            else { return promise.succeed(.failed) }
            // Stored with the handler: a resumed session, which skips this callback, has none, and is refused.
            promise.succeed(.certificateVerified(VerificationMetadata(ValidatedCertificateChain([leaf]))))
        }
    }

    func clientHandler(expecting key: Messages.PublicKey) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(
            context: client, serverHostname: nil, customVerificationCallbackWithMetadata: Self.verification(key))
    }

    func serverHandler() -> NIOSSLServerHandler {
        NIOSSLServerHandler(context: server, customVerificationCallbackWithMetadata: Self.verification(nil))
    }
}
