import Foundation
import Glibc
import NIOSSL
import Synchronization
import X509

/// Why a gateway's certificate or its key cannot be used, with the file and what to do. Never carries the key.
public enum ServerCertificateError: Error, Equatable, Sendable, CustomStringConvertible {
    case file(FileFailure)
    /// The key's file is readable by others.
    case tooOpen(path: String, mode: UInt32)
    case notACertificate(path: String)
    case notAKey(path: String)
    /// The key is another one's than the certificate's.
    case mismatch(certificate: String, key: String)
    case ended(path: String, when: Date)
    case notYet(path: String, when: Date)

    /// In one sentence or two, with the path that it is about.
    public var description: String {
        switch self {
        case .file(let failure): StorageFailure(failure).description
        case .tooOpen(let path, let mode):
            "\(path) has mode \(String(mode, radix: 8)), so others may read the secret key. "
                + "Run chmod 600 on it, and replace key and certificate if anyone may have read it"
        case .notACertificate(let path):
            "\(path) holds no certificate: PEM is expected, the gateway's own certificate first, then those between it and its authority"
        case .notAKey(let path): "\(path) holds no private key: PEM without a password is expected"
        case .mismatch(let certificate, let key):
            "the key in \(key) does not belong to the first certificate in \(certificate). Give the pair that was made together"
        case .ended(let path, let when):
            "the certificate \(path) ended on \(when.formatted(.iso8601)): clients would refuse it. Make a new one: quorate cluster certificates FOLDER"
        case .notYet(let path, let when):
            "the certificate \(path) begins only on \(when.formatted(.iso8601)). Set this machine's clock, or wait"
        }
    }
}

/// The certificate and key by which a gateway proves to its clients who it is. They are read again by `reread`;
/// connections that are open keep what they began with.
public final class ServerCertificate: Sendable {
    /// What a connection is made with.
    struct Loaded: Sendable {
        let binary: NIOSSLContext
        let web: NIOSSLContext
        /// The first certificate, in DER.
        let leaf: [UInt8]
        let ends: Date
    }

    /// Of the certificate, and of the chain to its authority if it follows.
    public let path: String
    /// Of the key.
    public let keyPath: String
    private let loaded: Mutex<Loaded>

    /// - Throws: `ServerCertificateError`.
    public init(path: String, keyPath: String) throws(ServerCertificateError) {
        (self.path, self.keyPath) = (path, keyPath)
        loaded = Mutex(try Self.load(path, keyPath))
    }

    /// Those of a cluster's folder, of the gateway's own, or of neither: `FOLDER/gateways/N/gateway.crt`, or
    /// `FOLDER/gateway.crt`, with `gateway.key` beside it.
    /// - Returns: nil if there is none; half a pair is an error.
    /// - Throws: `ServerCertificateError`.
    public static func find(in folder: String, gateway: Int) throws(ServerCertificateError) -> ServerCertificate? {
        for place in ["\(folder)/\(ClusterAuthority.folder)/\(gateway)", folder] {
            let (path, keyPath) = (
                place + "/" + ClusterAuthority.gatewayName, place + "/" + ClusterAuthority.gatewayKey
            )
            // To go on without one that is there would be to speak plainly.
            guard !DurableFile.isAbsent(path) || !DurableFile.isAbsent(keyPath) else { continue }
            return try ServerCertificate(path: path, keyPath: keyPath)
        }
        return nil
    }

    /// Takes what is in the files now. If it cannot be used, what was there stays.
    /// - Throws: `ServerCertificateError`.
    public func reread() throws(ServerCertificateError) {
        let new = try Self.load(path, keyPath)
        loaded.withLock { $0 = new }
    }

    var now: Loaded { loaded.withLock { $0 } }
    /// For a connection of the binary protocol that is accepted now.
    var binaryContext: NIOSSLContext { now.binary }
    /// For a connection of HTTPS that is accepted now.
    package var webContext: NIOSSLContext { now.web }
    /// In DER, for this process itself, which takes no other.
    package var leaf: [UInt8] { now.leaf }
    /// When it ends.
    public var ends: Date { now.ends }

    private static func load(_ path: String, _ keyPath: String) throws(ServerCertificateError) -> Loaded {
        let (text, keyBytes): ([UInt8], [UInt8])
        do {
            text = try DurableFile.read(path, limit: 1 << 20)
            let mode = try DurableFile.mode(of: keyPath)
            guard mode & 0o077 == 0 || isLentByRoot(keyPath, mode) else {
                throw ServerCertificateError.tooOpen(path: keyPath, mode: UInt32(mode))
            }
            keyBytes = try DurableFile.read(keyPath, limit: 1 << 16)
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as ServerCertificateError {
            throw error
        } catch {
            throw .notAKey(path: keyPath)
        }
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(text), let first = chain.first,
            let leaf = try? first.toDERBytes(), let certificate = try? Certificate(derEncoded: leaf)
        else { throw .notACertificate(path: path) }
        guard let key = try? NIOSSLPrivateKey(bytes: keyBytes, format: .pem) else { throw .notAKey(path: keyPath) }
        if let own = try? Certificate.PrivateKey(pemEncoded: String(decoding: keyBytes, as: UTF8.self)),
            own.publicKey != certificate.publicKey
        {
            throw .mismatch(certificate: path, key: keyPath)
        }
        let date = Date()
        guard date <= certificate.notValidAfter else { throw .ended(path: path, when: certificate.notValidAfter) }
        guard date >= certificate.notValidBefore else { throw .notYet(path: path, when: certificate.notValidBefore) }
        do {
            return Loaded(
                binary: try context(chain, key, protocols: []), web: try context(chain, key, protocols: ["http/1.1"]),
                leaf: leaf, ends: certificate.notValidAfter)
        } catch {
            throw .mismatch(certificate: path, key: keyPath)
        }
    }

    /// Service managers and Kubernetes hand a secret out as a file of root's that the process's group may read.
    private static func isLentByRoot(_ path: String, _ mode: mode_t) -> Bool {
        var status = stat()
        return geteuid() != 0 && stat(path, &status) == 0 && status.st_uid == 0 && mode & 0o037 == 0
    }

    private static func context(
        _ chain: [NIOSSLCertificate], _ key: NIOSSLPrivateKey, protocols: [String]
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        (configuration.minimumTLSVersion, configuration.maximumTLSVersion) = (.tlsv13, .tlsv13)
        // Clients prove who they are by the signatures of their requests.
        configuration.certificateVerification = .none
        configuration.applicationProtocols = protocols
        configuration.shutdownTimeout = .seconds(1)
        return try NIOSSLContext(configuration: configuration)
    }
}
