import FoundationEssentials
import Messages

/// What is wrong with a JSON file of a cluster folder: where, what, and what to do.
public struct ManifestFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// A path like `hosts[2].port`; empty for the whole file.
    public let location: String
    public let problem: String
    public let advice: String

    public var description: String {
        let place = location.isEmpty ? file : "\(file), at \(location)"
        return "\(place): \(problem). \(advice)"
    }
}

/// `cluster.json`: human readable, keys sorted, read strictly.
public enum ManifestJSON {
    public static func encode(_ manifest: Manifest) -> String {
        let hosts = manifest.hosts.map { host in
            "    {\"address\": \"\(host.address)\", \"port\": \(host.port), \"public_key\": \"\(host.publicKey.hex)\"}"
        }
        let shards = manifest.shards.map { "    [" + $0.map { String($0.number) }.joined(separator: ", ") + "]" }
        return """
            {
              "cluster": "\(manifest.cluster.hex)",
              "epoch": \(manifest.epoch.number),
              "hosts": [
            \(hosts.joined(separator: ",\n"))
              ],
              "issuer": "\(manifest.issuer.hex)",
              "shards": [
            \(shards.joined(separator: ",\n"))
              ],
              "version": \(manifest.version)
            }

            """
    }

    /// - Parameter file: the name that errors carry.
    public static func decode(_ bytes: [UInt8], file: String = "cluster.json") throws(ManifestFileError) -> Manifest {
        let root = try JSONReader(bytes, file: file)
        // The version first: another version may have other keys.
        let version = try root.integer("version", in: 0...Int(Int32.max))
        guard version == Manifest.currentVersion else {
            throw root.error(
                "version", "version \(version), and this build reads version \(Manifest.currentVersion)",
                "Use the build that wrote the folder, or create a new cluster.")
        }
        try root.expectKeys(["cluster", "epoch", "hosts", "issuer", "shards", "version"])
        let hosts = try root.array("hosts").map { host throws(ManifestFileError) in
            try host.expectKeys(["address", "port", "public_key"])
            return Manifest.Host(
                address: try host.address("address"), port: try host.integer("port", in: 1...65535),
                publicKey: try host.bytes32("public_key"))
        }
        let shards = try root.array("shards").map { shard throws(ManifestFileError) in
            try shard.elements().map { id throws(ManifestFileError) in HostID(UInt16(try id.integer(in: 0...65535))) }
        }
        let manifest = Manifest(
            cluster: try root.bytes32("cluster"), epoch: Epoch(UInt32(try root.integer("epoch", in: 0...Int(UInt32.max)))),
            hosts: hosts, shards: shards, issuer: try root.bytes32("issuer"))
        do { try manifest.validate() } catch {
            throw root.error("", error.description, "Restore the file from another copy of the cluster folder.")
        }
        return manifest
    }
}

extension Manifest {
    /// Reads a `cluster.json`.
    public init(contentsOf path: String) throws(ManifestFileError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ManifestFileError(
                file: path, location: "", problem: "the file cannot be read", advice: "Give the cluster.json of a cluster's folder.")
        }
        self = try ManifestJSON.decode(Array(data), file: path)
    }
}

