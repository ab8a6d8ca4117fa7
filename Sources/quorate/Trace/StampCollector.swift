import Messages
import Meter
import Workload

/// Fetches the stamps of a load from all processes while it runs, before newer ones take their places, and puts those
/// of a request together.
actor StampCollector {
    private let connections: ClusterConnections
    /// What the load's own process stamps.
    private let load: StampRing
    private var places: [RunFolder.Role?: UInt64] = [:]
    private var entries: [Digest: [RequestTrace.Entry]] = [:]

    /// At 60,000 requests of 100 stamps this process has some 400 MB of them; what comes then is left out.
    private static let maxRequests = 60_000
    private static let period = Duration.seconds(1)
    private static let timeout = Duration.seconds(2)

    init(_ connections: ClusterConnections, load: StampRing) { (self.connections, self.load) = (connections, load) }

    /// Until it is cancelled.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.period)
            if !Task.isCancelled { await collect() }
        }
    }

    /// All that is there now.
    func collect() async {
        let places = places
        let found = await connections.ask { role, connection in
            var place = places[role] ?? 0
            var stamps: [Stamp] = []
            while true {
                let answer = try await connection.stamps(.since(place), timeout: Self.timeout)
                (stamps, place) = (stamps + answer.stamps, answer.next)
                if answer.stamps.count < StampAnswer.maxStamps { return (stamps, place) }
            }
        }
        for (role, (stamps, place)) in found { note(stamps, of: role, until: place) }
        while let answer = load.answer(.since(self.places[nil] ?? 0), now: .current()) {
            note(answer.stamps, of: nil, until: answer.next)
            if answer.stamps.count < StampAnswer.maxStamps { break }
        }
    }

    /// - Parameter role: nil for this process.
    private func note(_ stamps: [Stamp], of role: RunFolder.Role?, until place: UInt64) {
        // Another round may have been quicker.
        guard place > places[role] ?? 0 else { return }
        places[role] = place
        let source = role.map(RequestTrace.Source.init) ?? .client
        for stamp in stamps where entries[stamp.request] != nil || entries.count < Self.maxRequests {
            entries[stamp.request, default: []].append(RequestTrace.Entry(source, stamp))
        }
    }

    /// Of requests that the load signed from a moment on, and of which it has verified the outcome.
    func traces(since moment: UInt64) -> [RequestTrace] {
        entries.compactMap { request, entries in
            func own(_ kind: StampKind) -> UInt64? {
                entries.first { $0.source == .client && $0.stamp.kind == kind }?.stamp.at
            }
            guard let signed = own(.signed), signed >= moment, own(.receiptVerified) != nil else { return nil }
            return RequestTrace(of: request, entries)
        }
    }
}

extension RequestTrace.Source {
    init(_ role: RunFolder.Role) {
        switch role {
        case .host(let number): self = .host(number)
        case .gateway(let number): self = .gateway(number)
        }
    }
}
