/// A network between regions: what a link from each region to each adds to a message, and who is where. The bench lays
/// it over real processes, and the simulation over simulated ones.
public struct NetworkProfile: Sendable, Equatable {
    /// One direction between two regions, or inside one.
    public struct Link: Sendable, Hashable {
        /// One way, in nanoseconds.
        public var delay: UInt64
        /// Half-width in nanoseconds: each message takes `delay` and from minus so much to plus so much, uniformly.
        public var jitter: UInt64
        /// Packets that are lost, of a million. TCP sends them again, so they are late and not gone.
        public var lossPerMillion: UInt32
        /// What a connection can carry; nil for no limit.
        public var bytesPerSecond: UInt64?

        /// - Parameters:
        ///   - delay: one way, in nanoseconds.
        ///   - jitter: half-width, in nanoseconds; at most `delay` counts.
        public init(delay: UInt64, jitter: UInt64 = 0, lossPerMillion: UInt32 = 0, bytesPerSecond: UInt64? = nil) {
            (self.delay, self.jitter) = (delay, jitter)
            (self.lossPerMillion, self.bytesPerSecond) = (lossPerMillion, bytesPerSecond)
        }
    }

    /// What `--network` calls it; of a file what the file says.
    public let name: String
    /// Where the figures come from, with their date.
    public let source: String
    /// At least one.
    public let regions: [String]
    /// By the sender's region, then by the receiver's.
    let links: [[Link]]
    /// Regions of hosts, gateways and clients, by number, over and over.
    let hosts: [Int]
    let gateways: [Int]
    /// Where all clients are.
    public var regionOfClients: Int

    /// - Precondition: the matrix is as wide and high as there are regions, and whoever is placed is in one of them.
    init(
        name: String, source: String, regions: [String], links: [[Link]], hosts: [Int]? = nil, gateways: [Int]? = nil,
        clients: Int = 0
    ) {
        precondition(!regions.isEmpty && links.count == regions.count)
        precondition(links.allSatisfy { $0.count == regions.count })
        let all = Array(regions.indices)
        (self.name, self.source, self.regions, self.links) = (name, source, regions, links)
        (self.hosts, self.gateways, regionOfClients) = (hosts ?? all, gateways ?? all, clients)
        precondition((self.hosts + self.gateways + [clients]).allSatisfy { regions.indices.contains($0) })
    }

    /// The link from one region to another, by their numbers.
    public func link(from: Int, to: Int) -> Link { links[from][to] }

    /// Hosts are placed round robin over the regions, unless a file says otherwise.
    public func region(ofHost host: Int) -> Int { hosts[host % hosts.count] }

    /// As hosts are.
    public func region(ofGateway gateway: Int) -> Int { gateways[gateway % gateways.count] }

    /// `longestRoundTrip`, rounded: by so much processes wait longer, and in a local network not at all.
    public func roundTripMilliseconds(hosts: Int, gateways: Int) -> UInt64 {
        (longestRoundTrip(hosts: hosts, gateways: gateways) + 500_000) / 1_000_000
    }

    /// The longest there and back between two of so many hosts and gateways, in nanoseconds, with all of the jitter.
    public func longestRoundTrip(hosts: Int, gateways: Int) -> UInt64 {
        let placed = Set((0..<hosts).map(region(ofHost:)) + (0..<gateways).map(region(ofGateway:)))
        var longest: UInt64 = 0
        for from in placed {
            for to in placed {
                let (there, back) = (links[from][to], links[to][from])
                longest = max(longest, there.delay + there.jitter + back.delay + back.jitter)
            }
        }
        return longest
    }
}
