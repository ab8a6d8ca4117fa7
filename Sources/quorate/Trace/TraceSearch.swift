import HostRuntime
import Messages
import Workload

/// Asks all processes of a cluster for their stamps of one request.
struct TraceSearch: Sendable {
    let processes: ClusterProcesses
    private static let timeout = Duration.seconds(5)

    /// - Parameter own: what the asking process itself knows of it.
    /// - Throws: `ToolError`: `notRunning` or `noAnswer` if there is nobody to ask, `notTraced` if nobody has any.
    func trace(of request: Digest, own: [RequestTrace.Entry] = []) async throws -> RequestTrace {
        let connections = await ClusterConnections.open(processes)
        let answers = await connections.ask { _, connection in
            try await connection.stamps(.of(request), timeout: Self.timeout)
        }
        await connections.close()
        let here = Instant.current()
        guard !processes.run.recorded().isEmpty else { throw ToolError(.notRunning, "the cluster does not run") }
        guard !answers.isEmpty else { throw ToolError(.noAnswer, "no host and no gateway answers") }
        var entries = own
        for (role, answer) in answers {
            let clock = ClockOffset(of: answer.now, from: here)
            entries += answer.stamps.map { RequestTrace.Entry(.init(role), clock.aligned($0)) }
        }
        guard entries.count > own.count else { throw missing(request, answers.values.map(\.sampling)) }
        return RequestTrace(of: request, entries)
    }

    private func missing(_ request: Digest, _ samplings: [TraceSampling]) -> ToolError {
        let folder = Shell.quoted(processes.folder.path)
        let again =
            processes.folder.isForManyMachines
            ? "start hosts and gateways with QUORATE_TRACE_RATE=1, and trace the next one"
            : "quorate cluster down \(folder) && quorate cluster up \(folder) --trace-rate 1, and trace the next one"
        guard let rate = samplings.map(\.rate).max(), rate > 0 else {
            return ToolError(.notTraced, "the cluster traces nothing. Start it so: \(again)")
        }
        guard samplings.contains(where: { $0.takes(request) }) else {
            return ToolError(
                .notTraced,
                "\(request.short) is not among the requests that are traced, which are one in \(Int((1 / rate).rounded())), by their digests. For all of them: \(again)"
            )
        }
        return ToolError(
            .notTraced,
            "nobody has any stamps of \(request.short): it is no transaction of this cluster, it was before the processes were started, or newer stamps have taken their places. A transaction can be traced soon after it has happened"
        )
    }
}
