import Dispatch
import Foundation
import HostRuntime
import Logging

/// Reads a gateway's certificate and key again at SIGHUP, so that new ones need no restart.
package final class CertificateSignal: Sendable {
    private let watch: SignalWatch

    /// From now on, as long as the value lives. Afterwards the signal is ignored. The files are read on a queue of its
    /// own: storage that hangs holds up no other signal.
    package init(_ certificate: ServerCertificate, logger: Logger) {
        let queue = DispatchQueue(label: "certificate")
        watch = SignalWatch([SIGHUP]) { _ in
            queue.async {
                do {
                    try certificate.reread()
                    logger.notice(
                        "new connections get the certificate that ends on \(certificate.ends.formatted(.iso8601))")
                } catch {
                    logger.error("the certificate stays as it was: \(error)")
                }
            }
        }
    }
}
