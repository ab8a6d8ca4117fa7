import Foundation
import NIOSSL
import X509

/// Certificates in a PEM file.
package enum CertificateFile {
    /// When the first certificate of the file ends; nil if the file cannot be read, or holds none.
    package static func end(of path: String) -> Date? {
        guard let bytes = try? DurableFile.read(path, limit: 1 << 20) else { return nil }
        return certificates(in: bytes)?.first?.notValidAfter
    }

    /// All of a file, in its order; nil if there is none, or one of them cannot be read.
    static func certificates(in pem: [UInt8]) -> [Certificate]? {
        guard !pem.isEmpty, let all = try? NIOSSLCertificate.fromPEMBytes(pem), !all.isEmpty else { return nil }
        return try? all.map { try Certificate(derEncoded: try $0.toDERBytes()) }
    }
}
