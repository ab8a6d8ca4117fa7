import Messages

/// The first frame of a session, from the side that connected. Both sides speak the same version of everything or
/// do not speak.
struct Hello: Hashable, Sendable, CanonicalCodable {
    static let currentVersion: UInt16 = 11
    private static let magic: UInt32 = 0x5152_5445
    /// Hello and its answer are short.
    static let maxFrame = 4096

    enum Sender: Hashable, Sendable {
        /// With the fingerprint of its procedures: replicas with others would execute something else.
        case host(HostID, procedures: Digest)
        /// A gateway or a tool, trusted with nothing.
        case gateway
    }

    let version: UInt16
    let cluster: ClusterID
    let epoch: Epoch
    let sender: Sender

    init(version: UInt16 = Self.currentVersion, cluster: ClusterID, epoch: Epoch, sender: Sender) {
        (self.version, self.cluster, self.epoch, self.sender) = (version, cluster, epoch, sender)
    }

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard try reader.uint32() == Self.magic else { throw reader.invalid("greeting") }
        version = try reader.uint16()
        guard version == Self.currentVersion else {
            // The rest belongs to a version that this build does not know; the number is enough to refuse it.
            (cluster, epoch, sender) = (ClusterID(FixedBytes32()), Epoch(0), .gateway)
            _ = try reader.raw(reader.remaining)
            return
        }
        (cluster, epoch) = (try reader.value(), try reader.value())
        switch try reader.uint8() {
        case 1: sender = .host(try reader.value(), procedures: try reader.value())
        case 2: sender = .gateway
        default: throw reader.invalid("sender of a greeting")
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.put(Self.magic)
        writer.put(version)
        writer.put(cluster)
        writer.put(epoch)
        switch sender {
        case .host(let host, let procedures):
            writer.put(UInt8(1))
            writer.put(host)
            writer.put(procedures)
        case .gateway: writer.put(UInt8(2))
        }
    }
}

/// Why a greeting is not accepted.
enum HelloRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case version(theirs: UInt16, ours: UInt16)
    case cluster(theirs: ClusterID, ours: ClusterID)
    case epoch(theirs: Epoch, ours: Epoch)
    case key(HostID)
    case tooManyGateways(limit: Int)
    case procedures(HostID, ours: [String])

    var description: String {
        switch self {
        case .version(let theirs, let ours):
            "protocol version \(theirs) where \(ours) is spoken; run the same build everywhere"
        case .cluster(let theirs, let ours): "for cluster \(theirs.short), and this is cluster \(ours.short)"
        case .epoch(let theirs, let ours):
            "epoch \(theirs) where the epoch is \(ours); use the same cluster.json everywhere"
        case .key(let host): "the session's key is not the key of host \(host) in cluster.json"
        case .procedures(let host, let ours):
            "host \(host) has other procedures; here they are: \(ours.isEmpty ? "none" : ours.joined(separator: ", ")). Run the same program everywhere"
        case .tooManyGateways(let limit): "\(limit) gateways and tools are connected, which is the limit"
        }
    }
}

/// The second frame of a session.
enum HelloAnswer: Hashable, Sendable, CanonicalCodable {
    case accepted
    case refused(reason: String)

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .accepted
        case 2: self = .refused(reason: String(decoding: try reader.blob(limit: 1024), as: UTF8.self))
        default: throw reader.invalid("answer to a greeting")
        }
    }
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .accepted: writer.put(UInt8(1))
        case .refused(let reason):
            writer.put(UInt8(2))
            writer.put(blob: Array(reason.utf8.prefix(1024)))
        }
    }
}
