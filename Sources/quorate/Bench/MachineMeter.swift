import Foundation
import Messages
import Synchronization
import Workload

/// Looks at the machine and at this process when the warm-up is over and when the figures end.
final class MachineMeter: Sendable {
    private struct State {
        var first: MachineSample?
        var last: MachineSample?
    }

    private let state = Mutex(State())

    /// - Parameters: seconds since the load began.
    ///   - end: nil for when somebody asks.
    func run(from begin: Double, to end: Double?) async {
        try? await Task.sleep(for: .microseconds(Int64(begin * 1e6)))
        guard !Task.isCancelled else { return }
        let first = Self.look()
        state.withLock { $0.first = first }
        guard let end, end > begin else { return }
        try? await Task.sleep(for: .microseconds(Int64((end - begin) * 1e6)))
        guard !Task.isCancelled else { return }
        let last = Self.look()
        state.withLock { $0.last = last }
    }

    /// Nil if the load was over before the warm-up.
    func finish() -> MachineUse? {
        let now = Self.look()
        return state.withLock { state in state.first.flatMap { MachineUse(from: $0, to: state.last ?? now) } }
    }

    private static func look() -> MachineSample {
        var time = timespec()
        let isKnown = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0
        let used = UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
        let text = FileManager.default.contents(atPath: "/proc/stat").map { String(decoding: $0, as: UTF8.self) }
        return MachineSample(
            at: Instant.current().uptime, clientMicroseconds: isKnown ? used : nil, procStat: text)
    }
}
