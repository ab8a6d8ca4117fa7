import Messages

/// Looks at a cluster with nothing but its manifest and the gateway that runs in this process. Does nothing between two
/// looks but keep its sessions open.
package actor ClusterWatch {
    private let manifest: Manifest
    private let gateway: GatewayHost
    private let observer: GatewayObserver
    private let traces: TraceSampling
    private let hosts: [HostWatch]
    private var verdicts = VerdictTimes()
    private var propagation: PropagationWindow

    /// For one look at a host: a picture a second has room for it.
    private static let patience = Duration.milliseconds(800)

    /// - Parameters:
    ///   - observer: what the gateway tells what it sees.
    ///   - traces: what the gateway traces.
    package init(manifest: Manifest, gateway: GatewayHost, observer: GatewayObserver, traces: TraceSampling) {
        (self.manifest, self.gateway, self.observer, self.traces) = (manifest, gateway, observer, traces)
        propagation = PropagationWindow(manifest)
        hosts = manifest.hosts.indices.map { HostWatch(HostID(UInt16($0)), of: manifest) }
    }

    /// All hosts are asked at once, so that it takes no longer than the slowest, or the patience.
    package func look() async -> ClusterPicture {
        let sightings = await ask { await $0.look(timeout: Self.patience) }
        let look = await gateway.look(limit: ClusterPicture.maxDoubts)
        let now = Clock.now()
        var picture = ClusterPicture(
            manifest: manifest, sightings: sightings, gateway: look, activity: observer.view(at: now.uptime),
            traces: traces, now: now)
        verdicts.note(&picture)
        propagation.note(sightings, now: now.uptime)
        picture.propagation = propagation.view(now: now.uptime)
        return picture
    }

    /// The stamps of one request, of this gateway (nil) and of the hosts that answer.
    package func stamps(of request: Digest) async -> [(host: Int?, answer: StampAnswer)] {
        let answers = await ask { await $0.stamps(.of(request), timeout: Self.patience) }
        var found: [(host: Int?, answer: StampAnswer)] = answers.enumerated().compactMap { host, answer in
            answer.map { (host, $0) }
        }
        if let own = await gateway.stamps(.of(request)) { found.append((nil, own)) }
        return found
    }

    /// Nobody looks any more: ends all sessions with hosts.
    package func rest() async {
        for host in hosts { await host.rest() }
        verdicts = VerdictTimes()
        propagation = PropagationWindow(manifest)
    }

    /// - Returns: by host.
    private func ask<Value: Sendable>(_ question: @escaping @Sendable (HostWatch) async -> Value) async -> [Value] {
        await withTaskGroup(of: (Int, Value).self) { group in
            for (number, host) in hosts.enumerated() { group.addTask { (number, await question(host)) } }
            var answers: [(Int, Value)] = []
            for await answer in group { answers.append(answer) }
            return answers.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}

/// Since when each shard's verdict is what it is.
struct VerdictTimes {
    private var known: [(commits: Bool, since: UInt64)] = []

    /// Notes the verdicts, and puts into them since when they stand.
    mutating func note(_ picture: inout ClusterPicture) {
        for place in picture.shards.indices {
            let commits = picture.shards[place].commits
            if place >= known.count {
                known.append((commits, picture.at_ms))
            } else if known[place].commits != commits {
                known[place] = (commits, picture.at_ms)
            }
            picture.shards[place].since_ms = known[place].since
        }
    }
}
