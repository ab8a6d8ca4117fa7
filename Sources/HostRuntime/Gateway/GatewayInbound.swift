import Gateway
import CoreMetrics
import Cores
import Messages
import Meter

/// What a gateway's verifiers give back.
enum GatewayEvent: Sendable {
    case input(GatewayInput)
    /// Answered without the core: it never saw the message.
    case reject(SessionID, id: UInt64, GatewayRejection)
}

/// From what a gateway's connections deliver to what its core takes.
final class GatewayInbound: Sendable {
    private enum Item: Sendable {
        case client(SessionID, ClientMessage)
        case check(GatewayCheck)
        case clientClosed(SessionID)
        case host(HostID, HostReply)
    }
    private typealias Stage = VerifyingStage<Item, GatewayEvent>

    private let stage: Stage
    private let manifest: Manifest
    private let deliver: @Sendable ([GatewayEvent]) -> Void
    /// Nil unless requests are traced.
    private let ring: StampRing?

    init(
        manifest: Manifest, threads: RuntimeThreads, limits: VerifyingLimits, clients: Int, counters: RuntimeCounters,
        ring: StampRing?,
        deliver: @escaping @Sendable ([GatewayEvent]) -> Void
    ) {
        (self.manifest, self.deliver, self.ring) = (manifest, deliver, ring)
        stage = Stage(
            manifest: manifest, on: threads.verifiers, limits: limits,
            sources: .init(urgent: manifest.hosts.count, ordinary: clients), counters: counters,
            check: { verifier, filter, item in
                switch item {
                case .client(let session, let message):
                    if let verified = try? verifier.verify(message) { return .input(.client(session, verified)) }
                    counters.unverified.increment()
                    return .reject(session, id: message.id, .invalid)
                case .check(let check):
                    let verified = try? verifier.verify(check.request)
                    if verified == nil { counters.unverified.increment() }
                    if let verified { ring?.note(.gatewayVerified, verified.value) }
                    return .input(.checked(check, verified))
                case .clientClosed(let session): return .input(.clientClosed(session))
                case .host(let host, let reply):
                    guard case .attestation(let attestation) = reply else {
                        return (try? verifier.verify(reply)).map { .input(.host(host, $0)) }
                    }
                    let (isNeeded, key) = filter.admits(attestation, now: Clock.uptime())
                    guard isNeeded else {
                        counters.notNeeded.increment()
                        return nil
                    }
                    guard let verified = try? verifier.verify(reply) else {
                        counters.unverified.increment()
                        return nil
                    }
                    filter.verified(attestation, key: key)
                    ring?.note(attestation, from: host)
                    return .input(.host(host, verified))
                }
            },
            deliver: deliver)
    }

    func stop() { stage.stop() }

    /// What a client says but for its requests, of which the core says whether they are checked.
    func receive(_ messages: [ClientMessage], from session: SessionID) {
        submit(messages.map { .init(item: .client(session, $0), source: session.number, weight: $0.weight) })
    }

    /// What the core asks for.
    func check(_ checks: [GatewayCheck]) {
        submit(checks.map { .init(item: .check($0), source: $0.source, weight: $0.weight) })
    }

    private func submit(_ entries: [Stage.Entry]) {
        guard !entries.isEmpty else { return }
        let refused = stage.submit(ordinary: entries).compactMap { item -> GatewayEvent? in
            switch item {
            case .client(let session, let message): .reject(session, id: message.id, .queueFull)
            case .check(let check): .input(.checkDropped(check))
            case .clientClosed, .host: nil
            }
        }
        if !refused.isEmpty { deliver(refused) }
    }

    /// After everything that the client said before.
    func clientClosed(_ session: SessionID) {
        stage.submit(ordinary: [.init(item: .clientClosed(session), source: session.number, weight: 0)])
    }

    /// - Returns: false if a frame is no reply.
    func receive(_ frames: [[UInt8]], from host: HostID) -> Bool {
        var entries: [Stage.Entry] = []
        entries.reserveCapacity(frames.count)
        for frame in frames {
            guard let reply = try? HostReply(decoding: frame) else { break }
            entries.append(.init(item: .host(host, reply), source: UInt64(host.number), weight: frame.count))
        }
        stage.submit(urgent: entries)
        return entries.count == frames.count
    }
}

extension ClientMessage {
    var id: UInt64 {
        switch self {
        case .submit(let id, _), .account(let id, _), .status(let id), .read(let id, _, _), .stamps(let id, _): id
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .submit(_, let request): request.bytes.count + 256
        case .account, .status, .read, .stamps: 256
        }
    }
}
