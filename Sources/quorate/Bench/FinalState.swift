import Foundation
import HostRuntime
import Messages
import Workload

/// Waits until a cluster is at rest, and checks the state of every replica.
struct FinalState: Sendable {
    let processes: ClusterProcesses
    /// Hosts that were killed and not started again.
    let down: Set<Int>
    private static let limit = Duration.seconds(60)

    func check(issued: [(asset: AssetID, amount: UInt128)], label: String) async throws -> RunResult.Invariants {
        let manifest = processes.folder.manifest
        let hosts = manifest.hosts.indices.filter { !down.contains($0) }
        let bar = ProgressBar("\(label): checking invariants")
        let end = ContinuousClock.now + Self.limit
        var invariants = RunResult.Invariants(conservation: false, replicasAgree: false, noLocks: false, problems: ["nothing was audited"])
        var failure: String?
        while true {
            try Task.checkCancellation()
            // The cheap question first: audits walk the whole state.
            let isAtRest = await isAtRest(hosts)
            if isAtRest || ContinuousClock.now >= end {
                do {
                    var audits: [ShardAudit] = []
                    for host in hosts { audits += try await audit(host) }
                    invariants = InvariantCheck.check(audits, shards: manifest.shardCount, expected: hosts.count, issued: issued)
                    failure = nil
                } catch {
                    failure = ToolError(error).description
                }
                if failure == nil, invariants.allHold {
                    bar.finish("they hold on \(hosts.count) replicas of each shard\(down.isEmpty ? "" : " (\(down.count) hosts are down)")")
                    return invariants
                }
            }
            guard ContinuousClock.now < end else { break }
            bar.update(WorkProgress(done: 0, total: nil))
            try await Task.sleep(for: .milliseconds(250))
        }
        invariants.problems.append("the cluster did not come to rest within \(Self.limit)\(failure.map { ": \($0)" } ?? "")")
        bar.finish("FAILED")
        return invariants
    }

    /// Every shard's replicas have executed the same batches, and nothing waits.
    private func isAtRest(_ hosts: [Int]) async -> Bool {
        var executed: [ShardID: SequenceNumber] = [:]
        for host in hosts {
            guard let replicas = try? await processes.status(ofHost: host) else { return false }
            for replica in replicas {
                guard replica.undecided == 0, replica.halted.isEmpty else { return false }
                if let other = executed[replica.shard], other != replica.lastExecuted { return false }
                executed[replica.shard] = replica.lastExecuted
            }
        }
        return true
    }

    private func audit(_ host: Int) async throws -> [ShardAudit] {
        let connection = try await HostConnection.connect(to: HostID(UInt16(host)), of: processes.folder.manifest)
        do {
            let audits = try await connection.audit(timeout: .seconds(30))
            await connection.close()
            return audits
        } catch {
            await connection.close()
            throw error
        }
    }
}
