import Messages

/// Who checks which signature (docs/decisions/0040), said in one place for the runtime and the simulator.
public struct CheckingRule: Sendable {
    private let manifest: Manifest
    private let host: HostID
    private let isShared: Bool

    /// - Parameter options: `sharesChecks` is looked at.
    public init(manifest: Manifest, host: HostID, options: HostOptions) {
        (self.manifest, self.host, isShared) = (manifest, host, options.sharesChecks)
    }

    /// As whose message a peer's is verified: nil to check all of it.
    public var reader: HostID? { isShared ? host : nil }

    /// What a peer said, checked. A proposal that is not what it says proves that who made it is faulty; anything else
    /// is dropped.
    public func verify<Scheme>(
        _ message: HostMessage, from peer: HostID, by verifier: inout Verifier<Scheme>
    ) -> HostInput? {
        if let verified = try? verifier.verify(message, at: reader) { return .peer(peer, verified) }
        guard case .pbft(let shard, .prePrepare(let proposal)) = message, manifest.hasShard(shard) else { return nil }
        return .forged(by: peer, shard, proposal.view, proposal.sequence)
    }

    /// What a gateway said, checked, but for a request that no shard of this host is to check as it comes. A gateway
    /// that has not looked itself hears of what nobody has signed.
    /// - Parameter primary: of a shard, as far as is known. If it is another one the shard asks for the check.
    public func verify<Scheme>(
        _ message: GatewayMessage, from session: SessionID, by verifier: inout Verifier<Scheme>,
        primary: (ShardID) -> ReplicaIndex?
    ) -> HostInput? {
        if case .submit(let shards, let request) = message, !checks(request, of: shards, primary: primary) {
            return .unchecked(session, shards, request)
        }
        if let verified = try? verifier.verify(message) { return .gateway(session, verified) }
        guard case .submit(let shards, let request) = message else { return nil }
        return .unsigned(session, shards, request.digest)
    }

    private func checks(
        _ request: SignedRequest, of shards: [ShardID], primary: (ShardID) -> ReplicaIndex?
    ) -> Bool {
        guard isShared else { return true }
        return shards.contains { shard in
            guard let me = manifest.replica(of: shard, on: host) else { return false }
            guard let primary = primary(shard), primary != me else { return true }
            return manifest.group(of: shard).isDesignated(me, for: request.digest, under: primary)
        }
    }
}

/// Signatures that a shard wants to know about, off the protocol's thread.
public enum HostCheck: Sendable {
    /// Before a batch with them is executed.
    case batch(ShardID, SignatureCheck)
    /// Of a request that waits unchecked.
    case submission(ShardID, SessionID, SignedRequest)

    /// Whether ordering waits for it.
    public var isUrgent: Bool { if case .batch = self { true } else { false } }

    /// Whose turn it takes of what waits to be checked; nil for this host's own.
    public var session: SessionID? { if case .submission(_, let session, _) = self { session } else { nil } }

    /// Bytes, roughly.
    public var weight: Int {
        switch self {
        case .batch(_, let check): check.places.count * 256 + 256
        case .submission(_, _, let request): request.bytes.count + 256
        }
    }

    /// What is to be said once it is done.
    public func carryOut<Scheme>(by verifier: inout Verifier<Scheme>) -> HostInput {
        switch self {
        case .batch(let shard, let check): .checked(shard, verifier.check(check))
        case .submission(let shard, let session, let request):
            .submissionChecked(shard, session, request.digest, try? verifier.verify(request))
        }
    }
}
