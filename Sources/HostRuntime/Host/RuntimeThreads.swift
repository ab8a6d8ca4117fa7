import NIOCore
import NIOPosix

/// The threads of a process, one event loop each, by what they do. Blocking work has loops of its own.
package final class RuntimeThreads: Sendable {
    package let io: any EventLoop
    package let protocolLoop: any EventLoop
    package let journal: any EventLoop
    package let store: any EventLoop
    package let verifiers: [any EventLoop]
    /// A few light messages are verified where they came from.
    package let verifiesInPlace: Bool
    private let group: MultiThreadedEventLoopGroup

    /// There is nothing to gain from threads that run at the same time.
    package static var hasFewCores: Bool { System.coreCount <= 2 }

    /// - Parameters:
    ///   - storage: false for a process without a disk.
    ///   - sharesLoop: the protocol runs on the loop of its connections, and so does what light messages need of the
    ///     verifiers. That saves hops, and uses fewer cores. Without a disk the protocol always runs there.
    package init(verifiers count: Int, storage: Bool, sharesLoop: Bool = RuntimeThreads.hasFewCores) {
        precondition(count >= 1)
        verifiesInPlace = sharesLoop
        let own = storage ? sharesLoop ? 3 : 4 : 1
        group = MultiThreadedEventLoopGroup(numberOfThreads: own + count)
        var loops = Array(group.makeIterator())
        verifiers = Array(loops.suffix(count))
        loops.removeLast(count)
        io = loops[0]
        protocolLoop = loops.count > 3 ? loops[3] : loops[0]
        journal = storage ? loops[1] : loops[0]
        store = storage ? loops[2] : loops[0]
    }

    /// Ends the threads. Whoever posts to them must have been stopped; what is under way on one may still post to
    /// another, so all are waited for before any ends.
    package func stop() async {
        for loop in verifiers + [io, journal, store, protocolLoop] { try? await loop.submit {}.get() }
        try? await group.shutdownGracefully()
    }
}
