import Foundation
import HostRuntime
import Messages
import Workload

/// Waits until a cluster is at rest, and checks the state of every replica.
struct FinalState: Sendable {
    let processes: ClusterProcesses
    /// Hosts that were killed and not started again.
    let down: Set<Int>
    /// What requests of 15 s may take by the published bound (`HoldBound.rest`), and some more.
    private static let limit = Duration.seconds(60)
    /// So long nothing must change for the cluster to be at rest.
    private static let silence = Duration.seconds(1.5)

    /// - Parameter isAllKnown: false where others than the caller may have issued more.
    func check(
        issued: [(asset: AssetID, amount: UInt128)], isAllKnown: Bool = true, label: String
    ) async throws -> RunResult.Invariants {
        let manifest = processes.folder.manifest
        let hosts = manifest.hosts.indices.filter { !down.contains($0) }
        let bar = ProgressBar("\(label): checking invariants")
        let began = ContinuousClock.now
        let end = began + Self.limit
        var (still, stillSince) = (Still?.none, began)
        var invariants = RunResult.Invariants(
            conservation: false, replicasAgree: false, noLocks: false, problems: ["nothing was audited"])
        var failure: String?
        while true {
            try Task.checkCancellation()
            // The cheap question first: audits walk the whole state.
            let seen = await look(hosts)
            if seen == nil || seen != still { (still, stillSince) = (seen, .now) }
            let isAtRest = seen != nil && ContinuousClock.now >= stillSince + Self.silence
            if isAtRest || ContinuousClock.now >= end {
                do {
                    var audits: [ShardAudit] = []
                    for host in hosts { audits += try await audit(host) }
                    invariants = InvariantCheck.check(
                        audits, shards: manifest.shardCount, expected: hosts.count, issued: issued,
                        isAllKnown: isAllKnown)
                    if isAtRest { invariants.came_to_rest_s = (stillSince - began) / .seconds(1) }
                    failure = nil
                } catch {
                    failure = ToolError(error).description
                }
                if failure == nil, invariants.allHold, let rest = invariants.came_to_rest_s {
                    let missing = down.isEmpty ? "" : " (\(down.count) hosts are down)"
                    bar.finish(
                        "they hold on \(hosts.count) replicas of each shard\(missing); came to rest in \(Figures.text(rest)) s"
                    )
                    return invariants
                }
            }
            guard ContinuousClock.now < end else { break }
            bar.update(WorkProgress(done: 0, total: nil))
            try await Task.sleep(for: .milliseconds(250))
        }
        invariants.at_rest = false
        invariants.problems.append(
            "the cluster did not come to rest within \(Self.limit)\(failure.map { ": \($0)" } ?? "")")
        bar.finish("FAILED")
        return invariants
    }

    /// How many batches each shard has executed.
    private typealias Still = [ShardID: SequenceNumber]

    /// Every shard's replicas have executed the same batches, nothing waits to be ordered, and no record is pushed; nil
    /// otherwise.
    private func look(_ hosts: [Int]) async -> Still? {
        var executed: Still = [:]
        for host in hosts {
            guard let replicas = try? await processes.status(ofHost: host) else { return nil }
            for replica in replicas {
                guard replica.undecided == 0, replica.open == 0, replica.pendingRequests == 0, replica.halted.isEmpty
                else { return nil }
                if let other = executed[replica.shard], other != replica.lastExecuted { return nil }
                executed[replica.shard] = replica.lastExecuted
            }
        }
        return executed
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
