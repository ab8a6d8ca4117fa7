import Dispatch
import Glibc
import HostRuntime
import Logging

/// Reads a gateway's certificate and key again at SIGHUP, so that new ones need no restart.
// Unchecked: the source is made in `init` and cancelled in `deinit`, and Dispatch's objects may be used on any thread.
package final class CertificateSignal: @unchecked Sendable {
    private let source: any DispatchSourceSignal

    /// From now on, as long as the value lives. Afterwards the signal is ignored.
    package init(_ certificate: ServerCertificate, logger: Logger) {
        // The default action would end the process.
        signal(SIGHUP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: .global())
        source.setEventHandler {
            do {
                try certificate.reread()
                logger.notice(
                    "new connections get the certificate that ends on \(certificate.ends.formatted(.iso8601))")
            } catch {
                logger.error("the certificate stays as it was: \(error)")
            }
        }
        source.resume()
    }

    deinit { source.cancel() }
}
