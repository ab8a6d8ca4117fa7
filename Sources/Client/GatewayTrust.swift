import ConnectionErrors
import FoundationEssentials
import Glibc
import NIOCore
import NIOSSL
import Synchronization
import X509

/// By what a client knows that it speaks, in TLS, with a gateway of the cluster: the certificates of the authorities
/// that vouch for its name. A gateway stays untrusted all the same: this keeps others from reading along, and from
/// standing in for it.
public struct GatewayTrust: Hashable, Sendable {
    private enum Anchor: Hashable, Sendable {
        /// Certificates of authorities as PEM text.
        case authorities(String)
        /// The gateway's own, in DER: no other is taken, whatever its names are.
        case pinned([UInt8])
    }

    private let anchor: Anchor
    private let prepared: Prepared

    /// - Parameter authorities: the text of `authority.crt`: one certificate or more in PEM. If there is none that can
    ///   be read, every connection is refused with that reason.
    public init(authorities pem: String) {
        anchor = .authorities(pem)
        prepared = Prepared(.fullVerification) { try CertificateStore(Self.certificates(in: pem)) }
    }

    /// By `authority.crt` in the folder of a `cluster.json`, as a cluster's folder and its public part have them; nil if
    /// there is nothing of that name: then gateways are reached in plain TCP. A file that cannot be read or looked at, or
    /// a link that leads nowhere, trusts nobody.
    public init?(beside manifest: String) {
        let folder = manifest.lastIndex(of: "/").map { String(manifest[...$0]) } ?? ""
        let path = folder + "authority.crt"
        var information = stat()
        if lstat(path, &information) != 0 && errno == ENOENT { return nil }
        let bytes = FileManager.default.contents(atPath: path)
        self.init(authorities: String(decoding: bytes ?? Data(), as: UTF8.self))
    }

    /// Takes exactly this certificate: for a process that connects to itself.
    package init(pinned certificate: [UInt8]) {
        anchor = .pinned(certificate)
        prepared = Prepared(.noHostnameVerification) { CertificateStore() }
    }

    /// Whether both trust the same.
    public static func == (a: GatewayTrust, b: GatewayTrust) -> Bool { a.anchor == b.anchor }
    /// Of what is trusted.
    public func hash(into hasher: inout Hasher) { hasher.combine(anchor) }

    /// - Throws: if a certificate cannot be read, or there is none.
    package static func certificates(in pem: String) throws -> [X509.Certificate] {
        guard !pem.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
        let documents = try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8))
        guard !documents.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
        return try documents.map { try X509.Certificate(derEncoded: try $0.toDERBytes()) }
    }

    /// Made once: a context is costly.
    private final class Prepared: Sendable {
        let context: Result<NIOSSLContext, any Error>
        let roots: Result<CertificateStore, any Error>

        /// - Parameter verification: what the library itself looks at beside the callback; with `.none` that would not be
        ///   asked.
        init(_ verification: CertificateVerification, _ roots: () throws -> CertificateStore) {
            self.roots = Result { try roots() }
            context = Result {
                var configuration = TLSConfiguration.makeClientConfiguration()
                (configuration.minimumTLSVersion, configuration.maximumTLSVersion) = (.tlsv13, .tlsv13)
                configuration.certificateVerification = verification
                configuration.trustRoots = .certificates([])
                // A gateway that stands still is not waited for: whoever interrupts a command wants it to end.
                configuration.shutdownTimeout = .milliseconds(300)
                return try NIOSSLContext(configuration: configuration)
            }
        }
    }

    /// Why a gateway's certificate was not taken, for whoever waits for the handshake.
    final class Objection: Sendable {
        private let text = Mutex<String?>(nil)
        var words: String? { text.withLock { $0 } }
        func raise(_ words: String) { text.withLock { $0 = words } }
    }

    /// - Parameters:
    ///   - host: to which name or address the connection is made: the certificate must have it.
    ///   - objection: gets the reason, if the certificate is not taken.
    func handler(host: String, objection: Objection) throws -> NIOSSLClientHandler {
        let roots: CertificateStore
        do { roots = try prepared.roots.get() } catch {
            objection.raise("the certificates of the authorities cannot be read; restore authority.crt from a copy")
            throw error
        }
        let anchor = anchor
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(
            context: prepared.context.get(), serverHostname: isAddress ? nil : host,
            customVerificationCallback: { certificates, promise in
                promise.completeWithTask {
                    let problem: String?
                    switch anchor {
                    case .pinned(let bytes):
                        let isOurs = (try? certificates.first?.toDERBytes()) == bytes
                        problem = isOurs ? nil : "its certificate is not this process's own"
                    case .authorities:
                        problem = await Self.problem(
                            with: certificates, roots: roots, host: host, isAddress: isAddress)
                    }
                    if let problem { objection.raise(problem) }
                    return problem == nil ? .certificateVerified : .failed
                }
            })
    }

    /// What is wrong with a chain; nil if the gateway is who it should be.
    private static func problem(
        with chain: [NIOSSLCertificate], roots: CertificateStore, host: String, isAddress: Bool
    ) async -> String? {
        let certificates = chain.compactMap { try? X509.Certificate(derEncoded: $0.toDERBytes()) }
        guard let leaf = certificates.first, certificates.count == chain.count else {
            return "its certificate cannot be read"
        }
        // Said first: the library would say no more than that there is no chain.
        if let words = validity(leaf) { return words }
        var lenient = X509.Verifier(rootCertificates: roots) { RFC5280Policy() }
        guard
            case .validCertificate = await lenient.validate(
                leaf: leaf, intermediates: CertificateStore(certificates.dropFirst()))
        else {
            return "its certificate is not of this cluster's authority (authority.crt), or that authority's has ended"
        }
        var strict = X509.Verifier(rootCertificates: roots) {
            RFC5280Policy()
            ServerIdentityPolicy(serverHostname: isAddress ? nil : host, serverIP: isAddress ? host : nil)
        }
        guard
            case .validCertificate = await strict.validate(
                leaf: leaf, intermediates: CertificateStore(certificates.dropFirst()))
        else {
            return
                "its certificate is for other names than \(host): connect by one that it has, or make it one for this name"
        }
        return nil
    }

    private static func validity(_ leaf: X509.Certificate) -> String? {
        let now = WallClock.now().number / 1_000_000
        let (begin, end) = (leaf.notValidBefore.timeIntervalSince1970, leaf.notValidAfter.timeIntervalSince1970)
        if Double(now) > end {
            return "its certificate ended on \(leaf.notValidAfter.formatted(.iso8601)): it needs a new one"
        }
        if Double(now) < begin {
            return
                "its certificate begins only on \(leaf.notValidBefore.formatted(.iso8601)): one of the two clocks is wrong"
        }
        return nil
    }
}
