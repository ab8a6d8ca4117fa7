import Dispatch
import Glibc

/// Waits until the process is asked to end, by SIGTERM or SIGINT.
public enum StopSignal {
    public static func wait() async -> String {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let sources = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")].map { number, name in
            // The default action would end the process before the source sees the signal.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(name) }
            source.resume()
            return source
        }
        var reason = "cancellation"
        for await first in stream {
            reason = first
            break
        }
        for source in sources { source.cancel() }
        return reason
    }
}
