import Messages

/// Who forgot what he had said, by his own signature (R4): VIEW-CHANGEs of an earlier incarnation do not count.
package struct Incarnations: Sendable {
    private let configuration: ReplicaConfiguration
    /// By replica, the latest. The own one is said in VIEW-CHANGE.
    private var declarations: [IncarnationDeclaration?]
    /// By replica: how often this replica has heard of a later one, for the new primary's choice of S.
    package private(set) var forgettings: [Int]

    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        declarations = Array(repeating: nil, count: configuration.group.n)
        forgettings = Array(repeating: 0, count: configuration.group.n)
    }

    package func of(_ replica: ReplicaIndex) -> UInt64 { declarations[replica.index]?.incarnation ?? 0 }
    package var own: UInt64 { of(configuration.me) }

    func declaration(of replica: ReplicaIndex) -> IncarnationDeclaration? { declarations[replica.index] }

    var ofPeers: [IncarnationDeclaration] { declarations.compactMap { $0 }.filter { $0.replica != configuration.me } }

    /// Whether the sender may have forgotten this since.
    package func outlived(_ viewChange: ViewChange) -> Bool { viewChange.incarnation < of(viewChange.replica) }

    package mutating func begin(_ incarnation: UInt64) {
        declarations[configuration.me.index] = IncarnationDeclaration(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard,
            replica: configuration.me,
            incarnation: incarnation, signer: configuration.signer)
    }

    /// - Returns: false if it is no news of a peer.
    package mutating func adopt(_ verified: Verified<IncarnationDeclaration>) -> Bool {
        let declaration = verified.value
        let peer = declaration.replica
        guard peer != configuration.me, isNews(declaration) else { return false }
        declarations[peer.index] = declaration
        forgettings[peer.index] += 1
        return true
    }

    /// At a restart.
    mutating func restore(own incarnation: UInt64, peers: [IncarnationDeclaration]) {
        if incarnation > own { begin(incarnation) }
        for declaration in peers where isNews(declaration) {
            declarations[declaration.replica.index] = declaration
            forgettings[declaration.replica.index] = 1
        }
    }

    private func isNews(_ declaration: IncarnationDeclaration) -> Bool {
        declaration.replica.index < configuration.group.n && declaration.incarnation > of(declaration.replica)
    }
}
