import Glibc

/// Waits until the process is asked to end, by SIGTERM, SIGINT or SIGHUP.
public enum StopSignal {
    /// A hangup does not count where the process was started to ignore it, as under `nohup`. All that count are ignored
    /// from the call on, also after it returns, so that an end in good order is not cut short by a second one.
    /// - Parameter heedsHangup: false where SIGHUP has another meaning.
    /// - Returns: the signal's name, `SIGTERM` say, or `cancellation` if the task was cancelled first.
    public static func wait(heedsHangup: Bool = true) async -> String {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        // Under nohup a hangup is no reason.
        let names: [Int32: String] = [SIGTERM: "SIGTERM", SIGINT: "SIGINT"]
            .merging(!heedsHangup || isIgnored(SIGHUP) ? [:] : [SIGHUP: "SIGHUP"]) { $1 }
        let watch = SignalWatch(Array(names.keys)) { continuation.yield(names[$0] ?? "signal \($0)") }
        var reason = "cancellation"
        for await first in stream {
            reason = first
            break
        }
        watch.cancel()
        return reason
    }

    /// Whether whoever started the process wants it to ignore the signal.
    package static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}
