import Dispatch
import Glibc
import HostRuntime
import Logging

/// Changes the level of a process's log while it runs: SIGUSR1 makes it say more, SIGUSR2 less, by one level each.
final class LevelSignals {
    private let sources: [any DispatchSourceSignal]

    /// From now on, as long as the value lives. Afterwards the signals are ignored.
    init(_ output: LogOutput, logger: Logger) {
        sources = [(SIGUSR1, true), (SIGUSR2, false)].map { number, isMore in
            // The default action would end the process.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let level = output.step(isMore)
                // Seen whatever the level is now.
                logger.log(level: max(level, .notice), "logs from level \(level) on now")
            }
            source.resume()
            return source
        }
    }

    deinit { for source in sources { source.cancel() } }
}
