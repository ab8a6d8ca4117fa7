import Messages
import StrictInput

/// What is wrong with a JSON file of a cluster folder: where, what, and what to do.
public struct ManifestFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its path, or the name that was given to `decode`.
    public let file: String
    /// A path like `hosts[2].port`; empty for the whole file.
    public let location: String
    /// From 1; the column counts bytes. Nil where no line is at fault.
    public let line: Int?
    /// From 1, in bytes; nil where `line` is.
    public let column: Int?
    /// What is there, or is not.
    public let problem: String
    /// What to do about it: a sentence.
    public let advice: String

    /// File, line and column, place, problem and advice, in one line.
    public var description: String {
        let place = InputProblem(file: file, path: location, line: line, column: column, problem: problem)
        return "\(place). \(advice)"
    }

    package init(_ problem: InputProblem, advice: String? = nil) {
        (file, location, line, column) = (problem.file, problem.path, problem.line, problem.column)
        self.problem = problem.problem
        self.advice =
            advice ?? problem.expected.map { "Expected \($0)." }
            ?? "Restore the file from another copy of the cluster folder."
    }
}

/// `cluster.json`: human readable, keys sorted, read strictly.
public enum ManifestJSON {
    /// The text of a `cluster.json`, which `decode` reads, with a line feed at its end. Checks nothing: an invalid
    /// manifest, or an address that needs quoting, gives a file that `decode` refuses.
    public static func encode(_ manifest: Manifest) -> String {
        let hosts = manifest.hosts.map { host in
            "    {\"address\": \"\(host.address)\", \"port\": \(host.port), \"public_key\": \"\(host.publicKey.hex)\"}"
        }
        let shards = manifest.shards.map { "    [" + $0.map { String($0.number) }.joined(separator: ", ") + "]" }
        let compliance = manifest.compliance.map { "\n  \"compliance\": \"\($0.hex)\"," } ?? ""
        return """
            {
              "cluster": "\(manifest.cluster.hex)",\(compliance)
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
        do {
            return try read(try JSONReader(bytes, file: file))
        } catch let problem as InputProblem {
            throw ManifestFileError(problem)
        } catch let error as ManifestFileError {
            throw error
        } catch {
            throw ManifestFileError(InputProblem(file: file, problem: "\(error)"))
        }
    }

    private static func read(_ root: JSONReader) throws -> Manifest {
        // The version first: another version may have other keys.
        let version = try root.peek("version")
        let number = try version.integer(in: 0...Int(Int32.max))
        guard number == Manifest.currentVersion else {
            throw ManifestFileError(
                version.problem("version \(number), and this build reads version \(Manifest.currentVersion)"),
                advice: "Use the build that wrote the folder, or create a new cluster.")
        }
        let fields = try root.object(
            ["cluster", "epoch", "hosts", "issuer", "shards", "version"], optional: ["compliance"])
        let hosts = try fields["hosts"].elements(limit: 1 << 16).map { host in
            let host = try host.object(["address", "port", "public_key"])
            return Manifest.Host(
                address: try address(host["address"]), port: try host["port"].integer(in: 1...65535),
                publicKey: try host["public_key"].bytes32())
        }
        let shards = try fields["shards"].elements().map { shard in
            try shard.elements().map { HostID(try $0.integer()) }
        }
        let manifest = Manifest(
            cluster: try fields["cluster"].bytes32(), epoch: Epoch(try fields["epoch"].integer()),
            hosts: hosts, shards: shards, issuer: try fields["issuer"].bytes32(),
            compliance: try fields.optional("compliance")?.bytes32())
        do { try manifest.validate() } catch {
            throw ManifestFileError(
                InputProblem(file: root.file, problem: error.description),
                advice: "Restore the file from another copy of the cluster folder.")
        }
        return manifest
    }

    /// An IP address or host name: what needs no escape in JSON and no quotes in a shell.
    private static func address(_ field: JSONReader) throws(InputProblem) -> String {
        let text = try field.string()
        let isPlain = text.utf8.allSatisfy {
            switch $0 {
            case 48...57, 65...90, 97...122, 45, 46, 58, 95, 37: true
            default: false
            }
        }
        guard !text.isEmpty, text.utf8.count <= 255, isPlain else {
            throw field.problem(
                "\(Printable.quoted(text.utf8)) is not an IP address or host name",
                expected: "letters, digits and . : - _ % only, at most 255")
        }
        return text
    }
}

extension Manifest {
    /// Reads a `cluster.json`.
    public init(contentsOf path: String) throws(ManifestFileError) {
        let bytes: [UInt8]
        do { bytes = try InputFile.read(path) } catch {
            throw ManifestFileError(error, advice: "Give the cluster.json of a cluster's folder.")
        }
        self = try ManifestJSON.decode(bytes, file: path)
    }
}

extension JSONReader {
    /// Exactly 64 hexadecimal digits in lower case.
    package func bytes32<T: Bytes32>(_: T.Type = T.self) throws(InputProblem) -> T {
        guard let value = T(bytes: try hex(count: 32)) else { throw problem("not 32 bytes") }
        return value
    }
}
