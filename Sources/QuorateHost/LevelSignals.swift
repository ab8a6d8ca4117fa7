import Glibc
import HostRuntime
import Logging

/// Changes the level of a process's log while it runs: SIGUSR1 makes it say more, SIGUSR2 less, by one level each.
final class LevelSignals {
    private let watch: SignalWatch

    /// From now on, as long as the value lives. Afterwards the signals are ignored.
    init(_ output: LogOutput, logger: Logger) {
        watch = SignalWatch([SIGUSR1, SIGUSR2]) { number in
            let level = output.step(number == SIGUSR1)
            // Seen whatever the level is now.
            logger.log(level: max(level, .notice), "logs from level \(level) on now")
        }
    }
}