/// A place in a JSON document that remembers its path, so that every error can name it.
package struct JSONReader {
    private enum Value: Decodable {
        case object([String: Value])
        case array([Value])
        case string(String)
        case integer(Int)
        case other(String)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let object = try? container.decode([String: Value].self) {
                self = .object(object)
            } else if let array = try? container.decode([Value].self) {
                self = .array(array)
            } else if let string = try? container.decode(String.self) {
                self = .string(string)
            } else if let integer = try? container.decode(Int.self) {
                self = .integer(integer)
            } else if (try? container.decode(Bool.self)) != nil {
                self = .other("a boolean")
            } else if container.decodeNil() {
                self = .other("null")
            } else {
                self = .other("a number that is no integer")
            }
        }

        var kind: String {
            switch self {
            case .object: "an object"
            case .array: "an array"
            case .string: "a string"
            case .integer: "a number"
            case .other(let kind): kind
            }
        }
    }

    private let value: Value
    private let path: String
    private let file: String

    package init(_ bytes: [UInt8], file: String) throws(ManifestFileError) {
        do {
            value = try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw ManifestFileError(
                file: file, location: "", problem: bytes.isEmpty ? "the file is empty" : "the file is not valid JSON",
                advice: "Restore the file from another copy of the cluster folder.")
        }
        (path, self.file) = ("", file)
    }

    private init(_ value: Value, _ path: String, _ file: String) { (self.value, self.path, self.file) = (value, path, file) }

    private func place(_ key: String) -> String { path.isEmpty ? key : key.isEmpty ? path : "\(path).\(key)" }

    func error(_ key: String, _ problem: String, _ advice: String) -> ManifestFileError {
        ManifestFileError(file: file, location: place(key), problem: problem, advice: advice)
    }

    private func fields() throws(ManifestFileError) -> [String: Value] {
        guard case .object(let fields) = value else { throw error("", "\(value.kind) where an object is expected", "Correct the value.") }
        return fields
    }

    /// Throws for the alphabetically first unknown or missing key.
    package func expectKeys(_ keys: [String]) throws(ManifestFileError) {
        let fields = try fields()
        if let unknown = fields.keys.sorted().first(where: { !keys.contains($0) }) {
            throw error(unknown, "unknown key", "Remove it; the keys here are \(keys.joined(separator: ", ")).")
        }
        if let missing = keys.first(where: { fields[$0] == nil }) { throw error(missing, "the key is missing", "Add it.") }
    }

    private func field(_ key: String) throws(ManifestFileError) -> JSONReader {
        guard let field = try fields()[key] else { throw error(key, "the key is missing", "Add it.") }
        return JSONReader(field, place(key), file)
    }

    func elements() throws(ManifestFileError) -> [JSONReader] {
        guard case .array(let values) = value else { throw error("", "\(value.kind) where an array is expected", "Correct the value.") }
        return values.enumerated().map { JSONReader($1, "\(path)[\($0)]", file) }
    }

    func array(_ key: String) throws(ManifestFileError) -> [JSONReader] { try field(key).elements() }

    func integer(in range: ClosedRange<Int>) throws(ManifestFileError) -> Int {
        guard case .integer(let number) = value else { throw error("", "\(value.kind) where an integer is expected", "Correct the value.") }
        guard range.contains(number) else {
            throw error("", "\(number) is out of range", "Give a number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    package func integer(_ key: String, in range: ClosedRange<Int>) throws(ManifestFileError) -> Int { try field(key).integer(in: range) }

    private func string() throws(ManifestFileError) -> String {
        guard case .string(let string) = value else { throw error("", "\(value.kind) where a string is expected", "Correct the value.") }
        return string
    }

    package func bytes32<T: Bytes32>(_ key: String) throws(ManifestFileError) -> T {
        let field = try field(key)
        guard let value = T(hex: try field.string()) else {
            throw field.error("", "not 32 bytes in hexadecimal", "Give exactly 64 digits from 0-9 and a-f.")
        }
        return value
    }

    /// An IP address or host name: what needs no escape in JSON and no quotes in a shell.
    func address(_ key: String) throws(ManifestFileError) -> String {
        let field = try field(key)
        let text = try field.string()
        let isPlain = text.utf8.allSatisfy {
            switch $0 {
            case 48...57, 65...90, 97...122, 45, 46, 58, 95, 37: true
            default: false
            }
        }
        guard !text.isEmpty, text.utf8.count <= 255, isPlain else {
            throw field.error("", "not an IP address or host name", "Give letters, digits and . : - _ % only.")
        }
        return text
    }
}
