import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// What the network library says went wrong, in words for people: its own descriptions show its insides.
package enum NetworkFailure {
    /// - Returns: `Connection refused`, or the error's own description if it is not the network library's.
    package static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            // One for each address that was tried; a name may have several.
            var words: [String] = []
            for failure in error.connectionErrors.map(\.error)
                + [error.dnsAError, error.dnsAAAAError].compactMap({ $0 })
            {
                let text = text(failure)
                if !words.contains(text) { words.append(text) }
            }
            return words.isEmpty ? "\(error.host) has no address" : words.joined(separator: ", ")
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as SocketAddressError: return socketAddress(error)
        case let error as ChannelError: return channel(error)
        case let error as NIOSSLError: return tls(error)
        case let error as BoringSSLError: return "TLS failed (\(reason(error) ?? "the connection ended"))"
        default: return "\(error)"
        }
    }

    private static func channel(_ error: ChannelError) -> String {
        switch error {
        case .connectTimeout(let time): "no connection within \(milliseconds(time))"
        case .connectPending, .alreadyClosed, .ioOnClosedChannel, .outputClosed, .inputClosed, .eof:
            "the connection was closed"
        default: "\(error)"
        }
    }

    private static func tls(_ error: NIOSSLError) -> String {
        switch error {
        case .handshakeFailed(let cause): "the TLS handshake failed (\(reason(cause) ?? "the connection ended"))"
        // Who ends a connection at once does not part in TLS first.
        case .uncleanShutdown: "closed by the other side"
        default: "TLS failed: \(error)"
        }
    }

    /// The library's name for it, `WRONG_VERSION_NUMBER`, without its source files and lines; nil if the connection
    /// ended, no more.
    package static func reason(_ error: BoringSSLError) -> String? {
        let text = "\(error)"
        guard let mark = text.firstRange(of: "OPENSSL_internal:") else { return nil }
        return String(text[mark.upperBound...].prefix { $0.isUppercase || $0.isNumber || $0 == "_" })
    }

    private static func milliseconds(_ time: TimeAmount) -> String {
        let milliseconds = time.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }

    private static func socketAddress(_ error: SocketAddressError) -> String {
        switch error {
        case .unknown(let host, _): "\(host) is no known name"
        case .failedToParseIPString(let text): "\"\(text)\" is no address"
        case .unsupported, .unixDomainSocketPathTooLong: "\(error)"
        }
    }
}
