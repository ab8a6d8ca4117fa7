import Crypto
import Glibc
import ManifestFile
import Messages
import StrictInput

/// Why a cluster folder cannot be made or used, and what to do about it.
public enum ClusterFolderError: Error, Equatable, Sendable, CustomStringConvertible {
    case exists(String)
    case noSuchFolder(String)
    case manifest(Manifest.Problem)
    case ports(base: Int, count: Int)
    /// Two hosts, or two gateways, at one address and port.
    case addressTwice(HostAddress)
    /// It has `host.json`, and so is a host's folder, and no `cluster.json`.
    case hostFolderAlone(String)
    /// A cluster's folder, where a host's number is missing.
    case whichHost(String, count: Int)
    case file(FileFailure)
    case manifestFile(ManifestFileError)
    case noSuchHost(HostID, count: Int)
    case belongsElsewhere(path: String, what: String)
    case inUse(String)
    /// So much was put aside already that something is wrong with the machine.
    case tooManyAside(String, count: Int)
    /// `host.json` is missing or damaged.
    case damagedIdentity(path: String, problem: String, expected: String)
    /// The host's records were made by a program with other procedures.
    case otherProcedures(path: String, known: [String], ours: [String])
    /// `authority.crt` holds no certificate.
    case authority(String)
    /// Certificates are made where the authority's key is.
    case noAuthorityKey(String)
    /// No certificate in `authority.crt` is that of the key.
    case otherAuthority(String, key: String)

    /// What is wrong and what to do, in one sentence or a few, with the path that it is about.
    public var description: String {
        switch self {
        case .exists(let path): "\(path) exists already; a cluster is created in a new folder. Choose another path"
        case .noSuchFolder(let path):
            "\(path) is not a cluster folder: it has no cluster.json. Create one, or correct the path"
        case .manifest(let problem): problem.description
        case .ports(let base, let count):
            "\(count) hosts need the ports \(base) to \(base + count - 1), and a port lies from 1 to 65535. Choose another base port"
        case .addressTwice(let address): "\(address) is given twice; each needs an address and port of its own"
        case .hostFolderAlone(let path):
            "\(path) is one host's folder, and has no cluster.json. Copy the cluster's cluster.json into it, or give the cluster's folder and the host's number"
        case .whichHost(let path, let count):
            "\(path) is a cluster's folder: say which host, 0 to \(count - 1), after it, or give that host's own folder"
        case .file(let failure): StorageFailure(failure).description
        case .manifestFile(let error):
            "\(error.description) If the file was right before, restore it from a copy: every host and client of the cluster has the same"
        case .noSuchHost(let host, let count): "there is no host \(host); cluster.json has hosts 0 to \(count - 1)"
        case .belongsElsewhere(let path, let what):
            "\(path) belongs to \(what), not to this cluster.json. Folders must not be mixed or copied between hosts. "
                + "If nobody did, cluster.json or \(path)/host.json is damaged: restore it from a copy"
        case .tooManyAside(let path, let count):
            "\(path) would be put aside for the \(count + 1)th time. Its disk or memory is failing: move the host to a sound machine, then "
                + "remove \(path).damaged-* as far as nobody needs them"
        case .damagedIdentity(let path, let problem, let expected):
            "\(problem). If this is the folder of that host, write into \(path): \(expected)"
        case .inUse(let path): "another process runs the host in \(path). Stop it first"
        case .otherProcedures(let path, let known, let ours):
            "\(path) was made with other procedures than this program has. It needs \(Self.list(known)); here they are \(Self.list(ours)). "
                + "Run the program that ran it before. If this is that program, \(path)/procedures is damaged: remove that file"
        case .authority(let path):
            "\(path) holds no certificate, so no gateway can be trusted by it. Restore it from a copy: the public part has the same"
        case .noAuthorityKey(let path):
            "there is no \(path), the key of the authority, which certificates are made with. Make them where the cluster was created, or restore the key from a backup"
        case .otherAuthority(let path, let key):
            "the key in \(key) belongs to no certificate in \(path), so clients would not take what it signs. Restore the pair that was made together, or add the certificate of the key to the file, and have it reach all clients first"
        }
    }

    private static func list(_ procedures: [String]) -> String {
        if procedures.isEmpty { return "none" }
        let shown = procedures.prefix(64).map { Printable.line(String($0.prefix(64))) }
        return shown.joined(separator: ", ") + (procedures.count > shown.count ? ", …" : "")
    }
}

/// A cluster on disk: `cluster.json`, `issuer.key`, `compliance.key`, and `hosts/N/` for each host. Or what one machine has of it: one
/// host's folder with a `cluster.json` in it, or the public part, which has no secrets and no hosts.
public struct ClusterFolder: Sendable {
    /// As the caller gave it; a relative one goes by the working folder.
    public let path: String
    /// From `cluster.json`, validated.
    public let manifest: Manifest
    /// Whether it is one host's folder, and not one that has a folder for each host.
    public let isHostFolder: Bool

