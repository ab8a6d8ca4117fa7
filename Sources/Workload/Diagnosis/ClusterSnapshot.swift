import Foundation
import Messages

/// What one look at a cluster has brought: what its processes say of themselves, twice and a moment apart, and what this
/// machine shows of processes, files and disks. All findings follow from it (`Diagnosis`).
package struct ClusterSnapshot: Sendable {
    /// A process of this machine.
    package struct Process: Hashable, Sendable {
        package var pid: Int32
        /// Under SIGSTOP.
        package var isStopped = false
        package var started: Date?
        /// Descriptors that it has open, and how many it may have; nil where the system does not show them.
        package var descriptors: (open: Int, limit: Int)? {
            get { openDescriptors.flatMap { open in descriptorLimit.map { (open, $0) } } }
            set { (openDescriptors, descriptorLimit) = (newValue?.open, newValue?.limit) }
        }
        private var openDescriptors: Int?
        private var descriptorLimit: Int?

        package init(pid: Int32, isStopped: Bool = false, started: Date? = nil) {
            (self.pid, self.isStopped, self.started) = (pid, isStopped, started)
        }
    }

    /// What the end of a process's log says.
    package struct Log: Hashable, Sendable {
        /// When it last said anything.
        package var lastWord: Date?
        /// The first line of level critical since it last started.
        package var complaint: (at: Date, text: String)? {
            get { complaintTime.flatMap { at in complaintText.map { (at, $0) } } }
            set { (complaintTime, complaintText) = (newValue?.at, newValue?.text) }
        }
        private var complaintTime: Date?
        private var complaintText: String?

        package init(lastWord: Date? = nil) { self.lastWord = lastWord }
    }

    /// What a host says of itself.
    package struct Report: Hashable, Sendable {
        package var replicas: [ReplicaStatus]
        package var metrics: [MetricSample]

        package init(replicas: [ReplicaStatus], metrics: [MetricSample] = []) {
            (self.replicas, self.metrics) = (replicas, metrics)
        }
    }

    /// What came of two questions.
    package enum Answer<Value: Sendable>: Sendable {
        /// The first answer is nil if only the second came.
        case answers(earlier: Value?, Value)
        case silent(Silence)

        package var latest: Value? { if case .answers(_, let latest) = self { latest } else { nil } }
        package var earlier: Value? { if case .answers(let earlier, _) = self { earlier } else { nil } }
        package var silence: Silence? { if case .silent(let silence) = self { silence } else { nil } }
    }

    /// What a host's folder shows.
    package struct Folder: Hashable, Sendable {
        /// It is another cluster's or host's folder.
        package var belongsElsewhere: String?
        /// What cannot be read of what says whose it is.
        package var damage: String?
        /// Why the key cannot be used, and whether that is only because others may read it.
        package var key: String?
        package var isKeyOpen = false
        /// As the host was bound to them at its first start; nil before.
        package var procedures: [String]?
        /// What was put aside as damaged.
        package var asides: [String] = []

        package init() {}
    }

    /// One host of the manifest.
    package struct Host: Sendable {
        package var number: Int
        /// With its port.
        package var address: String
        /// Its folder is on this machine, so its process would be seen.
        package var isHere = true
        package var process: Process?
        /// It was started, and not stopped by a command.
        package var isExpected = false
        package var answer: Answer<Report>
        package var log = Log()
        /// Nil if its folder is not on this machine.
        package var folder: Folder?
        /// Digests of the whole state, if they were asked for.
        package var audits: [ShardAudit] = []

        package init(_ number: Int, address: String, answer: Answer<Report>) {
            (self.number, self.address, self.answer) = (number, address, answer)
        }
    }

    package struct Gateway: Sendable {
        package var number: Int
        package var address: String
        /// It was started from the cluster's folder, so its process would be seen; otherwise it is listed, and runs
        /// wherever its address leads.
        package var isHere = true
        package var process: Process?
        package var answer: Answer<GatewayStatus>
        package var log = Log()

        package init(_ number: Int, address: String, answer: Answer<GatewayStatus>) {
            (self.number, self.address, self.answer) = (number, address, answer)
        }
    }

    /// A file system that holds something of the cluster.
    package struct Disk: Hashable, Sendable {
        /// One of the folders on it, and whose they are: `host 2`.
        package var path: String
        package var owners: [String]
        package var freeBytes: UInt64
        package var totalBytes: UInt64
        /// Names that it has room for; nil where there is no such limit.
        package var freeFiles: UInt64?

        package init(_ path: String, owners: [String], freeBytes: UInt64, totalBytes: UInt64, freeFiles: UInt64? = nil)
        {
            (self.path, self.owners, self.freeFiles) = (path, owners, freeFiles)
            (self.freeBytes, self.totalBytes) = (freeBytes, totalBytes)
        }
    }

    /// A process of the cluster's folder that is no member of it as it stands: a second one, or one of a host that is
    /// not in the manifest.
    package struct Stray: Hashable, Sendable {
        /// `host 3`
        package var role: String
        package var pid: Int32
        /// There is another process of that role, which a file names.
        package var isSecond: Bool

        package init(role: String, pid: Int32, isSecond: Bool) {
            (self.role, self.pid, self.isSecond) = (role, pid, isSecond)
        }
    }

    /// A secret key beside those of the hosts, or a certificate.
    package struct Certificate: Hashable, Sendable {
        package var path: String
        package var ends: Date
        package init(_ path: String, ends: Date) { (self.path, self.ends) = (path, ends) }
    }

    package var taken: Date
    /// Seconds between the first answers and the second ones.
    package var interval: Double
    package var manifest: Manifest
    /// The cluster's folder as it stands in commands: one word for a shell.
    package var folderWord: String
    /// Hosts and gateways are started on their own machines, and never from this folder.
    package var isForManyMachines = false
    /// By number, one for each of the manifest's.
    package var hosts: [Host]
    package var gateways: [Gateway] = []
    package var clocks = ClockReport()
    package var disks: [Disk] = []
    package var strays: [Stray] = []
    package var certificates: [Certificate] = []
    /// Why the issuer's key cannot be used; nil if it can, or is not on this machine.
    package var issuerKey: (why: String, isOpen: Bool)?

    package init(of manifest: Manifest, folderWord: String, hosts: [Host], taken: Date = .now, interval: Double = 1) {
        (self.manifest, self.folderWord, self.hosts) = (manifest, folderWord, hosts)
        (self.taken, self.interval) = (taken, interval)
    }
}

/// Why there is no answer, from the words of whoever tried to get one.
package enum Silence: Hashable, Sendable {
    case nobodyListens
    /// Something listens that has another key than the manifest names.
    case otherKey
    /// ... that speaks no TLS, or not ours.
    case stranger(String)
    case otherCluster(String)
    case otherVersion(String)
    case other(String)

    /// - Parameter words: an error of a connection.
    package init(_ words: String) {
        func says(_ texts: String...) -> Bool { texts.contains { words.contains($0) } }
        if says("CERTIFICATE_VERIFY_FAILED", "is not the key of") {
            self = .otherKey
        } else if says("refused: for cluster", "refused: epoch") {
            self = .otherCluster(words)
        } else if says("protocol version") {
            self = .otherVersion(words)
        } else if says("onnection refused") {
            self = .nobodyListens
        } else if says(
            "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "handshakeFailed", "sslError",
            "TLS handshake failed", "cannot be spoken to", "is not to be trusted")
        {
            self = .stranger(words)
        } else {
            self = .other(words)
        }
    }
}
