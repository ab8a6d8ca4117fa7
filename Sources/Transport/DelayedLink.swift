import Networks
import Randomness

/// What a network adds to one connection, as the end that opened it sees it. That end delays both directions
/// (`DelayLine`): who accepted the connection need not know with whom it has to do.
package struct DelayedLink: Hashable, Sendable {
    package let there: NetworkProfile.Link
    package let back: NetworkProfile.Link
    /// Of jitter and losses.
    package let seed: UInt64

    package init(there: NetworkProfile.Link, back: NetworkProfile.Link, seed: UInt64) {
        (self.there, self.back, self.seed) = (there, back, seed)
    }
}

/// Who is who in an emulated network.
package enum NetworkMember: Hashable, Sendable {
    case host(Int)
    case gateway(Int)
    case client

    private var name: String {
        switch self {
        case .host(let number): "host \(number)"
        case .gateway(let number): "gateway \(number)"
        case .client: "client"
        }
    }

    fileprivate func region(in profile: NetworkProfile) -> Int {
        switch self {
        case .host(let number): profile.region(ofHost: number)
        case .gateway(let number): profile.region(ofGateway: number)
        case .client: profile.regionOfClients
        }
    }

    /// The same for each connection between these two, and for no others.
    fileprivate func seed(to other: NetworkMember) -> UInt64 {
        var random = SplitMix64(seed: 1, stream: "\(name) to \(other.name)")
        return random.next()
    }
}

/// Where a process is in an emulated network.
package struct NetworkPlace: Sendable {
    package let profile: NetworkProfile
    package let member: NetworkMember

    package init(_ member: NetworkMember, in profile: NetworkProfile) {
        (self.member, self.profile) = (member, profile)
    }

    /// Of a connection that this process opens.
    package func link(to other: NetworkMember) -> DelayedLink {
        let (here, there) = (member.region(in: profile), other.region(in: profile))
        return DelayedLink(
            there: profile.link(from: here, to: there), back: profile.link(from: there, to: here),
            seed: member.seed(to: other))
    }
}