    /// Reads `cluster.json`.
    public init(opening path: String) throws(ClusterFolderError) {
        self.path = path
        let file = path + "/cluster.json"
        isHostFolder = DurableFile.exists(path + "/host.json")
        guard DurableFile.exists(file) else { throw isHostFolder ? .hostFolderAlone(path) : .noSuchFolder(path) }
        let bytes: [UInt8]
        do { bytes = try DurableFile.read(file) } catch { throw .file(error) }
        do { manifest = try ManifestJSON.decode(bytes, file: file) } catch { throw .manifestFile(error) }
    }

    /// Whether its hosts run elsewhere, from copies of their folders, or may: to start one from here would be to start
    /// it twice, under one key. So it is wherever the folder was made for many machines, is one host's or the public
    /// part, or an address of the manifest is not on loopback.
    package var isForManyMachines: Bool {
        let parts = manifest.hosts.indices.map { "hosts/\($0)" } + ["public"]
        return isHostFolder || DurableFile.exists("\(path)/\(GatewayList.name)")
            || parts.contains { DurableFile.exists("\(path)/\($0)/cluster.json") }
            || manifest.hosts.contains { !HostAddress(address: $0.address, port: $0.port).isLoopback }
    }

    /// Makes a cluster of `replicas` hosts on loopback, each with one replica of every shard. The folder is
    /// written beside its place and renamed, so that nothing half-written ever stands there.
    /// - Parameter clientTLS: whether clients and gateways speak TLS: an authority is made, and a certificate for the
    ///   gateways of this machine.
    public static func create(
        at path: String, shards: Int, replicas: Int, basePort: Int, address: String = "127.0.0.1",
        clientTLS: Bool = false
    ) throws(ClusterFolderError) -> ClusterFolder {
        guard !DurableFile.exists(path) else { throw .exists(path) }
        guard replicas >= 1, replicas <= 64 else { throw .manifest(.replicas(shard: 0, count: replicas)) }
        guard basePort >= 1, basePort + replicas - 1 <= 65535 else { throw .ports(base: basePort, count: replicas) }
        let hosts = (0..<replicas).map { HostAddress(address: address, port: basePort + $0) }
        return try create(at: path, shards: shards, hosts: hosts) {
            (manifest, seeds, authorities, folder) throws(FileFailure) in
            try write(manifest, seeds: seeds, authorities: authorities, to: folder)
            guard clientTLS else { return }
            let authority = try ClusterAuthority.create(in: folder, manifest.cluster)
            try ClusterAuthority.addGateway(nil, names: [], by: authority, to: folder)
        }
    }

    /// The same on many machines: `hosts/N` and `public` can be copied each by itself to where it is needed. `hosts/N`
    /// has that host's secrets and no other's; `public` has none.
    /// - Parameters:
    ///   - hosts: where each is reached, by number; each has one replica of every shard.
    ///   - gateways: where clients find them. No secret of the protocol belongs to a gateway, and more may run than are
    ///     listed.
    ///   - clientTLS: whether clients and gateways speak TLS: an authority is made, and for each gateway `gateways/N`
    ///     with its certificate and key.
    public static func create(
        at path: String, shards: Int, hosts: [HostAddress], gateways: [HostAddress] = [], clientTLS: Bool = false
    ) throws(ClusterFolderError) -> ClusterFolder {
        for list in [hosts, gateways] {
            let normal = list.map(\.normal)
            for i in list.indices where normal[..<i].contains(normal[i]) { throw .addressTwice(list[i]) }
        }
        return try create(at: path, shards: shards, hosts: hosts) {
            (manifest, seeds, authorities, folder) throws(FileFailure) in
            try write(manifest, seeds: seeds, authorities: authorities, to: folder)
            try addParts(manifest, gateways: gateways, to: folder)
            guard clientTLS else { return }
            let authority = try ClusterAuthority.create(in: folder, manifest.cluster)
            for (number, gateway) in gateways.enumerated() {
                try ClusterAuthority.addGateway(number, names: [gateway.address], by: authority, to: folder)
            }
        }
    }

    private static func create(
        at path: String, shards: Int, hosts: [HostAddress],
        write: (Manifest, [[UInt8]], AuthoritySeeds, String) throws(FileFailure) -> Void
    ) throws(ClusterFolderError) -> ClusterFolder {
        guard !DurableFile.exists(path) else { throw .exists(path) }
        let replicas = hosts.count
        guard replicas >= 1, replicas <= 64 else { throw .manifest(.replicas(shard: 0, count: replicas)) }
        guard shards >= 1, shards <= 4096 else { throw .manifest(.shardCount(shards)) }

        let seeds = (0..<replicas).map { _ in randomSeed() }
        let authorities = AuthoritySeeds(issuer: randomSeed(), compliance: randomSeed())
        var keys: [PublicKey] = []
        for seed in seeds + [authorities.issuer, authorities.compliance] {
            guard let signer = Ed25519Signer(seed: seed) else { preconditionFailure("a seed has 32 bytes") }
            keys.append(signer.publicKey)
        }
        guard let cluster = ClusterID(bytes: randomSeed()) else { preconditionFailure("a cluster id has 32 bytes") }
        let manifest = Manifest(
            cluster: cluster, epoch: Epoch(1),
            hosts: (0..<replicas).map {
                .init(address: hosts[$0].address, port: hosts[$0].port, publicKey: keys[$0])
            },
            shards: Array(repeating: (0..<replicas).map { HostID(UInt16($0)) }, count: shards), issuer: keys[replicas],
            compliance: keys[replicas + 1])
        do { try manifest.validate() } catch { throw .manifest(error) }

        let temporary = "\(path).creating-\(getpid())-\(Hex.encode(Array(randomSeed().prefix(4))))"
        do {
            try write(manifest, seeds, authorities, temporary)
            try DurableFile.rename(temporary, path)
            try DurableFile.syncFolder(parent(of: path))
        } catch {
            DurableFile.removeTree(temporary)
            throw .file(error)
        }
        return try ClusterFolder(opening: path)
    }

