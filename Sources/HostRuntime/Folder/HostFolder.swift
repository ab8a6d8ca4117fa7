import Messages

/// `hosts/N/`: one host's key, journal and state.
public struct HostFolder: Sendable {
    public let path: String
    public let host: HostID
    public let manifest: Manifest

    /// Checks in `host.json` that the folder belongs to this cluster and host.
    init(path: String, host: HostID, manifest: Manifest) throws(ClusterFolderError) {
        (self.path, self.host, self.manifest) = (path, host, manifest)
        let file = path + "/host.json"
        let cluster: ClusterID
        let number: Int
        do {
            let root = try JSONReader(try DurableFile.read(file, limit: 65536), file: file)
            try root.expectKeys(["cluster", "host"])
            cluster = try root.bytes32("cluster")
            number = try root.integer("host", in: 0...65535)
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as ManifestFileError {
            throw .manifestFile(error)
        } catch {
            throw .noSuchFolder(path)
        }
        guard cluster == manifest.cluster else { throw .belongsElsewhere(path: path, what: "cluster \(cluster.short)") }
        guard number == Int(host.number) else { throw .belongsElsewhere(path: path, what: "host \(number)") }
    }

    public var journalPath: String { path + "/journal" }
    public func statePath(of shard: ShardID) -> String { "\(path)/state/shard-\(shard)" }
    private var markerPath: String { path + "/initialised" }

    public func signer() throws(KeyFileError) -> Ed25519Signer {
        let file = path + "/host.key"
        let signer = try KeyFile.read(file)
        guard signer.publicKey == manifest.hosts[Int(host.number)].publicKey else { throw .notInManifest(path: file) }
        return signer
    }

    /// Keeps a second process out; held until the value goes.
    func lock() throws(ClusterFolderError) -> FolderLock {
        do {
            guard let lock = try FolderLock(path + "/lock") else { throw ClusterFolderError.inUse(path) }
            return lock
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as ClusterFolderError {
            throw error
        } catch {
            throw .inUse(path)
        }
    }

    /// Whether the host has ever had a journal. The marker is durable before the host first speaks.
    public var isInitialised: Bool { DurableFile.exists(markerPath) }

    /// Makes the folders of the journal and of every shard's state where they are missing; a host that has taken
    /// part before and lacks one of them is refused, because it may have forgotten its votes (R4).
    func prepareStorage() throws(ClusterFolderError) {
        let states = manifest.shards(of: host).map { statePath(of: $0) }
        do {
            if isInitialised {
                for folder in [journalPath] + states where !DurableFile.exists(folder) {
                    throw ClusterFolderError.diskLost(path: path, missing: String(folder.dropFirst(path.utf8.count + 1)))
                }
                return
            }
            if !DurableFile.exists(path + "/state") { try DurableFile.createFolder(path + "/state", mode: 0o700) }
            for folder in states + [journalPath] where !DurableFile.exists(folder) {
                try DurableFile.createFolder(folder, mode: 0o700)
            }
            try DurableFile.syncFolder(path + "/state")
            try DurableFile.syncFolder(path)
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as ClusterFolderError {
            throw error
        } catch {
            throw .noSuchFolder(path)
        }
    }

    /// Says durably that the journal exists.
    func markInitialised() throws(ClusterFolderError) {
        guard !isInitialised else { return }
        let text = "This host has a journal. Without it the host must not vote again.\n"
        do {
            try DurableFile.create(markerPath, Array(text.utf8), mode: 0o644)
            try DurableFile.syncFolder(path)
        } catch {
            throw .file(error)
        }
    }
}
