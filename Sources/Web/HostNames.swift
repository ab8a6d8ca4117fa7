import Hummingbird
import HummingbirdCore
import NIOCore
import StrictInput

/// By which names a server is spoken to. A page of another site may give its own name this machine's address, and would
/// then be of the same origin as what answers here (DNS rebinding): the browser still sends that site's name.
package struct HostNames: Sendable {
    private let names: Set<String>

    /// - Parameter names: those that are taken beside addresses and `localhost`; what is an address means nothing.
    package init(_ names: [String]) { self.names = Set(names.map { $0.lowercased() } + ["localhost"]) }

    /// - Parameter authority: as the header field Host has it, `NAME`, `NAME:PORT` or `[IPv6]:PORT`. Browsers always send
    ///   it, so that nil is taken.
    package func accepts(_ authority: String?) -> Bool {
        guard let authority else { return true }
        var name = Substring(authority)
        if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") {
            guard name[name.index(after: colon)...].utf8.allSatisfy({ (48...57).contains($0) }) else { return false }
            name = name[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") {
            let address = name.dropFirst().dropLast()
            return address.contains(":") && Self.isAddress(address)
        }
        return names.contains(name.lowercased()) || !name.contains(":") && Self.isAddress(name)
    }

    /// Whether a page may send something: from here, or no page at all.
    /// - Parameters:
    ///   - origin: of the header field Origin; nil if it is not there.
    ///   - authority: of the header field Host. What ends TLS before this server is of the origin `https`.
    package static func isOwn(_ origin: String?, authority: String?) -> Bool {
        guard let origin = origin?.lowercased() else { return true }
        guard let authority = authority?.lowercased() else { return false }
        return origin == "http://\(authority)" || origin == "https://\(authority)"
    }

    private static func isAddress(_ text: Substring) -> Bool {
        (try? SocketAddress(ipAddress: String(text), port: 0)) != nil
    }

    /// What is wrong with whom a request is for, or whom it is from.
    func problem(of request: HummingbirdCore.Request) -> Problem? {
        let authority = request.head.authority
        guard accepts(authority) else {
            return Problem(
                .misdirectedRequest,
                "it is for \(Printable.quoted((authority ?? "").utf8, limit: 120)), which this server is not known by")
        }
        guard request.method != .get, request.method != .head else { return nil }
        let origin = request.headers[.origin]
        guard Self.isOwn(origin, authority: authority) else {
            return Problem(
                .foreignOrigin, "it comes from a page of \(Printable.quoted((origin ?? "").utf8, limit: 120))")
        }
        return nil
    }
}