    /// Of the keys that the manifest gives a right.
    private struct AuthoritySeeds {
        let issuer: [UInt8]
        let compliance: [UInt8]
    }

    private static func write(
        _ manifest: Manifest, seeds: [[UInt8]], authorities: AuthoritySeeds, to folder: String
    ) throws(FileFailure) {
        try DurableFile.createFolder(folder)
        try DurableFile.create(folder + "/cluster.json", Array(ManifestJSON.encode(manifest).utf8), mode: 0o644)
        try KeyFile.create(folder + "/issuer.key", seed: authorities.issuer)
        try KeyFile.create(folder + "/compliance.key", seed: authorities.compliance)
        try DurableFile.createFolder(folder + "/hosts")
        for (index, seed) in seeds.enumerated() {
            let host = "\(folder)/hosts/\(index)"
            // Journal and state hold everybody's balances: for the owner's eyes only.
            try DurableFile.createFolder(host, mode: 0o700)
            try KeyFile.create(host + "/host.key", seed: seed)
            let text = "{\n  \"cluster\": \"\(manifest.cluster.hex)\",\n  \"host\": \(index)\n}\n"
            try DurableFile.create(host + "/host.json", Array(text.utf8), mode: 0o644)
            try DurableFile.syncFolder(host)
        }
        try DurableFile.syncFolder(folder + "/hosts")
        try DurableFile.syncFolder(folder)
    }

    /// What each part needs to stand alone.
    private static func addParts(
        _ manifest: Manifest, gateways: [HostAddress], to folder: String
    ) throws(FileFailure) {
        let text = Array(ManifestJSON.encode(manifest).utf8)
        for index in manifest.hosts.indices {
            let host = "\(folder)/hosts/\(index)"
            try DurableFile.create(host + "/cluster.json", text, mode: 0o644)
            try DurableFile.syncFolder(host)
        }
        let open = folder + "/public"
        try DurableFile.createFolder(open)
        try DurableFile.create(open + "/cluster.json", text, mode: 0o644)
        if !gateways.isEmpty {
            let list = Array(GatewayList.text(gateways, of: manifest.cluster).utf8)
            for place in [folder, open] { try DurableFile.create("\(place)/\(GatewayList.name)", list, mode: 0o644) }
        }
        try DurableFile.syncFolder(open)
        try DurableFile.syncFolder(folder)
    }

    private static func randomSeed() -> [UInt8] { Array(Curve25519.Signing.PrivateKey().rawRepresentation) }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The key that may issue money.
    public func issuer() throws(KeyFileError) -> Ed25519Signer {
        let file = path + "/issuer.key"
        let signer = try KeyFile.read(file)
        guard signer.publicKey == manifest.issuer else { throw .notInManifest(path: file) }
        return signer
    }

    /// The key that may freeze and release accounts.
    /// - Throws: `notInManifest` also where the manifest names no such key: the cluster was made before there was one.
    public func compliance() throws(KeyFileError) -> Ed25519Signer {
        let file = path + "/compliance.key"
        let signer = try KeyFile.read(file)
        guard signer.publicKey == manifest.compliance else { throw .notInManifest(path: file) }
        return signer
    }

    /// The folder of one host, once its `host.json` says that it is that host's.
    /// - Throws: `noSuchHost` beyond the manifest's hosts, `damagedIdentity` if `host.json` cannot be read,
    ///   `belongsElsewhere` if it names another cluster or host.
    public func host(_ host: HostID) throws(ClusterFolderError) -> HostFolder {
        guard Int(host.number) < manifest.hosts.count else { throw .noSuchHost(host, count: manifest.hosts.count) }
        return try HostFolder(
            path: isHostFolder ? path : "\(path)/hosts/\(host)", host: host, manifest: manifest)
    }

    /// The host whose folder this is.
    /// - Throws: `whichHost` if it is not one host's; otherwise what `host(_:)` throws.
    public func ownHost() throws(ClusterFolderError) -> HostID {
        guard isHostFolder else { throw .whichHost(path, count: manifest.hosts.count) }
        let number = try HostFolder.number(in: path, manifest: manifest)
        return try host(number).host
    }
}
