import NIOCore
import NIOPosix

/// The threads of a process, one event loop each, by what they do. Blocking work has loops of its own.
package final class RuntimeThreads: Sendable {
    package let io: any EventLoop
    package let protocolLoop: any EventLoop
    package let journal: any EventLoop
    package let store: any EventLoop
    /// Reads archives.
    package let archive: any EventLoop
    package let verifiers: [any EventLoop]
    private let group: MultiThreadedEventLoopGroup

    /// - Parameter storage: false for a process without a disk: its protocol shares the loop of its connections.
    package init(verifiers count: Int, storage: Bool) {
        precondition(count >= 1)
        group = MultiThreadedEventLoopGroup(numberOfThreads: (storage ? 5 : 1) + count)
        var loops = Array(group.makeIterator())
        verifiers = Array(loops.suffix(count))
        loops.removeLast(count)
        io = loops[0]
        protocolLoop = storage ? loops[1] : loops[0]
        journal = storage ? loops[2] : loops[0]
        store = storage ? loops[3] : loops[0]
        archive = storage ? loops[4] : loops[0]
    }

    /// Ends the threads. Whoever posts to them must have been stopped; what is under way on one may still post to
    /// another, so all are waited for before any ends.
    package func stop() async {
        for loop in verifiers + [io, journal, store, archive, protocolLoop] { try? await loop.submit {}.get() }
        try? await group.shutdownGracefully()
    }
}
