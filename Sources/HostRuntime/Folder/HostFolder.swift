import Glibc
import ManifestFile
import Messages
import StrictInput

/// `hosts/N/`, or wherever it was copied to: one host's key, journal and state.
public struct HostFolder: Sendable {
    /// `hosts/N` under the cluster's folder, or the folder that was opened, without a slash at its end.
    public let path: String
    /// Whose folder it is, as `host.json` confirmed.
    public let host: HostID
    /// The cluster's, which the folder was checked against.
    public let manifest: Manifest

    /// Checks in `host.json` that the folder belongs to this cluster and host.
    init(path: String, host: HostID, manifest: Manifest) throws(ClusterFolderError) {
        (self.path, self.host, self.manifest) = (path, host, manifest)
        let (cluster, number) = try Self.identity(in: path, manifest: manifest, expected: host.description)
        guard cluster == manifest.cluster else { throw .belongsElsewhere(path: path, what: "cluster \(cluster.short)") }
        guard number == Int(host.number) else { throw .belongsElsewhere(path: path, what: "host \(number)") }
    }

    /// Whose folder it says that it is.
    /// - Throws: `damagedIdentity`.
    static func number(in path: String, manifest: Manifest) throws(ClusterFolderError) -> HostID {
        HostID(UInt16(try identity(in: path, manifest: manifest, expected: "its number").number))
    }

    /// What `host.json` says.
    /// - Parameter host: which number is expected in it.
    private static func identity(
        in path: String, manifest: Manifest, expected host: String
    ) throws(ClusterFolderError) -> (cluster: ClusterID, number: Int) {
        let file = path + "/host.json"
        do {
            let fields = try JSONReader(try DurableFile.read(file, limit: 65536), file: file).object([
                "cluster", "host",
            ])
            return (try fields["cluster"].bytes32(), try fields["host"].integer(in: 0...65535))
        } catch {
            let problem = (error as? FileFailure)?.description ?? (error as? InputProblem)?.description ?? "\(error)"
            let expected = "{\"cluster\": \"\(manifest.cluster.hex)\", \"host\": \(host)}"
            throw .damagedIdentity(path: file, problem: problem, expected: expected)
        }
    }

    /// A folder of segments, one journal for all shards of the host. It is missing until the first start.
    public var journalPath: String { path + "/journal" }
    /// The folder of LMDB's files for one shard. It is missing until the first start.
    public func statePath(of shard: ShardID) -> String { "\(path)/state/shard-\(shard)" }
    /// The folder of what one shard has executed, for exports. It is missing until the first start with an archive.
    public func archivePath(of shard: ShardID) -> String { "\(path)/archive/shard-\(shard)" }
    private var markerPath: String { path + "/initialised" }
    private var lostPath: String { path + "/lost-records" }
    private var proceduresPath: String { path + "/procedures" }

    /// The host's secret key, from `host.key`.
    /// - Throws: `KeyFileError` if the file cannot be read, others may read it, it holds no key, or the manifest has
    ///   another public key for this host.
    public func signer() throws(KeyFileError) -> Ed25519Signer {
        let file = path + "/host.key"
        let signer = try KeyFile.read(file)
        guard signer.publicKey == manifest.hosts[Int(host.number)].publicKey else { throw .notInManifest(path: file) }
        return signer
    }

