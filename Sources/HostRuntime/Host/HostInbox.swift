import HostCore
import NIOCore

/// The protocol's mailbox, made before the engine that reads it: what arrives earlier is kept.
final class HostInbox: Sendable {
    private final class Reader {
        var run: (([HostInput]) -> Void)?
        var held: [HostInput] = []
    }

    private let worker: Worker<HostInput>
    private let reader: NIOLoopBoundBox<Reader>

    init(_ loop: any EventLoop) {
        let reader = NIOLoopBoundBox.makeBoxSendingValue(Reader(), eventLoop: loop)
        self.reader = reader
        worker = Worker(on: loop) { inputs in
            if let run = reader.value.run { run(inputs) } else { reader.value.held.append(contentsOf: inputs) }
        }
    }

    var count: Int { worker.count }
    func post(_ inputs: [HostInput]) { worker.post(contentsOf: inputs) }

    /// On the loop.
    func open(_ run: @escaping ([HostInput]) -> Void) {
        reader.value.run = run
        if !reader.value.held.isEmpty { run(reader.value.held) }
        reader.value.held = []
    }
}
