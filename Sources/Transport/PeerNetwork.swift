import NIOCore

/// Who is at the other end of a connection, as far as the network says, for bounds that each has: an IPv4 address, also
/// if it is mapped into IPv6; this machine; or the /64 of an IPv6 address, within which a client has as many addresses as
/// it likes.
package struct PeerNetwork: Hashable, Sendable {
    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package init(_ address: SocketAddress?) {
        switch address {
        case .v4(let address): bytes = withUnsafeBytes(of: address.address.sin_addr) { Array($0) }
        case .v6(let address): bytes = withUnsafeBytes(of: address.address.sin6_addr) { Self.counted(Array($0)) }
        case .unixDomainSocket, nil: bytes = []
        }
    }

    private static let here = [UInt8](repeating: 0, count: 15) + [1]
    private static let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

    /// - Parameter address: 16 bytes.
    private static func counted(_ address: [UInt8]) -> [UInt8] {
        if address.starts(with: mapped) { return Array(address.suffix(4)) }
        return address == here ? here : Array(address.prefix(8))
    }

    /// On this machine.
    package var isLoopback: Bool { bytes == Self.here || bytes.count == 4 && bytes.first == 127 }
}
