/// Certificates of several decides as they travel together. What those of one executed batch have in common stands
/// once: statement, signatures, and of the tree what is missing (`MerkleProof`); each adds its leaf. A decide says where
/// its certificates stand.
///
/// One encoding a value, as everywhere. A certificate stands in the last group of its batch, or begins one: the first
/// of a batch does, and one whose leaf stands in that group already, so that no byte stands for two certificates. What
/// does not lead to its root cannot stand in a group and is written whole, for `Verifier` to refuse.
struct CertificateTable {
    struct Place: Hashable {
        let group: UInt32
        /// Of the leaf in its tree.
        let index: UInt32
    }

    /// Of one batch, by one choice of signatures.
    private struct Group {
        let statement: AttestationStatement
        let signatures: [ReplicaSignature]
        let count: UInt32
        var certificates: [Certificate] = []

        init(_ certificate: Certificate) {
            (statement, signatures) = (certificate.statement, certificate.signatures)
            count = certificate.path.count
        }
        func has(_ certificate: Certificate) -> Bool {
            statement == certificate.statement && signatures == certificate.signatures
                && count == certificate.path.count
        }
    }

    /// In the place of a group: the certificate follows, whole.
    fileprivate static let whole = UInt32.max

    private var groups: [Group] = []
    /// By root: the group that was begun last.
    private var latest: [Digest: Int] = [:]
    private var taken: Set<Place> = []

    /// - Returns: where it stands; nil for what must be written whole.
    fileprivate mutating func add(_ certificate: Certificate) -> Place? {
        // A batch of a correct replica has no more leaves, and what a reader does for a tree must be bounded.
        guard certificate.isInBatch, certificate.path.count <= UInt32(BatchAttestation.maxLeaves) else { return nil }
        let root = certificate.statement.leavesRoot
        let index = certificate.path.index
        if let group = latest[root], groups[group].has(certificate) {
            let place = Place(group: UInt32(group), index: index)
            if taken.insert(place).inserted {
                groups[group].certificates.append(certificate)
                return place
            }
        }
        let place = Place(group: UInt32(groups.count), index: index)
        latest[root] = groups.count
        taken.insert(place)
        var group = Group(certificate)
        group.certificates.append(certificate)
        groups.append(group)
        return place
    }

    /// The decide without its certificates, which are added.
    mutating func put(_ decide: TransactionDecide, into writer: inout ByteWriter) {
        writer.put(decide.principal)
        writer.put(decide.number)
        let isNamed = decide.certificates.first?.leaf.request != decide.request
        writer.put(isNamed)
        if isNamed { writer.put(decide.request) }
        writer.put(UInt32(decide.certificates.count))
        for certificate in decide.certificates {
            guard let place = add(certificate) else {
                writer.put(Self.whole)
                writer.put(certificate)
                continue
            }
            writer.put(place.group)
            writer.put(place.index)
        }
    }

    /// What was added, behind all that says where it stands: counted groups, in the order in which they were begun. Of
    /// each the statement, the counted signatures, how many leaves the tree has, the counted leaves with their places,
    /// ascending, and the hashes that are missing, which nothing counts.
    func encode(into writer: inout ByteWriter) {
        writer.put(UInt32(groups.count))
        for group in groups {
            let certificates = group.certificates.sorted { $0.path.index < $1.path.index }
            writer.put(group.statement)
            writer.put(array: group.signatures)
            writer.put(group.count)
            writer.put(UInt32(certificates.count))
            for certificate in certificates {
                writer.put(certificate.path.index)
                writer.put(certificate.leaf)
            }
            for hash in MerkleProof.missing(certificates.map(\.path)) { writer.put(hash) }
        }
    }

    /// How many certificates each group has.
    fileprivate var sizes: [Int] { groups.map(\.certificates.count) }
}

/// A decide as it is read before the table that has its certificates.
struct PlacedDecide {
    private enum Placed {
        case at(CertificateTable.Place)
        case whole(Certificate)
    }

    private let principal: PublicKey
    private let number: RequestNumber
    private let request: Digest?
    private let certificates: [Placed]

    /// Of certificates.
    var count: Int { certificates.count }

