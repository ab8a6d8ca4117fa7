extension Manifest {
    /// What of a manifest is compared by itself, so that who finds a difference can say which. Processes with another
    /// cluster or epoch refuse each other's hello.
    public enum Part: String, CaseIterable, Sendable {
        /// The hosts' public keys, in their order.
        case keys
        /// Where hosts are reached.
        case addresses
        /// Which host runs which replica.
        case shards
        /// The key that may issue money.
        case issuer
        /// The key that may freeze and release accounts, or that there is none.
        case compliance
    }

    /// The first 48 bits of a hash of a part: as many as a number of JSON or Prometheus holds exactly. It finds mistakes,
    /// and proves nothing: who wants to can make two of one fingerprint.
    public func fingerprint(of part: Part) -> UInt64 {
        var hasher = Hasher256(.manifest)
        func add(_ text: String) {
            hasher.update(integer: UInt32(clamping: text.utf8.count))
            hasher.update(Array(text.utf8))
        }
        add(part.rawValue)
        switch part {
        case .keys: for host in hosts { hasher.update(host.publicKey) }
        case .addresses:
            for host in hosts {
                add(host.address)
                hasher.update(integer: Int64(host.port))
            }
        case .shards:
            for replicas in shards {
                hasher.update(integer: UInt32(clamping: replicas.count))
                for host in replicas { hasher.update(integer: host.number) }
            }
        case .issuer: hasher.update(issuer)
        case .compliance: if let compliance { hasher.update(compliance) }
        }
        return hasher.finish().value.withBytes { bytes in bytes.prefix(6).reduce(0) { $0 << 8 | UInt64($1) } }
    }
}
