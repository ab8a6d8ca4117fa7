import Client
import Foundation
import HostRuntime
import Messages
import Workload

/// Collects what a diagnosis needs: everything is asked at once, and nothing is waited for longer than its time.
struct ClusterExamination: Sendable {
    let processes: ClusterProcesses
    /// For each answer, the greeting too.
    let timeout: Duration
    /// Between two answers of one process.
    let pause: Duration
    /// Has every host read its whole state.
    let audits: Bool

    private typealias Snapshot = ClusterSnapshot

    func collect() async -> ClusterSnapshot {
        let manifest = processes.folder.manifest
        async let gateways = gateways()
        let asked = await withTaskGroup(of: (Snapshot.Host, [ReplicaStatus], Timestamp).self) { group in
            for number in manifest.hosts.indices { group.addTask { await host(number) } }
            var asked: [(host: Snapshot.Host, replicas: [ReplicaStatus], own: Timestamp)] = []
            for await answer in group { asked.append(answer) }
            return asked.sorted { $0.host.number < $1.host.number }
        }
        var snapshot = ClusterSnapshot(
            of: manifest, folderWord: Shell.quoted(processes.folder.path), hosts: asked.map(\.host),
            interval: pause / .seconds(1))
        snapshot.isForManyMachines = processes.folder.isForManyMachines
        for (host, replicas, own) in asked {
            for replica in replicas where replica.clock > .zero {
                snapshot.clocks.note(
                    HostID(UInt16(host.number)), clock: replica.clock, shard: replica.shard, time: replica.time,
                    own: own)
            }
        }
        snapshot.gateways = await gateways
        let files = LocalFiles(folder: processes.folder)
        snapshot.disks = files.disks()
        snapshot.certificates = files.certificates()
        snapshot.issuerKey = files.issuerKey()
        snapshot.strays = strays()
        return snapshot
    }

    /// - Returns: with it what its replicas said first, and this machine's clock half-way between question and answer.
    private func host(_ number: Int) async -> (Snapshot.Host, [ReplicaStatus], Timestamp) {
        let entry = processes.folder.manifest.hosts[number]
        let (answer, reports, own, audits) = await ask(host: number)
        let role = RunFolder.Role.host(number)
        var host = Snapshot.Host(number, address: "\(entry.address):\(entry.port)", answer: answer)
        let files = LocalFiles(folder: processes.folder)
        host.folder = files.folder(ofHost: number)
        // Hosts that run from copies of their folders are not seen in this one.
        host.isHere =
            host.folder != nil && LocalFiles.isLocal(entry.address) && !processes.folder.isForManyMachines
        host.isExpected = processes.run.recorded().contains(role)
        host.process = process(role)
        host.log = LogEnd.read(processes.run.logPath(role))
        host.audits = audits
        return (host, reports, own)
    }

    private func ask(
        host number: Int
    ) async -> (Snapshot.Answer<Snapshot.Report>, [ReplicaStatus], Timestamp, [ShardAudit]) {
        var options = TransportOptions()
        options.connectTimeout = .nanoseconds(Int64(timeout / .nanoseconds(1)))
        options.handshakeTimeout = options.connectTimeout
        do {
            let connection = try await HostConnection.connect(
                to: HostID(UInt16(number)), of: processes.folder.manifest, options: options)
            do {
                let before = WallClock.now()
                let first = try await connection.report(timeout: timeout)
                let own = before.adding(microseconds: WallClock.now().microseconds(since: before) / 2)
                try await Task.sleep(for: pause)
                let second = try await connection.report(timeout: timeout)
                let audits = audits ? (try? await connection.audit()) ?? [] : []
                await connection.close()
                return (
                    .answers(
                        earlier: .init(replicas: first.replicas, metrics: first.metrics),
                        .init(replicas: second.replicas, metrics: second.metrics)),
                    first.replicas, own, audits
                )
            } catch {
                await connection.close()
                throw error
            }
        } catch {
            return (.silent(Silence("\(error)")), [], .zero, [])
        }
    }

    /// Those that have been started, and not been stopped in order; of a cluster on many machines, those that are
    /// listed.
    private func gateways() async -> [Snapshot.Gateway] {
        let numbers = processes.run.recorded().compactMap { role in
            if case .gateway(let number) = role { number } else { nil }
        }
        let listed = numbers.isEmpty ? processes.gateways : []
        return await withTaskGroup(of: Snapshot.Gateway.self) { group in
            for number in numbers { group.addTask { await gateway(number) } }
            for (number, address) in listed.enumerated() {
                group.addTask {
                    var gateway = Snapshot.Gateway(
                        number, address: address.description, answer: await ask(gatewayAt: address))
                    gateway.isHere = false
                    return gateway
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.number < $1.number }
        }
    }

    private func gateway(_ number: Int) async -> Snapshot.Gateway {
        let role = RunFolder.Role.gateway(number)
        let address = processes.run.port(ofGateway: number).map { processes.localGateway(at: $0) }
        var gateway = Snapshot.Gateway(
            number, address: address?.description ?? "an unknown port", answer: await ask(gatewayAt: address))
        gateway.process = process(role)
        gateway.log = LogEnd.read(processes.run.logPath(role))
        return gateway
    }

    private func ask(gatewayAt address: GatewayAddress?) async -> Snapshot.Answer<GatewayStatus> {
        guard let address else { return .silent(.nobodyListens) }
        do {
            let connection = try await GatewayConnection.connect(address, timeout: timeout)
            do {
                let first = try await connection.status(timeout: timeout)
                try await Task.sleep(for: pause)
                let second = try await connection.status(timeout: timeout)
                await connection.close()
                return .answers(earlier: first, second)
            } catch {
                await connection.close()
                throw error
            }
        } catch {
            return .silent(Silence("\(error)"))
        }
    }

    private func process(_ role: RunFolder.Role) -> Snapshot.Process? {
        let identity =
            processes.run.running(role) ?? processes.run.unrecorded().first { $0.role == role }?.identity
        guard let identity else { return nil }
        var process = Snapshot.Process(
            pid: identity.pid, isStopped: identity.isStopped, started: identity.startTime)
        process.descriptors = identity.descriptors
        return process
    }

    /// What a folder's processes are too many of.
    private func strays() -> [Snapshot.Stray] {
        let manifest = processes.folder.manifest
        return processes.run.unrecorded().compactMap { role, identity in
            let recorded = processes.run.running(role)
            // A script's child is in its group, and is the host.
            if let recorded, getpgid(identity.pid) == recorded.pid { return nil }
            if case .host(let number) = role, number >= manifest.hosts.count {
                return .init(role: "\(role), which the manifest does not have", pid: identity.pid, isSecond: true)
            }
            return .init(role: "\(role)", pid: identity.pid, isSecond: recorded != nil)
        }
    }
}

extension ProcessIdentity {
    /// From the time since boot; nil where the system does not say.
    var startTime: Date? {
        guard let text = try? String(contentsOfFile: "/proc/uptime", encoding: .utf8),
            let uptime = text.split(separator: " ").first.flatMap({ Double($0) })
        else { return nil }
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return Date.now.addingTimeInterval(Double(start) / ticks - uptime)
    }

    /// How many descriptors it has open, and how many it may have; nil of another user's process.
    var descriptors: (open: Int, limit: Int)? {
        guard let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count,
            let limits = try? String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8),
            let line = limits.split(separator: "\n").first(where: { $0.hasPrefix("Max open files") }),
            // Name, soft limit, hard limit, unit.
            let limit = line.split(separator: " ").dropFirst(3).first.flatMap({ Int($0) })
        else { return nil }
        return (open, limit)
    }
}
