import Randomness

/// How messages travel. Every link has delays, losses and repetitions of its own in each direction, drawn from the
/// seed; what is sent later may arrive earlier. The gateway is the endpoint after the last host. Links between hosts
/// may be cut.
struct Network {
    struct Link {
        /// The delay is this and something below `spread`. Nanoseconds, as everything here.
        var least: UInt64 = 20_000
        var spread: UInt64 = 1_000_000
        /// A heavy tail: so many of a thousand come later by something below `lateBy`.
        var latePerMille = 0
        var lateBy: UInt64 = 1
        var lossPerMille = 0
        var duplicatePerMille = 0
        /// Until then everything is later by `slowBy` to twice that.
        var slowUntil: UInt64 = 0
        var slowBy: UInt64 = 1
    }

    private(set) var links: [[Link]]
    /// Between hosts, from × to.
    private var cut: [[Bool]]

    /// - Parameter lossPerMille: links lose less than that.
    init(hosts: Int, isLossy: Bool, lossPerMille: Int = 100, using rng: inout SplitMix64) {
        links = Array(repeating: Array(repeating: Link(), count: hosts + 1), count: hosts + 1)
        cut = Array(repeating: Array(repeating: false, count: hosts), count: hosts)
        guard isLossy else { return }
        for from in links.indices {
            for to in links.indices where from != to { links[from][to] = Self.draw(lossPerMille, using: &rng) }
        }
    }

    private static func draw(_ lossPerMille: Int, using rng: inout SplitMix64) -> Link {
        var link = Link()
        switch rng.below(10) {
        case 0..<6: break
        case 6..<9: (link.least, link.spread) = (200_000, 10_000_000)
        default: (link.least, link.spread) = (5_000_000 + rng.below(UInt64(5_000_000)), 70_000_000)
        }
        link.latePerMille = rng.below(60)
        link.lateBy = 20_000_000 + rng.below(UInt64(300_000_000))
        link.lossPerMille = rng.chance(perMille: 250) ? 0 : rng.below(lossPerMille)
        link.duplicatePerMille = rng.below(40)
        return link
    }

    /// When a message that is sent now arrives, and when it arrives again; nil if it does not.
    func arrivals(
        from: Int, to: Int, now: UInt64, isHealed: Bool, using rng: inout SplitMix64
    ) -> (first: UInt64?, again: UInt64?) {
        let link = links[from][to]
        var delay = link.least + rng.below(link.spread)
        guard !isHealed else { return (now + delay, nil) }
        if now < link.slowUntil { delay += link.slowBy + rng.below(link.slowBy) }
        if link.latePerMille > 0, rng.chance(perMille: link.latePerMille) { delay += rng.below(link.lateBy) }
        let isLost = link.lossPerMille > 0 && rng.chance(perMille: link.lossPerMille)
        let isRepeated = link.duplicatePerMille > 0 && rng.chance(perMille: link.duplicatePerMille)
        return (isLost ? nil : now + delay, isRepeated ? now + delay + rng.below(20 * link.spread) : nil)
    }

    /// Some links, or all of one endpoint, are slow for a while.
    mutating func slowDown(now: UInt64, using rng: inout SplitMix64) {
        let until = now + 100_000_000 + rng.below(UInt64(1_000_000_000))
        let by = 10_000_000 + rng.below(UInt64(120_000_000))
        let one = rng.chance(perMille: 500) ? rng.below(links.count) : nil
        for from in links.indices {
            for to in links.indices where one.map({ $0 == from || $0 == to }) ?? rng.chance(perMille: 200) {
                (links[from][to].slowUntil, links[from][to].slowBy) = (until, by)
            }
        }
    }

    // MARK: Cuts

    var hosts: Range<Int> { cut.indices }

    func isCut(from: Int, to: Int) -> Bool { cut[from][to] }

    /// All links are whole.
    mutating func mend() {
        for from in cut.indices { for to in cut.indices { cut[from][to] = false } }
    }

    /// Mends what was cut, and perhaps cuts something else.
    /// - Returns: what is cut now, in words.
    mutating func cutLinks(using rng: inout SplitMix64) -> String {
        mend()
        switch rng.below(6) {
        case 0, 1:
            return "links are whole"
        case 2:
            // One host is cut off, perhaps in one direction only.
            let host = rng.below(cut.count)
            let (out, back) = (!rng.chance(perMille: 250), !rng.chance(perMille: 250))
            for peer in cut.indices where peer != host {
                cut[host][peer] = out
                cut[peer][host] = back
            }
            return "host \(host) is cut off (out \(out), in \(back))"
        case 3:
            // Single directions of single links.
            for from in cut.indices {
                for to in cut.indices where from != to { cut[from][to] = rng.chance(perMille: 250) }
            }
            let links = cut.indices.flatMap { from in
                cut.indices.filter { cut[from][$0] }.map { "\(from)>\($0)" }
            }
            return "links are cut: " + links.joined(separator: " ")
        default:
            let side = cut.indices.map { _ in rng.chance(perMille: 500) }
            for from in cut.indices { for to in cut.indices { cut[from][to] = side[from] != side[to] } }
            let sides = [false, true].map { group in
                side.indices.filter { side[$0] == group }.map(String.init).joined(separator: " ")
            }
            return "network is cut: " + sides.joined(separator: " | ")
        }
    }
}
