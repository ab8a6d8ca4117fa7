import Transport

/// Which connections stay when more come than there are places for. A newcomer takes the place of the connection that
/// has been quiet for longest, among those of the address (of IPv6, the /64) with the most: who opens many connections
/// pushes out his own. Where he is one of those with the most himself, the other must have been quiet for a while.
struct Places<ID: Hashable & Sendable>: Sendable {
    enum Admission: Equatable {
        case admitted
        /// The other one is to be ended.
        case instead(of: ID)
        case full
    }

    private struct Place {
        let network: PeerNetwork
        /// When it was last heard; in the future while it is being served.
        var heardAt: UInt64
        /// Decides between those that were heard at one moment.
        let serial: UInt64
    }

    let limit: Int
    /// Nanoseconds.
    private let minimumQuiet: UInt64
    private var places: [ID: Place] = [:]
    private var perNetwork: [PeerNetwork: Int] = [:]
    private var lastSerial: UInt64 = 0

    /// - Parameter minimumQuiet: nanoseconds; 0: a newcomer always finds a place.
    init(limit: Int, minimumQuiet: UInt64) { (self.limit, self.minimumQuiet) = (limit, minimumQuiet) }

    var count: Int { places.count }
    func contains(_ id: ID) -> Bool { places[id] != nil }

    mutating func admit(_ id: ID, from network: PeerNetwork, now: UInt64) -> Admission {
        var admission = Admission.admitted
        if places.count >= limit {
            guard let victim = victim(for: network, now: now) else { return .full }
            remove(victim)
            admission = .instead(of: victim)
        }
        lastSerial += 1
        places[id] = Place(network: network, heardAt: now, serial: lastSerial)
        perNetwork[network, default: 0] += 1
        return admission
    }

    private func victim(for network: PeerNetwork, now: UInt64) -> ID? {
        let most = perNetwork.values.max() ?? 0
        let mustBeQuiet = (perNetwork[network] ?? 0) + 1 >= most
        guard let quietest = quietest(where: { perNetwork[$0.network] == most }) else { return nil }
        return !mustBeQuiet || isQuiet(quietest.heardAt, now) ? quietest.id : nil
    }

    private func quietest(where isMeant: (Place) -> Bool) -> (id: ID, heardAt: UInt64)? {
        var found: (id: ID, heardAt: UInt64, serial: UInt64)?
        // The serial numbers differ, so the dictionary's order does not show.
        for (id, place) in places where isMeant(place) {
            if let best = found, (best.heardAt, best.serial) < (place.heardAt, place.serial) { continue }
            found = (id, place.heardAt, place.serial)
        }
        return found.map { ($0.id, $0.heardAt) }
    }

    /// The one that has been quiet for longest, and long enough, to be ended because there is no room elsewhere.
    mutating func removeQuietest(now: UInt64) -> ID? {
        let most = perNetwork.values.max() ?? 0
        guard let quietest = quietest(where: { perNetwork[$0.network] == most }), isQuiet(quietest.heardAt, now) else {
            return nil
        }
        remove(quietest.id)
        return quietest.id
    }

    /// The same among some of them.
    mutating func removeQuietest(of ids: Set<ID>, now: UInt64) -> ID? {
        var found: (id: ID, place: Place)?
        for id in ids {
            guard let place = places[id] else { continue }
            if let best = found, (best.place.heardAt, best.place.serial) < (place.heardAt, place.serial) { continue }
            found = (id, place)
        }
        guard let found, isQuiet(found.place.heardAt, now) else { return nil }
        remove(found.id)
        return found.id
    }

    private func isQuiet(_ heardAt: UInt64, _ now: UInt64) -> Bool { now >= heardAt && now - heardAt >= minimumQuiet }

    /// - Parameter moment: in the future to be kept until then even if nothing more is heard.
    mutating func heard(_ id: ID, at moment: UInt64) { places[id]?.heardAt = moment }

    mutating func remove(_ id: ID) {
        guard let place = places.removeValue(forKey: id) else { return }
        let left = (perNetwork[place.network] ?? 1) - 1
        perNetwork[place.network] = left > 0 ? left : nil
    }
}