    /// Whether a process runs the host from this folder, on this machine. Makes no file: it would be the asking user's.
    public var isInUse: Bool {
        do {
            try Self.lockForReading(path).release()
            return false
        } catch {
            if case .inUse = error { return true }
            return false
        }
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

    /// Keeps the host from being started while its files are looked at. Changes nothing.
    /// - Parameter path: the host's folder.
    /// - Throws: `inUse` if the host runs.
    package static func lockForReading(_ path: String) throws(ClusterFolderError) -> FolderLock {
        do {
            guard let lock = try FolderLock(existing: path + "/lock") else { throw ClusterFolderError.inUse(path) }
            return lock
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as ClusterFolderError {
            throw error
        } catch {
            throw .inUse(path)
        }
    }

    /// Keeps a program with other procedures out: what the journal holds above the state is executed again at a start,
    /// and would become something else than what this host has certified. Bound from the first start on, before the
    /// host speaks; a host that has lost its journal is bound anew.
    /// - Parameter procedures: their names, ascending.
    /// - Returns: those that it is bound to instead, where only the journal can tell whether it has records that they
    ///   were made by: `bindAnew` is called if it has none.
    func bind(to procedures: [String]) throws(ClusterFolderError) -> [String]? {
        if DurableFile.exists(proceduresPath) {
            let known: [UInt8]
            do { known = try DurableFile.read(proceduresPath, limit: 1 << 20) } catch { throw .file(error) }
            guard known != Self.list(procedures) else { return nil }
            let names = String(decoding: known, as: UTF8.self).split(separator: "\n").map(String.init)
            guard !isInitialised || !DurableFile.exists(journalPath) || hasLostRecords else {
                throw .otherProcedures(path: path, known: names, ours: procedures)
            }
            // The file that says that there is a journal may be what was lost.
            if !isInitialised, !DurableFile.isEmpty(journalPath) { return names }
        }
        try bindAnew(to: procedures)
        return nil
    }

    private static func list(_ procedures: [String]) -> [UInt8] { Array(procedures.map { $0 + "\n" }.joined().utf8) }

    func bindAnew(to procedures: [String]) throws(ClusterFolderError) {
        do {
            // Whole or not there: a half-written list would keep everybody out.
            let temporary = proceduresPath + ".new"
            try DurableFile.remove(temporary)
            try DurableFile.create(temporary, Self.list(procedures), mode: 0o644)
            try DurableFile.remove(proceduresPath)
            try DurableFile.rename(temporary, proceduresPath)
            try DurableFile.syncFolder(path)
        } catch {
            throw .file(error)
        }
    }

    /// Whether the host has ever had a journal. The marker is durable before the host first speaks.
    public var isInitialised: Bool { DurableFile.exists(markerPath) }

    /// Whether a state was ever flushed. A new database has three pages, and a flush adds at least as many.
    var hasWrittenState: Bool {
        manifest.shards(of: host).contains { shard in
            var status = stat()
            return stat(statePath(of: shard) + "/data.mdb", &status) == 0
                && Int(status.st_size) > 4 * sysconf(Int32(_SC_PAGESIZE))
        }
    }

    /// Makes the folders of the journal and of every shard's state where they are missing. A host that has taken part
    /// before and lacks its journal may have forgotten its votes: that is declared here, and it rejoins in quarantine
    /// (R4).
    func prepareStorage() throws(ClusterFolderError) {
        let states = manifest.shards(of: host).map { statePath(of: $0) }
        if isInitialised, !DurableFile.exists(journalPath) { try declareLostRecords() }
        do throws(FileFailure) {
            if !DurableFile.exists(path + "/state") { try DurableFile.createFolder(path + "/state", mode: 0o700) }
            for folder in states + [journalPath] where !DurableFile.exists(folder) {
                try DurableFile.createFolder(folder, mode: 0o700)
            }
            try DurableFile.syncFolder(path + "/state")
            try DurableFile.syncFolder(path)
        } catch {
            throw .file(error)
        }
    }

    /// Makes the folders of archives where they are missing.
    func prepareArchives() throws(ClusterFolderError) {
        do throws(FileFailure) {
            let archives = path + "/archive"
            if !DurableFile.exists(archives) { try DurableFile.createFolder(archives, mode: 0o700) }
            for shard in manifest.shards(of: host) where !DurableFile.exists(archivePath(of: shard)) {
                try DurableFile.createFolder(archivePath(of: shard), mode: 0o700)
            }
            try DurableFile.syncFolder(archives)
            try DurableFile.syncFolder(path)
        } catch { throw .file(error) }
    }

    /// Whether the journal is not to be believed: its records are lost, or are an older backup's.
    public var hasLostRecords: Bool { DurableFile.exists(lostPath) }

    /// Declares that the host may have forgotten votes. At its next start it puts its journal aside and rejoins in
    /// quarantine.
    public func declareLostRecords() throws(ClusterFolderError) {
        guard !hasLostRecords else { return }
        let text = "This host may have forgotten votes: it starts in quarantine, without the journal.\n"
        do {
            try DurableFile.create(lostPath, Array(text.utf8), mode: 0o644)
            try DurableFile.syncFolder(path)
        } catch {
            throw .file(error)
        }
    }

    /// The new journal says so itself now, durably.
    func forgetDeclaration() throws(ClusterFolderError) {
        do {
            try DurableFile.remove(lostPath)
            try DurableFile.syncFolder(path)
        } catch {
            throw .file(error)
        }
    }

    /// So often a journal or a state is put aside; nothing of it is ever removed here.
    static let maximumAside = 8

    /// Renames a folder to `….damaged-N`, for whoever wants to look into it, and makes an empty one in its place.
    /// - Returns: where it is now.
    func setAside(_ folder: String) throws(ClusterFolderError) -> String {
        var number = 1
        while DurableFile.exists("\(folder).damaged-\(number)") { number += 1 }
        guard number <= Self.maximumAside else { throw .tooManyAside(folder, count: Self.maximumAside) }
        let aside = "\(folder).damaged-\(number)"
        do {
            try DurableFile.rename(folder, aside)
            // What is renamed back is opened: its mark has been heeded.
            if DurableFile.exists(aside + "/opened") {
                try DurableFile.rename(aside + "/opened", aside + "/opened.died")
            }
            try DurableFile.createFolder(folder, mode: 0o700)
            try DurableFile.syncFolder(folder + "/..")
        } catch {
            throw .file(error)
        }
        return aside
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
