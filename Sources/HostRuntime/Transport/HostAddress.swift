import Glibc
import StrictInput

/// Where a host listens.
public struct HostAddress: Hashable, Sendable, CustomStringConvertible {
    /// An IP address, or a name that the system resolves: whenever a connection is made, so that a machine may get
    /// another address.
    public let address: String
    /// TCP. Where something is to listen, 0 takes any that is free.
    public let port: Int
    /// Nothing is checked or resolved yet: a connection or `listen` does that.
    public init(address: String, port: Int) { (self.address, self.port) = (address, port) }

    /// `ADDRESS:PORT` or `[IPv6]:PORT`, where ADDRESS is an IP address or a name as `cluster.json` may have it; nil for
    /// anything else.
    /// - Parameter ports: 1 to 65,535, unless something is to listen there.
    public init?(_ text: String, ports: ClosedRange<Int> = 1...65535) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var address = text[..<colon]
        let digits = text[text.index(after: colon)...]
        let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
        if isBracketed { address = address.dropFirst().dropLast() }
        let isPlain = address.utf8.allSatisfy {
            switch $0 {
            case 48...57, 65...90, 97...122, 45, 46, 58, 95, 37: true
            default: false
            }
        }
        guard digits.utf8.count <= 5, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits),
            ports.contains(port), isPlain, !address.isEmpty, address.utf8.count <= 255,
            isBracketed == address.contains(":")
        else { return nil }
        self.init(address: String(address), port: port)
    }

    /// As it is written down: `10.0.0.7:7100`, `[::1]:7100`.
    public var description: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }

    /// Whether only processes of the same machine get there, as far as the text says: a name may be anybody's.
    public var isLoopback: Bool {
        switch number {
        case nil: address.lowercased() == "localhost"
        case .four(let bytes): bytes.first == 127
        case .six(let bytes): bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        }
    }

    /// Whether it stands for all addresses of a machine: something may listen there, but nobody can be found there.
    package var isWildcard: Bool {
        switch number {
        case nil: false
        case .four(let bytes), .six(let bytes): bytes.allSatisfy { $0 == 0 }
        }
    }

    /// The same place in the one spelling that it has: names in lower case and without a last dot, numbers as the
    /// system writes them, and those of IPv4 as such.
    package var normal: HostAddress {
        let zone = address.firstIndex(of: "%").map { String(address[$0...]) } ?? ""
        return switch number {
        case nil:
            HostAddress(
                address: (address.hasSuffix(".") ? String(address.dropLast()) : address).lowercased(), port: port)
        case .four(let bytes): HostAddress(address: bytes.map { "\($0)" }.joined(separator: "."), port: port)
        case .six(let bytes): HostAddress(address: Self.text(six: bytes) + zone, port: port)
        }
    }

    /// Whether who connects to an address may come to what listens at this one, as far as the texts say: a name may
    /// lead anywhere but to loopback.
    package func takes(whoConnectsTo listed: HostAddress) -> Bool {
        guard port == listed.port else { return false }
        if isWildcard { return true }
        guard !isLoopback, !listed.isLoopback else { return isLoopback && listed.isLoopback }
        return number == nil || listed.number == nil || normal == listed.normal
    }

    private enum Number {
        case four([UInt8])
        case six([UInt8])
    }

    /// Its bytes, first to last; nil of a name.
    private var number: Number? {
        // A zone may follow: fe80::1%eth0.
        let text = address.split(separator: "%", maxSplits: 1).first.map(String.init) ?? ""
        var (four, six) = (in_addr(), in6_addr())
        if inet_pton(AF_INET, text, &four) == 1 { return .four(withUnsafeBytes(of: &four) { Array($0) }) }
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        // An IPv4 address within IPv6: ::ffff:127.0.0.1.
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 255 && bytes[11] == 255
        return isMapped ? .four(Array(bytes[12...])) : .six(bytes)
    }

    /// Its bytes in the network's order, 4 or 16; nil of a name.
    var addressBytes: [UInt8]? {
        switch number {
        case nil: nil
        case .four(let bytes), .six(let bytes): bytes
        }
    }

    private static func text(six bytes: [UInt8]) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Where the host whose address this is listens, if nothing else was said: at an IP address, there; at a name, at
    /// all addresses of its machine, because what a machine takes its own name for is often 127.0.1.1, where nobody
    /// else reaches it. At `localhost`, on loopback.
    public var listening: HostAddress {
        if number != nil || isLoopback { return self }
        return HostAddress(address: Self.all, port: port)
    }

    /// All addresses: of IPv6, which takes IPv4 along, unless the system has none.
    private static var all: String {
        let probe = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        guard probe >= 0 else { return "0.0.0.0" }
        close(probe)
        return "::"
    }
}

/// A port that cannot be had.
public struct ListenFailure: Error, Sendable, CustomStringConvertible {
    /// What was asked for.
    public let address: HostAddress
    /// The system's, in words.
    public let reason: String
    /// Which address and port, why not, and what to do.
    public var description: String {
        let isForeign = reason.contains(String(cString: strerror(EADDRNOTAVAIL))) || reason.contains("no known name")
        let advice =
            isForeign
            ? "This machine does not have that address: give one that it has, as with --listen 0.0.0.0:\(address.port)"
            : "Stop whatever listens there, or change the port"
        return "cannot listen on \(address): \(reason). \(advice)"
    }
}
