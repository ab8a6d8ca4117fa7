import Gateway
import Cores
import NIOCore
import Synchronization

/// The protocol's mailbox, made before the engine that reads it: what arrives earlier is kept. Bounded in messages and
/// bytes; what gateways say has a part of it, which their sessions share, so that a flood of questions leaves the peers
/// their room.
final class HostInbox: Sendable {
    struct Limits: Sendable {
        /// Of everything.
        var inputs: Int
        var bytes: Int
        /// Of what gateways and tools say, and how many of them there may be.
        var gatewayBytes: Int
        var gateways: Int
    }

    private final class Reader {
        var run: (([HostInput]) -> Void)?
        var held: [HostInput] = []
    }

    /// What waits of the messages from outside.
    private struct Waiting {
        var inputs = 0
        var bytes = 0
        var gateways: FairShare<SessionID>

        mutating func admit(_ input: HostInput, _ limits: Limits) -> Bool {
            // Who is connected must be known whatever the load, and what the disk has done; there are few such events.
            guard input.isMessage else { return true }
            guard inputs < limits.inputs, bytes < limits.bytes else { return false }
            if case .gateway(let session, _) = input, !gateways.take(input.shareWeight, for: session) { return false }
            inputs += 1
            bytes += input.weight
            return true
        }

        mutating func note(taken input: HostInput) {
            guard input.isMessage else { return }
            inputs -= 1
            bytes -= input.weight
            if case .gateway(let session, _) = input { gateways.giveBack(input.shareWeight, from: session) }
        }
    }

    private let worker: Worker<HostInput>
    private let reader: NIOLoopBoundBox<Reader>
    private let waiting: SharedWaiting
    private let limits: Limits

    private final class SharedWaiting: Sendable {
        let state: Mutex<Waiting>
        init(_ limits: Limits) {
            state = Mutex(Waiting(gateways: FairShare(limit: limits.gatewayBytes, holders: limits.gateways)))
        }
    }

    init(_ loop: any EventLoop, limits: Limits) {
        let reader = NIOLoopBoundBox.makeBoxSendingValue(Reader(), eventLoop: loop)
        let waiting = SharedWaiting(limits)
        (self.reader, self.waiting, self.limits) = (reader, waiting, limits)
        worker = Worker(on: loop) { inputs in
            waiting.state.withLock { waiting in for input in inputs { waiting.note(taken: input) } }
            if let run = reader.value.run { run(inputs) } else { reader.value.held.append(contentsOf: inputs) }
        }
    }

    /// - Returns: how many there was no room for.
    @discardableResult
    func post(_ inputs: [HostInput]) -> Int {
        let admitted = waiting.state.withLock { waiting in inputs.filter { waiting.admit($0, limits) } }
        worker.post(contentsOf: admitted)
        return inputs.count - admitted.count
    }

    /// On the loop.
    func open(_ run: @escaping ([HostInput]) -> Void) {
        reader.value.run = run
        if !reader.value.held.isEmpty { run(reader.value.held) }
        reader.value.held = []
    }
}

extension HostInput {
    fileprivate var isMessage: Bool {
        switch self {
        case .peer, .gateway: true
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed, .tick:
            false
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .peer(_, let message): message.value.weight
        case .gateway(_, let message): message.value.weight
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed, .tick: 0
        }
    }

    /// What a message takes of its session's share: answering the smallest costs more than its bytes.
    fileprivate var shareWeight: Int { max(weight, 2048) }
}
