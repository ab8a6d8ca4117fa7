import Foundation

/// A command that waits for answers of a cluster.
protocol AsksCluster: ToolCommand {
    var cluster: ClusterOption { get }
    /// After so long the command ends, and says why there is no answer. Nil where what was sent may still take effect:
    /// then the client says what became of it.
    static var answerLimit: Duration? { get }
}

extension AsksCluster {
    static var answerLimit: Duration? { nil }
}

extension TransferCommand: AsksCluster {}
extension IssueCommand: AsksCluster {}
extension FreezeCommand: AsksCluster {}
extension ReleaseCommand: AsksCluster {}
extension CallCommand: AsksCluster {}
extension TransactionCommand.Resolve: AsksCluster {}
extension TransactionCommand.Abandon: AsksCluster {}
extension ReceiptCommand.Fetch: AsksCluster {}
extension AccountCommand.List: AsksCluster {}
extension AccountCommand.Create: AsksCluster {}
extension AccountCommand.Show: AsksCluster {
    static var answerLimit: Duration? { .seconds(5) }
}

/// Says on standard error what is waited for, when an answer does not come soon, and ends the wait for what may be
/// asked again.
struct ClusterPatience: Sendable {
    private let processes: ClusterProcesses
    private let limit: Duration?
    /// From the start to the first line, and from one line to the next.
    private static let first = Duration.seconds(2)
    private static let next = Duration.seconds(10)
    /// What a host has to say how it is.
    private static let question = Duration.seconds(1)

    init(_ processes: ClusterProcesses, limit: Duration?) { (self.processes, self.limit) = (processes, limit) }

    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let end = limit.map { ContinuousClock.now + $0 }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                // Of a command that is cancelled its own words count: what it had signed, and what became of it.
                do { try await watch(until: end) } catch is CancellationError {}
                return false
            }
            defer { group.cancelAll() }
            while let isDone = try await group.next() {
                if isDone { return }
            }
        }
    }

    /// - Throws: when the time is over.
    private func watch(until end: ContinuousClock.Instant?) async throws {
        var due = ContinuousClock.now + Self.first
        while true {
            // Asked for so early that it is there when it is due.
            try await Task.sleep(until: due - Self.question)
            let obstacle = await ClusterStatus.collect(processes, timeout: Self.question).obstacle
            try await Task.sleep(until: due)
            if due == end {
                throw ToolError(
                    .noAnswer,
                    "no answer within \(limit.map { "\(Int($0 / .seconds(1))) s" } ?? "the time"): \(obstacle)")
            }
            Console.error("waiting: \(obstacle)")
            due = min(end ?? due + Self.next, due + Self.next)
        }
    }
}
