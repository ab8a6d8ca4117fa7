import Foundation

/// A command that waits for answers of a cluster.
protocol AsksCluster: ToolCommand {
    var cluster: ClusterOption { get }
    /// After so long the command ends, and says why there is no answer. Nil where what was sent may still take effect: then the client
    /// says what became of it.
    static var answerLimit: Duration? { get }
}

extension AsksCluster {
    static var answerLimit: Duration? { nil }
}

extension TransferCommand: AsksCluster {}
extension AccountCommand.Create: AsksCluster {}
extension AccountCommand.Show: AsksCluster {
    static var answerLimit: Duration? { .seconds(5) }
}

/// Says on standard error what is waited for, when an answer does not come soon, and ends the wait for what may be asked again.
struct ClusterPatience: Sendable {
    private let processes: ClusterProcesses
    private let limit: Duration?
    /// From the start to the first line, and from one line to the next.
    private static let first = Duration.seconds(2)
    private static let next = Duration.seconds(10)

    init(_ processes: ClusterProcesses, limit: Duration?) { (self.processes, self.limit) = (processes, limit) }

    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let end = limit.map { ContinuousClock.now + $0 }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                try await watch(until: end)
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
        try await Task.sleep(for: Self.first)
        while true {
            let status = await ClusterStatus.collect(processes, timeout: .milliseconds(1500))
            try Task.checkCancellation()
            Console.error("waiting for \(status.obstacle)")
            let pause = ContinuousClock.now + Self.next
            guard let end, end < pause else {
                try await Task.sleep(until: pause)
                continue
            }
            try await Task.sleep(until: end)
            throw ToolError(.noAnswer, "no answer within \(limit.map { "\(Int($0 / .seconds(1))) s" } ?? "the time"): waited for \(status.obstacle)")
        }
    }
}
