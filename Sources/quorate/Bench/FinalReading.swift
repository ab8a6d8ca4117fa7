import Client
import ExampleProcedures
import HostRuntime
import Messages
import Synchronization
import Workload

/// Reads what a workload has left, as any client would: keys by calls, whose results are certified, and balances by
/// quorum reads.
struct FinalReading: Sendable {
    let processes: ClusterProcesses
    private static let clients = 16
    private static let limit = Duration.seconds(120)
    /// After a failure.
    private static let pause = Duration.milliseconds(200)

    private enum Piece: Sendable {
        case keys([String])
        case account(AccountID)
    }

    /// What the clients share.
    private final class Shared: Sendable {
        private let state: Mutex<(queue: ReadingQueue<Piece>, values: FinalValues)>
        init(_ pieces: [Piece]) { state = Mutex((ReadingQueue(pieces), FinalValues())) }
        func take() -> Piece? { state.withLock { $0.queue.take() } }
        /// - Returns: how many pieces were read.
        func settle(_ piece: Piece, wasRead: Bool) -> Int {
            state.withLock { state in
                state.queue.settle(piece, wasRead: wasRead)
                return state.queue.done
            }
        }
        func add(_ body: (inout FinalValues) -> Void) { state.withLock { body(&$0.values) } }
        var values: FinalValues { state.withLock { $0.values } }
    }

    /// What could not be read is tried again; what could not be read in time is left out.
    func read(_ subjects: CheckSubjects, label: String) async -> FinalValues {
        let pieces = pieces(of: subjects)
        guard !pieces.isEmpty else { return FinalValues() }
        let bar = ProgressBar("\(label): reading \(subjects.keys.count + subjects.accounts.count) values")
        let shared = Shared(pieces)
        let end = ContinuousClock.now + Self.limit
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<min(Self.clients, pieces.count) {
                group.addTask {
                    guard let client = newClient() else { return }
                    while ContinuousClock.now < end, !Task.isCancelled, let piece = shared.take() {
                        let wasRead = await read(piece, client, into: shared)
                        bar.update(WorkProgress(done: shared.settle(piece, wasRead: wasRead), total: pieces.count))
                        if !wasRead { try? await Task.sleep(for: Self.pause) }
                    }
                    await client.close()
                }
            }
        }
        let result = shared.values
        bar.finish("\(result.keys.count + result.balances.count) read")
        return result
    }

    private func newClient() -> QuorateClient? {
        guard let signer = Ed25519Signer(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max) }) else {
            return nil
        }
        return QuorateClient(
            signer: signer, manifest: processes.folder.manifest, gateways: processes.gateways,
            firstNumber: RequestNumber(1))
    }

    /// Keys of one shard together.
    private func pieces(of subjects: CheckSubjects) -> [Piece] {
        let map = processes.folder.manifest.shardMap
        var byShard = [[String]](repeating: [], count: map.shardCount)
        for key in subjects.keys { byShard[Int(map.shard(of: .key(key)).number)].append(key) }
        let ofKeys = byShard.flatMap { keys in
            stride(from: 0, to: keys.count, by: ReadKeys.maxKeys).map {
                Piece.keys(Array(keys[$0..<min(keys.count, $0 + ReadKeys.maxKeys)]))
            }
        }
        return ofKeys + subjects.accounts.map(Piece.account)
    }

    private func read(_ piece: Piece, _ client: QuorateClient, into shared: Shared) async -> Bool {
        switch piece {
        case .keys(let keys):
            let answer = try? await client.call(
                .key(keys[0]), ReadKeys.name, keys, returning: [ReadKeys.Value].self)
            guard let found = answer?.result, found.count == keys.count else { return false }
            shared.add { values in
                for (key, value) in zip(keys, found) { values.keys.updateValue(value.bytes, forKey: key) }
            }
        case .account(let account):
            guard let statement = try? await client.quorumRead(account), let view = statement.view else {
                return false
            }
            shared.add { $0.balances[account] = view.posted.number }
        }
        return true
    }
}
