/// Connections as Linux lists them in `/proc/net/tcp`: a line of headings, then a line each with local address, remote
/// address, state, queues, timers, retransmissions, user, timeout and inode.
public enum TCPTable {
    /// - Parameters:
    ///   - text: the file's contents.
    ///   - inodes: of the sockets that are looked for.
    /// - Returns: their ports on this machine. Lines that are not understood are left out.
    public static func localPorts(_ text: String, of inodes: Set<UInt64>) -> Set<Int> {
        var ports: Set<Int> = []
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, let inode = UInt64(fields[9]), inodes.contains(inode),
                let port = fields[1].split(separator: ":").last.flatMap({ Int($0, radix: 16) })
            else { continue }
            ports.insert(port)
        }
        return ports
    }

    /// - Parameter link: where an entry of `/proc/PID/fd` points: `socket:[1234]`.
    /// - Returns: nil for anything but a socket.
    public static func inode(_ link: String) -> UInt64? {
        guard link.hasPrefix("socket:["), link.hasSuffix("]") else { return nil }
        return UInt64(link.dropFirst(8).dropLast())
    }
}