    /// Refuses more than `TransactionDecide.maxCertificates`.
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (principal, number) = (try reader.value(), try reader.value())
        request = try reader.bool() ? try reader.value() : nil
        let count = Int(try reader.uint32())
        guard count <= TransactionDecide.maxCertificates else { throw reader.invalid("number of certificates") }
        var certificates: [Placed] = []
        for _ in 0..<count {
            let group = try reader.uint32()
            certificates.append(
                group == CertificateTable.whole
                    ? .whole(try reader.value()) : .at(.init(group: group, index: try reader.uint32())))
        }
        self.certificates = certificates
    }

    /// Reads the table behind the last of them, and puts them together. Each node of each tree is hashed once, and no
    /// signature is checked.
    /// - Throws: for what is not the one form of these decides: a leaf that no decide has or that leads to another root
    ///   than the signed one, a group too many, another order.
    static func resolve(
        _ decides: [PlacedDecide], from reader: inout ByteReader
    ) throws(DecodingFailure) -> [TransactionDecide] {
        let groups = try Self.groups(from: &reader, atMost: decides.reduce(0) { $0 + $1.certificates.count })
        var table = CertificateTable()
        var resolved: [TransactionDecide] = []
        resolved.reserveCapacity(decides.count)
        for decide in decides {
            var certificates: [Certificate] = []
            certificates.reserveCapacity(decide.certificates.count)
            for placed in decide.certificates {
                let (certificate, place) = try Self.find(placed, in: groups, reader)
                // Written again it would stand where it stands.
                guard table.add(certificate) == place else { throw reader.invalid("place of a certificate") }
                certificates.append(certificate)
            }
            let named = certificates.first?.leaf.request
            guard let request = decide.request ?? named, decide.request != named else {
                throw reader.invalid("name of a decide")
            }
            resolved.append(
                TransactionDecide(
                    principal: decide.principal, number: decide.number, request: request, certificates: certificates))
        }
        guard table.sizes == groups.map(\.count) else { throw reader.invalid("certificates that nobody has") }
        return resolved
    }

    private static func find(
        _ placed: Placed, in groups: [[Certificate]], _ reader: ByteReader
    ) throws(DecodingFailure) -> (Certificate, CertificateTable.Place?) {
        switch placed {
        case .whole(let certificate): return (certificate, nil)
        case .at(let place):
            guard place.group < UInt32(groups.count) else { throw reader.invalid("group of certificates") }
            let group = groups[Int(place.group)]
            var (low, high) = (0, group.count)
            while low < high {
                let middle = (low + high) / 2
                if group[middle].path.index < place.index { low = middle + 1 } else { high = middle }
            }
            guard low < group.count, group[low].path.index == place.index else {
                throw reader.invalid("place of a certificate")
            }
            return (group[low], place)
        }
    }

    /// - Parameter limit: of all certificates together: each has a decide of its own.
    private static func groups(
        from reader: inout ByteReader, atMost limit: Int
    ) throws(DecodingFailure) -> [[Certificate]] {
        var left = limit
        let count = Int(try reader.uint32())
        guard count <= left else { throw reader.invalid("number of groups") }
        var groups: [[Certificate]] = []
        for _ in 0..<count {
            let group = try Self.group(from: &reader, atMost: left)
            left -= group.count
            groups.append(group)
        }
        return groups
    }

    private static func group(
        from reader: inout ByteReader, atMost limit: Int
    ) throws(DecodingFailure) -> [Certificate] {
        let statement: AttestationStatement = try reader.value()
        let signatures = try reader.signatures()
        let (width, count) = (try reader.uint32(), Int(try reader.uint32()))
        guard width <= UInt32(BatchAttestation.maxLeaves) else { throw reader.invalid("width of a tree") }
        guard count > 0, count <= limit else { throw reader.invalid("number of leaves") }
        var leaves: [Leaf] = []
        var places: [(index: UInt32, hash: Digest)] = []
        for _ in 0..<count {
            let index = try reader.uint32()
            guard index < width, places.last.map({ $0.index < index }) ?? true else {
                throw reader.invalid("place of a leaf")
            }
            let leaf: Leaf = try reader.value()
            leaves.append(leaf)
            places.append((index, leaf.hash))
        }
        let (root, paths) = try MerkleProof.read(places, of: width, from: &reader)
        guard root == statement.leavesRoot else { throw reader.invalid("root of the leaves") }
        return zip(leaves, paths).map {
            Certificate(statement: statement, leaf: $0, proven: $1, signatures: signatures)
        }
    }
}
