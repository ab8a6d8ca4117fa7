import NIOCore
import NIOPosix

/// The threads of a process, one event loop each, by what they do. Blocking work has loops of its own.
package final class RuntimeThreads: Sendable {
    package let io: any EventLoop
    package let protocolLoop: any EventLoop
    package let journal: any EventLoop
    package let store: any EventLoop
    package let verifiers: [any EventLoop]
    private let group: MultiThreadedEventLoopGroup

    /// - Parameters:
    ///   - storage: false for a process without a disk.
    ///   - sharesLoop: whether the protocol shares the loop of the connections; without a disk it always does.
    package init(verifiers count: Int, storage: Bool, sharesLoop: Bool = false) {
        precondition(count >= 1)
        let others = storage ? (sharesLoop ? 3 : 4) : 1
        group = MultiThreadedEventLoopGroup(numberOfThreads: others + count)
        let loops = Array(group.makeIterator())
        io = loops[0]
        protocolLoop = loops[storage && !sharesLoop ? 1 : 0]
        journal = loops[storage ? others - 2 : 0]
        store = loops[storage ? others - 1 : 0]
        verifiers = Array(loops.suffix(count))
    }

    /// Ends the threads. Whoever posts to them must have been stopped; what is under way on one may still post to
    /// another, so all are waited for before any ends.
    package func stop() async {
        for loop in verifiers + [io, journal, store, protocolLoop] { try? await loop.submit {}.get() }
        try? await group.shutdownGracefully()
    }
}
