import HostCore
import NIOCore
import Synchronization

/// The protocol's mailbox, made before the engine that reads it: what arrives earlier is kept.
final class HostInbox: Sendable {
    private final class Reader {
        var run: (([HostInput]) -> Void)?
        var held: [HostInput] = []
    }

    private let worker: Worker<HostInput>
    private let reader: NIOLoopBoundBox<Reader>
    /// Bytes of the messages that wait, roughly.
    private let bytes: SharedBytes

    init(_ loop: any EventLoop) {
        let reader = NIOLoopBoundBox.makeBoxSendingValue(Reader(), eventLoop: loop)
        self.reader = reader
        let bytes = SharedBytes()
        self.bytes = bytes
        worker = Worker(on: loop) { inputs in
            bytes.count.subtract(inputs.reduce(0) { $0 + $1.weight }, ordering: .relaxed)
            if let run = reader.value.run { run(inputs) } else { reader.value.held.append(contentsOf: inputs) }
        }
    }

    /// Whether so many inputs, or so many bytes, wait already. A hint: it changes at once.
    func isFull(inputs: Int, bytes limit: Int) -> Bool {
        worker.count >= inputs || bytes.count.load(ordering: .relaxed) >= limit
    }

    func post(_ inputs: [HostInput]) {
        bytes.count.add(inputs.reduce(0) { $0 + $1.weight }, ordering: .relaxed)
        worker.post(contentsOf: inputs)
    }

    /// On the loop.
    func open(_ run: @escaping ([HostInput]) -> Void) {
        reader.value.run = run
        if !reader.value.held.isEmpty { run(reader.value.held) }
        reader.value.held = []
    }
}

private final class SharedBytes: Sendable {
    let count = Atomic<Int>(0)
}

extension HostInput {
    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .peer(_, let message): message.value.weight
        case .gateway(_, let message): message.value.weight
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .storageFailed, .tick: 0
        }
    }
}
