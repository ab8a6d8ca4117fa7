import HostRuntime
import Messages
import NIOPosix
import Synchronization

/// Sessions with every host, under keys that nobody knows, that send the same messages again and again, as fast as the
/// sockets take them.
final class Repeaters: Sendable {
    struct Counts: Sendable {
        var sent = 0
        /// Attestations and refusals.
        var answered = 0
        /// Sessions that ended, each followed by a new one.
        var lost = 0
    }

    private let manifest: Manifest
    private let sessions: Int
    private let chunks: [HostFrames]
    private let counts = Mutex(Counts())
    private let open = Mutex<[Int: HostConnection]>([:])
    private let stopped = StopSwitch()
    private static let chunk = 64

    /// - Parameter sessions: with each host.
    init(_ messages: [GatewayMessage], sessions: Int, manifest: Manifest) {
        (self.manifest, self.sessions) = (manifest, sessions)
        chunks = stride(from: 0, to: messages.count, by: Self.chunk).map {
            HostFrames(Array(messages[$0..<min($0 + Self.chunk, messages.count)]))
        }
    }

    var now: Counts { counts.withLock { $0 } }

    /// Until `stop`.
    func run() async {
        guard !chunks.isEmpty else { return }
        // A thread of their own: the honest load's answers do not wait behind what is sent here.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        await withTaskGroup(of: Void.self) { tasks in
            for host in manifest.hosts.indices {
                for session in 0..<sessions { tasks.addTask { await self.repeatAll(host, session, on: group) } }
            }
        }
        try? await group.shutdownGracefully()
    }

    func stop() async {
        stopped.turnOn()
        // A host that reads nothing holds its session up.
        for connection in open.withLock({ Array($0.values) }) { await connection.close() }
    }

    private func repeatAll(_ host: Int, _ session: Int, on group: MultiThreadedEventLoopGroup) async {
        let place = host * sessions + session
        var next = place * chunks.count / max(1, manifest.hosts.count * sessions)
        while !stopped.isOn, !Task.isCancelled {
            do {
                let connection = try await HostConnection.connect(to: HostID(UInt16(host)), of: manifest, on: group) {
                    _ in
                    self.counts.withLock { $0.answered += 1 }
                }
                open.withLock { $0[place] = connection }
                while !stopped.isOn {
                    let frames = chunks[next % chunks.count]
                    try await connection.post(frames)
                    next += 1
                    counts.withLock { $0.sent += frames.count }
                }
                await connection.close()
            } catch {
                if stopped.isOn { return }
                counts.withLock { $0.lost += 1 }
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}
