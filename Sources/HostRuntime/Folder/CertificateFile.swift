import Foundation
import X509

/// A certificate in a PEM file.
package enum CertificateFile {
    /// When the first certificate of the file ends; nil if the file cannot be read, or holds none.
    package static func end(of path: String) -> Date? {
        guard let bytes = try? DurableFile.read(path, limit: 1 << 20),
            let certificate = try? Certificate(pemEncoded: String(decoding: bytes, as: UTF8.self))
        else { return nil }
        return certificate.notValidAfter
    }
}
