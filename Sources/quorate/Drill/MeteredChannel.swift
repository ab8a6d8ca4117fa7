import Messages
import Synchronization
import Workload

/// What goes over a load's channels: how much is offered, how much is rejected and why, and how long the rest takes.
final class ChannelMeter: Sendable {
    struct Reading: Sendable {
        /// Requests that left the clients, repetitions included.
        var offered = 0
        /// By `GatewayRejection` - 1.
        var rejections = [Int](repeating: 0, count: GatewayRejection.allCases.count)
        /// Nanoseconds from the submit that was admitted to its receipt.
        var admitted: [UInt64] = []
    }

    private let reading = Mutex(Reading())

    /// What has been counted since the last call.
    func take() -> Reading {
        reading.withLock { reading in
            defer { reading = Reading() }
            return reading
        }
    }

    func offer() { reading.withLock { $0.offered += 1 } }
    func note(_ reason: GatewayRejection) { reading.withLock { $0.rejections[Int(reason.rawValue) - 1] += 1 } }
    func note(receiptAfter nanoseconds: UInt64) { reading.withLock { $0.admitted.append(nanoseconds) } }
}

struct MeteredChannel: RequestChannel {
    let base: GatewayChannel
    let meter: ChannelMeter

    func submit(_ request: SignedRequest, _ completion: @escaping @Sendable (Result<GatewayReply, any Error>) -> Void) {
        let start = Instant.current().uptime
        meter.offer()
        base.submit(request) { [meter] result in
            switch result {
            case .success(.receipt): meter.note(receiptAfter: Instant.current().uptime - start)
            case .success(.rejected(_, let reason, _)): meter.note(reason)
            case .success(.account), .success(.status), .success(.read), .success(.stamps), .failure: break
            }
            completion(result)
        }
    }
}
