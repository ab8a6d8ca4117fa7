import Dispatch
import Glibc

/// Waits until the process is asked to end: by SIGTERM, by SIGINT, or, for children of a bench or test, by the end of
/// standard input, which outlives even a parent that was killed.
public enum StopSignal {
    /// - Parameter watchingStandardInput: also return when standard input ends.
    public static func wait(watchingStandardInput: Bool = false) async -> String {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let sources = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")].map { number, name in
            // The default action would end the process before the source sees the signal.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(name) }
            source.resume()
            return source
        }
        var input: (any DispatchSourceRead)?
        if watchingStandardInput {
            let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
            source.setEventHandler {
                var bytes = [UInt8](repeating: 0, count: 4096)
                if read(STDIN_FILENO, &bytes, bytes.count) <= 0 { continuation.yield("the end of standard input") }
            }
            source.resume()
            input = source
        }
        var reason = "cancellation"
        for await first in stream {
            reason = first
            break
        }
        input?.cancel()
        for source in sources { source.cancel() }
        return reason
    }
}
