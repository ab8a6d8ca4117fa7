import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Transport
import Workload

/// Stands before the hosts of a cluster on this machine: each is reached at a port of this process, which hands bytes on
/// to where the host listens. So a host can be cut off from all others, gateways and tools while it runs: what is open
/// to and from it is closed, and what is opened anew is accepted and gets no answer, until it is mended.
///
/// Who connects is known from the system's tables, and is looked up only while a host is cut off.
final class HostRelays: Sendable {
    private struct Connection {
        /// Which host is reached by it.
        let host: Int
        /// Of who opened it.
        let port: Int
        let opened: any Channel
        /// To the host; nil until it is connected, and for one that is held.
        var onward: (any Channel)?
        /// It gets no answer.
        var isHeld = false

        func close() {
            opened.close(promise: nil)
            onward?.close(promise: nil)
        }
    }

    private struct State {
        var servers: [any Channel] = []
        var connections: [Int: Connection] = [:]
        var lastConnection = 0
        /// The host that is cut off, and its process.
        var cut: (host: Int, process: ProcessIdentity)?
        var isClosed = false
    }

    /// No cluster of a drill has more.
    private static let maxConnections = 4096
    /// What waits in one direction of a connection until nothing more is read.
    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 256 << 10)

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let firstTarget: Int
    private let state = Mutex(State())

    private init(firstTarget: Int) { self.firstTarget = firstTarget }

    /// - Parameters:
    ///   - hosts: how many.
    ///   - first: the port at which host 0 is reached; the others follow.
    ///   - firstTarget: the port at which host 0 listens; the others follow.
    /// - Throws: `ToolError` if a port is taken.
    static func open(hosts: Int, at first: Int, to firstTarget: Int) async throws -> HostRelays {
        let relays = HostRelays(firstTarget: firstTarget)
        for host in 0..<hosts {
            do { try await relays.listen(for: host, at: first + host) } catch {
                await relays.close()
                throw ToolError(.portInUse, "cannot listen on port \(first + host) to relay to host \(host): \(error)")
            }
        }
        return relays
    }

    private func listen(for host: Int, at port: Int) async throws {
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel, for: host) }
            }
            .bind(host: "127.0.0.1", port: port).get()
        state.withLock { $0.servers.append(server) }
    }

    // MARK: Cutting

    /// - Parameter process: the host's.
    /// - Returns: how many connections it had.
    @discardableResult
    func cut(_ host: Int, _ process: ProcessIdentity) -> Int {
        // First, so that nothing gets through that is opened meanwhile.
        state.withLock { $0.cut = (host, process) }
        let ports = process.tcpPorts
        let gone = state.withLock { state in
            state.connections.values.filter { $0.host == host || ports.contains($0.port) }
        }
        for connection in gone { connection.close() }
        return gone.count
    }

    /// What was held is closed: who opened it tries again.
    func mend() {
        let held = state.withLock { state in
            state.cut = nil
            return state.connections.values.filter(\.isHeld)
        }
        for connection in held { connection.close() }
    }

    /// Nothing is relayed any more.
    func close() async {
        let (servers, connections) = state.withLock { state in
            state.isClosed = true
            return (state.servers, Array(state.connections.values))
        }
        for server in servers { server.close(promise: nil) }
        for connection in connections { connection.close() }
        try? await group.shutdownGracefully()
    }

    // MARK: Relaying

    private func accept(_ channel: any Channel, for host: Int) throws {
        let port = channel.remoteAddress?.port ?? 0
        let cut = state.withLock { $0.cut }
        let isCut = cut.map { $0.host == host || $0.process.tcpPorts.contains(port) } ?? false
        let added = state.withLock { state -> Int? in
            guard !state.isClosed, state.connections.count < Self.maxConnections else { return nil }
            state.lastConnection += 1
            // If a host was cut off or mended meanwhile, nobody would close it.
            guard state.cut?.process == cut?.process else { return nil }
            state.connections[state.lastConnection] = Connection(
                host: host, port: port, opened: channel, isHeld: isCut)
            return state.lastConnection
        }
        guard let id = added else { throw ChannelError.ioOnClosedChannel }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.connections[id] = nil } }
        let near = RelayHandler()
        // Alone it reads nothing.
        try channel.pipeline.syncOperations.addHandler(near)
        guard !isCut else { return }
        let ends = NIOLoopBound(near, eventLoop: channel.eventLoop)
        ClientBootstrap(group: channel.eventLoop)
            .channelOption(.writeBufferWaterMark, value: Self.waterMark)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { onward in
                onward.eventLoop.makeCompletedFuture { try onward.pipeline.syncOperations.addHandler(RelayHandler()) }
            }
            .connect(host: "127.0.0.1", port: firstTarget + host)
            .whenComplete { result in
                guard case .success(let onward) = result else { return channel.close(promise: nil) }
                self.join(id, channel, ends.value, onward)
            }
    }

    private func join(_ id: Int, _ channel: any Channel, _ near: RelayHandler, _ onward: any Channel) {
        let isKnown = state.withLock { state in
            state.connections[id]?.onward = onward
            return state.connections[id] != nil
        }
        guard isKnown, channel.isActive, onward.isActive,
            let far = try? onward.pipeline.syncOperations.handler(type: RelayHandler.self)
        else {
            onward.close(promise: nil)
            return channel.close(promise: nil)
        }
        near.join(far)
    }
}

extension ProcessIdentity {
    /// Of all its TCP sockets, the ports on this machine; empty if it cannot be looked at.
    var tcpPorts: Set<Int> {
        let folder = "/proc/\(pid)"
        let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd")) ?? []
        let inodes = descriptors.compactMap { descriptor in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/fd/\(descriptor)"))
                .flatMap(TCPTable.inode)
        }
        return ["tcp", "tcp6"].reduce(into: []) { ports, file in
            let bytes = FileManager.default.contents(atPath: "\(folder)/net/\(file)") ?? Data()
            ports.formUnion(TCPTable.localPorts(String(decoding: bytes, as: UTF8.self), of: Set(inodes)))
        }
    }
}
