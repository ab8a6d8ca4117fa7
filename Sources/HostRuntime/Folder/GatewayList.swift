import Messages
import StrictInput

/// `gateways.json`: where clients find the gateways of a cluster on many machines. Nobody has to believe it: a gateway
/// is not trusted.
public enum GatewayList {
    /// The file's name, beside a `cluster.json`.
    public static let name = "gateways.json"

    package static func text(_ gateways: [HostAddress], of cluster: ClusterID) -> String {
        let entries = gateways.map { "    {\"address\": \"\($0.address)\", \"port\": \($0.port)}" }
        return """
            {
              "cluster": "\(cluster.hex)",
              "gateways": [
            \(entries.joined(separator: ",\n"))
              ]
            }

            """
    }

    /// - Parameter folder: a cluster's, or its public part.
    /// - Returns: in the file's order; empty if there is no such file.
    /// - Throws: `InputProblem` if the file is not valid, or another cluster's.
    package static func read(in folder: ClusterFolder) throws(InputProblem) -> [HostAddress] {
        let path = "\(folder.path)/\(name)"
        guard DurableFile.exists(path) else { return [] }
        return try decode(try InputFile.read(path, limit: 1 << 20), file: path, of: folder.manifest.cluster)
    }

    /// - Parameters:
    ///   - file: its name, for the error.
    ///   - cluster: whose gateways they must be.
    package static func decode(
        _ bytes: [UInt8], file: String, of cluster: ClusterID
    ) throws(InputProblem) -> [HostAddress] {
        let fields = try JSONReader(bytes, file: file).object(["cluster", "gateways"])
        let named: ClusterID = try fields["cluster"].bytes32()
        guard named == cluster else {
            throw fields["cluster"].problem(
                "cluster \(named.short)", expected: "cluster \(cluster.short), as cluster.json has it")
        }
        var gateways: [HostAddress] = []
        for entry in try fields["gateways"].elements(limit: 1024) {
            let entry = try entry.object(["address", "port"])
            let (address, port) = (try entry["address"].string(), try entry["port"].integer(in: 1...65535))
            let text = HostAddress(address: address, port: port).description
            guard let gateway = HostAddress(text) else {
                throw entry["address"].problem(
                    "\(Printable.quoted(address.utf8)) is not an IP address or host name",
                    expected: "letters, digits and . : - _ % only, at most 255")
            }
            gateways.append(gateway)
        }
        return gateways
    }
}
